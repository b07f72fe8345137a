"""FID and other metrics without and with an ablation, by other libraries; no claim is made."""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.analyses.comparison.checks.metrics import measure
from seeingkit.contracts import ImageSource
from seeingkit.images import SamplerSource
from seeingkit.models.edits import UnitEdit
from seeingkit.models.resolved import ResolvedModel
from seeingkit.results.artifacts import FidelityPair

from ..edited import EditedSampler
from ..subjects import Sample, Subject


def measure_ablation(
    metric: ResolvedModel,
    subject: Subject,
    sample: Sample,
    real: ImageSource,
    units: Sequence[int],
    *,
    alpha: float = 1.0,
    device: str = "cpu",
) -> FidelityPair:
    """Measure the images of a sample against real ones, as they are and with units ablated.

    Args:
        metric: of ``analyses.comparison.checks.metrics.resolve_metric``.
        sample: images 0 to n - 1 of a seed.
        real: pictures, none of which the units were chosen with.
        units: that are ablated; alpha: how strongly.
        device: of the metric.

    Raises:
        SourceError, PluginError, WeightsError, TallyError, ModelError: as ``measure`` there.

    ::

        measure_ablation(resolve_metric(), subject, Sample(range(300)), real, [7]).after.values
    """
    edit = UnitEdit(subject.layer, tuple(units), alpha)
    samplers = (subject.generator, EditedSampler(subject.generator, [edit]))
    sources = [
        SamplerSource(
            sampler,
            len(sample),
            sample.seed,
            sample.labels or None,
            preset=subject.preset,
            batch=subject.batch,
        )
        for sampler in samplers
    ]
    given = {"batch_size": subject.batch, "seed": sample.seed}
    before, after = (measure(metric, real, one, device=device, **given) for one in sources)
    return FidelityPair(units=list(units), before=before, after=after)
