"""Soak: tiny runs of every preset, broken on purpose in every way that is known, and what becomes of them."""
