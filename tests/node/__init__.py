"""Node and packages of npm, in a folder of the project that git ignores; for the suites that need real programs."""
