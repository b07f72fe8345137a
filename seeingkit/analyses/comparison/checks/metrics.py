"""Metrics of other libraries, on the images of a comparison: found, checked, measured.

Guarantees: a library that is not installed and a file that is not on this machine are named before
anything is measured (``choose_metric`` is for the start of a run, ``measure`` for its end); with
``SEEINGKIT_OFFLINE=1`` the network is never touched; no metric is computed by our own network.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from seeingkit.errors import MissingWeightsError, PluginError, SourceError, UsageError
from seeingkit.models.hub import weights_path
from seeingkit.models.registry import Registry, check_options, import_target, registry
from seeingkit.results import FidelityResult
from seeingkit.specs import MetricSpec, WeightsSpec

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


@dataclass(frozen=True)
class MetricChoice:
    """What a name came to, before the library is imported.

    Attributes:
        name: ``family`` or ``family:weights``.
        spec: the family.
        weights: the file, or None for a metric without weights.
        options: as given, and as implied by the weights.
    """

    name: str
    spec: MetricSpec
    weights: Path | None = None
    options: dict[str, object] = field(default_factory=dict)


def choose_metric(
    name: str | None = None,
    *,
    weights: str | Path | None = None,
    options: Mapping[str, object] | None = None,
    known: Registry | None = None,
    fetch: bool = True,
) -> MetricChoice:
    """Decide family, weights and options; checks that library and file are there. Imports nothing.

    Args:
        name: ``family`` or ``family:weights``; default: the registered default.
        weights: a file; beats registered weights.
        options: the family's options.
        known: default: the registry of this process.
        fetch: whether a published file that is not on this machine is downloaded.

    Raises:
        UnknownNameError, UsageError: no such family, weights or option.
        PluginError: the library is not installed; says which extra brings it.
        MissingWeightsError: the file is not here; gives address, hash, name and folder.
        CorruptFileError: the file in its place is not the published one.
    """
    known = known or registry()
    name = name or known.default("metric")
    family, _, tag = name.partition(":")
    spec = cast("MetricSpec", known.resolve("metric", family))
    given = dict(options or {})
    check_options(spec, given)
    _check_installed(spec)
    if weights is not None:
        if tag:
            raise UsageError(f"{name} already names weights; give {spec.name} with its own file")
        path = Path(weights)
        if not path.is_file():
            raise MissingWeightsError(f"{path}: no such weights file for {spec.name}")
        return MetricChoice(spec.name, spec, path, given)
    if not tag and not spec.needs_weights:
        return MetricChoice(spec.name, spec, None, given)
    if tag:
        chosen = cast("WeightsSpec", known.resolve("weights", f"{spec.name}:{tag}"))
    else:
        published = known.weights_for(spec.name)
        if not published:
            raise MissingWeightsError(f"{spec.name} has no registered weights; give it a file")
        chosen = published[0]
    merged = {**chosen.options, **given}
    check_options(spec, merged)
    return MetricChoice(chosen.full_name, spec, weights_path(chosen, fetch=fetch), merged)


def _check_installed(spec: MetricSpec) -> None:
    if spec.package is None or importlib.util.find_spec(spec.package) is not None:
        return
    install = f"pip install 'seeingkit[{spec.extra}]'" if spec.extra else "install it"
    raise PluginError(
        f"{spec.name} needs the package {spec.package}, which is not installed; {install}"
    )


def measure(
    choice: MetricChoice,
    real: ImageSource,
    generated: ImageSource,
    *,
    device: str = "cpu",
    batch_size: int = 16,
    seed: int = 0,
) -> FidelityResult:
    """Measure two sources as the comparison saw them: in order, without what cannot be read.

    Args:
        choice: of ``choose_metric``.
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

    resolved = resolve_device(device)
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, not {batch_size}")
    for source in (real, generated):
        if source.counted:
            raise SourceError(
                f"{source.name}: {choice.spec.name} needs pictures, and this side has none: "
                "its areas were counted elsewhere"
            )
    target = import_target(choice.spec)
    metric: Metric = target(choice.weights, check_options(choice.spec, choice.options))
    return metric(real, generated, device=resolved, batch_size=batch_size, seed=seed)
