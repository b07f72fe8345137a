"""The command ``trace``: the classes that a finished analysis claims → units → its report.

Guarantees: the run is read and every fault that can be known is named before any image is made;
the findings of the analysis are not changed, the tracing stands beside them in ``results.json``;
models, preprocessing, seed and class list are those of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

from seeingkit.analyses.interventions.parts import interventions_folder
from seeingkit.analyses.interventions.subjects import Subject
from seeingkit.analyses.tracing.settings import TracingSettings
from seeingkit.analyses.tracing.stage import Traced, claimed_classes, named_classes, trace_classes
from seeingkit.contracts import Generator
from seeingkit.errors import RunError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.images.given import check_enough
from seeingkit.report import rebuild_report
from seeingkit.results import Results, TracingResult
from seeingkit.system.processes import rank
from seeingkit.system.writing import json_text, write_text
from seeingkit.tallies.vocabularies import read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes

from .analyze import tally_side
from .config import Config, read_config
from .finished import check_same, finished_analysis
from .inversions import Store, beside_tallies
from .plan import Plan, resolve
from .sides import Sides, equally_many, open_sides
from .traced_pictures import TracedPictures

BATCH = 16
"""Images at once."""


def trace(
    run: str | Path,
    layer: str | None = None,
    *,
    classes: Sequence[str] = (),
    units: int | None = None,
    n: int = 200,
    search: int = 100,
    dissected: int = 480,
    random: int = 5,
    most: int = 6,
    level: float = 0.05,
    device: str | None = None,
    store: Store = None,
) -> TracingResult:
    """Trace the missing and the excess classes of a finished analysis to units of a layer.

    For each missing class: is there a unit for it, and do inserted units draw it? For each class in
    excess: which units make it, and does scaling them down bring its area back to the real one, and
    what does that do to the distance? The answers become a section of the run's report.

    Args:
        run: the directory of a run of ``analyze``.
        layer: a boundary with a feature map; default: the generator's usual cut.
        classes: these alone; default: those that the analysis claims.
        units: chosen for each class; default: 20, or half of the layer's where it has few.
        n: images that effects are measured on, of a series of their own.
        search: images of each series in which units and strengths are searched.
        dissected: images in which the agreement of units and classes is looked at.
        random: sets of as many random units, as control.
        most: classes of each kind, largest difference first.
        level: false discovery rate of all claims.
        device: where models compute; default: as the run.
        store: where tallies, dissections and finished classes are kept; default: the cache.

    Raises:
        RunError: no finished run of ``analyze`` with a generator.
        UsageError: a layer, a class or a number that does not fit.

    ::

        trace("runs/progan-minichurches-1a2b3c4d", "r8.conv1", most=1).excess[0].lowers
    """
    if rank():
        raise UsageError("trace is for one process")
    path = Path(run)
    results = finished_analysis(path, "trace")
    config = read_config(path)
    if device is not None:
        config = config.filled(device=device)
    chosen = named_classes(results.classes, classes)
    if not classes:
        chosen = claimed_classes(results.classes, most)
    if not chosen.missing and not chosen.excess:
        raise UsageError(f"{path}: the analysis claims no class to differ; name some with --class")
    settings = TracingSettings(
        layer or "",
        units=units,
        n=n,
        search=search,
        dissected=dissected,
        random=random,
        most=most,
        level=level,
    )
    settings = replace(settings, seed=config.seed)
    with closing(open_sides(plan := resolve(config))) as sides:
        found = _traced(path, plan, sides, chosen, settings, store, results)
    written = results.model_copy(update={"tracing": found})
    write_text(path / "results.json", json_text(written.model_dump(mode="json"), indent=2) + "\n")
    rebuild_report(path)
    return found


def _traced(
    path: Path,
    plan: Plan,
    sides: Sides,
    chosen: Traced,
    settings: TracingSettings,
    store: Store,
    results: Results,
) -> TracingResult:
    source = cast("SamplerSource", sides.generated)
    generator = source.sampler
    if not isinstance(generator, Generator):
        raise RunError(f"{path}: its generator gives images only, so it has no units")
    settings = replace(settings, layer=settings.layer or generator.default_cut)
    subject = Subject(generator, sides.shown, settings.layer, plan.preset, BATCH)
    _ = subject.extent
    settings.units_of(subject.units)
    subject.check_classes(
        source.labels, n=settings.n, search=settings.search, dissected=settings.dissected
    )
    _check_images(generator, settings)
    check_same(path, sides, results)
    for record in (*chosen.missing, *chosen.excess):
        subject.label(record.label)
    config: Config = plan.config
    real = tally_side(sides.real, sides.segmenter, plan, store, "real images")
    generated = tally_side(sides.generated, sides.segmenter, plan, store, "generated images")
    real, _, _ = equally_many(real, generated, plan)
    if config.classes:
        real = apply_classes(real, read_classes(config.classes))
    dissected = SamplerSource(
        generator,
        settings.dissected,
        config.seed,
        source.labels or None,
        preset=plan.preset,
    )
    dissected.name, dissected.range = source.name, source.range
    return trace_classes(
        subject,
        real,
        chosen,
        settings,
        dissected,
        store=beside_tallies(store, "dissections"),
        counts=interventions_folder(beside_tallies(store, "interventions")),
        draw=TracedPictures(path).draw,
    )


def _check_images(generator: Generator, settings: TracingSettings) -> None:
    """A generator that translates images was given as many as each step takes.

    Raises:
        UsageError: names the option.
    """
    for name, images, seed in (
        ("n", settings.n, settings.effect_seed),
        ("search", settings.search, settings.strength_seed),
        ("dissected", settings.dissected, settings.effect_seed),
    ):
        try:
            check_enough(generator, images, seed)
        except UsageError as error:
            raise UsageError(f"--{name}: {error}") from error
