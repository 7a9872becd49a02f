"""What users get besides the package: plugins, bundles, links and example files, generated from the code.

`make dist` runs `python -m distribution [FOLDER]`, which builds all of them into dist/.
"""
