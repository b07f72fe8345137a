"""What could mislead a finished comparison: resolution, the segmenter, other measures.

Guarantees: no number of the comparison changes; what cannot be checked becomes a warning of the
results and never loses them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seeingkit.analyses.comparison.checks.metrics import MetricChoice, choose_metric, measure
from seeingkit.analyses.comparison.checks.resolution import compare_resolution
from seeingkit.analyses.comparison.checks.sensitivity import check_sensitivity
from seeingkit.analyses.comparison.checks.truth import find_labels, share_by_labels
from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.contracts import ImageSource, Segmenter
from seeingkit.errors import SeeingkitError, UsageError
from seeingkit.models.loading import choose, load_segmenter
from seeingkit.models.registry import find_preset

from .config import Config

if TYPE_CHECKING:
    from seeingkit.results import ResolutionResult, SegmenterShare
    from seeingkit.tallies import ChunkStore

T = TypeVar("T")


def find_checks(config: Config) -> MetricChoice | None:
    """What the checks of a run need, before anything is computed.

    Returns:
        the metric of another library, if one was asked for.

    Raises:
        UsageError, UnknownNameError, PluginError, MissingWeightsError: it is not there.
    """
    if config.truth not in (None, "none", "data") and not Path(config.truth).is_dir():
        raise UsageError(f"--truth {config.truth}: no such folder of label maps")
    if second_segmenter(config) is not None:
        name, weights = _own_weights(config.sensitivity)
        choose("segmenter", name, weights=weights)
    return choose_metric() if config.fidelity else None


def check_truth(config: Config, real: ImageSource, segmenter: Segmenter) -> None:
    """Labels that were asked for are there and fit, before anything is computed.

    Raises:
        UsageError, SourceError: they are not.
    """
    if config.truth not in (None, "none"):
        find_labels(real, segmenter, config.truth, find_preset(config.preset))


def second_segmenter(config: Config) -> str | None:
    """The name of the second segmenter, or None if the check is another one."""
    usual = config.sensitivity.partition(":")[0] in ("auto", "off", "scale")
    return None if usual else config.sensitivity


def _own_weights(name: str) -> tuple[str, Path | None]:
    """Family and file of ``family:FILE``, where there is such a file or folder."""
    family, _, tag = name.partition(":")
    path = Path(tag)
    return (family, path) if tag and path.exists() else (name, None)


def check(
    config: Config,
    comparison: Comparison,
    real: ImageSource,
    generated: ImageSource,
    segmenter: Segmenter,
    *,
    metric: MetricChoice | None = None,
    store: ChunkStore | str | Path | None = None,
) -> Comparison:
    """The comparison with resolution, the segmenter's share, and other measures in its results.

    Args:
        segmenter: in the classes of the comparison.
        metric: of ``find_checks``.
    """
    warnings: list[str] = []

    def tried(what: str, work: Callable[[], T | None]) -> T | None:
        try:
            return work()
        except SeeingkitError as error:
            warnings.append(f"{what}: {error}")
            return None

    resolution = tried(
        "The resolutions could not be compared",
        lambda: compare_resolution(real, generated, seed=config.seed),
    )
    share = tried(
        "The segmenter's share was not checked",
        lambda: _segmenter_share(config, comparison, real, generated, segmenter, resolution, store),
    )
    fidelity = None
    if metric is not None:
        fidelity = tried(
            "The other measures are missing",
            lambda: measure(
                metric,
                real,
                generated,
                device=config.device,
                batch_size=config.batch_size,
                seed=config.seed,
            ),
        )
    results = comparison.results.model_copy(
        update={
            "resolution": resolution,
            "segmenter_share": share,
            "fidelity": fidelity,
            "warnings": [*comparison.results.warnings, *warnings],
        }
    )
    return replace(comparison, results=results)


def _segmenter_share(
    config: Config,
    comparison: Comparison,
    real: ImageSource,
    generated: ImageSource,
    segmenter: Segmenter,
    resolution: ResolutionResult | None,
    store: ChunkStore | str | Path | None,
) -> SegmenterShare | None:
    """By true labels where there are any and nothing else was asked for, else by a second view.

    Where the two sides differ in resolution, true labels of real images say little about the other
    side, so ``auto`` looks at another scale.
    """
    auto = config.sensitivity == "auto"
    mismatch = resolution is not None and resolution.mismatch
    if config.truth is not None or (auto and not mismatch):
        share = share_by_labels(
            real,
            segmenter,
            comparison.results,
            comparison.real,
            comparison.generated,
            truth=config.truth,
            preset=find_preset(config.preset),
            seed=config.seed,
            batch_size=config.batch_size,
        )
        if share is not None:
            return share
    if config.sensitivity == "off" or (auto and (real.counted or generated.counted)):
        return None
    mode, second = "scale" if auto else config.sensitivity, None
    if second_segmenter(config) is not None:
        family, weights = _own_weights(mode)
        if weights is not None:
            second = load_segmenter(family, weights=weights, device=config.device)
            mode = f"{family}:{weights.name}"
    return check_sensitivity(
        real,
        generated,
        comparison,
        segmenter,
        mode=mode,
        second=second,
        classes=config.classes,
        resolution=resolution,
        preset=find_preset(config.preset).identity(),
        batch_size=config.batch_size,
        on_bad=config.on_bad,
        store=store,
        seed=config.seed,
    )
