"""``LayerPrepared``: the parts that the layer inverters need for one generator.

Guarantee: statistics are functions of the generator and the cut; samples with NaN or Inf are left
out of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from seeingkit.contracts import Generator, Prepared, State
from seeingkit.errors import ModelError

from .catalog import InverterOptions
from .presets import InversionPreset
from .samples import TRAIN_SEED, draw
from .schedule import Schedule

_PROBES = 64


class AverageStates:
    """Mean states of samples at the cut, by class; each is computed when first asked for.

    Args:
        generator: whose samples they are.
        cut: canonical name of the boundary.
    """

    def __init__(self, generator: Generator, cut: str) -> None:
        self.generator, self.cut = generator, cut
        self._known: dict[int | None, State] = {}

    def __call__(self, label: int | None = None) -> State:
        """The mean state (1, …) of samples of one class, or of all if it is None."""
        if label not in self._known:
            with torch.no_grad():
                probes = probe_states(self.generator, self.cut, label)
                state = self.generator.advance(probes, self.cut)
            mean = {
                k: v.mean(0, keepdim=True) if v.is_floating_point() else v[:1]
                for k, v in state.carry.items()
            }
            self._known[label] = State(self.cut, state.x.mean(0, keepdim=True), mean)
        return self._known[label]


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerPrepared(Prepared):
    """The parts that one of the six methods needs for one generator.

    Attributes:
        generator: the generator.
        method: name of the method.
        target: the optimised variable: ``z``, ``r`` or ``none``.
        preset: losses and schedules, with the options in place.
        options: as they were given.
        scales: standard deviation of x at every boundary up to the cut, by name.
        averages: mean states at the cut.
    """

    generator: Generator
    method: str
    target: str
    preset: InversionPreset
    options: InverterOptions
    scales: Mapping[str, float]
    averages: AverageStates

    @property
    def schedule(self) -> Schedule:
        """Rates and stopping; no step where the method optimises nothing."""
        if self.target == "none":
            return Schedule(steps=0, rate=1.0)
        return self.preset.residual if self.target == "r" else self.preset.latent

    @property
    def carried(self) -> tuple[str, ...]:
        """Carried tensors optimised along with r: those named, else the generator's own."""
        named = self.options.carry
        return self.generator.inverted_with if named is None else named

    def unit(self, name: str) -> float:
        """One unit of x at a boundary: its standard deviation, or 1 if δ is not scaled."""
        return self.scales[name] if self.preset.scaled else 1.0


def probe_states(generator: Generator, cut: str, label: int | None = None) -> State:
    """Samples at the input, of one class if it is given, without those that give NaN or Inf.

    Raises:
        ModelError: fewer than two samples are left.
    """
    latent = draw(generator, _PROBES, TRAIN_SEED - 3 * _PROBES)
    if label is not None:
        latent["label"] = torch.full_like(latent["label"], label)
    state = generator.begin(latent)
    usable = torch.isfinite(generator.advance(state, cut).x.flatten(1)).all(1)
    if int(usable.sum()) < 2:
        raise ModelError(
            f"{generator.info.family}: {_PROBES - int(usable.sum())} of {_PROBES} samples "
            "are NaN or Inf; the weights may be damaged"
        )
    return state[usable]


def measured_scales(generator: Generator, cut: str) -> dict[str, float]:
    """Standard deviation of x over all samples and coordinates, at every boundary up to the cut."""
    scales = {}
    with torch.no_grad():
        state = probe_states(generator, cut)
        for boundary in generator.boundaries[: generator.boundary(cut).index + 1]:
            if boundary.index:
                state = generator.advance(state, boundary.name)
            scales[boundary.name] = max(float(state.x.std()), 1e-8)
    return scales
