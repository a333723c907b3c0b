"""Benchmarks of the application and of the commands, each beside its limit."""
