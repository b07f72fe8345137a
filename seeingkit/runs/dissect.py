"""The command ``dissect``: a generator's layers → agreement of units with classes → report.

Guarantees: names, layers and the folder are checked before any image is made; ranks above 0 share
the parts and write no run; the numbers are whole before pictures are made, and a page can be made
again from the run's files alone.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.dissection.bases import check_basis, write_directions
from seeingkit.analyses.dissection.grouping import check_groups
from seeingkit.analyses.dissection.observation import layers_of
from seeingkit.analyses.dissection.parts import dissection_folder
from seeingkit.analyses.dissection.responses import check_responses, responses_told
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.analyses.dissection.tables import layer_table, unit_table
from seeingkit.contracts import Generator, Segmenter
from seeingkit.errors import UsageError, printable
from seeingkit.images import SamplerSource
from seeingkit.report import dissection_chart, dissection_html, rebuild_report
from seeingkit.results import DissectionResults, Frame
from seeingkit.specs import PRESETS, Preset
from seeingkit.system.processes import rank
from seeingkit.tallies.record import model_record

from .config import Config, make_config
from .directory import RunDirectory
from .dissection_findings import dissection_results
from .dissection_tables import write_agreements, write_units
from .intent import intent
from .inversions import Store, beside_tallies
from .manifest import Clock, begin_run, end_run
from .plan import USUAL_N, Plan, resolve
from .sides import located, open_side, shown_segmenter
from .unit_groups import FILE, labelled_layers, write_groups
from .unit_pictures import draw_units

if TYPE_CHECKING:
    import altair as alt
    from numpy.typing import ArrayLike

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dissection:
    """What a dissection found; a notebook shows which units agree with which class.

    Attributes:
        run: its directory; None where models were given that are no names.
        results: the record.
    """

    run: RunDirectory | None
    results: DissectionResults

    @property
    def report(self) -> Path | None:
        """The HTML report, of a run with a directory."""
        return None if self.run is None else self.run.path / "report.html"

    @property
    def units(self) -> Frame:
        """A table of all units: label, IoU with interval and chance, q, level."""
        return unit_table(self.results)

    @property
    def layers(self) -> Frame:
        """A table of the layers: units, labels, classes, counts by IoU alone."""
        return layer_table(self.results)

    def plot(self) -> alt.TopLevelMixin:
        """The figure of units by layer and class, as an Altair chart."""
        return dissection_chart(self.results)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        labelled = sum(layer.labelled for layer in self.results.layers)
        units = sum(layer.units for layer in self.results.layers)
        where = "" if self.report is None else f", {printable(self.report)!r}"
        return f"Dissection({labelled:,} of {units:,} units have a label{where})"

    def _repr_html_(self) -> str:
        where = "" if self.report is None else html.escape(printable(self.report))
        told = f"<p>report: {where}</p>" if where else ""
        return f"{dissection_html(self.results)}{told}"


def dissect(
    gan: str | Generator | None = None,
    data: str | None = None,
    *,
    layers: str | Sequence[str] = (),
    units: Sequence[int] = (),
    n: int | None = None,
    rule: str | None = None,
    segmenter: str | Segmenter | None = None,
    out: str | Path | None = None,
    store: Store = None,
    level_images: int | None = None,
    basis: str | ArrayLike | None = None,
    fdr: float | None = None,
    **settings: Any,
) -> Dissection:
    """Find which units of a generator's layers agree with which class, and write a report.

    The source of the method is Bau et al., "GAN Dissection" (ICLR 2019), with a null for every
    label (``seeingkit.analyses.dissection.claims``).

    Args:
        gan: ``family`` or ``family:weights``; default: the data set's own. Or a loaded generator
            (such as ``AutoStaged`` of your own module), for results in memory.
        data: the data set the generator learnt from, which gives segmenter and preprocessing;
            default: the one its weights name.
        layers: boundaries with a feature map, or ``"all"``; default: the generator's usual cut. Or
            styles, of a generator that was loaded with them (``gan_options={"styles": True}``).
        units: channels of the styles; default: all.
        n: images; default 1,000. Fewer than 160 give no label.
        rule: ``default``, or ``paper`` or ``pnas`` for published choices.
        segmenter: default: the data set's own. Of a loaded generator a loaded segmenter.
        out: the run directory; default ``runs/<gan>-<data>-<key>``.
        store: where finished parts are kept; default: the cache.
        basis: ``units``, ``pca``, ``random``, a file of directions, or a matrix (directions,
            channels), which is kept in the cache.
        level_images, fdr: of ``seeingkit.analyses.dissection.config.DissectionConfig``.
        settings: the other fields of ``seeingkit.runs.config.Config`` (seed, weights, preset, …);
            of a loaded generator seed, labels, on_bad, and a ``Preset`` (default: ``native``).

    Raises:
        UsageError: a generator without layers, or a setting that cannot be right.
        UnknownNameError: no such layer.

    >>> found = dissect("progan:minichurches", layers="r4.conv1", n=32, level_images=32, out="run")
    >>> found.results.layers[0].units
    128
    """
    if rank():
        raise UsageError("dissect() is for one process; run several with torchrun -m seeingkit")
    if basis is not None and not isinstance(basis, str):
        basis = write_directions(basis, dissection_folder())
    chosen: Any = {"rule": rule, "level_images": level_images, "basis": basis, "fdr": fdr}
    chosen |= {"layers": [layers] if isinstance(layers, str) else layers, "units": units}
    if isinstance(gan, Generator):
        if data is not None or out is not None or store is not None:
            raise UsageError("data, out and store are for a generator by its name")
        return _dissect_models(gan, segmenter, n=n, **chosen, **settings)
    if isinstance(segmenter, Segmenter) or isinstance(settings.get("preset"), Preset):
        raise UsageError("with the name of a generator give the names of a segmenter and a preset")
    config = dissection_run_config(gan, data, **chosen, n=n, segmenter=segmenter, **settings)
    found = execute_dissection(config, out=out, store=store)
    assert found is not None  # only processes above rank 0 have no result
    return found


def _dissect_models(
    generator: Generator,
    segmenter: str | Segmenter | None,
    *,
    n: int | None,
    preset: str | Preset | None = None,
    **settings: Any,
) -> Dissection:
    """Dissect loaded models; finished parts are not kept, for nothing names their code."""
    if not isinstance(segmenter, Segmenter) or isinstance(preset, str):
        raise UsageError("with a loaded generator give a loaded segmenter, and a Preset if any")
    own = {"layers", "units", "rule", "level_images", "basis", "fdr", "seed", "labels", "on_bad"}
    if others := sorted(set(settings) - own):
        raise UsageError(f"{', '.join(others)}: only for a generator by its name")
    preset = preset or PRESETS["native"]
    config = dissection_run_config(n=n or USUAL_N["dissect"], preset=preset.name, **settings)
    assert config.n is not None
    labels = labels_for(config.labels, generator)
    source = SamplerSource(generator, config.n, config.seed, labels, preset=preset)
    with TemporaryDirectory() as folder:
        found = dissect_layers(
            source, segmenter, config.dissection, store=folder, on_bad=config.on_bad
        )
        models = model_record(generator.info), model_record(segmenter.info)
        return Dissection(None, dissection_results(config, models, source, found))


def dissection_run_config(
    gan: str | None = None,
    data: str | None = None,
    *,
    layers: Sequence[str] = (),
    units: Sequence[int] = (),
    rule: str | None = None,
    level_images: int | None = None,
    basis: str | None = None,
    fdr: float | None = None,
    **settings: Any,
) -> Config:
    """The config of ``dissect``; the plan fills in missing settings.

    ::

        dissection_run_config("progan:minichurches", layers=["r8.conv1"]).dissection.layers
    """
    given = {"preset": rule, "level_images": level_images, "basis": basis, "fdr": fdr}
    chosen: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    chosen["layers"] = tuple(str(name) for name in layers if name)
    chosen["units"] = tuple(units)
    return make_config(command="dissect", real=data, generated=gan, dissection=chosen, **settings)


def execute_dissection(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> Dissection | None:
    """Run a config of ``dissect`` from images to report; finished parts of earlier runs are used.

    Returns:
        None in a process above rank 0, which has done its share.

    Raises:
        UsageError: a generator without layers, too few images.
        UnknownNameError: no such layer.
    """
    plan, clock = resolve(config), Clock()
    if not rank():
        RunDirectory.check(plan.config, out)
    with clock.time("load"):
        plan = located(plan)
        source = _source(plan)
        segmenter = shown_segmenter(plan)
    if not rank():
        log.info("%s", intent(plan, len(source), out))
    run, folder = begin_run(plan.config, out), beside_tallies(store, "dissections")
    with clock.time("dissect"):
        found = dissect_layers(
            source, segmenter, plan.config.dissection, store=folder, on_bad=plan.config.on_bad
        )
    if run is None:
        return None
    assert plan.generated.generator is not None and plan.segmenter is not None
    models = (
        plan.generated.generator.named(model_record(source.sampler.info)),
        plan.segmenter.named(model_record(segmenter.info)),
    )
    results = dissection_results(plan.config, models, source, found)
    run.write_json("results.json", results.model_dump(mode="json"))  # kept, should a step fail
    with clock.time("report"):
        write_units(run.path / "units.parquet", results.units)
        write_agreements(run.path / "agreements.parquet", found)
        write_groups(run.path / FILE, labelled_layers(found, results))
        rule = plan.config.dissection.preset
        units, pictures = draw_units(run.path, source, segmenter, found, results.units, rule)
        results = results.model_copy(update={"units": units, "pictures": pictures})
        run.write_json("results.json", results.model_dump(mode="json"))
    hashes = {
        "images": source.fingerprint,
        "generator weights": results.generator.weights_sha256,
        "segmenter weights": results.segmenter.weights_sha256,
    }
    end_run(run, clock, {name: value for name, value in hashes.items() if value})
    rebuild_report(run.path)
    return Dissection(run, results)


# -------------------------------------------------------------------------------------- the steps


def _source(plan: Plan) -> SamplerSource:
    """The images, of a generator with the layers that were asked for."""
    source = cast("SamplerSource", open_side(plan.generated, plan, labels=plan.config.labels))
    generator = source.sampler
    if not isinstance(generator, Generator):
        raise UsageError(
            f"{plan.generated.name} gives images only (a Sampler); dissect needs a Generator with "
            "boundaries"
        )
    chosen = plan.config.dissection
    boundaries = layers_of(generator, chosen.layers)
    check_basis(chosen.basis, boundaries)
    check_groups(source, chosen.level_images)
    seen = len(source), chosen.level_images
    drawn = check_responses(
        boundaries, chosen.units, *seen, generator.info.resolution, chosen.basis
    )
    if drawn and not rank():
        log.info("%s", responses_told(source, boundaries, drawn))
    return source
