"""Inversion after a comparison: photos of the classes that it found missing.

Guarantees: a wrong method, option or cut, or an encoder of another generator, is found before any
image is tallied; where nothing can be inverted, a warning says why and the comparison stands.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace

from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.analyses.comparison.conditions import photo_classes
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.analyses.inversion.cuts import PreparedMethod, cuts_of, prepare_first_cut
from seeingkit.analyses.inversion.differences import paper_differences
from seeingkit.analyses.inversion.distance_to_data import DistanceToData
from seeingkit.analyses.inversion.picking import drawn_classes, pick_own, pick_photos
from seeingkit.analyses.inversion.stage import (
    Photos,
    StageResult,
    run_stage,
)
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.contracts import Generator, ImageSource, Sampler, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.results import InversionSettings
from seeingkit.specs import Preset
from seeingkit.system.addresses import Place, place
from seeingkit.system.cache import cache_folder
from seeingkit.system.processes import rank
from seeingkit.tallies import ChunkStore

from .directory import RunDirectory
from .plan import Plan
from .sides import Sides, open_side

log = logging.getLogger(__name__)
Store = ChunkStore | str | Place | None
"""Where finished work is kept; None: the cache folder."""
Ready = dict[tuple[str, str], PreparedMethod]
"""Prepared methods by (method, cut)."""


def beside_tallies(store: Store, name: str) -> Place | None:
    """The folder of this name in a store of tallies; None: the cache has its own.

    >>> beside_tallies("memory://work", "inversions").name, beside_tallies(None, "inversions")
    ('inversions', None)
    """
    if store is None:
        return None
    return (store.folder if isinstance(store, ChunkStore) else place(store)) / name


def kept_in(store: Store, name: str) -> Place:
    """The folder of this name in a store of tallies, or in the cache.

    >>> kept_in("memory://work", "rewriting").name
    'rewriting'
    """
    return beside_tallies(store, name) or place(cache_folder() / name)


def prepare_inverters(plan: Plan, generated: ImageSource) -> Ready:
    """Every method at the first cut, prepared for the generator: before any long work.

    Returns:
        nothing where no method was asked for, or the generated side is no generator with
        boundaries.

    Raises:
        UnknownNameError: a cut that does not exist; lists the boundaries that do.
        UsageError, WeightsError: of ``Inverter.prepare``, such as an encoder of another generator.
    """
    sampler = generated.sampler if isinstance(generated, SamplerSource) else None
    if not plan.inverters or not isinstance(sampler, Generator):
        return {}
    chosen = plan.config.inversion
    ready = prepare_first_cut(sampler, plan.inverters, chosen)
    if not rank():  # before the long work, too: it may not be what was wanted
        for sentence in _differences(ready, sampler, chosen):
            log.warning("preset paper: %s", sentence)
    return ready


def invert_omitted(
    plan: Plan,
    comparison: Comparison,
    sides: Sides,
    ready: Ready,
    run: RunDirectory | None,
    *,
    store: Store = None,
) -> StageResult:
    """Invert real images of the omitted classes, calibrated on samples of the generator.

    Args:
        ready: of ``prepare_inverters``.
        run: where pictures go; None: only this process's share of the work is done.
    """
    chosen, generated = plan.config.inversion, sides.generated
    sampler = generated.sampler if isinstance(generated, SamplerSource) else None
    if not isinstance(generated, SamplerSource) or not isinstance(sampler, Generator):
        return _nothing(
            chosen, "the generated side is no generator that can be cut, so no photo was inverted"
        )
    if comparison.real.record.counted:
        return _nothing(
            chosen, "the real images were counted elsewhere, so there are no photos to invert"
        )
    known, matched = photo_classes(sampler, comparison.real), comparison.results.real_classes
    if sampler.info.class_names and chosen.label is None and known is None:
        return _nothing(
            chosen,
            f"{sampler.info.family} is conditional: photos are inverted only with --label, or if "
            f"each has a class ({matched.why if matched and matched.why else 'some have none'})",
        )
    seed, size = plan.config.seed, generator_preset(sampler)
    photos = open_side(plan.real, replace(plan, preset=size))
    samples = SamplerSource(sampler, len(generated), seed, generated.labels or None, preset=size)
    picked = pick_photos(
        comparison, chosen.per_class, chosen.pick, chosen.ids, seed, classes=chosen.classes
    )
    calibrating = pick_own(comparison, chosen.own, seed=seed) if chosen.own else []
    with closing(photos):
        chosen_photos = Photos(
            photos,
            _rows(photos, list(picked)),
            samples,
            _rows(samples, calibrating),
            picked,
            None if known is None else [known[item] for item in picked],
            drawn_classes(comparison),
        )
        return invert_photos(plan, sampler, chosen_photos, ready, run, sides.shown, store=store)


def invert_photos(
    plan: Plan,
    generator: Generator,
    photos: Photos,
    ready: Ready,
    run: RunDirectory | None,
    segmenter: Segmenter | None,
    *,
    store: Store = None,
    distance: DistanceToData | None = None,
) -> StageResult:
    """Run the plan's methods on photos; finished inversions lie beside the tallies of a store.

    Args:
        ready, run: as of ``invert_omitted``.
        segmenter, distance: as of ``run_stage``.
    """
    folder = beside_tallies(store, "inversions")
    config = plan.config
    found = run_stage(
        generator,
        photos,
        config.inversion,
        plan.inverters,
        None if run is None else run.path,
        ready=ready,
        segmenter=segmenter,
        preset=plan.preset,
        seed=config.seed,
        batch_size=config.batch_size,
        store=None if folder is None else InversionStore(folder),
        distance=distance,
        on_bad=config.on_bad,
    )
    named = _differences(ready, generator, config.inversion)
    return replace(
        found,
        settings=found.settings.model_copy(update={"differences": named}),
        warnings=[*(f"Preset paper: {sentence}" for sentence in named), *found.warnings],
    )


def with_inversions(comparison: Comparison, found: StageResult) -> Comparison:
    """The comparison with what inversion found in its results."""
    results = comparison.results
    update = {
        "inversion": found.settings if found.records or found.calibrations else None,
        "calibrations": found.calibrations,
        "inversions": found.records,
        "vanishing": found.vanishing,
        "skipped": [*results.skipped, *found.skipped],
        "warnings": [*results.warnings, *found.warnings],
    }
    return replace(comparison, results=results.model_copy(update=update))


# ------------------------------------------------------------------------------------------- parts


def generator_preset(generator: Sampler) -> Preset:
    """Shorter side to the generator's resolution, then the centre square."""
    return find_preset("paper", generator.info.resolution)


def _differences(ready: Ready, generator: Generator, chosen: InversionConfig) -> list[str]:
    """Differences of preset ``paper`` from the published method, at all cuts."""
    prepared = [method.prepared for method in ready.values()]
    return paper_differences(prepared, cuts_of(generator, chosen))


def _nothing(chosen: InversionConfig, reason: str) -> StageResult:
    preset = str(chosen.options.get("preset", "fast"))
    return StageResult(InversionSettings(preset=preset), warnings=[reason])


def _rows(source: ImageSource, ids: list[str]) -> list[int]:
    places = {item: k for k, item in enumerate(source.ids)}
    return [places[item] for item in ids]
