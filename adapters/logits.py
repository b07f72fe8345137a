"""From the logits of a segmentation network to probabilities and labels on the image's grid.

Guarantees the labels of the plain way (resize bilinearly, softmax, sum over input sizes, argmax)
without its cost, and bounded memory for any number of labels and images.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_RESIZED_ELEMENTS = 1 << 25  # of resized logits at one time: 128 MiB


def resized(logits: Tensor, grid: Sequence[int]) -> Tensor:
    """(N, C, h, w) to (N, C, *grid), bilinear, pixel centres aligned (corners are not)."""
    if logits.shape[-2:] == tuple(grid):
        return logits
    return F.interpolate(logits, size=tuple(grid), mode="bilinear", align_corners=False)


def mean_probabilities(logits: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """Mean, over the maps of several input sizes, of the softmax of the resized logits.

    Args:
        logits: (N, C, h, w) for each input size; h and w may differ.
        grid: height and width wanted.

    Returns:
        (N, C, *grid), in [0, 1].
    """
    total = resized(logits[0].float(), grid).softmax(dim=1)
    for other in logits[1:]:
        total = total + resized(other.float(), grid).softmax(dim=1)
    return total / len(logits)


def best_channels(logits: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """The channel of the greatest mean probability at each point, (N, *grid) int64.

    The same as ``mean_probabilities(logits, grid).argmax(1)``, for less: with one input size there
    is no softmax, which is monotonic, and on the CPU channels that cannot win are not resized.
    Resized in float32 whatever the logits are: in half of the bits many points would be ties.
    """
    count, channels, height, width = logits[0].shape
    if len(logits) == 1 and (height, width) == tuple(grid):
        return logits[0].argmax(dim=1)
    step = max(1, _RESIZED_ELEMENTS // (channels * grid[0] * grid[1]))
    if len(logits) == 1 and logits[0].device.type == "cpu":
        return torch.cat([_best_candidates(logits[0][i : i + 1], grid) for i in range(count)])
    pieces = []
    for i in range(0, count, step):
        rows = [x[i : i + step].float() for x in logits]
        votes = resized(rows[0], grid) if len(rows) == 1 else mean_probabilities(rows, grid)
        pieces.append(votes.argmax(dim=1))
    return torch.cat(pieces)


def _best_candidates(logits: Tensor, grid: Sequence[int]) -> Tensor:
    """Like ``best_channels`` for one map (1, C, h, w); resizes only channels that can win.

    In the cell between four pixels a channel lies between the least and the greatest of its four
    values; it cannot win where its greatest is below another's least. The margin covers rounding.
    """
    logits = logits.float()
    window = (min(2, logits.shape[-2]), min(2, logits.shape[-1]))
    upper = F.max_pool2d(logits, window, stride=1)
    lower = -F.max_pool2d(-logits, window, stride=1)
    margin = 1e-5 * logits.abs().max()
    wins = upper >= lower.amax(dim=1, keepdim=True) - margin
    candidates = wins.flatten(2).any(dim=2)[0].nonzero().flatten()
    # Channels-last, both the resizing and the argmax run along the channels: 2.5 times as fast.
    few = logits[:, candidates].contiguous(memory_format=torch.channels_last)
    return candidates[resized(few, grid).argmax(dim=1)]
