"""The files a semantic-segmentation-pytorch network comes in: a pair of halves, or one of ours.

Guarantees that encoder and decoder are of the same epoch and fit each other, that the dilation
(which is in no file) is given by the option, the folder's name or the kind of decoder, in this
order, and that every refusal names the file and the key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.system.cache import file_sha256
from seeingkit.weights import (
    Checkpoint,
    networks_with,
    portable_config,
    read_checkpoint,
    read_state_dict,
    state_dict,
)

from ..configs import NetworkConfig
from ..resnet import ENCODER, ENCODER_MARKS
from .labels import Naming, Preparation, read_naming, usual_naming
from .network import DECODERS, EncoderDecoder, Step, build, decoder_kind, undilated

if TYPE_CHECKING:
    from ..catalog.semseg import SemsegOptions

FAMILY = "semseg"
_HALF = re.compile(r"(?P<half>encoder|decoder)_epoch_(?P<epoch>\d+)\.pth")
# Names of the originals: resnet50dilated, resnet50_dilated8, mobilenetv2dilated, hrnetv2 …
_NAMED = re.compile(
    r"(?:resnet\d+|resnext\d+|mobilenetv2|hrnetv2)(?:_?(dilated)(8|16)?)?(?![a-z\d])"
)
_ENCODERS = (ENCODER_MARKS, ("stage4.0.branches.3.0.conv1.weight",))
_STEPS: dict[str, Step] = {"no": 32, "8": 8, "16": 16}


class SemsegConfig(NetworkConfig):
    """All that a file of ours carries beside the tensors.

    Attributes:
        step: input pixels to one of the coarsest map, by which the dilation is known.
        naming, preparation: of labels and input.
    """

    KIND: ClassVar[str] = "a semantic-segmentation-pytorch network"

    step: Step
    naming: Naming
    preparation: Preparation


@dataclass(frozen=True)
class ParsedFiles:
    """The contents of the files.

    Attributes:
        network: float32, evaluation mode, its normalisations not yet folded (but in our own file).
        config: dilation, labels and preparation.
        sha256: of the file; of several files, of their hashes, one a line.
    """

    network: EncoderDecoder
    config: SemsegConfig
    sha256: str


def recognise(checkpoint: Checkpoint) -> str | None:
    """The half of a network that a file holds, or None; its encoders are ``upernet``'s too."""
    if any(networks_with(checkpoint, marks) for marks in DECODERS.values()):
        return "decoder of semantic-segmentation-pytorch"
    return ENCODER if any(networks_with(checkpoint, marks) for marks in _ENCODERS) else None


def read_files(path: Path, options: SemsegOptions) -> ParsedFiles:
    """Read a folder with a pair, either half of a pair, or a file of ours.

    Args:
        path: a folder with ``encoder_epoch_K.pth`` and ``decoder_epoch_K.pth`` (the highest K that
            both have), one of such files (for its K), or a safetensors file that
            ``seeingkit weights convert`` wrote.
        options: dilation and labels, where they are not to be guessed.

    Raises:
        MissingWeightsError: a file is not there.
        StateMismatchError: tensors or labels that do not fit; names the file and the key.
        CorruptFileError, UnsafeFileError: from reading the files.
    """
    if path.is_dir():
        return _read_pair(path, _last_epoch(path), options)
    if (half := _HALF.fullmatch(path.name)) and path.is_file():
        return _read_pair(path.parent, half["epoch"], options)
    return _read_ours(path, options)


def _last_epoch(folder: Path) -> str:
    epochs: dict[str, set[str]] = {"encoder": set(), "decoder": set()}
    for file in folder.iterdir():
        if match := _HALF.fullmatch(file.name):
            epochs[match["half"]].add(match["epoch"])
    common = epochs["encoder"] & epochs["decoder"]
    if not common:
        missing = [half for half, found in epochs.items() if not found]
        what = f"no {missing[0]}_epoch_K.pth" if missing else "no epoch that both halves have"
        raise MissingWeightsError(
            f"{folder}: {what}; the pair encoder_epoch_K.pth and decoder_epoch_K.pth belongs here"
        )
    return max(common, key=int)


def _read_pair(folder: Path, epoch: str, options: SemsegOptions) -> ParsedFiles:
    paths = [folder / f"{half}_epoch_{epoch}.pth" for half in ("encoder", "decoder")]
    for path in paths:
        if not path.is_file():
            raise MissingWeightsError(f"{path}: not there; a pair has both halves of one epoch")
    encoder, decoder = (read_state_dict(path) for path in paths)
    hashes = [encoder.sha256, decoder.sha256]
    step, assumed = _step(folder, encoder.tensors, decoder.tensors, options, paths[1])
    network = build(encoder.tensors, decoder.tensors, step, *paths)
    own = folder / "labels.json"
    names = options.labels or (own if own.is_file() else None)
    if names is own:
        hashes.append(file_sha256(own))
    naming, preparation = _labels(names, network.classes)
    if names is None and naming.source != "numbers":
        assumed += (f"{network.classes} outputs are the classes of {naming.source}, in its order",)
    if names is None and naming.source == "numbers":
        assumed += ("outputs have numbers for names",)
    if preparation is None:
        assumed += ("the input is RGB with ImageNet's mean and deviation",)
    config = SemsegConfig(
        step=step, naming=naming, preparation=preparation or Preparation(), assumed=assumed
    )
    return ParsedFiles(
        network,
        config,
        hashlib.sha256("".join(f"{line}\n" for line in hashes).encode()).hexdigest(),
    )


def _step(
    folder: Path,
    encoder: dict[str, Tensor],
    decoder: dict[str, Tensor],
    options: SemsegOptions,
    decoder_path: Path,
) -> tuple[Step, tuple[str, ...]]:
    """The step, and what was assumed of it."""
    if options.dilated is not None:
        return _STEPS[options.dilated], ()
    if named := _NAMED.search(folder.absolute().name.lower()):
        step = _STEPS[(named[2] or "8") if named[1] else "no"]
        return step, (f"dilation by the folder's name: dilated={_dilated(step)}",)
    step = 32 if undilated(encoder, decoder_kind(decoder, decoder_path)) else 8
    return step, (f"dilation as usual for this decoder: dilated={_dilated(step)}",)


def _dilated(step: Step) -> str:
    return next(name for name, steps in _STEPS.items() if steps == step)


def _labels(path: Path | None, outputs: int) -> tuple[Naming, Preparation | None]:
    return (usual_naming(outputs), None) if path is None else read_naming(path, outputs)


def _read_ours(path: Path, options: SemsegOptions) -> ParsedFiles:
    checkpoint = read_checkpoint(path)
    found = portable_config(checkpoint, FAMILY)
    if found is None:
        raise StateMismatchError(
            f"{path}: no pair and no file of ours; give the folder with encoder_epoch_K.pth and "
            "decoder_epoch_K.pth"
        )
    config = SemsegConfig.validated(path, found)
    halves: dict[str, dict[str, Tensor]] = {"encoder": {}, "decoder": {}}
    for key, tensor in state_dict(checkpoint, checkpoint.content).items():
        half, _, rest = key.partition(".")
        if half not in halves:
            raise StateMismatchError(f"{path}: unexpected key {key}, not encoder.* or decoder.*")
        halves[half][rest] = tensor
    update: dict[str, Any] = {}
    if options.dilated is not None:
        update["step"] = _STEPS[options.dilated]
    config = config.model_copy(update=update)
    network = build(halves["encoder"], halves["decoder"], config.step, path, path)
    if options.labels is not None:
        naming, preparation = read_naming(options.labels, network.classes)
        update = {"naming": naming, "preparation": preparation or config.preparation}
        config = config.model_copy(update=update)
    if config.naming.outputs != network.classes:
        raise StateMismatchError(
            f"{path}: its config names {config.naming.outputs} outputs, there are {network.classes}"
        )
    return ParsedFiles(network, config, checkpoint.sha256)
