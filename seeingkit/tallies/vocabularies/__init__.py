"""Common vocabularies: class lists that labels of any segmenter are merged into.

Light: importing this never imports torch. ``merging`` applies a class list to tallies, label maps
and segmenters.
"""

from .classmap import BUILT_IN, ClassMap, Unmapped, read_classes

__all__ = ["BUILT_IN", "ClassMap", "Unmapped", "read_classes"]
