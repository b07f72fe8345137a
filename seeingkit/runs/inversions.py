"""Inversion after a comparison: photos of the classes that it found missing.

Guarantees: what cannot work (a method, an option, a cut, an encoder of another generator) is found
before any image is tallied; what cannot be inverted is a warning, and the comparison stands.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.analyses.comparison.conditions import photo_classes
from seeingkit.contracts import Generator, ImageSource, Sampler, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.models.registry import check_options, find_preset, registry
from seeingkit.results import InversionSettings
from seeingkit.specs import InverterSpec, Preset
from seeingkit.tallies import ChunkStore

from .config import Config, InversionConfig

if TYPE_CHECKING:
    from seeingkit.analyses.inversion.stage import StageResult
    from seeingkit.analyses.inversion.store import InversionStore


def check_inversion(config: Config) -> None:
    """Find wrong methods and options before anything is loaded or written.

    Raises:
        UnknownNameError: no such method.
        UsageError: an option that does not exist or does not fit.
    """
    for method in config.inversion.methods:
        spec = cast("InverterSpec", registry().resolve("inverter", method))
        check_options(spec, dict(config.inversion.options))


def check_cuts(config: Config, generated: ImageSource) -> None:
    """Find a cut that does not exist, or an encoder of another generator, before any long work.

    Raises:
        UnknownNameError: lists the boundaries that exist.
        UsageError, WeightsError: what ``Inverter.prepare`` finds wrong.
    """
    sampler = getattr(generated, "sampler", None)
    if not config.inversion.methods or not isinstance(sampler, Generator):
        return
    from seeingkit.analyses.inversion import load_inverter
    from seeingkit.analyses.inversion.stage import cuts_of

    cut = cuts_of(sampler, config.inversion)[0]
    for method in config.inversion.methods:
        options = {**config.inversion.options, "cut": cut}
        load_inverter(method, **options).prepare(sampler)


# --------------------------------------------------------------------------------- part of analyze


def invert_omitted(
    config: Config,
    comparison: Comparison,
    generated: ImageSource,
    segmenter: Segmenter,
    run_dir: Path | None,
    *,
    store: ChunkStore | str | Path | None = None,
) -> StageResult:
    """Invert real images of the omitted classes, calibrated on the generator's own images.

    Args:
        generated: the generated side; a generator that can be cut, or nothing is inverted.
        run_dir: where pictures go; None: only this process's share of the work is done.
    """
    from seeingkit.analyses.inversion.picking import pick_own, pick_photos
    from seeingkit.analyses.inversion.stage import Photos, StageResult, run_stage

    chosen = config.inversion
    sampler = getattr(generated, "sampler", None)
    if not isinstance(sampler, Generator):
        reason = "the generated side is no generator that can be cut, so no photo was inverted"
        return StageResult(InversionSettings(preset=_preset_name(chosen)), warnings=[reason])
    if comparison.real.record.get("source", {}).get("counted"):
        reason = "the real images were counted elsewhere, so there are no photos to invert"
        return StageResult(InversionSettings(preset=_preset_name(chosen)), warnings=[reason])
    known = photo_classes(sampler, comparison.real.ids)
    if sampler.info.class_names and chosen.label is None and known is None:
        reason = (
            f"{sampler.info.family} is conditional: photos are inverted only with --label, or from "
            "folders named as its classes"
        )
        return StageResult(InversionSettings(preset=_preset_name(chosen)), warnings=[reason])
    from .analyze import open_side

    own_size = own_preset(sampler)
    photos = open_side(config.real, config.model_copy(update={"preset": own_size.name}))
    picked = pick_photos(comparison, chosen.per_class, chosen.pick, chosen.ids, seed=config.seed)
    places = {item: k for k, item in enumerate(photos.ids)}
    labels = generated.labels if isinstance(generated, SamplerSource) else ()
    own = SamplerSource(sampler, len(generated), config.seed, labels or None, preset=own_size)
    own_ids = pick_own(comparison, chosen.own, seed=config.seed) if chosen.own else []
    own_places = {item: k for k, item in enumerate(own.ids)}
    try:
        return run_stage(
            sampler,
            Photos(
                photos,
                [places[item] for item in picked],
                own,
                [own_places[item] for item in own_ids],
                picked,
                None if known is None else [known[item] for item in picked],
            ),
            chosen,
            run_dir,
            segmenter=segmenter,
            preset=find_preset(config.preset),
            seed=config.seed,
            batch_size=config.batch_size,
            store=kept_inversions(store),
            on_bad=config.on_bad,
        )
    finally:
        photos.close()


def with_inversions(comparison: Comparison, found: StageResult) -> Comparison:
    """The comparison with what inversion found in its results."""
    results = comparison.results
    update = {
        "inversion": found.settings if found.records or found.calibrations else None,
        "calibrations": found.calibrations,
        "inversions": found.records,
        "skipped": [*results.skipped, *found.skipped],
        "warnings": [*results.warnings, *found.warnings],
    }
    return replace(comparison, results=results.model_copy(update=update))


# ------------------------------------------------------------------------------------------- parts


def own_preset(generator: Sampler) -> Preset:
    """Shorter side to the generator's resolution, then the centre square."""
    return find_preset("paper", generator.info.resolution)


def _preset_name(chosen: InversionConfig) -> str:
    return str(chosen.options.get("preset", "fast"))


def kept_inversions(store: ChunkStore | str | Path | None) -> InversionStore | None:
    """Where finished inversions are kept: beside the tallies of a store, or the usual place."""
    from seeingkit.analyses.inversion.store import InversionStore

    if store is None:
        return None
    folder = store.folder if isinstance(store, ChunkStore) else Path(store)
    return InversionStore(folder / "inversions")
