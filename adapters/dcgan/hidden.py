"""Parts of a network that leave no tensor in its file, and where they may stand in a stack.

Upsampling, residual sums, pooling, padding, reshaping and norms without parameters have no tensors.
Guarantees that a place where the keys of a file leave room for one is found: two neighbours are
known to be neighbours only where both are numbered in one ``nn.Sequential`` and at most one number,
the activation's, lies between them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from .chain import FoundLayer
from .modules import Module

# The modules of martinarjovsky/WassersteinGAN's DCGAN_G name all that they do, activations too.
_NAMED = re.compile(r"(.*\.)?(initial|pyramid|final|extra-layers-\d+)[.:].*")


def mark_hidden(layers: Sequence[FoundLayer]) -> None:
    """Fill in ``shown`` and ``doubts`` of the layers of a stack, first to last."""
    modules = [module for layer in layers for module in (layer.main, *layer.others)]
    if all(_NAMED.fullmatch(module.path) for module in modules):
        for layer in layers:
            layer.shown = True
        return
    owners = {module.path: layer for layer in layers for module in (layer.main, *layer.others)}
    for before, layer in itertools.pairwise(layers):
        gap = before.gap
        layer.shown = gap == 0 or gap == 1
        if before.side and layer.kind == "conv":  # a gap may be an upsampling as well as reshaping
            layer.shown = gap == 0 and _same_parent(before.main, layer.main)
        if gap is not None and gap > 1:
            last = (before.others or [before.main])[-1]
            _add(layer, gap - 1, f"{gap} modules without tensors stand between {last.path} and ")
    for first, start in _starts([module.path for module in modules]):
        _add(owners[first], start, f"the numbers begin at {start}, not 0, at ", first)
    for a, b in itertools.pairwise(modules):
        if (gap := _gap_of_blocks(a.path, b.path)) > 0:
            text = f"{gap} module{'' if gap == 1 else 's'} without tensors between {a.path} and "
            _add(owners[b.path], gap, text, b.path)
    maps = [layer for layer in layers if layer.kind != "linear"]
    unnumbered = any(layer.gap is None for layer in layers[:-1])
    if maps and unnumbered and not any(layer.others for layer in layers):
        maps[0].doubts.append(
            "no layer has a norm with tensors, and an instance norm or a pixel norm would have none"
        )
    _mark_sums(layers)


def _same_parent(a: Module, b: Module) -> bool:
    return a.place is not None and b.place is not None and a.place[0] == b.place[0]


def _add(layer: FoundLayer, more: int, text: str, path: str = "") -> None:
    """Note so many modules before a layer that are no activation."""
    text += f"{path or layer.main.path}: upsampling, a norm, padding or dropout would have none"
    (layer.room if more == 1 and path in ("", layer.main.path) else layer.doubts).append(text)


def _starts(paths: Iterable[str]) -> list[tuple[str, int]]:
    """The first module below each parent whose children are numbered from above 0.

    A parent of one child holds the whole stack: its number is the stack's place, no gap in it.
    """
    below: dict[str, dict[str, str]] = {}
    for path in paths:
        parts = path.split(".")
        for depth, part in enumerate(parts):
            below.setdefault(".".join(parts[:depth]), {}).setdefault(part, path)
    found = []
    for children in below.values():
        if len(children) > 1 and all(child.isdecimal() for child in children):
            least = min(children, key=int)
            if int(least) > 0:
                found.append((children[least], int(least)))
    return found


def _gap_of_blocks(first: str, second: str) -> int:
    """Numbers left out between two blocks of one parent, or a block and a layer.

    After a layer of the parent itself, one is its activation.
    """
    a, b = first.split("."), second.split(".")
    depth = _alike([a, b])
    if depth >= min(len(a), len(b)) or not (a[depth].isdecimal() and b[depth].isdecimal()):
        return 0
    if len(a) == len(b) == depth + 1:
        return 0  # layers of one parent: see ``chain``
    gap = int(b[depth]) - int(a[depth]) - 1
    return 0 if len(a) == depth + 1 and gap == 1 else gap


def _alike(paths: Sequence[Sequence[str]]) -> int:
    """How many parts all paths have in common, from the first on."""
    return sum(
        1
        for _ in itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    )


def _mark_sums(layers: Sequence[FoundLayer]) -> None:
    """Doubts about blocks that keep channels and size, to which their input may be added."""
    for path, first in keeping_blocks(layers):
        first.doubts.append(
            f"the block {path} gives as many channels as it takes; a sum with its input "
            "(a residual block) would leave no tensor"
        )


def keeping_blocks(layers: Sequence[FoundLayer]) -> Iterator[tuple[str, FoundLayer]]:
    """Path and first layer of the blocks of a stack that keep channels and size."""
    parents = [layer.main.path.split(".")[:-1] for layer in layers]
    whole = _alike(parents)
    blocks: dict[str, list[FoundLayer]] = {}
    for layer, parent in zip(layers, parents, strict=True):
        for depth in range(whole + 1, len(parent) + 1):
            blocks.setdefault(".".join(parent[:depth]), []).append(layer)
    for path, inside in blocks.items():
        enough = len(inside) > 1 or inside[0].kind != "linear"
        keeps = inside[0].inputs == inside[-1].channels and all(x.kind != "up" for x in inside)
        even = any(x.kind == "open" and x.main.shape[2] % 2 == 0 for x in inside)
        if enough and keeps and not even and inside[0] is not layers[0]:
            yield path, inside[0]
