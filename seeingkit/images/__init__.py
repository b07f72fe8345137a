"""Where pictures come from: folders, lists, archives, shards, tables, arrays, and generators.

Every source gives the same float32 RGB in [-1, 1] for the same picture and preset, names each
picture that it cannot use, and has a fingerprint that changes when any byte of it does.
"""

from seeingkit.models.registry import find_preset
from seeingkit.specs import PRESETS

from .archive import ZipImages
from .arrays import ArrayImages
from .decode import DECODE, Limits, decode
from .files import FileImages, open_file, open_folder, open_glob, open_list
from .formats import SUFFIXES
from .given import open_given
from .inputs import InputImages
from .lmdb import LmdbImages
from .opening import open_images
from .parquet import ParquetImages
from .preprocess import apply, quantise, to_tensor
from .sampler import SamplerSource
from .selection import Selection, select
from .shards import ShardOptions
from .stored import StoredImages
from .webdataset import TarImages

__all__ = [
    "DECODE",
    "PRESETS",
    "SUFFIXES",
    "ArrayImages",
    "FileImages",
    "InputImages",
    "Limits",
    "LmdbImages",
    "ParquetImages",
    "SamplerSource",
    "Selection",
    "ShardOptions",
    "StoredImages",
    "TarImages",
    "ZipImages",
    "apply",
    "decode",
    "find_preset",
    "open_file",
    "open_folder",
    "open_given",
    "open_glob",
    "open_images",
    "open_list",
    "quantise",
    "select",
    "to_tensor",
]
