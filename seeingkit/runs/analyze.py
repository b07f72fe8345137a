"""The main job: what does this generator leave out of its distribution?

Reads like the data flows: images → tally → comparison → omitted classes → inversion → report.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seeingkit.analyses.comparison.compare import Comparison, compare
from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.contracts import ImageSource, Sampler, Segmenter
from seeingkit.errors import MissingWeightsError, SourceError, UsageError
from seeingkit.images import SamplerSource, open_images
from seeingkit.models.loading import (
    Choice,
    choose,
    data_spec,
    is_generator_name,
    load_choice,
    load_segmenter,
    usual_generator,
)
from seeingkit.models.registry import find_preset, registry
from seeingkit.report import rebuild_report
from seeingkit.results.gates import check_gate_names
from seeingkit.specs import DataSpec
from seeingkit.system.devices import resolve_device
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import ChunkStore, Tally, tally
from seeingkit.tallies.counting import narrowed
from seeingkit.tallies.vocabularies import read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes, in_classes

from .checks import check, check_truth, find_checks
from .config import Config, InversionConfig, make_config
from .directory import RunDirectory
from .examples import fill_gallery
from .inversions import check_cuts, check_inversion, invert_omitted, with_inversions
from .manifest import Clock, new_manifest, now
from .tables import write_classes, write_conditions, write_images


@dataclass(frozen=True)
class Analysis:
    """A finished run: where it lies and what it found."""

    run: RunDirectory
    comparison: Comparison

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.run.path / "report.html"

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.comparison.to_dict()

    def _repr_html_(self) -> str:
        return self.comparison._repr_html_()


def analyze(
    gan: str | None = None,
    data: str | None = None,
    *,
    segmenter: str | None = None,
    out: str | Path | None = None,
    store: ChunkStore | str | Path | None = None,
    **settings: Any,
) -> Analysis:
    """Compare a generator's images with real ones and write a report.

    Args:
        gan: ``family`` or ``family:weights``; default: the data set's own.
        data: data set's name, path or glob; default: the embedded data set.
        segmenter: default: the data set's own, else the registered default.
        out: the run directory; default ``runs/<gan>-<data>-<key>``.
        store: where chunks of tallies are kept; default: the cache.
        settings: the other fields of ``seeingkit.runs.config.Config`` (n, seed, preset, …).
    """
    return execute(plan_analysis(gan, data, segmenter=segmenter, **settings), out=out, store=store)


def plan_analysis(
    gan: str | None, data: str | None, *, segmenter: str | None = None, **settings: Any
) -> Config:
    """The full config of ``analyze``: what is not given comes from the data set's spec."""
    data = data or registry().default("data")
    spec = data_spec(data)
    gan = gan or usual_generator(spec, own_weights=bool(settings.get("weights")))
    # Nothing is trained unasked in the middle of an analysis: an encoder is used where one is.
    usual = InversionConfig(methods=(registry().default("inverter"),), options={"encoder": "found"})
    settings["inversion"] = settings.get("inversion") or usual
    return _config("analyze", spec, data, gan, segmenter, settings)


def plan_comparison(
    real: str, generated: str, *, segmenter: str | None = None, **settings: Any
) -> Config:
    """The full config of ``compare``."""
    spec = data_spec(real) or data_spec(generated)
    settings.setdefault("inversion", InversionConfig())
    return _config("compare", spec, real, generated, segmenter, settings)


def _config(
    command: str,
    spec: DataSpec | None,
    real: str,
    generated: str,
    segmenter: str | None,
    settings: dict[str, Any],
) -> Config:
    settings = {key: value for key, value in settings.items() if value is not None}
    if spec is not None:
        settings.setdefault("preset", spec.preset)
        if segmenter is None and "segmenter_weights" not in settings:
            segmenter = spec.segmenter
    return make_config(
        command=command,
        real=real,
        generated=generated,
        segmenter=segmenter or registry().default("segmenter"),
        **settings,
    )


def execute(
    config: Config, *, out: str | Path | None = None, store: ChunkStore | str | Path | None = None
) -> Analysis:
    """Run a config from images to report; finished chunks of an earlier run are used."""
    if config.command == "invert":
        raise UsageError("this is a run of invert; repeat it with: seeingkit invert --config")
    check_inversion(config)
    real, choices = _found(config)
    metric = find_checks(config)
    clock = Clock()
    with clock.time("load"):
        segmenter = _segmenter(config)
        shown = in_classes(segmenter, config.classes)
        check_gate_names(config.fail_if, shown.vocabulary.names)
        check_truth(config, real, shown)
        generated = open_side(config.generated, config, real=real, generated=True)
        check_cuts(config, generated)
    run = RunDirectory.for_config(config, out)
    manifest = new_manifest(config)
    run.write_json("manifest.json", manifest.model_dump(mode="json"))
    with clock.time("tally real images"):
        real_tally = _tally(real, segmenter, config, store, "real images")
    with clock.time("tally generated images"):
        generated_tally = _tally(generated, segmenter, config, store, "generated images")
    with clock.time("compare"):
        real_tally, generated_tally, note = equally_many(real_tally, generated_tally, config)
        comparison = _named(_compare(real_tally, generated_tally, config), choices, note)
    run.write_json("results.json", comparison.to_dict())  # whatever happens in what follows
    with clock.time("check"):
        comparison = check(config, comparison, real, generated, shown, metric=metric, store=store)
    if config.inversion.methods:
        with clock.time("invert photos"):
            found = invert_omitted(config, comparison, generated, shown, run.path, store=store)
            comparison = with_inversions(comparison, found)
    with clock.time("report"):
        run.write_json("results.json", comparison.to_dict())
        write_classes(run.path / "classes.parquet", comparison.results)
        write_images(
            run.path / "images.parquet",
            *(comparison.real, comparison.generated, comparison.around),
        )
        write_conditions(run.path / "conditions.parquet", comparison.generated)
        fill_gallery(comparison, real, generated, shown, seed=config.seed).save(run.path)
    for source in (real, generated):
        source.close()
    manifest = manifest.model_copy(
        update={
            "hashes": _hashes(comparison),
            "timings": clock.seconds,
            "finished": now(),
        }
    )
    run.write_json("manifest.json", manifest.model_dump(mode="json"))
    with progress_bar("report", 1, "pages") as bar:
        rebuild_report(run.path)
        bar.advance(1)
    return Analysis(run, comparison)


def share(config: Config, *, store: ChunkStore | str | Path | None = None) -> None:
    """Do this process's share of tallies and inversions, nothing else (ranks above 0)."""
    segmenter = _segmenter(config)
    real = open_side(config.real, config)
    generated = open_side(config.generated, config, real=real, generated=True)
    real_tally = _tally(real, segmenter, config, store, real.name)
    generated_tally = _tally(generated, segmenter, config, store, generated.name)
    real_tally, generated_tally, _ = equally_many(real_tally, generated_tally, config)
    if config.inversion.methods:
        comparison = _compare(real_tally, generated_tally, config, evidence=False)
        shown = in_classes(segmenter, config.classes)
        invert_omitted(config, comparison, generated, shown, None, store=store)
    for source in (real, generated):
        source.close()


def tally_side(config: Config, *, store: ChunkStore | str | Path | None = None) -> Tally:
    """The tally of ``config.generated`` alone: the command ``tally``."""
    segmenter = _segmenter(config)
    source = open_side(config.generated, config, generated=is_generator(config.generated))
    found = _tally(source, segmenter, config, store, "images")
    return apply_classes(found, read_classes(config.classes)) if config.classes else found


# -------------------------------------------------------------------------------------- the steps


def _found(config: Config) -> tuple[ImageSource, dict[str, Choice]]:
    """The real images, and which generator and segmenter: before anything is loaded or written.

    Raises:
        MissingWeightsError: names every file that is not here, not the first alone.
    """
    find_preset(config.preset)
    resolve_device(config.device)
    real: list[ImageSource] = []
    choices: dict[str, Choice] = {}

    def images() -> None:
        real.append(open_side(config.real, config))

    def generator(fetch: bool = True) -> None:
        if config.command == "analyze" or is_generator(config.generated):
            choices["generator"] = _generator(config.generated, config, True, fetch=fetch)

    def segmenter(fetch: bool = True) -> None:
        choices["segmenter"] = choose(
            "segmenter",
            config.segmenter,
            weights=config.segmenter_weights,
            domain=config.real if data_spec(config.real) else None,
            options=config.segmenter_options,
            fetch=fetch,
        )

    if not data_spec(config.real) and not is_generator(config.real):
        images()  # a path is fetched from nowhere, and a wrong one is the first thing to say
    for model in (generator, segmenter):  # wrong names and options, before anything is fetched
        with suppress(MissingWeightsError):
            model(fetch=False)
    missing: list[str] = []
    for find in (*(() if real else (images,)), generator, segmenter):
        try:
            find()
        except MissingWeightsError as error:
            missing.append(str(error))
        except SourceError as error:
            if not isinstance(error.__cause__, MissingWeightsError):
                raise
            missing.append(str(error))
    if missing:
        for source in real:
            source.close()
        raise MissingWeightsError("; ".join(missing))
    return real[0], choices


def _named(comparison: Comparison, choices: dict[str, Choice], note: str | None) -> Comparison:
    """Say in the results which registered weights were used, under which licence, and the note."""
    update: dict[str, Any] = {}
    if note:
        update["warnings"] = [note, *comparison.results.warnings]
    for role, choice in choices.items():
        record = getattr(comparison.results, role)
        if record is not None:
            licence = choice.weights_spec.licence if choice.weights_spec else record.licence
            update[role] = record.model_copy(update={"name": choice.name, "licence": licence})
    return replace(comparison, results=comparison.results.model_copy(update=update))


def _segmenter(config: Config) -> Segmenter:
    return load_segmenter(
        config.segmenter,
        weights=config.segmenter_weights,
        device=config.device,
        domain=config.real if data_spec(config.real) else None,
        **config.segmenter_options,
    )


def open_side(
    name: str, config: Config, *, real: ImageSource | None = None, generated: bool = False
) -> ImageSource:
    """Images of one side: a data set, a path, a glob, or a generator as ``family[:weights]``.

    Args:
        name: as on the command line.
        config: preset, seed, options.
        real: the other side: a generator draws as many when ``config.n`` does not say, and takes
            its classes for ``--labels data``. A folder or data set gives ``config.n``, or all it
            has up to the data set's default.
        generated: this side is the generator of ``analyze``: weights and options are for it.
    """
    preset = find_preset(config.preset)
    if is_generator(name, given_weights=generated and config.weights is not None):
        choice = _generator(name, config, generated)
        sampler: Sampler = load_choice(choice, config.device)
        n = config.n or (len(real) if real is not None else 10_000)
        labels = labels_for(config.labels if generated else None, sampler, real)
        source = SamplerSource(sampler, n, config.seed, labels, preset=preset)
        source.name = choice.name
        return source
    if generated and config.labels is not None:
        raise UsageError("--labels is for a conditional generator, not for a set of images")
    options = {} if generated else config.data_options
    whole = open_images(name, preset=preset, data_options=options)
    spec = data_spec(name)
    wanted = config.n or min(len(whole), spec.n if spec else 10_000)
    return narrowed(whole, wanted, config.seed)


def equally_many(real: Tally, generated: Tally, config: Config) -> tuple[Tally, Tally, str | None]:
    """Both sides with as many images as the smaller one has, and what to say of it.

    FSD depends on the number, so it is made equal unless a number was asked for or the comparison
    is forced. Which images are left out depends on the seed and their number alone.
    """
    sizes = len(real), len(generated)
    if sizes[0] == sizes[1] or config.n is not None or config.force:
        return real, generated, None
    fewest, most = min(sizes), max(sizes)
    if fewest < 2:
        return real, generated, None  # the comparison says which side has too few
    kept = np.sort(np.random.default_rng(config.seed).permutation(most)[:fewest])
    side = "real" if sizes[0] == most else "generated"
    note = (
        f"{fewest:,} of the {most:,} {side} images were drawn, as many as there are on the other "
        "side: FSD depends on the number."
    )
    if side == "real":
        return real.take(kept), generated, note
    return real, generated.take(kept), note


def _generator(name: str, config: Config, generated: bool, *, fetch: bool = True) -> Choice:
    """Family, weights and options of a side's generator; those given are for the second side."""
    if not generated:
        return choose("gan", name)
    return choose(
        "gan",
        name,
        weights=config.weights,
        domain=config.real if data_spec(config.real) else None,
        options=config.gan_options,
        fetch=fetch,
    )


def is_generator(name: str, *, given_weights: bool = False) -> bool:
    """Whether a side's name means a registered generator family."""
    if not is_generator_name(name):
        return False
    tag = name.partition(":")[2]
    return bool(tag) or given_weights or not Path(name).exists()


def _tally(
    source: ImageSource,
    segmenter: Segmenter,
    config: Config,
    store: ChunkStore | str | Path | None,
    title: str,
) -> Tally:
    return tally(
        source,
        segmenter,
        store=store,
        preset=find_preset(config.preset).identity(),
        batch_size=config.batch_size,
        on_bad=config.on_bad,
        title=title,
    )


def _compare(real: Tally, generated: Tally, config: Config, *, evidence: bool = True) -> Comparison:
    return compare(
        real,
        generated,
        seed=config.seed,
        level=config.level,
        permutations=config.permutations,
        classes=config.classes,
        force=config.force,
        evidence=evidence,
    )


def _hashes(comparison: Comparison) -> dict[str, str]:
    found = {
        "real images": comparison.results.data.fingerprint,
        "generated images": comparison.results.generated.fingerprint,
        "segmenter weights": comparison.results.segmenter.weights_sha256 or "",
    }
    if comparison.results.generator:
        found["generator weights"] = comparison.results.generator.weights_sha256 or ""
    return {name: value for name, value in found.items() if value}
