"""Recipes that made the shipped weights. Nothing in the library imports this package.

The scenes that each part of the demonstration may use (``render(seed, index, size)``):

============= ========================================================================
TRAIN_SEED    the generator's and the segmenter's training scenes
HELDOUT_SEED  the segmenter's validation scenes
REAL_SEED     the "real" pictures of the comparison (in ``catalog``): never trained on
============= ========================================================================
"""

TRAIN_SEED = 0
HELDOUT_SEED = 1
