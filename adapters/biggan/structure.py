"""The structure of an ajbrock generator, inferred from the keys and shapes of its state dict.

Guarantees that nothing is guessed that the keys leave open: sizes that contradict each other and
blocks that are no whole number of stages are refused by key.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from seeingkit.errors import StateMismatchError

from ..shapes import shape_of, side_of

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")


def structure(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Blocks, sizes and condition of the network with these keys and shapes."""
    blocks = _blocks(path, tensors)
    deep = blocks[0]["kind"] == "bottleneck"
    residual = sum(block["kind"] != "attention" for block in blocks)
    rows, first_dim = shape_of(path, tensors, "linear.weight", 2)
    gain_key = "blocks.0.0.bn1.gain.weight"
    gain = shape_of(path, tensors, gain_key, 2)
    bottom = side_of(path, "linear.weight", rows, blocks[0]["channels_in"])
    common = {"blocks": blocks, "bottom": bottom}
    if "shared.weight" not in tensors:
        if deep:
            raise StateMismatchError(f"{path}: missing key shared.weight, which BigGAN-deep has")
        return common | {
            "classes": gain[0],
            "embedding_dim": 0,
            "z_dim": first_dim,
            "condition": "class",
        }
    classes, embedding = shape_of(path, tensors, "shared.weight", 2)
    chunk = gain[1] - embedding
    condition = "embedding+z" if deep else ("chunks" if chunk else "embedding")
    expected = {"embedding+z": embedding + chunk, "chunks": chunk, "embedding": first_dim}
    if chunk < 0 or first_dim != expected[condition] or (deep and not chunk):
        raise StateMismatchError(
            f"{path}: linear.weight takes {first_dim} inputs, {gain_key} takes {gain[1]} and "
            f"shared.weight gives {embedding}: these do not fit together"
        )
    z_dim = {"embedding+z": chunk, "chunks": chunk * (residual + 1), "embedding": first_dim}
    return common | {
        "classes": classes,
        "embedding_dim": embedding,
        "z_dim": z_dim[condition],
        "condition": condition,
    }


def _blocks(path: Path, tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    numbers: dict[int, set[int]] = defaultdict(set)
    for key in tensors:
        if match := _BLOCK.match(key):
            numbers[int(match[1])].add(int(match[2]))
    blocks: list[dict[str, Any]] = []
    stages: list[list[int]] = []
    for i in range(max(numbers, default=-1) + 1):
        inner = numbers.get(i, {0})  # a gap is named as its missing first block
        stages.append([])
        for j in range(max(inner) + 1):
            block = _block(path, tensors, f"blocks.{i}.{j}")
            if block["kind"] != "attention":
                stages[-1].append(len(blocks))
            blocks.append(block)
    kinds = {block["kind"] for block in blocks} - {"attention"}
    if len(kinds) != 1 or blocks[0]["kind"] == "attention":
        raise StateMismatchError(f"{path}: its blocks are of several kinds: {sorted(kinds)}")
    for k in _growing(path, blocks, stages):
        blocks[k]["upsample"] = True
    return blocks


def _block(path: Path, tensors: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    if f"{name}.theta.weight" in tensors:
        channels = shape_of(path, tensors, f"{name}.theta.weight", 4)[1]
        kind, before, after = "attention", channels, channels
    else:
        after, before = shape_of(path, tensors, f"{name}.conv1.weight", 4)[:2]
        kind = "residual"
        if f"{name}.conv4.weight" in tensors:
            kind, after = "bottleneck", shape_of(path, tensors, f"{name}.conv4.weight", 4)[0]
    return {
        "kind": kind,
        "channels_in": before,
        "channels_out": after,
        "upsample": False,
        "native": name,
    }


def _growing(path: Path, blocks: list[dict[str, Any]], stages: list[list[int]]) -> Iterable[int]:
    """Which blocks double the map: the last of each stage.

    BigGAN has one block in each stage. BigGAN-deep has --G_depth of them; its code can only run
    with 2, or at 32 pixels, where all widths are equal and there are three stages.
    """
    residual = [k for stage in stages for k in stage]
    if blocks[0]["kind"] == "residual":
        return residual
    if any(len(stage) > 1 for stage in stages):
        return [stage[-1] for stage in stages if stage]
    widths = {blocks[k][side] for k in residual for side in ("channels_in", "channels_out")}
    depth, rest = divmod(len(residual), 3) if len(widths) == 1 else (2, len(residual) % 2)
    if rest:
        raise StateMismatchError(
            f"{path}: {len(residual)} blocks of BigGAN-deep are no whole number of stages"
        )
    return residual[depth - 1 :: depth]
