"""Metrics of other libraries, on the images of a comparison: found, checked, measured.

Guarantees: a library that is not installed and a file that is not on this machine are named before
anything is measured (``resolve_metric`` is for the start of a run, ``measure`` for its end); with
``SEEINGKIT_OFFLINE=1`` the network is never touched; no metric is computed by our own network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from seeingkit.errors import SourceError, UsageError
from seeingkit.models.registry import Registry, registry
from seeingkit.models.resolved import ResolvedModel, resolve
from seeingkit.results import FidelityResult

if TYPE_CHECKING:
    from seeingkit.contracts import ImageSource


class Metric(Protocol):
    """What the target of a ``MetricSpec`` gives."""

    def __call__(
        self,
        real: ImageSource,
        generated: ImageSource,
        *,
        device: str,
        batch_size: int,
        seed: int,
    ) -> FidelityResult:
        """Measure the images that can be read; the numbers do not depend on ``batch_size``, but
        for float rounding."""


def resolve_metric(
    name: str | None = None, *, known: Registry | None = None, **given: Any
) -> ResolvedModel:
    """``resolve("metric", name, **given)``; without a name, the registered default.

    Library and file are there then; neither is imported.

    Raises:
        PluginError: the library is not installed; says which extra brings it.
        CorruptFileError: the file in its place is not the published one.
        UnknownNameError, UsageError, MissingWeightsError: as ``resolve``.
    """
    known = known or registry()
    return resolve("metric", name or known.default("metric"), known=known, **given)


def measure(
    metric: ResolvedModel,
    real: ImageSource,
    generated: ImageSource,
    *,
    device: str = "cpu",
    batch_size: int = 16,
    seed: int = 0,
) -> FidelityResult:
    """Measure two sources as the comparison saw them: in order, without what cannot be read.

    Args:
        metric: of ``resolve_metric``.
        real, generated: images in [-1, 1]; they are rounded to 8 bits, as their PNG would be.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.
        batch_size: images at once; halved when memory runs out.
        seed: of the library's random subsets.

    Raises:
        SourceError: a side has no pictures (its areas were counted elsewhere).
        PluginError: the library cannot be imported.
        WeightsError: the file is damaged, unsafe, or of another network.
        TallyError: too few images for any of the metrics.
        ModelError: the network gave NaN, or memory ran out at one image.
    """
    from seeingkit.system.devices import resolve_device
    from seeingkit.tallies.counted import CountedSource

    resolved = resolve_device(device)
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, not {batch_size}")
    for source in (real, generated):
        if isinstance(source, CountedSource):
            raise SourceError(
                f"{source.name}: {metric.spec.name} needs pictures, and this side has none: "
                "its areas were counted elsewhere"
            )
    measured: Metric = metric.build()
    return measured(real, generated, device=resolved, batch_size=batch_size, seed=seed)
