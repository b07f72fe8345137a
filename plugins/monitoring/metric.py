"""``SegmentationDistance``: a monitor of a training as a metric of torchmetrics.

Guarantees: its state adds up over processes and metrics, so that the numbers are those of one
process that saw all images; an image that a sampler gave to two processes counts once, if ids are
given. Needs ``pip install 'seeingkit[torchmetrics]'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from seeingkit.results.monitoring import TrainingCheck
from seeingkit.tallies.batches import BatchTally

from .libraries import import_library

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torchmetrics import Metric
else:
    Metric = import_library("torchmetrics").Metric


class Monitored(Protocol):
    """What a metric needs of ``seeingkit.Monitor``."""

    batches: BatchTally

    def reset(self) -> None:
        """Forget the generated images."""

    def compute(self) -> TrainingCheck:
        """Compare the images of ``batches`` with the real ones."""


class SegmentationDistance(Metric):
    """FSD of generated images to real ones, with interval and floor, and how many classes miss.

    ``compute()`` gives numbers by name (``TrainingCheck.numbers``); ``check`` is then the whole
    record.

    Args:
        monitor: a ``seeingkit.Monitor``, which the metric uses for itself.
        settings: of every metric, such as ``process_group``.

    ::

        metric = SegmentationDistance(seeingkit.Monitor("photos/", "upernet:ade20k"))
        metric.update(images)
        metric.compute()["fsd"], metric.check.missing
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    parts: list[Tensor]
    seen: Tensor

    def __init__(self, monitor: Monitored, **settings: Any) -> None:
        super().__init__(**settings)
        self.monitor = monitor
        self.check: TrainingCheck | None = None
        self.add_state("parts", default=[], dist_reduce_fx="cat")
        self.add_state("seen", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, images: Tensor | NDArray[np.uint8], ids: Any = None) -> None:
        """Count the labels of some images, as ``Monitor.update``.

        Args:
            images: of this process.
            ids: their numbers among the images of all processes. Default: image k of process r of w
                is number k w + r, as a sampler that deals out images one by one gives them.
        """
        if ids is None:
            rank, world = _place()
            start = int(self.seen)
            ids = np.arange(start, start + len(images)) * world + rank
        rows = self.monitor.batches.count(images, ids)
        self.parts.append(torch.from_numpy(rows).to(self.device))
        self.seen += len(rows)

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """As ``update``: one batch alone is too few images to be compared."""
        self.update(*args, **kwargs)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Join the rows of all processes, also where one has none; see ``Metric.sync``."""
        if not self._is_synced and not self.parts:
            batches = self.monitor.batches
            self.parts.append(torch.from_numpy(batches.rows()[:0]).to(self.device))
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """Numbers by name, of the images of all processes.

        Raises:
            TallyError: fewer than two images that can be used.
        """
        self.monitor.reset()
        for part in self.parts if isinstance(self.parts, list) else [self.parts]:
            self.monitor.batches.add(part.cpu().numpy())
        self.check = self.monitor.compute()
        self.monitor.reset()
        return {
            name: torch.tensor(value, dtype=torch.float32, device=self.device)
            for name, value in self.check.numbers().items()
        }


def _place() -> tuple[int, int]:
    """(rank, processes) of the training."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1
