"""Inverters, which find the closest images that a generator can make, and their results."""

from __future__ import annotations

import base64
import html
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from seeingkit.errors import ModelError, UsageError, printable

from .encoders import Encoder
from .features import Features
from .generators import Generator
from .latents import Latent
from .pictures import Pixels, photo_rows
from .states import State

if TYPE_CHECKING:
    from PIL import Image

SHOWN = 8
"""Images of an inversion that are shown unasked."""

_COLUMNS = [
    "images",
    "reconstruction",
    "z",
    "initial",
    "loss",
    "psnr",
    "perceptual",
    "steps",
    "converged",
]  # by row


@dataclass(frozen=True, eq=False)
class Inversion:
    """The inversions of N photos; row k is about photo k.

    Attributes:
        method: name of the inverter.
        cut: canonical name of the boundary whose x is r.
        images: (N, 3, R, R) float32, the photos.
        reconstruction: (N, 3, R, R) float32, G_f(r), not clamped; NaN where it failed.
        state: r and its carry at the cut.
        z: (N, …) estimate of the latent, or None where the method has none.
        initial: (N, 3, R, R) the image of the initial guess.
        loss: (N,) float64, the minimised loss at the end.
        psnr: (N,) float64, dB, of images clamped to [-1, 1].
        perceptual: (N,) mean absolute difference of perceptual features, or None without any.
        steps: (N,) int64, steps taken.
        converged: (N,) bool, the loss fell no more.
        failed: why a row has no reconstruction, by row.
        frames: for each row, the steps at which the image was kept and (F, 3, R, R) those images.
        history: for each row, the loss at every step.

    A notebook shows the pictures and a table of the rows.

    >>> grey, light = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> found = Inversion("z", "r8", grey, light, State("r8", grey), None, grey, loss=one,
    ...     psnr=12.0 * one, perceptual=None, steps=torch.ones(1, dtype=torch.int64),
    ...     converged=torch.zeros(1, dtype=torch.bool))
    >>> found
    Inversion(1 image by z at r8, PSNR 12.0 dB)
    >>> found.show().size
    (600, 244)
    """

    method: str
    cut: str
    images: Tensor
    reconstruction: Tensor
    state: State
    z: Tensor | None
    initial: Tensor
    loss: Tensor
    psnr: Tensor
    perceptual: Tensor | None
    steps: Tensor
    converged: Tensor
    failed: Mapping[int, str] = field(default_factory=dict)
    frames: Sequence[tuple[tuple[int, ...], Tensor]] = ()
    history: Sequence[Tensor] = ()

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def join(parts: Sequence[Inversion]) -> Inversion:
        """Several inversions by one method at one cut as one.

        Raises:
            ModelError: none at all, or of different methods or cuts.
        """
        if not parts or len({(part.method, part.cut) for part in parts}) != 1:
            raise ModelError("inversions of different methods or cuts cannot be joined")
        columns: dict[str, Any] = {}
        for name, value in vars(parts[0]).items():
            if isinstance(value, Tensor):
                column = [getattr(part, name) for part in parts]
                columns[name] = None if any(x is None for x in column) else torch.cat(column)
        failed: dict[int, str] = {}
        start = 0
        for part in parts:
            failed |= {start + row: reason for row, reason in part.failed.items()}
            start += len(part)
        return replace(
            parts[0],
            **columns,
            state=State.cat([part.state for part in parts]),
            failed=failed,
            frames=tuple(frame for part in parts for frame in part.frames),
            history=tuple(losses for part in parts for losses in part.history),
        )

    def to_dict(self) -> dict[str, Any]:
        """One record per row with the keys of ``inversions`` in ``results.json``, without files."""
        rows = []
        for k in range(len(self)):
            row: dict[str, Any] = {"method": self.method, "cut": self.cut}
            if k in self.failed:
                rows.append({**row, "failed": self.failed[k]})
                continue
            row |= {"psnr": float(self.psnr[k]), "loss": float(self.loss[k])}
            row |= {"steps": int(self.steps[k]), "converged": bool(self.converged[k])}
            row["perceptual"] = None if self.perceptual is None else float(self.perceptual[k])
            rows.append(row)
        return {"inversions": rows}

    def show(self, rows: Sequence[int] | None = None, *, gain: float = 1.0) -> Image.Image:
        """Photo | reconstruction | difference, one row an image, as a picture.

        A notebook shows it, and ``.save("rows.png")`` writes it. The difference is
        |reconstruction − photo| of the 8-bit pictures, black where they are equal.

        Args:
            rows: which; default: the first 8.
            gain: of the difference; 2 makes it twice as bright.

        Raises:
            UsageError: no such row, or a gain that is not above 0.
        """
        chosen = list(range(min(len(self), SHOWN)) if rows is None else rows)
        for row in chosen:
            if not 0 <= row < len(self):
                raise UsageError(f"no image {row}; the rows are 0 to {len(self) - 1}")
        photos, made = (_pixels(x[chosen]) for x in (self.images, self.reconstruction))
        left = "" if rows is not None or len(chosen) == len(self) else f"{SHOWN} of {len(self):,}"
        return photo_rows(
            photos,
            [None if k in self.failed else one for k, one in zip(chosen, made, strict=True)],
            [self._caption(row) for row in chosen],
            gain=gain,
            footer=left and f"{left} images; show(rows) shows others",
        )

    def _caption(self, row: int) -> str:
        if row in self.failed:
            return f"image {row}: {self.failed[row]}"
        return f"image {row}: {float(self.psnr[row]):.1f} dB after {int(self.steps[row]):,} steps"

    def __repr__(self) -> str:
        good = [float(self.psnr[k]) for k in range(len(self)) if k not in self.failed]
        about = [f"PSNR {sum(good) / len(good):.1f} dB"] if good else []
        about += [f"{len(self.failed):,} failed"] if self.failed else []
        images = f"{len(self):,} image{'s' * (len(self) != 1)}"
        where = f"{images} by {printable(self.method)} at {printable(self.cut)}"
        return f"Inversion({', '.join([where, *about])})"

    def _repr_html_(self) -> str:
        if not len(self):
            return self._table()
        picture = f'<img alt="photo, reconstruction, difference" src="{_uri(self.show())}">'
        return picture + self._table()

    def _table(self) -> str:
        cells = "".join(
            f"<tr><td>{k}</td>"
            f"<td>{_html(row.get('failed') or format(row['psnr'], '.1f') + ' dB')}</td>"
            f"<td>{row.get('steps', '')}</td></tr>"
            for k, row in enumerate(self.to_dict()["inversions"])
        )
        head = "<tr><th>image</th><th>PSNR</th><th>steps</th></tr>"
        title = _html(f"{self.method} at {self.cut}")
        return f"<p>{title}</p><table>{head}{cells}</table>"


def _html(text: str) -> str:
    return html.escape(printable(text))


def _uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _pixels(images: Tensor) -> list[Pixels]:
    """(N, 3, H, W) in [-1, 1] as 8-bit pictures, rounded as ``images.preprocess.quantise`` does.

    NaN, which nobody is shown, is 0.
    """
    levels = images.detach().cpu().float().nan_to_num(-1.0).mul(127.5).add_(128).clamp_(0, 255)
    return list(levels.byte().movedim(1, -1).contiguous().numpy())


def check_inversion(found: object, images: Tensor, cut: str, name: str) -> Inversion:
    """The inversion of these images, if it has the form that is promised.

    Args:
        found: by the inverter of that ``name``.
        images: (N, 3, R, R), the photos.
        cut: canonical name of the boundary.

    Raises:
        ModelError: names the inverter and the fault.
    """
    if not isinstance(found, Inversion):
        raise ModelError(f"{name} gave a {type(found).__name__}, no Inversion")
    rows, shape = len(images), tuple(images.shape)
    pictures = {"the photos": found.images, "reconstruction": found.reconstruction}
    for what, tensor in {**pictures, "initial": found.initial}.items():
        if tuple(tensor.shape) != shape:
            raise ModelError(f"{name}: {what} have shape {tuple(tensor.shape)}, expected {shape}")
    for what in ("loss", "psnr", "steps", "converged"):
        if tuple(getattr(found, what).shape) != (rows,):
            given = tuple(getattr(found, what).shape)
            raise ModelError(f"{name}: {what} has shape {given}, expected ({rows},)")
    if found.cut != cut or found.state.at != cut or len(found.state) != rows:
        there = f"{len(found.state)} rows at {found.state.at!r}"
        raise ModelError(f"{name}: its state has {there}, expected {rows} at the cut {cut!r}")
    good = [k for k in range(rows) if k not in found.failed]
    for what, tensor in (("reconstruction", found.reconstruction), ("loss", found.loss)):
        if not bool(torch.isfinite(tensor[good]).all()):
            raise ModelError(f"{name}: {what} holds NaN or Inf, and the row is not named as failed")
    return found


@dataclass(frozen=True, eq=False)
class Prepared:
    """The parts that an inverter needs for one generator; made by ``Inverter.prepare``.

    An inverter may return a subclass with more in it. Nothing of it changes later, so it may be
    kept for any number of calls of ``invert``.

    Attributes:
        cut: canonical name of the boundary whose x is r.
        settings: JSON-able; everything that changes the result beside generator, image, label and
            seed. It is part of the identity of stored inversions.
        features: the perceptual features of the loss, or None.
        encoder: the encoder that gives the initial guess, or None.
        start: the initial guess: by the ``encoder``, a ``random`` latent, or the ``average``
            state, where an encoder would serve and none is used.
        warnings: sentences for people about these parts, such as what was assumed of them.

    >>> Prepared(cut="r8", settings={"steps": 100}, start="average").start
    'average'
    """

    cut: str
    settings: Mapping[str, Any]
    features: Features | None = None
    encoder: Encoder | None = None
    start: Literal["encoder", "random", "average"] = "random"
    warnings: tuple[str, ...] = ()


class Inverter(ABC):
    """Finds the generator's closest image to a photo (Bau et al. 2019, section 3.2).

    Attributes:
        name: as registered.
        target: the optimised variable: ``z``, ``r`` (x at the cut), or ``none``.
        code: version of its code, filled in by the loader.
    """

    name: str
    target: str
    code: str = ""

    @abstractmethod
    def prepare(self, generator: Generator) -> Prepared:
        """Load or train the parts (encoder, perceptual features) for one generator.

        It may take long; callers that invert more than once keep the result::

            prepared = inverter.prepare(generator)
            found = inverter.invert(generator, images, prepared=prepared)

        Raises:
            UnknownNameError: the cut does not exist; lists those that do.
            UsageError: an option that does not fit the generator.
        """

    @abstractmethod
    def invert(
        self,
        generator: Generator,
        images: Tensor,
        *,
        prepared: Prepared | None = None,
        labels: Sequence[int] | None = None,
        init: Latent | State | None = None,
        seed: int = 0,
        batch_size: int = 8,
        done: Callable[[int, Inversion], None] | None = None,
    ) -> Inversion:
        """Invert images (N, 3, R, R) in [-1, 1]; the result of one does not depend on others.

        Args:
            prepared: the result of ``prepare`` for this generator; default: made now.
            labels: class of each image, for a conditional generator.
            init: where to start instead of the method's own initial guess.
            seed: of random starts.
            batch_size: images optimised together.
            done: called with each row as soon as it is finished, as an ``Inversion`` of one row.
        """
