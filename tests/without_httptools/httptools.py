"""Found before the real httptools where this folder is on PYTHONPATH; uvicorn then takes h11."""

raise ImportError("hidden by the tests, so that uvicorn takes h11")
