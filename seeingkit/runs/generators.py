"""The run of ``compare`` with several generators: one set of real images, one report.

Guarantees: the real images are opened and tallied once, and every generator is compared with the
same ones. Each generator's own comparison lies in ``generators/NAME`` as a run of its own, whose
report ``seeingkit report`` makes; ``results.json`` and ``report.html`` are about their differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.analyses.comparison.generators import GeneratorsComparison, contrast_comparisons
from seeingkit.errors import Faults, MissingWeightsError, UsageError
from seeingkit.models.loading import is_generator_name
from seeingkit.report import rebuild_report, with_cautions
from seeingkit.results import Frame, FSDResult, GeneratorsResults
from seeingkit.results.gates import check_gate_names
from seeingkit.system.processes import rank
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import Tally

from .analyze import FinishedRun, compare_sides, content_hashes, tally_side, write_findings
from .checks import check
from .config import Config
from .directory import RunDirectory, slug
from .inversions import Store
from .manifest import Clock, begin_run, end_run
from .plan import Plan, resolve
from .search import MissingFiles
from .sides import Sides, all_equally_many, located, open_side, open_sides

FOLDER = "generators"
"""Of the runs of the single generators, in the run directory."""


class GeneratorsAnalysis(FinishedRun[GeneratorsComparison]):
    """A finished comparison of several generators with the same real images."""

    @property
    def results(self) -> GeneratorsResults:
        """Everything that was found: the content of ``results.json``."""
        return self.comparison.results

    @property
    def fsd(self) -> dict[str, FSDResult]:
        """The distance of each generator from the real images, by its name."""
        return self.comparison.fsd

    @property
    def omitted(self) -> dict[str, list[str]]:
        """The classes that each generator leaves out, by its name."""
        return self.comparison.omitted

    @property
    def differences(self) -> Frame:
        """The table of differences of the distances."""
        return self.comparison.differences

    @property
    def contrasts(self) -> Frame:
        """The table of who draws more of a class, and who is surely closer."""
        return self.comparison.contrasts


def execute_generators(
    config: Config, *, out: str | Path | None = None, store: Store = None
) -> GeneratorsAnalysis | None:
    """Run ``compare`` with several generators; finished chunks of an earlier run are used.

    Returns:
        None in a process above rank 0, which has done its share.

    Raises:
        UsageError: an option that is for one generator.
        MissingWeightsError: names every file that is not here.
    """
    if config.weights is not None or config.gan_options:
        raise UsageError(
            "--weights and --gan-option are for one generator; with several, give each as "
            "family:weights or family:FILE"
        )
    if config.groups is not None or config.paired:
        option = "--paired" if config.paired else "--groups"
        raise UsageError(
            f"{option} is for one generator: differences between several take images as "
            "independent; compare each alone with the real images"
        )
    clock = Clock()
    with clock.time("load"):
        plans = _plans(config)
    with ExitStack() as opened:
        with clock.time("load"):
            sides = _open(plans, opened)
            if not rank():
                check_gate_names(config.fail_if, sides[0].shown.vocabulary.names)
        config = plans[0].config.filled(
            generated=config.generated, others=config.others, weights=None
        )
        run = begin_run(config, out)
        tallies = []
        with clock.time("tally real images"):
            real = tally_side(sides[0].real, sides[0].segmenter, plans[0], store, "real images")
        for plan, side in zip(plans, sides, strict=True):
            with clock.time("tally generated images"):
                title = f"images of {side.generated.name}"
                tallies.append(tally_side(side.generated, side.segmenter, plan, store, title))
        if run is None:
            return None
        return _finish(run, config, plans, sides, [real, *tallies], clock, store)


def _plans(config: Config) -> list[Plan]:
    """The comparison of each generator alone, with the preset and segmenter of the first."""
    plans: list[Plan] = []
    faults = Faults()
    for name in (config.generated, *config.others):
        base = plans[0].config if plans else config
        found = faults.find(partial(resolve, _single(base, name)))
        plans += [] if found is None else [found]
    faults.raise_if_any()
    return _located(plans)


def _single(config: Config, name: str) -> Config:
    """The config of one generator alone; ``family:FILE`` is a family with a weights file."""
    family, _, tag = name.partition(":")
    settings: dict[str, Any] = {"generated": name, "others": (), "weights": None}
    if tag and is_generator_name(family) and Path(tag).exists():
        settings |= {"generated": family, "weights": tag}
    return config.filled(**settings)


def _located(plans: Sequence[Plan]) -> list[Plan]:
    """The plans with the places of their files; all files that are missing are named at once."""
    missing = MissingFiles([message for plan in plans for message in plan.missing])
    found = []
    for plan in plans:
        with suppress(MissingWeightsError):  # each adds its messages to those of the others
            found.append(located(plan, missing))
    said = (m.replace("give --weights FILE", "give family:FILE") for m in missing.messages)
    missing.messages = list(dict.fromkeys(said))
    missing.raise_if_any()
    return found


def _open(plans: Sequence[Plan], opened: ExitStack) -> list[Sides]:
    """Each generator beside the same real images; ``opened`` lets go of all files."""
    first = open_sides(plans[0])
    opened.callback(first.close)
    found = [first]
    for plan in plans[1:]:
        generated = open_side(plan.generated, plan, other=first.real, labels=plan.config.labels)
        opened.callback(generated.close)
        found.append(replace(first, generated=generated))
    return found


def _finish(
    run: RunDirectory,
    config: Config,
    plans: Sequence[Plan],
    sides: Sequence[Sides],
    tallies: Sequence[Tally],
    clock: Clock,
    store: Store,
) -> GeneratorsAnalysis:
    (real, *generated), note = (
        (list(tallies), None) if config.force else all_equally_many(tallies, config.seed)
    )
    comparisons: list[Comparison] = []
    hashes: dict[str, str] = {}
    names = (config.generated, *config.others)
    folders = [f"{FOLDER}/{k}-{slug(name)}" for k, name in enumerate(names, 1)]
    for plan, side, one, folder in zip(plans, sides, generated, folders, strict=True):
        with clock.time("compare"):
            found = compare_sides(real, one, plan, evidence=True, doubts=side.doubts)
            if note:
                update = {"warnings": [note, *found.results.warnings]}
                found = replace(found, results=found.results.model_copy(update=update))
        with clock.time("check"):
            found = check(plan, found, side, store=store)
        found = replace(found, results=with_cautions(found.results))
        own = begin_run(plan.config, run.path / folder)
        assert own is not None  # only processes above rank 0 have none
        write_findings(own, found)
        end_run(own, Clock(), content_hashes(found))
        own_hashes = content_hashes(found).items()
        shared = ("real images", "segmenter weights")
        hashes |= {name if name in shared else f"{folder}: {name}": v for name, v in own_hashes}
        comparisons.append(found)
    with clock.time("compare generators"):
        compared = contrast_comparisons(
            comparisons,
            _names(comparisons, config),
            folders,
            seed=config.seed,
            level=config.level,
            permutations=config.permutations,
        )
    compared = replace(compared, results=with_cautions(compared.results))
    run.write_json("results.json", compared.to_dict())
    end_run(run, clock, hashes)
    with progress_bar("report", 1, "pages") as bar:
        rebuild_report(run.path)
        bar.advance(1)
    return GeneratorsAnalysis(run, compared)


def _names(comparisons: Sequence[Comparison], config: Config) -> list[str]:
    """Names of the sources where they differ, else the words of the command where these do.

    Returns:
        nothing where neither differ: the names are then numbered.
    """
    plain = [c.results.generated.name for c in comparisons]
    said = [config.generated, *config.others]
    return next((list(names) for names in (plain, said) if len(set(names)) == len(names)), [])
