"""pix2pix U-Nets in weights files: blocks nested in blocks, the outermost first.

Guarantees: every tensor of the file has its place; depth, channels, norms and biases follow from
the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, Layout, Network, networks_with, shown

from ..configs import check_colours
from ..translation.norms import NormKind
from .network import UNetConfig

KIND = "pix2pix U-Net"
MARKS = ("model.model.0.weight", "model.model.3.weight", "model.model.3.bias")
INSIDE = "model.model.1.model.1.weight"
LAYOUT = Layout(
    "a pix2pix U-Net",
    (*MARKS, INSIDE),
    r"model\.model\.(?:[13]\.model\.)*\d\.(?:weight|bias|running_mean|running_var|"
    r"num_batches_tracked)",
)
_MOST = 16  # layers down; 8 make one pixel of 256
_STATISTICS = frozenset({"running_mean", "running_var"})
_AFFINE = frozenset({"weight", "bias"})


def candidates(checkpoint: Checkpoint) -> list[Network]:
    """The networks of a file that are named as U-Nets of this kind."""
    return [n for n in networks_with(checkpoint, MARKS) if INSIDE in n.tree]


def read(
    path: Path, tensors: Mapping[str, Tensor]
) -> tuple[UNetConfig, dict[str, Tensor], dict[int, str]]:
    """The config, the tensors by our names, and the names of the layers up in the file.

    Raises:
        StateMismatchError: a tensor that such a network does not have, or other layers.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, leaf = key.rpartition(".")
        if leaf != "num_batches_tracked":
            modules.setdefault(name, {})[leaf] = tensor
    places, norms = _places(path, modules)
    others = sorted(modules.keys() - places.keys() - norms.keys())
    if others:
        raise _refused(path, f"{shown(others[0])} has no place in one")
    lacking = next((name for name in places if "weight" not in modules.get(name, {})), None)
    if lacking is not None:
        raise _refused(path, f"{lacking}.weight is missing")
    kind, tracked, ignored = _norm_kind(path, modules, norms)
    config = _config(path, modules, places, kind, tracked, ignored)
    renamed = {}
    for name, ours in {**places, **norms}.items():
        for leaf, tensor in modules.get(name, {}).items():
            if not (leaf in _STATISTICS and not tracked):
                renamed[f"{ours}.{leaf}"] = tensor
    native = {int(ours.split(".")[1]): name for name, ours in places.items() if "up" in ours}
    return config, renamed, native


def _refused(path: Path, why: str) -> StateMismatchError:
    return StateMismatchError(f"{path}: not a {KIND}: {why}")


def _places(path: Path, modules: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
    """Our names of the convolutions and of the norms, by their names in the file."""
    blocks = ["model.model"]
    while True:
        inner = f"{blocks[-1]}.{1 if len(blocks) == 1 else 3}.model"
        if f"{inner}.1" not in modules:
            break
        blocks.append(inner)
        if len(blocks) > _MOST:
            raise _refused(path, f"it halves the image more than {_MOST} times")
    depth = len(blocks)
    convs = {"model.model.0": "down.0", "model.model.3": f"up.{depth - 1}"}
    norms: dict[str, str] = {}
    for k, block in enumerate(blocks[1:], start=1):
        innermost, up = k == depth - 1, depth - 1 - k
        convs[f"{block}.1"] = f"down.{k}"
        convs[f"{block}.{3 if innermost else 5}"] = f"up.{up}"
        norms[f"{block}.{4 if innermost else 6}"] = f"up_norm.{up}"
        if not innermost:
            norms[f"{block}.2"] = f"down_norm.{k - 1}"
    return convs, norms


def _norm_kind(
    path: Path, modules: Mapping[str, Mapping[str, Tensor]], norms: Mapping[str, str]
) -> tuple[NormKind, bool, bool]:
    """Kind of all norms, whether running statistics are kept, and whether some are ignored."""
    kinds = {frozenset(modules.get(name, {})) for name in norms}
    if len(kinds) != 1:
        raise _refused(path, "its norms have different tensors")
    (kind,) = kinds
    if kind in (_AFFINE, _AFFINE | _STATISTICS):
        return "affine", kind != _AFFINE, False
    if kind in (frozenset(), _STATISTICS):
        biased = "bias" in modules["model.model.1.model.1"]
        return ("instance" if biased else "none"), False, bool(kind)
    raise _refused(path, f"its norms have {', '.join(sorted(kind))}, which no known norm has")


def _config(
    path: Path,
    modules: Mapping[str, Mapping[str, Tensor]],
    places: Mapping[str, str],
    kind: NormKind,
    tracked: bool,
    ignored: bool,
) -> UNetConfig:
    weights = {ours: modules[name]["weight"] for name, ours in places.items()}
    wrong = next((k for k, w in weights.items() if tuple(w.shape[2:]) != (4, 4)), None)
    if wrong is not None:
        raise _refused(path, f"{wrong} has no kernel of 4x4")
    depth = len(weights) // 2
    colours = weights["down.0"].shape[1], weights[f"up.{depth - 1}"].shape[1]
    for channels in colours:
        check_colours(path, channels)
    assumed = "running statistics of instance norms in the file count for nothing"
    return UNetConfig(
        colours_in=colours[0],
        colours_out=colours[1],
        down=tuple(weights[f"down.{k}"].shape[0] for k in range(depth)),
        up=tuple(weights[f"up.{k}"].shape[1] for k in range(depth - 1)),
        norm=kind,
        tracked=tracked,
        bias="bias" in modules["model.model.1.model.1"],
        first_bias="bias" in modules["model.model.0"],
        assumed=(assumed,) if ignored else (),
    )
