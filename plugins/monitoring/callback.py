"""``CheckTraining``: a callback of Lightning that checks a generator while it is trained.

Needs ``pip install 'seeingkit[lightning]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seeingkit.errors import UsageError

from .libraries import import_library
from .metric import SegmentationDistance

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    Callback = import_library("lightning", "pytorch").Callback

Draw = Callable[[Any], Iterable[Tensor]]
"""Gives this process's batches of generated images of a ``LightningModule``."""


class CheckTraining(Callback):
    """Every so many steps draws images, compares them with real ones, and logs the numbers.

    Args:
        metric: its monitor's range fits the images.
        draw: gives batches of images of the module, on every process.
        every: steps from one check to the next.

    ::

        Trainer(callbacks=[CheckTraining(metric, lambda module: module.samples(), every=1000)])
    """

    def __init__(self, metric: SegmentationDistance, draw: Draw, *, every: int) -> None:
        if every < 1:
            raise UsageError(f"a check every {every} steps; say at least 1")
        self.metric, self.draw, self.every, self._last = metric, draw, every, 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Check where ``every`` steps have passed; logs ``seeingkit/fsd`` and others."""
        step = trainer.global_step
        if step // self.every == self._last // self.every:
            return
        self._last = step
        self.metric.to(pl_module.device).reset()
        training = pl_module.training
        pl_module.eval()
        with torch.no_grad():
            for images in self.draw(pl_module):
                self.metric.update(images)
        pl_module.train(training)
        found = self.metric.compute()
        pl_module.log_dict({f"seeingkit/{name}": value for name, value in found.items()})
