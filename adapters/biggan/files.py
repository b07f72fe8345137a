"""ajbrock/BigGAN-PyTorch files (``G_ema.pth``, ``G.pth``): configuration and tensors.

Guarantees that the network is inferred from keys and shapes alone, that every key of the file was
accounted for by name, and that spectral norm is that of the original's evaluation: one power
iteration from the stored ``u0`` (``sv0`` is a log, not the divisor).

Settings that no file of tensors holds come from the options, else from the training state that the
original saves beside it (``state_dict.pth`` for ``G_ema.pth``, ``state_dict_best0.pth`` for
``G_ema_best0.pth``; read like any weights file), else from the published run: batch-norm epsilon
1e-5 and spectral-norm epsilon 1e-6; or, where all rows of the class table are equal, as in the
published BigBiGAN, 1e-4 both. The last norm has 1e-5 whatever ``--BN_eps`` was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.weights import Checkpoint, Layout, check_finite, check_state

from ..catalog.biggan import BigGANOptions
from ..configs import check_colours
from ..shapes import shape_of
from ..spectral import iterated_norm
from .config import BigGANConfig
from .network import BigGANNetwork
from .parsing import ParsedFile, one_row
from .structure import structure
from .training_state import BN_EPSILON, epsilons

LAYOUT = Layout(
    "ajbrock BigGAN",
    (
        "output_layer.0.gain",
        "output_layer.2.weight",
        "blocks.0.0.conv1.weight",
        "linear.weight",
    ),
    r"shared\.weight|(linear|blocks\.\d+\.\d+\.\w+|output_layer\.[02])(\.\w+)*",
)
_LOG = re.compile(r"(.+)\.(?:(sv\d+|u[1-9]\d*)|bn\.num_batches_tracked)")
Statistics = Literal["stored", "mybn", "cross_replica"]
_STATISTICS: dict[Statistics, tuple[str, str]] = {
    "stored": ("stored_mean", "stored_var"),
    "mybn": ("bn.stored_mean", "bn.stored_var"),
    "cross_replica": ("bn.running_mean", "bn.running_var"),
}


def read_ajbrock(
    checkpoint: Checkpoint, tensors: dict[str, Tensor], options: BigGANOptions
) -> ParsedFile:
    """Infer the network of a file and take its tensors.

    Args:
        checkpoint: the file.
        tensors: its state dict by the file's names.
        options: ``bn_eps``, ``sn_eps``, ``standing``, ``cross_replica_gain``.

    Raises:
        StateMismatchError: a key is missing, unexpected, mis-shaped, not finite, or contradicts
            another one (names it); the training state beside it has an odd value (names it).
        UsageError: an option that cannot apply to this file.
    """
    path = checkpoint.path
    found = _without_logs(tensors)
    for key, tensor in found.items():
        check_finite(path, key, tensor)
    statistics = _statistics(found)
    _check_options(path, options, statistics)
    check_colours(path, shape_of(path, found, "output_layer.2.weight", 4)[0])
    spectral = any(key.endswith(".u0") for key in found)
    one_class = "shared.weight" in found and one_row(found["shared.weight"])
    bn_eps, sn_eps, assumed = epsilons(path, options, spectral=spectral, one_class=one_class)
    if statistics == "cross_replica" and options.cross_replica_gain is None:
        assumed += ("gains are added, as the original's evaluation does",)
        options = options.model_copy(update={"cross_replica_gain": "added"})
    if statistics == "mybn" and options.standing is None:
        assumed += ("statistics are sums where their counter is above 0",)
    config = BigGANConfig.validated(
        path,
        {
            "layout": "ajbrock",
            **structure(path, found),
            "epsilon": bn_eps,
            "output_epsilon": BN_EPSILON,
            "spectral_epsilon": sn_eps if spectral else None,
            "gain": options.cross_replica_gain or "multiplied",
            "assumed": assumed,
        },
    )
    with torch.device("meta"):
        state = BigGANNetwork(config).state_dict()
    names = _names(config, state, statistics)
    normed = _normed(config, state) if spectral else []
    check_state(path, found, _expected(names, normed, state))
    divisors = {key: _divisor(path, names[key], found, sn_eps) for key in normed}
    own = {key: _own(path, key, name, found, options.standing) for key, name in names.items()}
    options = options.model_copy(update={"bn_eps": bn_eps, "sn_eps": config.spectral_epsilon})
    return ParsedFile(config, own, divisors, options, checkpoint.sha256)


# ---------------------------------------------------------------------------------- keys and shapes


def _without_logs(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All that evaluation uses. Singular values, further vectors of --num_G_SVs, and the batch
    counters of newer torch are logs; those that belong to no weight are kept, to be refused."""
    kept = {}
    for key, tensor in tensors.items():
        match = _LOG.fullmatch(key)
        if (
            match is None
            or f"{match[1]}.{'weight' if match[2] else 'bn.running_var'}" not in tensors
        ):
            kept[key] = tensor
    return kept


def _statistics(tensors: Mapping[str, Tensor]) -> Statistics:
    for kind, (mean, _) in _STATISTICS.items():
        if f"blocks.0.0.bn1.{mean}" in tensors:
            return kind
    return "stored"


def _check_options(path: Path, options: BigGANOptions, statistics: Statistics) -> None:
    for name, kind in (("standing", "mybn"), ("cross_replica_gain", "cross_replica")):
        if getattr(options, name) is not None and statistics != kind:
            raise UsageError(f"{path}: option {name} is for files of --{kind}, which this is not")


def _names(
    config: BigGANConfig, state: Mapping[str, Tensor], statistics: Statistics
) -> dict[str, str]:
    """The file's name of each of the network's tensors."""
    mean, variance = _STATISTICS[statistics]
    places = {
        "embedding": "shared",
        "output_norm": "output_layer.0",
        "output": "output_layer.2",
    }
    parts = {"mean": mean, "variance": variance, "offset": "bias", "shortcut": "conv_sc"}
    parts |= {f"norm{k}": f"bn{k}" for k in range(1, 5)}
    names = {}
    for key in state:
        head, *rest = key.split(".")
        if head == "blocks":
            head = config.blocks[int(rest.pop(0))].native
        names[key] = ".".join((places.get(head, head), *(parts.get(p, p) for p in rest)))
    return names


def _normed(config: BigGANConfig, state: Mapping[str, Tensor]) -> list[str]:
    """The weights that spectral norm applies to: all but embeddings."""
    tables = ("gain.weight", "offset.weight") if config.condition == "class" else ()
    return [
        key
        for key, value in state.items()
        if value.ndim > 1
        and key.endswith(".weight")
        and key != "embedding.weight"
        and not key.endswith(tables)
    ]


def _expected(
    names: Mapping[str, str], normed: list[str], state: Mapping[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor that the file must hold, by the file's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for key, name in names.items():
        shape = tuple(state[key].shape)
        if key.endswith((".mean", ".variance")):
            shape = shape[1:]
        if name.endswith(".bn.stored_mean"):
            shapes[f"{name.removesuffix('stored_mean')}accumulation_counter"] = (1,)
        shapes[name] = shape
    for key in normed:
        shapes[f"{names[key].removesuffix('weight')}u0"] = (1, state[key].shape[0])
    return shapes


# ------------------------------------------------------------------------------------------- values


def _own(
    path: Path, key: str, name: str, tensors: Mapping[str, Tensor], standing: bool | None
) -> Tensor:
    """A tensor as the network wants it: statistics get an axis of rows, sums become means."""
    tensor = tensors[name]
    if not key.endswith((".mean", ".variance")):
        return tensor
    counter_key = f"{name.rpartition('.')[0]}.accumulation_counter"
    if counter_key in tensors:
        count = float(tensors[counter_key])
        if count < 0 or (standing and not count):
            raise StateMismatchError(
                f"{path}: {counter_key} is {count:g}; sums cannot be divided by it"
            )
        if standing or (standing is None and count > 0):
            tensor = tensor / tensors[counter_key]
    if key.endswith(".variance") and bool((tensor < 0).any()):
        raise StateMismatchError(f"{path}: {name} holds negative variances; the file is damaged")
    return tensor[None]


def _divisor(path: Path, name: str, tensors: Mapping[str, Tensor], epsilon: float) -> Tensor:
    start = tensors[f"{name.removesuffix('weight')}u0"]
    return iterated_norm(path, name, tensors[name], start, epsilon)
