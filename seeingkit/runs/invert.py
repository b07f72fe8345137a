"""The command ``invert``: photos → inversion → report, without a comparison of distributions.

Guarantees: a photo that cannot be used is named and left out; the segmenter is optional, unless the
user asked for one; ranks above 0 do their share of the inversions and write no run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from seeingkit.analyses.inversion.amounts import bounded
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.analyses.inversion.cuts import cuts_of
from seeingkit.analyses.inversion.distance_to_data import DistanceToData
from seeingkit.analyses.inversion.stage import Photos, photo_label
from seeingkit.contracts import Generator, ImageSource, Segmenter, Skipped
from seeingkit.errors import MissingWeightsError, ModelError, SourceError, UsageError
from seeingkit.images import SamplerSource, open_images
from seeingkit.images.opening import is_pattern
from seeingkit.images.several import SeveralSources
from seeingkit.models.loading import load_features
from seeingkit.models.registry import registry
from seeingkit.report import inversions_html, rebuild_report, with_cautions
from seeingkit.results import InversionResults, ModelRecord, SkippedItem, SourceRecord
from seeingkit.specs import Preset
from seeingkit.system.processes import rank
from seeingkit.tallies.counting import narrowed
from seeingkit.tallies.record import model_record
from seeingkit.tallies.vocabularies.merging import in_classes

from .config import Config, make_config
from .directory import RunDirectory
from .intent import intent
from .inversions import Store, generator_preset, invert_photos, prepare_inverters
from .manifest import Clock, begin_run, end_run
from .photographs import InvertedPhotos
from .plan import Plan, resolve
from .sides import open_whole

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

_REFERENCES = 512


@dataclass(frozen=True)
class InversionRun(InvertedPhotos):
    """A finished run of ``invert``; a notebook shows what vanished, in words."""

    run: RunDirectory
    results: InversionResults

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.run.path / "report.html"

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        photos = len({record.image for record in self.results.inversions})
        return f"InversionRun({photos:,} photos, {str(self.report)!r})"

    def _repr_html_(self) -> str:
        return inversions_html(self.results)


def inversion_run_config(
    photos: Sequence[str],
    gan: str | None = None,
    *,
    data: str | None = None,
    segmenter: str | None = None,
    inversion: InversionConfig | None = None,
    **settings: Any,
) -> Config:
    """The config of ``invert``; the plan fills in missing settings.

    Args:
        photos: paths, globs, folders, data sets.
        gan: default: the registered default.
        data: the data set the generator learnt from; default: the one its weights name. It gives
            the segmenter and the reference images of the out-of-distribution distance.
        segmenter: ``none`` for no class areas.
    """
    if not photos:
        raise UsageError("name at least one photo, folder or glob")
    return make_config(
        command="invert",
        real=data,
        generated=gan,
        photos=tuple(str(photo) for photo in photos),
        segmenter=segmenter,
        inversion=inversion or InversionConfig(methods=(registry().default("inverter"),)),
        **settings,
    )


def execute_inversion(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> InversionRun | None:
    """Run a config of ``invert`` from photos to report; None for ranks above 0.

    Raises:
        UsageError: a photo that does not exist, a generator that cannot be cut.
    """
    plan = resolve(config)
    # Whatever can be wrong with what was given is found before an encoder is trained.
    if not rank():
        RunDirectory.check(plan.config, out)
    generator, generator_record = _generator(plan)
    size, chosen, seed = generator_preset(generator), plan.config.inversion, plan.config.seed
    photo_label(generator, chosen.label)
    cuts_of(generator, chosen)
    source, unusable = open_photos(plan.config.photos, size)
    if plan.config.n is not None:
        source = narrowed(source, min(plan.config.n, len(source)), seed)
    check_photos(source, plan.config.on_bad)
    segmenter, segmenter_record, warnings = _segmenter(plan)
    distance = _distance(plan, generator)
    chosen, _ = bounded(chosen, generator, seed)
    samples = SamplerSource(generator, max(chosen.own, 1), seed, preset=size)
    if not rank():
        log.info("%s", intent(plan, len(source), out))
    ready = prepare_inverters(plan, samples)
    run, clock = begin_run(plan.config, out), Clock()
    photos = Photos(source, range(len(source)), samples, range(chosen.own))
    with clock.time("invert photos"):
        found = invert_photos(
            plan, generator, photos, ready, run, segmenter, store=store, distance=distance
        )
    source.close()
    if run is None:
        return None
    left_out = [SkippedItem(source="photo", item=i, reason=why) for i, why in source.left_out]
    results = InversionResults(
        generator=generator_record,
        segmenter=segmenter_record,
        data=SourceRecord(
            name=", ".join(plan.config.photos)[:200],
            kind="photos",
            images=len(source),
            fingerprint=source.fingerprint,
            left_out=[tuple(one) for one in source.left_out],
            notes=list(source.notes),
        ),
        inversion=found.settings,
        calibrations=found.calibrations,
        inversions=found.records,
        vanishing=found.vanishing,
        skipped=[*unusable, *found.skipped, *left_out],
        warnings=[*warnings, *filter(None, [samples.range.doubt()]), *found.warnings],
    )
    results = with_cautions(results)
    run.write_json("results.json", results.model_dump(mode="json"))
    weights = generator.info.weights_sha256 or ""
    end_run(run, clock, {"photos": source.fingerprint, "generator weights": weights})
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
        there = os.path.exists(os.path.expanduser(name)) and not is_pattern(name)
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


def check_photos(source: ImageSource, on_bad: Literal["skip", "fail"]) -> None:
    """Read every photo once, so that broken ones are known before anything is done for them.

    ``check_photos(open_images("photos"), "skip")``.

    Raises:
        SourceError: none of them can be read.
        ModelError: one cannot, with ``on_bad="fail"``.
    """
    first: Skipped | None = None
    readable = False
    for row in range(len(source)):  # one at a time: they need not fit into memory together
        images, _, skipped = source.load([row])
        readable |= images is not None
        first = first or (skipped[0] if skipped else None)
        if first is not None and on_bad == "fail":
            raise ModelError(f"{first.item}: {first.reason}")
    if first is not None and not readable:
        raise SourceError(f"no photo could be inverted; the first: {first.item}: {first.reason}")


# -------------------------------------------------------------------------------------- the steps


def _generator(plan: Plan) -> tuple[Generator, ModelRecord]:
    assert plan.generated.generator is not None
    generator = plan.generated.generator.load(plan.device)
    if not isinstance(generator, Generator):
        raise UsageError(
            f"{plan.generated.name} gives images only (a Sampler); inversion needs a Generator "
            "with boundaries"
        )
    return generator, plan.generated.generator.named(model_record(generator.info))


def _segmenter(plan: Plan) -> tuple[Segmenter | None, ModelRecord | None, list[str]]:
    """The segmenter, or None with a warning where nobody asked for one and none is at hand."""
    if plan.segmenter is None:
        return None, None, list(plan.warnings)
    try:
        found = plan.segmenter.located()
    except MissingWeightsError as error:
        if plan.segmenter_asked:
            raise
        return None, None, [f"no class areas: {error}"]
    model = cast("Segmenter", found.load(plan.device))
    record = found.named(model_record(model.info))
    return in_classes(model, plan.config.classes), record, []


def _distance(plan: Plan, generator: Generator) -> DistanceToData | None:
    """Reference images: the data set if it is known, else samples of the generator."""
    preset, seed = generator_preset(generator), plan.config.seed
    if plan.config.real:
        source = open_whole(plan.real, preset)
        name = f"images of {source.name}"
    else:
        most = generator.images_at_most(seed + 1)
        n = _REFERENCES if most is None else min(_REFERENCES, most)
        source = SamplerSource(generator, max(n, 1), seed + 1, preset=preset)
        name = f"images that {generator.info.family} made"
    count = min(_REFERENCES, len(source))
    rows = np.sort(np.random.default_rng(seed).permutation(len(source))[:count])
    images, _, _ = source.load([int(k) for k in rows])
    source.close()
    if images is None or len(images) < 2:
        return None
    features = load_features(
        str(plan.config.inversion.options.get("perceptual", "auto")),
        weights=plan.config.inversion.options.get("perceptual_weights"),
        device=plan.device,
    )
    return DistanceToData.of(images, f"{len(images)} {name}", features)
