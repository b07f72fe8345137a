"""How a segmenter computes: in which precision, and compiled or as it is written.

Guarantees: the choice is part of the segmenter's identity, so that labels of two precisions are
never mixed; how many pixels keep the label of float32 is measured, never assumed; switches of the
process, which TF32 needs, are as before when the work is done.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from seeingkit.contracts import Segmenter
from seeingkit.errors import ModelError, UsageError, one_line

from .wrapped import WrappedSegmenter

log = logging.getLogger(__name__)

Precision = Literal["float32", "tf32", "bf16"]
"""``float32``: all of its bits, also in convolutions, for which torch uses TF32 on a GPU unless it
is told; ``tf32``: 10 bits of mantissa in products and convolutions of an NVIDIA GPU; ``bf16``:
torch's autocast to bfloat16, 7 bits of mantissa, on any device."""


class Computing(BaseModel):
    """How a segmenter computes.

    Attributes:
        precision: None: as torch does unless it is told.
        compile: whether ``torch.compile`` makes the kernels; needs a C++ compiler on a CPU.

    >>> Computing(precision="bf16").options()
    {'precision': 'bf16'}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: Precision | None = None
    compile: bool = False

    def options(self) -> dict[str, Any]:
        """What is not as usual, as options of a segmenter."""
        return self.model_dump(exclude_defaults=True)

    @property
    def differs(self) -> bool:
        """Whether labels may be others than those of float32."""
        return self.compile or self.precision in ("tf32", "bf16")

    @property
    def words(self) -> str:
        """For people.

        >>> Computing(precision="bf16", compile=True).words
        'bf16, compiled'
        """
        return ", ".join(filter(None, (self.precision, "compiled" if self.compile else "")))

    @contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """Compute so for a while, on a device: ``with Computing(precision="tf32").on(device): …``.

        TF32 is a switch of the process, so other threads compute with it meanwhile.
        """
        if self.precision is None:
            yield
            return
        half = self.precision == "bf16"
        with self.switched(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            yield

    @contextmanager
    def switched(self) -> Iterator[None]:
        """The process's switches of TF32, on or off where the precision says so."""
        if self.precision not in ("float32", "tf32"):
            yield
            return
        before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        torch.backends.cudnn.allow_tf32 = self.precision == "tf32"
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = before[0]
            torch.set_float32_matmul_precision(before[1])


def computing_of(options: dict[str, Any]) -> Computing | None:
    """Take ``precision`` and ``compile`` out of the options of a segmenter.

    >>> options = {"precision": "bf16", "size": 224}
    >>> computing_of(options), options
    (Computing(precision='bf16', compile=False), {'size': 224})

    Raises:
        UsageError: a value that is none of theirs.
    """
    precision, compiled = options.pop("precision", None), options.pop("compile", False)
    if precision not in (None, *get_args(Precision)):
        known = ", ".join(get_args(Precision))
        raise UsageError(f"precision {precision!r}: take one of {known}")
    if not isinstance(compiled, bool):
        raise UsageError(f"compile {compiled!r}: it is true or false")
    found = Computing(precision=precision, compile=compiled)
    return found if found.options() else None


class TunedSegmenter(WrappedSegmenter):
    """A segmenter that computes in a chosen way.

    Raises:
        UsageError: TF32 on a device that has none.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches", precision="bf16")
    >>> segmenter.info.options["precision"]
    'bf16'
    """

    def __init__(self, segmenter: Segmenter, computing: Computing) -> None:
        super().__init__(segmenter)
        if computing.precision == "tf32" and segmenter.device.type != "cuda":
            raise UsageError(
                f"precision tf32 is of NVIDIA GPUs, and the segmenter is on {segmenter.device}; "
                "take bf16, float32 or --device cuda"
            )
        self.computing = computing
        self._segment: Callable[[Tensor], Tensor] = segmenter.segment
        if computing.compile:
            self._segment = torch.compile(segmenter.segment)
        self._said = not computing.differs

    def added_options(self) -> dict[str, Any]:
        """Precision and compilation, where they were chosen."""
        return self.computing.options()

    def segment(self, images: Tensor) -> Tensor:
        """As the segmenter's, in the chosen way; the first time it says how its labels agree.

        Raises:
            ModelError: it cannot be compiled here.
        """
        if not self._said:
            equal, pixels = self.equal_pixels(images)
            log.warning(
                "the segmenter computes in %s: %.2f %% of the labels of its first %d images are "
                "those of float32",
                self.computing.words,
                100 * equal / pixels,
                len(images),
            )
        return self._labels(images)

    def _labels(self, images: Tensor) -> Tensor:
        with self.computing.on(self.device):
            if not self.computing.compile:
                return self._segment(images)
            from torch._dynamo.exc import TorchDynamoException  # slow to import; no public name

            try:
                with warnings.catch_warnings():
                    # Constants that adapters cache are the same ones whenever they are made.
                    warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools")
                    return self._segment(images)
            except TorchDynamoException as error:
                raise ModelError(
                    f"{self.info.family} cannot be compiled here, run it without --compile: "
                    f"{one_line(error, 200)}"
                ) from error

    def score(self, images: Tensor, label: int) -> Tensor:
        """As the segmenter's, in the chosen precision."""
        with self.computing.on(self.device):
            return self.segmenter.score(images, label)

    def equal_pixels(self, images: Tensor) -> tuple[int, int]:
        """How many pixels have the label that they have in float32, and how many there are.

        >>> segmenter = seeingkit.load_segmenter("upernet:minichurches", precision="float32")
        >>> segmenter.equal_pixels(torch.zeros(1, 3, 64, 64))
        (4096, 4096)
        """
        self._said = True
        ours = self.label_maps(images)
        with Computing(precision="float32").on(self.device):
            equal = ours == self.segmenter.label_maps(images)
        return int(equal.sum()), equal.numel()


def tune(model: object, computing: Computing, name: str) -> TunedSegmenter:
    """A loaded segmenter that computes as it was chosen.

    Args:
        model: what a loader gave; ``name`` is its name, for messages.

    Raises:
        UsageError: it gives no label maps, or its device cannot compute so.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> tune(segmenter, Computing(precision="bf16"), "upernet").info.options["precision"]
    'bf16'
    """
    if not isinstance(model, Segmenter):
        raise UsageError(f"{name} labels no pixels: precision and compile are for segmenters")
    return TunedSegmenter(model, computing)


def tuned(segmenter: object) -> TunedSegmenter | None:
    """The part of an annotator that computes in a chosen way, if there is one.

    >>> tuned(seeingkit.load_segmenter("upernet:minichurches")) is None
    True
    """
    while isinstance(segmenter, WrappedSegmenter):
        if isinstance(segmenter, TunedSegmenter):
            return segmenter
        segmenter = segmenter.segmenter
    return None
