"""The files a UPerNet comes in: the three published ones, or one safetensors file.

Guarantees that the parts fit together (widths of encoder and decoder, channels of each head
and the label file), and that every refusal names the file and the key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from seeingkit.errors import CorruptFileError, MissingWeightsError, StateMismatchError
from seeingkit.weights import Checkpoint, networks_with, read_state_dict

from ..resnet import ENCODER, ENCODER_MARKS
from .labels import LARGEST_LABELS, Hierarchy, read_hierarchy
from .network import UPerNet, build

DECODER_MARKS = ("ppm_conv.0.0.weight", "object_head.1.weight")
DEFAULT_SEGSIZES = (256,)
_MOST_SIZES = 16
_LARGEST_SIZE = 4096  # pixels
_PUBLISHED = ("encoder_epoch_*.pth", "decoder_epoch_*.pth", "labels.json")


@dataclass(frozen=True)
class ParsedFiles:
    """The contents of the files.

    Attributes:
        network: float32, evaluation mode.
        hierarchy: the labels of its heads.
        segsizes: network input sizes that the file asks for.
        sha256: of the file; of several files, of their hashes, one a line.
        sized: the file asks for its sizes.
    """

    network: UPerNet
    hierarchy: Hierarchy
    segsizes: tuple[int, ...]
    sha256: str
    sized: bool = False


def recognise(checkpoint: Checkpoint) -> str | None:
    """The half of a network that a file holds, or None; its encoders are ``semseg``'s too."""
    if networks_with(checkpoint, [f"decoder.{mark}" for mark in DECODER_MARKS]):
        return "Unified Perceptual Parsing, encoder and decoder"
    if networks_with(checkpoint, DECODER_MARKS):
        return "decoder of Unified Perceptual Parsing"
    return ENCODER if networks_with(checkpoint, ENCODER_MARKS) else None


def read_folder(folder: Path) -> ParsedFiles:
    """Read ``encoder_epoch_*.pth``, ``decoder_epoch_*.pth`` and ``labels.json``, as published.

    Raises:
        MissingWeightsError: a file is not there.
        StateMismatchError: tensors or labels that do not fit; names the file and the key.
        CorruptFileError, UnsafeFileError: from reading the files.
    """
    encoder_path, decoder_path, labels = (_find(folder, pattern) for pattern in _PUBLISHED)
    encoder = read_state_dict(encoder_path, ENCODER_MARKS[:1])
    decoder = read_state_dict(decoder_path, DECODER_MARKS[:1])
    network = build(encoder.tensors, decoder.tensors, encoder_path, decoder_path)
    try:
        if labels.stat().st_size > LARGEST_LABELS:
            raise CorruptFileError(f"{labels}: too large for a file of labels")
        text = labels.read_bytes()
        hierarchy = read_hierarchy(text.decode("utf-8"), labels)
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{labels}: not readable as UTF-8 text ({error})") from error
    _check_classes(network, hierarchy, decoder_path)
    hashes = (encoder.sha256, decoder.sha256, hashlib.sha256(text).hexdigest())
    joint = hashlib.sha256("".join(f"{line}\n" for line in hashes).encode()).hexdigest()
    return ParsedFiles(network, hierarchy, DEFAULT_SEGSIZES, joint)


def read_file(path: Path) -> ParsedFiles:
    """Read one file with the keys ``encoder.*`` and ``decoder.*``.

    Its metadata holds ``labels`` (the text of a labels.json) and may hold ``preprocessing``
    (``{"segsizes": [...]}``).

    Raises:
        MissingWeightsError: no such file.
        StateMismatchError: tensors, metadata or labels that do not fit; names the key.
        CorruptFileError, UnsafeFileError: from reading the file.
    """
    file = read_state_dict(path)
    halves: dict[str, dict[str, Tensor]] = {"encoder": {}, "decoder": {}}
    for key, tensor in file.tensors.items():
        half, _, rest = key.partition(".")
        if half not in halves:
            raise StateMismatchError(f"{path}: unexpected key {key}, not encoder.* or decoder.*")
        halves[half][rest] = tensor
    if "labels" not in file.metadata:
        raise StateMismatchError(f"{path}: no metadata 'labels'; give a folder of three files")
    network = build(halves["encoder"], halves["decoder"], path, path)
    hierarchy = read_hierarchy(file.metadata["labels"], path)
    _check_classes(network, hierarchy, path)
    try:
        preprocessing = json.loads(file.metadata.get("preprocessing", "{}"))
        segsizes = tuple(int(size) for size in preprocessing.get("segsizes", DEFAULT_SEGSIZES))
        if len(segsizes) > _MOST_SIZES or not all(0 < size <= _LARGEST_SIZE for size in segsizes):
            raise ValueError(f"segsizes are up to {_MOST_SIZES} sizes up to {_LARGEST_SIZE}")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CorruptFileError(f"{path}: metadata 'preprocessing' unreadable ({error})") from error
    return ParsedFiles(network, hierarchy, segsizes, file.sha256, "segsizes" in preprocessing)


def _find(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise MissingWeightsError(f"{folder}: no {pattern}; the three files of UPerNet belong here")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise StateMismatchError(f"{folder}: which {pattern}? Keep one of {names}")
    return found[0]


def _check_classes(network: UPerNet, hierarchy: Hierarchy, path: Path) -> None:
    heads = network.decoder.layout.classes
    if "object" not in heads:
        raise StateMismatchError(f"{path}: no object_head; a segmenter needs one")
    for head, channels in heads.items():
        expected = hierarchy.classes[head]
        if channels != expected:
            raise StateMismatchError(
                f"{path}: {head}_head has {channels} channels, labels.json lists {expected}"
            )
