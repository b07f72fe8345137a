"""The hub: published weights and data files, where they lie, checking and downloading them.

Guarantees: no file is handed out whose published hash does not match; a file appears under its
name whole or not at all; with ``SEEINGKIT_OFFLINE=1`` the network is never touched; a file that
cannot be had is an error that gives its address, its hash and the folder to put it in. Importing
this never imports torch.
"""

from .consent import ask_before_large_downloads
from .downloading import download, offline
from .hashes import verify_file
from .manifests import Manifest, overlaid, read_manifest
from .places import (
    data_file,
    data_folder,
    is_here,
    missing_files,
    verify_weights,
    weights_folder,
    weights_path,
)

__all__ = [
    "Manifest",
    "ask_before_large_downloads",
    "data_file",
    "data_folder",
    "download",
    "is_here",
    "missing_files",
    "offline",
    "overlaid",
    "read_manifest",
    "verify_file",
    "verify_weights",
    "weights_folder",
    "weights_path",
]
