"""The main job: which classes does a generator leave out of its distribution?

Reads like the data flows: images → tally → comparison → omitted classes → inversion → report. Every
process of a run takes the same steps; those above rank 0 share tallies and inversions and write
nothing else.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from seeingkit.analyses.comparison.checks.ground_truth import probe_labels
from seeingkit.analyses.comparison.compare import Comparison, compare
from seeingkit.analyses.comparison.generators import GeneratorsComparison
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.contracts import Annotator, ImageSource
from seeingkit.errors import UsageError, printable
from seeingkit.models.registry import registry
from seeingkit.report import rebuild_report, with_cautions
from seeingkit.results import Frame, FSDResult, Results
from seeingkit.results.gates import check_gate_names
from seeingkit.system.addresses import Place
from seeingkit.system.processes import rank
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import Tally, tally
from seeingkit.tallies.vocabularies import read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes

from .checks import check
from .config import Config, make_config
from .directory import RunDirectory
from .examples import fill_gallery
from .intent import intent
from .inversions import Store, invert_omitted, kept_in, prepare_inverters, with_inversions
from .manifest import Clock, begin_run, end_run
from .photographs import InvertedPhotos
from .plan import Plan, resolve, resolve_source
from .samples import write_samples
from .sides import Sides, check_names, equally_many, located, open_side, open_sides
from .tables import write_classes, write_conditions, write_images

if TYPE_CHECKING:
    import altair as alt

log = logging.getLogger(__name__)
Found = TypeVar("Found", Comparison, GeneratorsComparison)


@dataclass(frozen=True)
class FinishedRun(Generic[Found]):
    """A finished run: its folder and its findings, which are those of its comparison."""

    run: RunDirectory
    comparison: Found

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.run.path / "report.html"

    @property
    def classes(self) -> Frame:
        """The table of classes of the comparison."""
        return self.comparison.classes

    def plot(self, layout: Literal["wide", "narrow"] = "wide") -> alt.TopLevelMixin:
        """The figure of class areas of the comparison, as an Altair chart."""
        return self.comparison.plot(layout)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.comparison.to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.comparison!r}, {str(self.report)!r})"

    def __str__(self) -> str:
        return f"{self.comparison}\nreport: {printable(self.report)}"

    def _repr_html_(self) -> str:
        where = html.escape(printable(self.report))
        return f"{self.comparison._repr_html_()}<p>report: {where}</p>"


class Analysis(FinishedRun[Comparison], InvertedPhotos):
    """A finished comparison of one generator with real images."""

    @property
    def results(self) -> Results:
        """Everything that was found: the content of ``results.json``."""
        return self.comparison.results

    @property
    def fsd(self) -> FSDResult:
        """The distance; ``float`` of it is its value, percent²."""
        return self.comparison.fsd

    @property
    def omitted(self) -> list[str]:
        """Names of the classes that are missing, by real area, largest first."""
        return self.comparison.omitted

    @property
    def pairs(self) -> Frame:
        """The table of pairs of classes that go together differently."""
        return self.comparison.pairs


def analyze(
    gan: str | None = None,
    data: str | None = None,
    *,
    segmenter: str | None = None,
    out: str | Path | None = None,
    store: Store = None,
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
    if rank():
        raise UsageError("analyze() is for one process; run several with torchrun -m seeingkit")
    config = analysis_config(gan, data, segmenter=segmenter, **settings)
    found = execute(config, out=out, store=store)
    assert found is not None  # only processes above rank 0 have no result
    return found


def analysis_config(
    gan: str | None, data: str | None, *, segmenter: str | None = None, **settings: Any
) -> Config:
    """The config of ``analyze``; the plan fills in missing settings."""
    # Nothing is trained unasked in the middle of an analysis: an encoder is used where one is.
    usual = InversionConfig(methods=(registry().default("inverter"),), options={"encoder": "found"})
    settings["inversion"] = settings.get("inversion") or usual
    return make_config(command="analyze", real=data, generated=gan, segmenter=segmenter, **settings)


def comparison_config(
    real: str, generated: str, *others: str, segmenter: str | None = None, **settings: Any
) -> Config:
    """The config of ``compare``, of one generator or several; the plan fills in the rest."""
    sides: dict[str, Any] = {"real": real, "generated": generated, "others": others or None}
    return make_config(command="compare", **sides, segmenter=segmenter, **settings)


def execute(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> Analysis | None:
    """Run a config from images to report; finished chunks of an earlier run are used.

    Returns:
        None in a process above rank 0, which has done its share.
    """
    if config.command == "invert":
        raise UsageError("this is a run of invert; repeat it with: seeingkit invert --config")
    if config.others:
        raise UsageError("several generators are compared by runs.generators.execute_generators")
    plan, clock = resolve(config), Clock()
    if not rank():
        RunDirectory.check(plan.config, out)
    with clock.time("load"):
        sides = open_sides(plan)
    with closing(sides):
        return _take_steps(plan, sides, clock, out, store)


def _take_steps(
    plan: Plan, sides: Sides, clock: Clock, out: str | Path | None, store: Store
) -> Analysis | None:
    with clock.time("load"):
        if not rank():
            check_gate_names(plan.config.fail_if, sides.shown.vocabulary.names)
            if plan.config.truth not in (None, "none"):
                probe_labels(
                    sides.real,
                    sides.shown,
                    plan.config.truth,
                    seed=plan.config.seed,
                    batch_size=plan.config.batch_size,
                )
        check_names(plan, sides)
        ready = prepare_inverters(plan, sides.generated)
    if not rank():
        log.info("%s", intent(plan, len(sides.generated), out, real=len(sides.real)))
    run = begin_run(plan.config, out)
    with clock.time("tally real images"):
        real = tally_side(sides.real, sides.segmenter, plan, store, "real images")
    with clock.time("tally generated images"):
        generated = tally_side(sides.generated, sides.segmenter, plan, store, "generated images")
    with clock.time("compare"):
        comparison = compare_sides(
            real, generated, plan, evidence=run is not None, doubts=sides.doubts
        )
    if run is not None:
        run.write_json("results.json", comparison.to_dict())  # kept, should a later step fail
        with clock.time("check"):
            comparison = check(plan, comparison, sides, store=store)
    if plan.inverters:
        with clock.time("invert photos"):
            found = invert_omitted(plan, comparison, sides, ready, run, store=store)
            comparison = with_inversions(comparison, found)
    if run is None:
        return None
    comparison = replace(comparison, results=with_cautions(comparison.results))
    with clock.time("report"):
        write_results(run, comparison, sides, plan, kept_in(store, "shown_labels"))
    end_run(run, clock, content_hashes(comparison))
    with progress_bar("report", 1, "pages") as bar:
        rebuild_report(run.path)
        bar.advance(1)
    return Analysis(run, comparison)


def tally_source(config: Config, *, store: Store = None) -> Tally:
    """The tally of ``config.generated`` alone: the command ``tally``."""
    plan = resolve_source(config)
    source = None
    if plan.generated.generator is None and not plan.generated.missing:
        source = open_side(plan.generated, plan)  # before any download
    plan = located(plan)
    assert plan.segmenter is not None
    if source is None:
        source = open_side(plan.generated, plan, labels=plan.config.labels)
    with closing(source):
        found = tally_side(source, plan.segmenter.load(plan.device), plan, store, "images")
    return apply_classes(found, read_classes(config.classes)) if config.classes else found


# -------------------------------------------------------------------------------------- the steps


def tally_side(
    source: ImageSource, segmenter: Annotator, plan: Plan, store: Store, title: str
) -> Tally:
    size, on_bad = plan.config.batch_size, plan.config.on_bad
    return tally(source, segmenter, store=store, batch_size=size, on_bad=on_bad, title=title)


def compare_sides(
    real: Tally, generated: Tally, plan: Plan, *, evidence: bool, doubts: Sequence[str] = ()
) -> Comparison:
    """Compare equally many images of both sides; results name the registered weights.

    Args:
        doubts: of ``Sides``, which become warnings.
    """
    note = None
    if not plan.config.paired:  # pairs are found by name: none may be dropped on one side alone
        real, generated, note = equally_many(real, generated, plan)
    comparison = compare(
        real,
        generated,
        paired=plan.config.paired,
        seed=plan.config.seed,
        level=plan.config.level,
        permutations=plan.config.permutations,
        classes=plan.config.classes,
        force=plan.config.force,
        evidence=evidence,
        groups=plan.config.groups,
    )
    results = comparison.results
    update: dict[str, Any] = {"warnings": [*doubts, *([note] if note else []), *results.warnings]}
    if plan.segmenter is not None:
        update["segmenter"] = plan.segmenter.named(results.segmenter)
    if plan.generated.generator is not None and results.generator is not None:
        update["generator"] = plan.generated.generator.named(results.generator)
    return replace(comparison, results=results.model_copy(update=update))


def write_results(
    run: RunDirectory, comparison: Comparison, sides: Sides, plan: Plan, kept: Place
) -> None:
    """The findings and the pictures of a page; ``kept``: folder of their label maps."""
    write_findings(run, comparison)
    if comparison.results.modes is not None:
        write_samples(run.path, sides)
    config = plan.config
    gallery = fill_gallery(
        comparison, sides, seed=config.seed, batch_size=config.batch_size, kept=kept
    )
    gallery.save(run.path)


def write_findings(run: RunDirectory, comparison: Comparison) -> None:
    """The results, and the tables of classes, images and conditions."""
    run.write_json("results.json", comparison.to_dict())
    write_classes(run.path / "classes.parquet", comparison.results)
    images = run.path / "images.parquet"
    write_images(images, comparison.real, comparison.generated, comparison.around)
    write_conditions(run.path / "conditions.parquet", comparison.generated)


def content_hashes(comparison: Comparison) -> dict[str, str]:
    results = comparison.results
    found = {
        "real images": results.data.fingerprint,
        "generated images": results.generated.fingerprint,
        "segmenter weights": results.segmenter.weights_sha256,
        "generator weights": results.generator and results.generator.weights_sha256,
    }
    return {name: value for name, value in found.items() if value}
