"""The command ``invert``: photos → inversion → report, without a comparison of distributions.

Guarantees: a photo that cannot be used is named and left out; the segmenter is optional, unless the
user asked for one; ranks above 0 do their share of the inversions and write no run.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seeingkit.analyses.comparison.compare import model_record
from seeingkit.contracts import Generator, GeneratorInfo, ImageSource, Segmenter, SegmenterInfo
from seeingkit.errors import MissingWeightsError, SourceError, UsageError
from seeingkit.images import SamplerSource, open_images
from seeingkit.images.several import SeveralSources
from seeingkit.models.loading import (
    Choice,
    choose,
    data_spec,
    load_features,
    load_generator,
    load_segmenter,
    usual_generator,
)
from seeingkit.models.registry import find_preset, registry
from seeingkit.results import InversionResults, ModelRecord, SkippedItem, SourceRecord
from seeingkit.specs import Preset
from seeingkit.system.processes import rank
from seeingkit.tallies.counting import narrowed
from seeingkit.tallies.vocabularies.merging import in_classes

from .config import Config, InversionConfig, make_config
from .directory import RunDirectory
from .inversions import check_cuts, check_inversion, kept_inversions, own_preset
from .manifest import Clock, new_manifest, now

if TYPE_CHECKING:
    from seeingkit.analyses.inversion.distance_to_data import DistanceToData

_REFERENCES = 512


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
    from seeingkit.analyses.inversion.stage import Photos, run_stage
    from seeingkit.report import rebuild_report

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
    own = SamplerSource(generator, max(chosen.own, 1), config.seed, preset=own_preset(generator))
    check_cuts(config, own)
    segmenter, segmenter_record, warnings = _segmenter(config, domain)
    source, unusable = open_photos(config.photos, own_preset(generator))
    if config.n is not None:
        source = narrowed(source, min(config.n, len(source)), config.seed)
    distance = _distance(config, generator, domain)
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
            store=kept_inversions(store),
            distance=distance,
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


def _distance(config: Config, generator: Generator, domain: str | None) -> DistanceToData | None:
    """Reference images: the data set if it is known, else the generator's own."""
    from seeingkit.analyses.inversion.distance_to_data import DistanceToData as Distance

    preset = own_preset(generator)
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
    return Distance.of(images, f"{len(images)} {name}", features)


def _record(info: GeneratorInfo | SegmenterInfo, choice: Choice) -> ModelRecord:
    """What results say of a model: registered weights know their name and licence."""
    record = model_record(info.model_dump(mode="json"), choice.name)
    if choice.weights_spec is None:
        return record
    return record.model_copy(update={"licence": choice.weights_spec.licence})
