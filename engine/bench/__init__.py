"""Benchmarks: `python -m engine.bench` measures each promise of speed as a ratio within one run."""
