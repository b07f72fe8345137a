"""The command ``intervene``: units of a layer changed → effect on every class → report.

Guarantees: names, units and the folder are checked before any image is made; ranks above 0 share
the counts and write no run; the numbers are whole before pictures are made, and a page can be made
again from the run's files alone.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.interventions.config import Ranking
from seeingkit.analyses.interventions.parts import interventions_folder
from seeingkit.analyses.interventions.request import Request
from seeingkit.analyses.interventions.stage import execute
from seeingkit.analyses.interventions.stage import intervene as intervene_models
from seeingkit.analyses.interventions.subjects import Subject
from seeingkit.analyses.interventions.tables import curve_table, effect_table, unit_effect_table
from seeingkit.contracts import Generator, Segmenter
from seeingkit.errors import UsageError, printable
from seeingkit.report import intervention_chart, intervention_html, rebuild_report, with_cautions
from seeingkit.results import Frame, InterventionResults
from seeingkit.specs import Preset
from seeingkit.system.processes import rank
from seeingkit.tallies.record import model_record

from .config import Config, make_config
from .directory import RunDirectory
from .edited_pictures import draw_pairs
from .intent import intent
from .intervention_tables import write_intervention_tables
from .inversions import Store, beside_tallies
from .manifest import Clock, begin_run, end_run
from .plan import Plan, resolve
from .sides import located, shown_segmenter
from .unit_rankings import agreement_ranking

if TYPE_CHECKING:
    import altair as alt

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interventions:
    """What an intervention showed; a notebook shows its effect on every class.

    Attributes:
        results: the record.
        run: its directory; None where models were given that are no names.
    """

    results: InterventionResults
    run: RunDirectory | None = None

    @property
    def report(self) -> Path | None:
        """The HTML report, of a run with a directory."""
        return None if self.run is None else self.run.path / "report.html"

    @property
    def units(self) -> list[int]:
        """The units that were changed, strongest first where they were chosen."""
        return self.results.units

    @property
    def classes(self) -> Frame:
        """A table of the effect on every class, with intervals and claims."""
        return effect_table(self.results)

    @property
    def single_units(self) -> Frame:
        """A table of the effect of each unit alone; empty where that was not asked for."""
        return unit_effect_table(self.results)

    @property
    def curve(self) -> Frame:
        """A table of the share of the class that is left; empty where that was not asked for."""
        return curve_table(self.results)

    def plot(self) -> alt.TopLevelMixin:
        """The figure of the effect on every class, as an Altair chart."""
        return intervention_chart(self.results)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        found = self.results
        units = f"{len(found.units)} unit{'' if len(found.units) == 1 else 's'}"
        where = "" if self.report is None else f", {printable(self.report)!r}"
        return f"Interventions({found.edit} of {units} at {found.layer}, {found.n} images{where})"

    def _repr_html_(self) -> str:
        where = "" if self.report is None else html.escape(printable(self.report))
        told = f"<p>report: {where}</p>" if where else ""
        return f"{intervention_html(self.results)}{told}"


def intervene(
    generator: str | Generator | None,
    segmenter: str | Segmenter | None,
    layer: str,
    units: Sequence[int] | int,
    *,
    preset: str | Preset | None = None,
    out: str | Path | None = None,
    store: Store = None,
    dissection: str | Path | None = None,
    by: Ranking = "optimised",
    **settings: Any,
) -> Interventions:
    """Ablate or insert units of a layer, and tell what every class loses and gains.

    Bau et al., "GAN Dissection" (ICLR 2019), section 3.2, each image compared with itself.

    Args:
        generator: ``family`` or ``family:weights``, for a run with a directory and a report; or a
            loaded generator, for results in memory.
        segmenter: a name, or None for the data set's own; of a loaded generator a loaded segmenter.
        layer: name or alias of a boundary.
        units: numbers of units; or how many shall be chosen for the class ``label``.
        preset: preprocessing: a name, or of a loaded generator a ``Preset``.
        out: the run directory; default ``runs/<gan>-<data>-<key>``.
        store: where finished counts are kept; default: the cache.
        dissection: folder of a run of ``dissect``, which ranks units by IoU.
        by: ranking by which units are chosen.
        settings: of ``seeingkit.analyses.interventions.stage.intervene`` (label, insert, values,
            box, n, seed, random, curve, context, each, search, level); of a name also the fields of
            ``seeingkit.runs.config.Config`` (weights, device, …).

    Raises:
        UsageError: names, units or options that do not fit.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> found = intervene(generator, segmenter, "r8.conv1", [13], n=2, random=0)
    >>> found.classes["label"][0] != ""
    True
    """
    if rank():
        raise UsageError("intervene() is for one process; run several with torchrun -m seeingkit")
    if isinstance(generator, Generator):
        if not isinstance(segmenter, Segmenter) or isinstance(preset, str):
            raise UsageError("with a loaded generator give a loaded segmenter, and a Preset if any")
        if out is not None or store is not None or dissection is not None:
            raise UsageError("out, store and dissection are for a generator by its name")
        made = intervene_models(
            generator, segmenter, layer, units, preset=preset, by=by, **settings
        )
        return Interventions(with_cautions(made))
    if isinstance(segmenter, Segmenter) or isinstance(preset, Preset):
        raise UsageError("with the name of a generator give the names of a segmenter and a preset")
    chosen = {"choose": units} if isinstance(units, int) else {"units": tuple(units)}
    config = intervention_run_config(
        generator,
        layer=layer,
        segmenter=segmenter,
        preset=preset,
        dissection=None if dissection is None else str(dissection),
        by=by,
        **chosen,
        **settings,
    )
    found = execute_intervention(config, out=out, store=store)
    assert found is not None  # only processes above rank 0 have no result
    return found


_OWN = {
    *("layer", "units", "choose", "by", "insert", "label", "values", "box", "random", "curve"),
    *("context", "context_classes", "each", "search", "dissection"),
}
"""Settings of ``InterventionConfig``."""


def intervention_run_config(
    gan: str | None = None, data: str | None = None, **settings: Any
) -> Config:
    """The config of ``intervene``; the plan fills in missing settings.

    ::

        intervention_run_config("progan:minichurches", layer="r8.conv1", units=(3, 17))
    """
    own = {name: settings.pop(name) for name in list(settings) if name in _OWN}
    chosen = {name: value for name, value in own.items() if value is not None}
    return make_config(
        command="intervene", real=data, generated=gan, intervention=chosen, **settings
    )


def execute_intervention(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> Interventions | None:
    """Run a config of ``intervene`` from images to report; finished counts are used.

    Returns:
        None in a process above rank 0, which has done its share.

    Raises:
        UsageError: a generator without layers, units or places that it does not have.
        UnknownNameError: no such layer or class.
    """
    if out is not None and Path(out).suffix == ".json":
        folder = Path(out).with_suffix("")
        raise UsageError(
            f"--out {out}: a run is a folder with results.json and report.html; give --out {folder}"
        )
    plan, clock = resolve(config), Clock()
    if not rank():
        RunDirectory.check(plan.config, out)
    with clock.time("load"):
        plan = located(plan)
        asked = _request(plan, store)
        source = asked.subject.source(asked.sample)
        source.examine()
    if not rank():
        log.info("%s", intent(plan, asked.n, out))
        log.info("up to %s pictures are generated and segmented", f"{asked.pictures():,}")
    run = begin_run(plan.config, out)
    with clock.time("intervene"):
        found = execute(asked)
    if run is None:
        return None
    assert plan.generated.generator is not None and plan.segmenter is not None
    named = {
        "generator": plan.generated.generator.named(model_record(asked.subject.generator.info)),
        "segmenter": plan.segmenter.named(model_record(asked.subject.segmenter.info)),
        "warnings": [text for text in [source.range.doubt()] if text is not None],
    }
    results = with_cautions(found.results.model_copy(update=named))
    run.write_json("results.json", results.model_dump(mode="json"))  # kept, should a step fail
    with clock.time("report"):
        write_intervention_tables(run.path, results)
        results = draw_pairs(run.path, found._replace(results=results))
        run.write_json("results.json", results.model_dump(mode="json"))
    hashes = {
        "images": source.fingerprint,
        "generator weights": results.generator.weights_sha256,
        "segmenter weights": results.segmenter.weights_sha256,
    }
    end_run(run, clock, {name: value for name, value in hashes.items() if value})
    rebuild_report(run.path)
    return Interventions(results, run)


def _request(plan: Plan, store: Store) -> Request:
    """The models loaded, and everything checked that can be without an image."""
    config, chosen = plan.config, plan.config.intervention
    assert plan.generated.generator is not None and plan.segmenter is not None
    generator = plan.generated.generator.load(plan.device)
    if not isinstance(generator, Generator):
        raise UsageError(
            f"{plan.generated.name} gives images only (a Sampler); intervene needs a Generator "
            "with layers"
        )
    segmenter = shown_segmenter(plan)
    subject = Subject(generator, segmenter, chosen.layer, plan.preset)
    agreement = None
    if chosen.dissection is not None and chosen.label is not None:
        subject.label(chosen.label)
        agreement = agreement_ranking(chosen.dissection, generator, chosen.layer, chosen.label)
    assert config.n is not None
    return Request(
        subject,
        chosen,
        n=config.n,
        seed=config.seed,
        labels=tuple(labels_for(config.labels, generator) or ()),
        level=config.level,
        agreement=agreement,
        store=interventions_folder(beside_tallies(store, "interventions")),
    )
