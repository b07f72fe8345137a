"""Formats of pictures: which are read, by what endings, and how each is recognised by its content.

Guarantees: a format is recognised by its first ``HEAD`` bytes; a format that is not read has a
reason that says what to do.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import NamedTuple

from PIL import Image

_FORMATS = "AVIF BMP DIB GIF HEIF JPEG JPEG2000 MPO PCX PNG PPM QOI SGI TIFF WEBP"
FORMATS = tuple(_FORMATS.split())
"""Pillow formats that are tried, whatever the file is called. TGA has no signature, so that it is
tried only on files called ``.tga``; HEIF needs the extra ``heic``."""

_SUFFIXES = (
    ".apng .avif .bmp .dib .gif .heic .heif .hif .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .pbm .pcx "
    ".pgm .png .pnm .ppm .qoi .sgi .tga .tif .tiff .webp"
)
SUFFIXES = tuple(_SUFFIXES.split())
"""File name endings (any case) that make a file of a folder, glob or archive a picture."""

HEAD = 64
"""Bytes at the start of a file that tell its format."""

_HEIF_SUFFIXES = (".heic", ".heif", ".hif")
_RAW = ".3fr .arw .cr2 .cr3 .crw .dng .erf .kdc .mrw .nef .nrw .orf .pef .raf .rw2 .sr2 .srw .x3f"
_UNREAD = {
    **dict.fromkeys(_RAW.split(), "camera raw"),
    **dict.fromkeys((".psd", ".psb"), "Photoshop"),
    **dict.fromkeys((".jxl",), "JPEG XL"),
    **dict.fromkeys((".exr", ".hdr"), "high dynamic range"),
    **dict.fromkeys((".dds",), "DirectDraw texture"),
    **dict.fromkeys((".xcf",), "GIMP"),
}
"""Endings of pictures that are never read, and what they are."""

_ARCHIVES = (
    ".7z .arrow .gz .h5 .hdf5 .lmdb .mdb .npy .npz .parquet .rar .tar .tfrecord .tfrecords .tgz "
    ".webdataset .zip"
)
ARCHIVES = frozenset(_ARCHIVES.split())
"""Endings of files that hold many pictures, or may."""

COPIES = re.compile(r"(~|\.(bak|old|orig|tmp|temp|part|partial|crdownload|download|swp))$", re.I)
"""Endings of second copies and of downloads that did not end."""

_TEXTS = (
    ".bib .c .cfg .conf .cpp .css .csv .h .htm .html .ini .ipynb .js .json .jsonl .lock .log .m "
    ".md .py .rst .sh .sql .srt .tex .toml .tsv .txt .url .vtt .xml .yaml .yml"
)
TEXTS = frozenset(_TEXTS.split())
"""Endings of text, which is not looked into."""

_BOXES = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"), "HEIF"),
    b"crx ": "camera raw",
}  # ISO 14496-12: the major brand of the first box
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0\x10\0\0\0CR", "camera raw"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"qoif", "QOI"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x76\x2f\x31\x01", "high dynamic range"),
    (b"#?RADIANCE", "high dynamic range"),
    (b"DDS ", "DirectDraw texture"),
    (b"gimp xcf", "GIMP"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"IIU\0", "camera raw"),
    (b"IIRO", "camera raw"),
)
_HOLDERS = (
    (b"PK\x03\x04", "zip archive"),
    (b"Rar!\x1a\x07", "rar archive"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (b"\x93NUMPY", "numpy file"),
)
POINTER = b"version https://git-lfs"
"""How the files begin that Git leaves in the place of large ones."""
POINTED = "a pointer of Git LFS and not the file itself: fetch it by git lfs pull"
_PNM = re.compile(rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s")
_LMDB = b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde"


class Kind(NamedTuple):
    """The sort of a file: a format of pictures, or of files that hold pictures.

    Attributes:
        name: as Pillow calls the format where it is read (``PNG``), else in words.
        holds: it is no picture, but may hold some.
    """

    name: str
    holds: bool = False

    @property
    def why_unread(self) -> str | None:
        """The reason why pictures of this kind are not read and what to do; None: they are."""
        if self.holds:
            return f"a {self.name}, which may hold pictures: give it by itself, or unpack it"
        if self.name in readable():
            return None
        if self.name == "HEIF":
            return "a HEIC picture, which needs an extra: pip install 'seeingkit[heic]'"
        return f"a {self.name} picture, which is not read; save it as PNG"


@cache
def readable() -> tuple[str, ...]:
    """The formats of ``FORMATS`` that this installation decodes."""
    Image.init()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        pass
    else:
        register_heif_opener(thumbnails=False)
    return tuple(name for name in FORMATS if name in Image.OPEN)


def suffix(name: str) -> str:
    """A file name's ending with its dot, in lower case; empty for a name without one."""
    return os.path.splitext(name)[1].lower()


def is_image_name(name: str) -> bool:
    """Whether a file name ends like a picture's."""
    return suffix(name) in SUFFIXES


def kind_by_name(name: str) -> Kind | None:
    """The kind of a file whose ending alone settles that it is not read, else None."""
    ending = suffix(name)
    if ending in _HEIF_SUFFIXES:
        return Kind("HEIF")
    if ending in ARCHIVES:
        return Kind(f"{ending} file", holds=True)
    return Kind(_UNREAD[ending]) if ending in _UNREAD else None


def kind_by_content(head: bytes) -> Kind | None:
    """The kind of a file that begins with these bytes; None for anything else.

    >>> kind_by_content(b"GIF89a" + bytes(20)).name
    'GIF'
    """
    for start, name in _SIGNATURES:
        if head.startswith(start):
            return Kind(name)
    for start, name in _HOLDERS:
        if head.startswith(start):
            return Kind(name, holds=True)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind("WEBP")
    if head[4:8] == b"ftyp" and head[8:12] in _BOXES:
        return Kind(_BOXES[head[8:12]])
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return Kind("BMP")
    if is_lmdb(head):
        return Kind("lmdb", holds=True)
    return Kind("PPM") if _PNM.match(head) else None


_BMP_HEADERS = {length.to_bytes(4, "little") for length in (12, 40, 52, 56, 64, 108, 124)}


def is_lmdb(head: bytes) -> bool:
    """Whether a file begins as an lmdb's data file does."""
    return head[16:20] in _LMDB
