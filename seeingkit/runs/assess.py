"""The command ``assess``: what edits of a generator did, on fresh images → report.

Guarantees: names, edits, requests and the folder are checked before any image is made; counts are
stored, so that a run that was killed goes on; the numbers are written before pictures are made, and
a page can be made again from the run's files alone.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.interventions.tables import effect_table
from seeingkit.analyses.rewriting.assess import (
    Assessed,
    Assessing,
    distance_change,
    sample_of,
    share,
    targets_of,
)
from seeingkit.analyses.rewriting.assess import (
    assess as assess_models,
)
from seeingkit.analyses.rewriting.outcomes import TOUCHED
from seeingkit.contracts import ImageSource
from seeingkit.errors import UsageError, printable
from seeingkit.models.weightedits import RewrittenGenerator
from seeingkit.report import assessment_html, rebuild_report, with_cautions
from seeingkit.results import AssessmentResults, Frame, SkippedItem
from seeingkit.results.gates import check_gate_names
from seeingkit.system.addresses import Place
from seeingkit.system.processes import rank
from seeingkit.tallies import Tally
from seeingkit.tallies.counting import narrowed
from seeingkit.tallies.record import model_record, source_record

from .analyze import tally_side
from .assessment_pictures import draw_assessment
from .config import Config, make_config
from .directory import RunDirectory
from .intent import intent
from .inversions import Store, kept_in
from .manifest import Clock, begin_run, end_run
from .plan import Plan, resolve
from .request_photos import photo_hashes, target_with_photos
from .sides import located, open_whole, shown_segmenter

log = logging.getLogger(__name__)

ASSESSED = 300
"""Images of each side, unless another number is asked for."""
NO_EDIT = "no edit to assess: name its file, such as seeingkit assess edit.safetensors"


@dataclass(frozen=True)
class Assessment:
    """A finished run of ``assess``; a notebook shows its finding."""

    run: RunDirectory
    results: AssessmentResults
    labels: tuple[str, ...] = ()
    """Names of the classes that the segmenter knows."""

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.run.path / "report.html"

    @property
    def classes(self) -> Frame:
        """A table of the effect on every class, with intervals and claims."""
        return effect_table(self.results)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        names = ", ".join(printable(edit.name) for edit in self.results.edits)
        return f"Assessment({names}, {self.results.n} images, {printable(self.report)!r})"

    def _repr_html_(self) -> str:
        where = html.escape(printable(self.report))
        return f"{assessment_html(self.results)}<p>report: {where}</p>"


def assess(
    gan: str | None = None,
    data: str | None = None,
    *,
    edits: Sequence[str | Path],
    wanted: Sequence[str] = (),
    n: int | None = None,
    out: str | Path | None = None,
    store: Store = None,
    **settings: Any,
) -> Assessment:
    """Tell what edits of a generator's weights did, on fresh images, and write a report.

    Args:
        gan: ``family`` or ``family:weights``; default: the data set's own.
        data: real images: data set's name, path or glob; default: the embedded data set.
        edits: files of ``seeingkit rewrite``, in order; they are measured together.
        wanted: classes that are to appear at matching places; default: those of the region that
            was copied.
        n: images; default 300.
        out: the run directory; default ``runs/<gan>-<data>-<key>``.
        store: where counts are kept; default: the cache.
        settings: the other fields of ``seeingkit.runs.config.Config`` (seed, segmenter, level, …).

    Raises:
        UsageError: no edit, or edits of another generator.
        RunError: a file that is no edit.

    ::

        seeingkit.assess("progan:minichurches", edits=["tower2tree.safetensors"]).results.edits
    """
    if isinstance(edits, str | Path):
        edits = [edits]
    options = {**(settings.pop("gan_options", None) or {}), "edits": [str(path) for path in edits]}
    settings |= {"gan_options": options, "n": n}
    config = assessment_config(gan, data, wanted=tuple(wanted), **settings)
    done = execute_assessment(config, out=out, store=store)
    assert done is not None  # only processes above rank 0 have no result
    return done


def assessment_config(
    gan: str | None = None, data: str | None = None, *, wanted: Sequence[str] = (), **settings: Any
) -> Config:
    """The config of ``assess``; the plan fills in missing settings.

    ::

        assessment_config("progan:minichurches", gan_options={"edits": ["a.safetensors"]}).n
    """
    chosen = {"wanted": tuple(wanted)}
    return make_config(command="assess", real=data, generated=gan, assessment=chosen, **settings)


def execute_assessment(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> Assessment | None:
    """Run a config of ``assess`` from images to report; finished counts are used.

    Returns:
        None in a process above rank 0, which has done its share.

    Raises:
        UsageError: no edit, a generator without sites, or too few real images.
    """
    if not config.gan_options.get("edits"):
        raise UsageError(
            "no edit to assess: name its file, such as seeingkit assess edit.safetensors"
        )
    config = config.filled(n=config.n or ASSESSED)
    plan, clock = resolve(config), Clock()
    if not rank():
        RunDirectory.check(plan.config, out)
    with clock.time("load"):
        real, plan, asked = _opened(plan, store)
    with closing(real):
        if not rank():
            log.info("%s", intent(plan, len(asked.sample), out, real=len(real)))
        run = begin_run(plan.config, out)
        with clock.time("tally real images"):
            counted = tally_side(real, asked.segmenter, plan, store, "real images")
        with clock.time("images with the edit"):
            found = assess_models(asked)
        if run is None:
            return None
        with clock.time("distance"):
            results = with_cautions(_results(plan, asked, real, counted, found))
        run.write_json("results.json", results.model_dump(mode="json"))  # kept, should a step fail
    with clock.time("report"):
        results = draw_assessment(run.path, asked, found, results)
        run.write_json("results.json", results.model_dump(mode="json"))
    hashes = {
        "real images": results.data.fingerprint,
        "generator weights": results.generator.weights_sha256,
        "segmenter weights": results.segmenter.weights_sha256,
        **{f"edit {one.name}": one.digest for one in results.edits},
        **{f"photo {name}": sha256 for name, sha256 in photo_hashes(asked.targets).items()},
    }
    end_run(run, clock, {name: value for name, value in hashes.items() if value})
    rebuild_report(run.path)
    return Assessment(run, results, asked.segmenter.vocabulary.names)


def _opened(plan: Plan, store: Store) -> tuple[ImageSource, Plan, Assessing]:
    """Images and models; everything that can be refused is refused here."""
    config, waits = plan.config, plan.real.generator is not None or plan.real.missing
    whole = None if waits else open_whole(plan.real, plan.preset)  # before any download
    plan = located(plan)
    if whole is None:
        raise UsageError(f"--data {plan.real.name}: real images are pictures, not a generator")
    model = plan.generated.generator
    assert model is not None and config.n is not None
    generator = model.load(plan.device)
    if not isinstance(generator, RewrittenGenerator):
        raise UsageError(
            "no edit to assess: name its file, such as seeingkit assess edit.safetensors"
        )
    segmenter = shown_segmenter(plan)
    for name in config.assessment.wanted:
        segmenter.vocabulary.index(name)
    names = [path.stem for path in model.edits]
    labels = segmenter.vocabulary.names
    check_gate_names(config.fail_if, labels, AssessmentResults, names)
    targets = targets_of(generator, names)
    named = bool(config.assessment.wanted)
    asked = Assessing(
        generator=generator,
        targets=tuple(
            target_with_photos(target, path.parent, store, wanted=named)
            for target, path in zip(targets, model.edits, strict=True)
        ),
        segmenter=segmenter,
        sample=sample_of(config.n, config.seed, labels_for(config.labels, generator) or ()),
        preset=plan.preset,
        wanted=config.assessment.wanted,
        seed=config.seed,
        level=config.level,
        store=rewriting_folder(store),
    )
    doubt = asked.subject.source(asked.sample).examine()
    asked = replace(asked, warnings=() if doubt is None else (doubt,))
    return narrowed(whole, min(len(whole), config.n), config.seed), plan, asked


def rewriting_folder(store: Store = None) -> Place:
    """Where moments of keys and counts of edited images are stored.

    >>> rewriting_folder("/data/store").name
    'rewriting'
    """
    return kept_in(store, "rewriting")


def _results(
    plan: Plan, asked: Assessing, real: ImageSource, counted: Tally, found: Assessed
) -> AssessmentResults:
    """The content of ``results.json``, but for pictures and cautions."""
    model, segmenter = plan.generated.generator, plan.segmenter
    assert model is not None and segmenter is not None
    labels = len(asked.segmenter.vocabulary)
    return AssessmentResults(
        seeingkit=version("seeingkit"),
        generator=model.named(model_record(asked.generator.info)),
        segmenter=segmenter.named(model_record(asked.segmenter.info)),
        data=source_record(real),
        n=len(asked.sample),
        n_real=len(counted),
        seed=asked.sample.seed,
        preset=plan.config.preset,
        level=asked.level,
        edits=found.edits,
        touched=share(found.outcomes[0].touched),
        touched_share=TOUCHED,
        effect=found.effect,
        distance=distance_change(
            counted.percent(), found, labels, seed=asked.seed, level=asked.level
        ),
        skipped=[
            SkippedItem(source="real", item=item, reason=reason)
            for item, reason in (*counted.skipped, *counted.left_out)
        ],
        warnings=list(asked.warnings),
    )
