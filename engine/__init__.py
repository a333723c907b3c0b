"""The experiments: PyTorch, data and scores. Knows nothing of terminals; runs as `python -P -m engine RUN_FOLDER`."""
