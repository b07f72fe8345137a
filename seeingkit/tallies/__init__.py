"""Class areas of every image of a source: counted once, stored, and asked many questions."""

from .chunks import ChunkStore
from .counting import tally
from .table import Tally, TallyIdentity

__all__ = ["ChunkStore", "Tally", "TallyIdentity", "tally"]
