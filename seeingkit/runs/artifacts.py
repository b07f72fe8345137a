"""The command ``artifacts``: rank the units of a layer, test ablations on fresh images → report.

Guarantees: names, layer, marks and the folder are checked before any image is made; units are
ranked on other images, generated and real, than the tests are made on; the numbers are written
before pictures are made, and a page can be made again from the run's files alone.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.analyses.interventions.artifacts.measures import measure_ablation
from seeingkit.analyses.interventions.artifacts.real import RealRows
from seeingkit.analyses.interventions.artifacts.spaces import Space
from seeingkit.analyses.interventions.artifacts.stage import Artifacts, find_artifacts
from seeingkit.analyses.interventions.artifacts.tables import ranking_table, tests_table
from seeingkit.analyses.interventions.parts import interventions_folder
from seeingkit.errors import UsageError, printable
from seeingkit.images import Selection
from seeingkit.models.resolved import resolve_features
from seeingkit.report import artifacts_html, rebuild_report, with_cautions
from seeingkit.results import (
    ArtifactResults,
    ArtifactSettings,
    Frame,
    SkippedItem,
    read_marks,
)
from seeingkit.system.cache import file_sha256
from seeingkit.system.processes import rank
from seeingkit.tallies import Tally
from seeingkit.tallies.record import model_record, source_record

from .analyze import tally_side
from .artifact_models import OpenedSearch, open_search, real_rows
from .artifact_pictures import draw_artifacts
from .config import Config, make_config
from .directory import RunDirectory
from .intent import intent
from .inversions import Store, beside_tallies
from .manifest import Clock, begin_run, end_run
from .plan import Plan, resolve

log = logging.getLogger(__name__)

TESTED = 300
"""Images of the tests, unless another number is asked for."""


@dataclass(frozen=True)
class ArtifactSearch:
    """A finished run of ``artifacts``; a notebook shows its finding."""

    run: RunDirectory
    results: ArtifactResults

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.run.path / "report.html"

    @property
    def tests(self) -> Frame:
        """A table of the tests: distances, gain with interval, random units, claim."""
        return tests_table(self.results)

    @property
    def units(self) -> Frame:
        """A table of the ranking, most suspicious units first."""
        return ranking_table(self.results)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        claims = ", ".join(f"{one.name}: {one.claim}" for one in self.results.tests)
        return f"ArtifactSearch({claims}, {printable(self.report)!r})"

    def _repr_html_(self) -> str:
        where = html.escape(printable(self.report))
        return f"{artifacts_html(self.results)}<p>report: {where}</p>"


def artifacts(
    gan: str | None = None,
    data: str | None = None,
    *,
    layer: str = "",
    units: int | Sequence[int] = 5,
    ranking: str | None = None,
    marks: str | Path | None = None,
    search: int | None = None,
    random: int | None = None,
    alpha: float | None = None,
    features: str | None = None,
    n: int | None = None,
    segmenter: str | None = None,
    out: str | Path | None = None,
    store: Store = None,
    **settings: Any,
) -> ArtifactSearch:
    """Search units whose ablation brings the images nearer to the real ones, and write a report.

    Units are ranked on images that no test sees; the first of them are then ablated in fresh
    images, beside as many random units. Most layers of small networks have no such units, and the
    report says so.

    Args:
        gan: ``family`` or ``family:weights``; default: the data set's own.
        data: real images: data set's name, path or glob; default: the embedded data set.
        layer: boundary with units; default: the generator's usual cut.
        units: how many are ablated together; several numbers are several tests.
        ranking: ``ablation`` (default), ``images`` or ``marks``.
        marks: file of painted regions, for ``marks`` (``seeingkit.results.marks``).
        search: images of the search; default 200.
        random: random sets of as many units; default 10.
        alpha: strength of the ablation in (0, 1]; default 1.
        features: perceptual features that distances are taken in; default: areas of classes.
        n: images of the tests; default 300.
        segmenter: default: the data set's own.
        out: the run directory; default ``runs/<gan>-<data>-<key>``.
        store: where tallies and finished parts of the search are kept; default: the cache.
        settings: the other fields of ``seeingkit.runs.config.Config`` (seed, weights, level, …).

    Raises:
        UsageError: a setting that cannot be right, or a generator without layers.

    ::

        seeingkit.artifacts("progan:minichurches", layer="r8.conv1", units=[1, 5]).results.tests
    """
    numbers = [units] if isinstance(units, int) else units
    given: dict[str, Any] = {"layer": layer, "units": numbers, "ranking": ranking, "marks": marks}
    given |= {"search": search, "random": random, "alpha": alpha, "features": features}
    config = artifacts_config(gan, data, chosen=given, n=n, segmenter=segmenter, **settings)
    return execute_artifacts(config, out=out, store=store)


def artifacts_config(
    gan: str | None = None, data: str | None = None, *, chosen: Mapping[str, Any], **settings: Any
) -> Config:
    """The config of ``artifacts``; the plan fills in missing settings.

    Args:
        chosen: fields of ``ArtifactsConfig``; those that are None are left to their defaults.

    ::

        artifacts_config("progan:minichurches", chosen={"units": [5]}).artifacts.units
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    if "marks" in given:
        given["marks"] = str(given["marks"])
        given.setdefault("ranking", "marks")
    return make_config(command="artifacts", real=data, generated=gan, artifacts=given, **settings)


def execute_artifacts(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> ArtifactSearch:
    """Run a config of ``artifacts`` from images to report; tallies of earlier runs are used.

    Raises:
        UsageError: a generator without layers, too few images, or several processes.
    """
    if rank():
        raise UsageError("artifacts is for one process; start it without torchrun")
    config = config.filled(n=config.n or TESTED)
    marks = None if config.artifacts.marks is None else read_marks(config.artifacts.marks)
    features = resolve_features(config.artifacts.features or "none")
    plan, clock = resolve(config), Clock()
    RunDirectory.check(plan.config, out)
    with clock.time("load"):
        opened = open_search(plan, features, marks)
    with closing(opened.real):
        log.info("%s", intent(plan, len(opened.sample), out, real=len(opened.real)))
        run = begin_run(plan.config, out)
        assert run is not None  # this is process 0
        with clock.time("tally real images"):
            counted = tally_side(opened.real, opened.subject.segmenter, plan, store, "real images")
            space, real, parts = real_rows(opened, counted, plan.config.batch_size)
        with clock.time("search and tests"):
            found = find_artifacts(
                opened.subject,
                opened.sample,
                space,
                real,
                plan.config.artifacts,
                marks=marks,
                level=plan.config.level,
                store=interventions_folder(beside_tallies(store, "interventions")),
            )
        results = with_cautions(_results(plan, opened, counted, space, real, found))
        run.write_json("results.json", results.model_dump(mode="json"))  # kept, should a step fail
        if plan.metric is not None:
            with clock.time("fidelity"):
                pair = measure_ablation(
                    plan.metric,
                    opened.subject,
                    opened.sample,
                    Selection(opened.real, parts.test.tolist()),
                    results.pictured,
                    alpha=plan.config.artifacts.alpha,
                    device=plan.device,
                )
                results = results.model_copy(update={"fidelity": pair})
    with clock.time("report"):
        results = draw_artifacts(run.path, opened.subject, opened.sample, found, results)
        run.write_json("results.json", results.model_dump(mode="json"))
    hashes = {
        "real images": results.data.fingerprint,
        "generator weights": results.generator.weights_sha256,
        "segmenter weights": results.segmenter.weights_sha256,
    }
    end_run(run, clock, {name: value for name, value in hashes.items() if value})
    rebuild_report(run.path)
    return ArtifactSearch(run, results)


# -------------------------------------------------------------------------------------- the steps


def _results(
    plan: Plan,
    opened: OpenedSearch,
    counted: Tally,
    space: Space,
    real: RealRows,
    found: Artifacts,
) -> ArtifactResults:
    """The content of ``results.json``, but for pictures, other metrics and cautions."""
    config, subject = plan.config, opened.subject
    assert plan.generated.generator is not None and plan.segmenter is not None
    path = config.artifacts.marks
    return ArtifactResults(
        generator=plan.generated.generator.named(model_record(subject.generator.info)),
        segmenter=plan.segmenter.named(model_record(subject.segmenter.info)),
        data=source_record(opened.real),
        layer=subject.boundary.name,
        layer_units=subject.units,
        n=len(opened.sample),
        n_real=len(real.test),
        seed=config.seed,
        settings=ArtifactSettings(
            ranking=config.artifacts.ranking,
            space=space.name,
            unit=space.unit,
            alpha=config.artifacts.alpha,
            search_seed=found.searched.seed,
            search_images=len(found.searched),
            search_real=len(real.search),
            passes=found.ranking.passes,
            marks_sha256=None if path is None else file_sha256(Path(path)),
            level=config.level,
            preset=config.preset,
        ),
        units=found.units,
        tests=found.tests,
        pictured=found.tests[found.best].units,
        effect=found.effect,
        skipped=[
            SkippedItem(source="real", item=item, reason=reason)
            for item, reason in (*counted.skipped, *counted.left_out)
        ],
    )
