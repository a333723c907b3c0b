"""How near synthetic patches are to real ones, in feature spaces that need no downloaded weights.

Every measure is a function of features (N, D), and named for the space of its features: none of them is an FID, whose
features are another network's.
"""
