"""Layer inversion: the closest image that a generator's last layers can make of a photo.

In the order of a run: ``encoders`` are trained on generator samples; ``methods`` prepare
(``prepared``) and start from them, and a ``job`` minimises with the ``optimiser``; ``photos``
inverts the images of sources, resumably (``session``, ``store``), two batches at once on a CPU
(``system.lanes``); ``vanishing`` gives the losses of classes;
``calibration`` sums up generator samples, some of them with foreign ``patches``; ``verdicts``
compares the rates at which classes vanish; ``differences`` names those of preset ``paper`` from the
published method; ``stage`` does all of it for a run, and ``album`` writes its pictures. ``catalog``
and ``config`` never import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from seeingkit.models.registry import check_options, import_target, registry
from seeingkit.specs import InverterSpec

from .catalog import DEFAULT_METHOD

if TYPE_CHECKING:  # the catalog lies in this package, and listing plugins must not import torch
    from torch import Tensor

    from seeingkit.contracts import Generator, Inversion, Inverter, Latent, State

__all__ = ["invert", "load_inverter"]


@dataclass(frozen=True)
class ResolvedInverter:
    """A registered method with its validated options."""

    spec: InverterSpec
    options: BaseModel

    def load(self, cut: str | None = None) -> Inverter:
        """The inverter; ``cut`` replaces the boundary of r in the options."""
        options = self.options.model_copy(update={} if cut is None else {"cut": cut})
        from seeingkit.models.code import code_of

        found = cast("Inverter", import_target(self.spec)(options))
        object.__setattr__(found, "code", code_of(self.spec))
        return found


def resolve_inverter(name: str, options: Mapping[str, Any] | None = None) -> ResolvedInverter:
    """Look a method up and check its options.

    Raises:
        UnknownNameError: no such method.
        UsageError: an option that does not exist or does not fit.
    """
    spec = cast("InverterSpec", registry().resolve("inverter", name))
    return ResolvedInverter(spec, check_options(spec, dict(options or {})))


def load_inverter(name: str, **options: Any) -> Inverter:
    """A registered inverter: ``load_inverter("layered+r", preset="paper", cut="r8")``.

    Raises:
        UnknownNameError, UsageError: as ``resolve_inverter``.

    >>> load_inverter("z", steps=100).name
    'z'
    """
    return resolve_inverter(name, options).load()


def invert(
    generator: Generator,
    images: Tensor,
    *,
    method: str = DEFAULT_METHOD,
    labels: Sequence[int] | None = None,
    init: Latent | State | None = None,
    seed: int = 0,
    batch_size: int = 8,
    done: Callable[[int, Inversion], None] | None = None,
    **options: Any,
) -> Inversion:
    """The closest images that the generator, or its last layers, can make.

    ``invert(generator, images, method="layered+r", preset="paper").reconstruction``.

    Args:
        generator: any ``Generator``; never changed.
        images: (N, 3, R, R) in [-1, 1], R being the generator's resolution.
        method: a registered inverter; ``seeingkit ls inverters`` lists them with their options.
        labels: class of each image, for a conditional generator.
        init: latents, or a state at the cut, in place of the method's own initial guess.
        seed: of random starts.
        batch_size: images optimised together; no result depends on it.
        done: called with each row as soon as it is finished.
        options: of the method (cut, preset, encoder, perceptual, steps, …).

    Returns:
        an ``Inversion`` of N rows.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> images = generator(generator.latents([0, 1]))
    >>> len(invert(generator, images, method="z", steps=2))
    2
    """
    inverter = load_inverter(method, **options)
    return inverter.invert(
        generator, images, labels=labels, init=init, seed=seed, batch_size=batch_size, done=done
    )
