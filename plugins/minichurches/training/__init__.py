"""Recipes that made the shipped weights. Nothing in the library imports this package.

Which scenes each part of the demonstration may see (``render(seed, index, size)``):

============= ========================================================================
TRAIN_SEED    the generator's and the segmenter's training scenes
HELDOUT_SEED  the segmenter's validation scenes
REAL_SEED     the "real" pictures that the demonstration compares the generator with
============= ========================================================================
"""

TRAIN_SEED = 0
HELDOUT_SEED = 1
REAL_SEED = 2
