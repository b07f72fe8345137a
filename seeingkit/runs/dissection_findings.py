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
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.images import SamplerSource
from seeingkit.report import with_cautions
from seeingkit.results import DissectionResults, DissectionSettings, ModelRecord, SkippedItem

from .config import Config
from .unit_groups import labelled_layers
from .unit_panels import own_panel

Models = tuple[ModelRecord, ModelRecord]
"""The records of a generator and a segmenter."""


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
    config: Config,
    models: Models,
    source: SamplerSource,
    found: Sequence[LayerDissection],
) -> DissectionResults:
    """The content of ``results.json``, but for pictures.

    Args:
        models: the records of generator and segmenter.

    ::

        dissection_results(config, models, source, found).layers[0].labelled
    """
    skipped = skipped_images(source, found)
    bad = sum(one.source == "generated" for one in skipped)
    unused = len(source) - found[0].sums.images - bad
    warnings = [text for text in [source.range.doubt()] if text is not None]
    if unused > 0:
        warnings.append(
            f"{unused:,} of {len(source):,} images {'was' if unused == 1 else 'were'} alone in a "
            f"group and not counted; take a multiple of {GROUP * max(1, len(source.labels))}."
        )
    told = DissectionResults(
        generator=models[0],
        segmenter=models[1],
        n=len(source),
        seed=config.seed,
        settings=_settings(config, found, source),
        layers=[layer_record(one) for one in found],
        units=[unit for one in found for unit in unit_records(one)],
        skipped=skipped,
        warnings=warnings,
    )
    results = with_cautions(told)
    compared = own_panel(labelled_layers(found, results), results)
    return results.model_copy(update={"compared": compared})


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
