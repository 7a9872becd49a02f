"""What is handed out beside the package: one-click artefacts, built from what the code itself says.

`python -m distribution [FOLDER]` builds all of them; `make dist` does that into dist/.
"""
