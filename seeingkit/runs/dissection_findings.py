"""What a run of ``dissect`` found, as the record of ``results.json``: settings, layers, units."""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.grouping import GROUP
from seeingkit.analyses.dissection.records import (
    NULL,
    RULES,
    classes_tested,
    layer_record,
    rule_of,
    unit_records,
)
from seeingkit.analyses.dissection.stage import LEVEL_SERIES, LayerDissection
from seeingkit.contracts import Segmenter
from seeingkit.contracts.latents import further_seed
from seeingkit.errors import ModelError
from seeingkit.images import SamplerSource
from seeingkit.results import DissectionResults, DissectionSettings, SkippedItem
from seeingkit.tallies.record import model_record

from .config import Config
from .plan import Plan


def skipped_images(
    source: SamplerSource, found: Sequence[LayerDissection], plan: Plan
) -> list[SkippedItem]:
    """The images with NaN or Inf; they are made again where some are missing from the counts.

    Raises:
        ModelError: there are some, with ``on_bad="fail"``.
    """
    alone = 1 if len(source) % GROUP == 1 else 0  # has no other image to be exchanged with
    if not found or found[0].sums.images + alone == len(source):
        return []
    bad = []
    for start in range(0, len(source), GROUP):
        bad += source.load(range(start, min(start + GROUP, len(source))))[2]
    if bad and plan.config.on_bad == "fail":
        raise ModelError(f"{bad[0].item}: {bad[0].reason}")
    return [SkippedItem(source="generated", item=one.item, reason=one.reason) for one in bad]


def dissection_results(
    plan: Plan,
    source: SamplerSource,
    segmenter: Segmenter,
    found: Sequence[LayerDissection],
    skipped: list[SkippedItem],
) -> DissectionResults:
    """The content of ``results.json``, but for pictures and cautions.

    ::

        dissection_results(plan, source, segmenter, found, []).layers[0].labelled
    """
    config = plan.config
    assert plan.generated.generator is not None and plan.segmenter is not None
    unused = len(source) - found[0].sums.images - len(skipped)
    warnings = [text for text in [source.range.doubt()] if text is not None]
    if unused > 0:
        warnings.append(
            f"{unused} of {len(source):,} images {'was' if unused == 1 else 'were'} alone in a "
            f"group of {GROUP} and not counted; take a multiple of {GROUP}."
        )
    return DissectionResults(
        generator=plan.generated.generator.named(model_record(source.sampler.info)),
        segmenter=plan.segmenter.named(model_record(segmenter.info)),
        n=len(source),
        seed=config.seed,
        settings=_settings(config, found, source),
        layers=[layer_record(one) for one in found],
        units=[unit for one in found for unit in unit_records(one)],
        skipped=skipped,
        warnings=warnings,
    )


def _settings(
    config: Config, found: Sequence[LayerDissection], source: SamplerSource
) -> DissectionSettings:
    chosen: DissectionConfig = config.dissection
    rule = rule_of(chosen.preset)
    return DissectionSettings(
        rule=chosen.preset,
        rule_words=RULES[chosen.preset],
        tested=rule.tested,
        null=NULL if rule.tested else "",
        basis=chosen.basis,
        level_images=chosen.level_images,
        level_seed=further_seed(source.seed, LEVEL_SERIES),
        fdr=chosen.fdr,
        least_iou=rule.least_iou,
        side=rule.side,
        group=GROUP,
        preset=config.preset,
        classes=classes_tested(found),
    )
