"""What a run of ``dissect`` found, as the record of ``results.json``: settings, layers, units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.grouping import GROUP, alone, groups_of
from seeingkit.analyses.dissection.presets import rule_of
from seeingkit.analyses.dissection.records import (
    NULL,
    NULL_OF_CLASSES,
    RULES,
    classes_tested,
    layer_record,
    unit_records,
)
from seeingkit.analyses.dissection.stage import LayerDissection
from seeingkit.contracts import Segmenter
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.images import SamplerSource
from seeingkit.results import DissectionResults, DissectionSettings, SkippedItem
from seeingkit.tallies.record import model_record

from .config import Config
from .plan import Plan


def skipped_images(source: SamplerSource, found: Sequence[LayerDissection]) -> list[SkippedItem]:
    """The images with NaN or Inf, of the levels too; they are made again where some are missing
    from the counts."""
    if not found:
        return []
    told = [SkippedItem(source="levels", item=a, reason=b) for a, b in found[0].levels.skipped]
    groups = groups_of(len(source), source.labels)
    if found[0].sums.images + alone(groups) == len(source):
        return told
    bad = [one for group in groups for one in source.load(group)[2]]
    return [
        *(SkippedItem(source="generated", item=one.item, reason=one.reason) for one in bad),
        *told,
    ]


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
    bad = sum(one.source == "generated" for one in skipped)
    unused = len(source) - found[0].sums.images - bad
    warnings = [text for text in [source.range.doubt()] if text is not None]
    if unused > 0:
        warnings.append(
            f"{unused:,} of {len(source):,} images {'was' if unused == 1 else 'were'} alone in a "
            f"group and not counted; take a multiple of {GROUP * max(1, len(source.labels))}."
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
        null=(NULL_OF_CLASSES if source.labels else NULL) if rule.tested else "",
        basis=Path(chosen.basis).name,
        level_images=chosen.level_images,
        level_seed=further_seed(source.seed, Series.LEVELS),
        fdr=chosen.fdr,
        least_iou=rule.least_iou,
        side=rule.side,
        group=GROUP,
        of_class=bool(source.labels),
        drawn=[source.sampler.info.class_names[label] for label in source.labels],
        preset=config.preset,
        classes=classes_tested(found),
    )
