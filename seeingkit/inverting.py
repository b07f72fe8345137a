"""Inversion as part of a run: which photos, which own images, and where the results go.

Two ways in: ``invert_omitted`` continues ``analyze`` with the classes that the comparison found
missing; ``execute_inversion`` is the command ``invert`` for a user's own photos.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .comparison import Comparison, model_record
from .conditions import photo_classes
from .config import Config, InversionConfig, make_config
from .contracts import Generator, GeneratorInfo, ImageSource, Sampler, Segmenter, SegmenterInfo
from .errors import MissingWeightsError, SourceError, UsageError
from .loading import (
    Choice,
    choose,
    data_spec,
    load_features,
    load_generator,
    load_segmenter,
    usual_generator,
)
from .manifests import Clock, new_manifest, now
from .processes import rank
from .registry import check_options, registry
from .results import InversionResults, InversionSettings, ModelRecord, SkippedItem, SourceRecord
from .rundir import RunDirectory
from .sources import SamplerSource, open_images
from .sources.preprocess import find_preset
from .sources.several import SeveralSources
from .specs import InverterSpec, Preset
from .tallies import ChunkStore
from .tallies.counting import narrowed
from .vocabularies.merging import in_classes

if TYPE_CHECKING:
    from .inversion.familiarity import Familiarity
    from .inversion.stage import StageResult
    from .inversion.store import InversionStore

_REFERENCES = 512


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
    from .inversion import load_inverter
    from .inversion.stage import cuts_of

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
    from .inversion.picking import pick_own, pick_photos
    from .inversion.stage import Photos, StageResult, run_stage

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
    from .analysis import open_side

    own_size = _own_preset(sampler)
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
            store=_store(store),
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


# ------------------------------------------------------------------------------- the command invert


@dataclass(frozen=True)
class InversionRun:
    """A finished run of ``invert``."""

    run: RunDirectory
    results: InversionResults

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.run.path / "report.html"

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")


def plan_inversion(
    photos: Sequence[str],
    gan: str | None = None,
    *,
    data: str | None = None,
    segmenter: str | None = None,
    inversion: InversionConfig | None = None,
    **settings: Any,
) -> Config:
    """The full config of ``invert``.

    Args:
        photos: paths, globs, folders, data sets.
        gan: default: the registered default.
        data: the data set the generator learnt from; default: the one its weights name. It gives
            the segmenter and the reference for "unlike the training set".
        segmenter: ``none`` for no class areas.
    """
    if not photos:
        raise UsageError("name at least one photo, folder or glob")
    settings = {key: value for key, value in settings.items() if value is not None}
    if gan is None:
        usual = data_spec(data or registry().default("data"))
        gan = usual_generator(usual, own_weights=bool(settings.get("weights")))
    if data is None and not settings.get("weights"):
        choice = choose("gan", gan, options=settings.get("gan_options"))
        domains = choice.weights_spec.domains if choice.weights_spec else ()
        data = next((d for d in domains if data_spec(d) is not None), None)
    spec = data_spec(data) if data else None
    if spec is not None:
        settings.setdefault("preset", spec.preset)
        if segmenter is None and "segmenter_weights" not in settings:
            segmenter = spec.segmenter
    return make_config(
        command="invert",
        real=data or "",
        generated=gan,
        photos=tuple(str(photo) for photo in photos),
        segmenter=segmenter or registry().default("segmenter"),
        inversion=inversion or InversionConfig(methods=(registry().default("inverter"),)),
        **settings,
    )


def execute_inversion(
    config: Config, *, out: str | Path | None = None, store: str | Path | None = None
) -> InversionRun | None:
    """Run a config of ``invert`` from photos to report; None for ranks above 0.

    Raises:
        UsageError: a photo that does not exist, a generator that cannot be cut.
    """
    from .inversion.stage import Photos, run_stage
    from .report import rebuild_report

    check_inversion(config)
    chosen = config.inversion
    domain = config.real if config.real and data_spec(config.real) else None
    choice = choose(
        "gan", config.generated, weights=config.weights, domain=domain, options=config.gan_options
    )
    generator = load_generator(
        config.generated,
        weights=config.weights,
        device=config.device,
        domain=domain,
        **config.gan_options,
    )
    if not isinstance(generator, Generator):
        raise UsageError(
            f"{config.generated} gives images only (a Sampler); inversion needs a Generator with "
            "boundaries"
        )
    own = SamplerSource(generator, max(chosen.own, 1), config.seed, preset=_own_preset(generator))
    check_cuts(config, own)
    segmenter, segmenter_record, warnings = _segmenter(config, domain)
    source, unusable = open_photos(config.photos, _own_preset(generator))
    if config.n is not None:
        source = narrowed(source, min(config.n, len(source)), config.seed)
    familiarity = _familiarity(config, generator, domain)
    run = RunDirectory.for_config(config, out) if not rank() else None
    clock = Clock()
    manifest = new_manifest(config)
    if run is not None:
        run.write_json("manifest.json", manifest.model_dump(mode="json"))
    with clock.time("invert photos"):
        found = run_stage(
            generator,
            Photos(source, range(len(source)), own, range(chosen.own)),
            chosen,
            None if run is None else run.path,
            segmenter=segmenter,
            preset=find_preset(config.preset),
            seed=config.seed,
            batch_size=config.batch_size,
            store=_store(store),
            familiarity=familiarity,
            on_bad=config.on_bad,
        )
    if run is None:
        return None
    results = InversionResults(
        generator=_record(generator.info, choice),
        segmenter=segmenter_record,
        data=SourceRecord(
            name=", ".join(config.photos)[:200],
            kind="photos",
            images=len(source),
            fingerprint=source.fingerprint,
        ),
        inversion=found.settings,
        calibrations=found.calibrations,
        inversions=found.records,
        skipped=[*unusable, *found.skipped],
        warnings=[*warnings, *found.warnings],
    )
    source.close()
    run.write_json("results.json", results.model_dump(mode="json"))
    manifest = manifest.model_copy(
        update={
            "hashes": {
                "photos": source.fingerprint,
                "generator weights": generator.info.weights_sha256 or "",
            },
            "timings": clock.seconds,
            "finished": now(),
        }
    )
    run.write_json("manifest.json", manifest.model_dump(mode="json"))
    rebuild_report(run.path)
    if not results.inversions and results.skipped:
        first = results.skipped[0]
        raise SourceError(f"no photo could be inverted; the first: {first.item}: {first.reason}")
    return InversionRun(run, results)


def open_photos(names: Sequence[str], preset: Preset) -> tuple[ImageSource, list[SkippedItem]]:
    """All photos that the names stand for, and the files among them that are none.

    Raises:
        SourceError: a name that does not exist, or nothing that can be used.
    """
    sources, skipped = [], []
    for name in names:
        there = os.path.exists(os.path.expanduser(name)) and not glob.has_magic(name)
        try:
            sources.append(open_images(name, preset=preset))
        except SourceError as error:
            if not there or len(names) == 1:
                raise
            reason = str(error).removeprefix(f"{name}: ")
            skipped.append(SkippedItem(source="photo", item=name, reason=reason))
    if not sources:
        raise SourceError(f"none of the {len(names)} files is a photo; {skipped[0].reason}")
    if len(sources) == 1:
        return sources[0], skipped
    return SeveralSources(sources, f"{len(sources)} photos"), skipped


# ------------------------------------------------------------------------------------------- parts


def _own_preset(generator: Sampler) -> Preset:
    """Shorter side to the generator's resolution, then the centre square."""
    return find_preset("paper", generator.info.resolution)


def _preset_name(chosen: InversionConfig) -> str:
    return str(chosen.options.get("preset", "fast"))


def _store(store: ChunkStore | str | Path | None) -> InversionStore | None:
    from .inversion.store import InversionStore

    if store is None:
        return None
    folder = store.folder if isinstance(store, ChunkStore) else Path(store)
    return InversionStore(folder / "inversions")


def _segmenter(
    config: Config, domain: str | None
) -> tuple[Segmenter | None, ModelRecord | None, list[str]]:
    """The segmenter, or None with a warning where nobody asked for one and none is at hand."""
    if config.segmenter == "none":
        return None, None, []
    asked = config.segmenter_weights is not None or ":" in config.segmenter
    try:
        choice = choose(
            "segmenter",
            config.segmenter,
            weights=config.segmenter_weights,
            domain=domain,
            options=config.segmenter_options,
        )
    except MissingWeightsError as error:
        if asked:
            raise
        return None, None, [f"no class areas: {error}"]
    model = load_segmenter(
        config.segmenter,
        weights=config.segmenter_weights,
        device=config.device,
        domain=domain,
        **config.segmenter_options,
    )
    return in_classes(model, config.classes), _record(model.info, choice), []


def _familiarity(config: Config, generator: Generator, domain: str | None) -> Familiarity | None:
    """Reference images: the data set if it is known, else the generator's own."""
    from .inversion.familiarity import Familiarity as Known

    preset = _own_preset(generator)
    if domain is not None or config.real:
        source = open_images(config.real, preset=preset, data_options=config.data_options)
        name = f"images of {source.name}"
    else:
        source = SamplerSource(generator, _REFERENCES, config.seed + 1, preset=preset)
        name = f"images that {generator.info.family} made"
    count = min(_REFERENCES, len(source))
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(source))[:count])
    images, _, _ = source.load([int(k) for k in rows])
    source.close()
    if images is None or len(images) < 2:
        return None
    features = load_features(
        str(config.inversion.options.get("perceptual", "auto")),
        weights=config.inversion.options.get("perceptual_weights"),
        device=config.device,
    )
    return Known.of(images, f"{len(images)} {name}", features)


def _record(info: GeneratorInfo | SegmenterInfo, choice: Choice) -> ModelRecord:
    """What results say of a model: registered weights know their name and licence."""
    record = model_record(info.model_dump(mode="json"), choice.name)
    if choice.weights_spec is None:
        return record
    return record.model_copy(update={"licence": choice.weights_spec.licence})
