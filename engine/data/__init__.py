"""Real patches: reading them from where they lie, packing them once, dividing them into splits."""
