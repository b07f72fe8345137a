"""The command ``repair``: classes that a finished analysis names missing → edits → its report.

Guarantees: the run is read and every fault that can be known is named before any image is made; the
findings of the analysis are not changed, the repair stands beside them in ``results.json``, class
by class, so that a fault in one loses no other; models, preprocessing, seed and class list are
those of the run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from seeingkit.analyses.comparison.checks.views import View, second_view
from seeingkit.analyses.inversion.catalog import DEFAULT_METHOD
from seeingkit.analyses.repair.objects import ObjectFinder
from seeingkit.analyses.repair.reachable import usable_sites
from seeingkit.analyses.repair.real import real_objects
from seeingkit.analyses.repair.settings import KEEPS, RANKS, RepairSettings
from seeingkit.analyses.repair.stage import Repaired, concluded, repair_class
from seeingkit.analyses.rewriting.effects import WholeSubject
from seeingkit.analyses.tracing.stage import claimed_classes, named_classes
from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import RunError, SeeingkitError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.weightedits import rewritable
from seeingkit.report import rebuild_report
from seeingkit.results import ClassResult, Results
from seeingkit.results.repairs import RepairedClass, RepairResult
from seeingkit.system.addresses import place
from seeingkit.system.cache import cache_folder
from seeingkit.system.processes import rank as process_rank
from seeingkit.system.writing import json_text, make_folder, write_text
from seeingkit.tallies import Tally
from seeingkit.tallies.vocabularies import read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes

from .analyze import tally_side
from .config import read_config
from .finished import check_same, finished_analysis
from .inversions import Store, beside_tallies
from .plan import Plan, resolve
from .repair_photos import PhotoFinder, true_places
from .repair_pictures import RepairPictures
from .sides import Sides, equally_many, open_sides

log = logging.getLogger(__name__)

REAL_IMAGES = 1000
"""Real images in which objects are looked for, where there are as many."""
FOLDER = "repair"
"""Of pictures and edits, in the run directory."""


def repair(
    run: str | Path,
    *,
    classes: Sequence[str] = (),
    sites: Sequence[str] = (),
    cut: str | None = None,
    photos: int = 8,
    ranks: Sequence[int] = RANKS,
    keeps: Sequence[float] = KEEPS,
    trials: int = 6,
    search: int = 100,
    n: int = 500,
    moved: float = 0.1,
    second: str = "scale",
    most: int = 3,
    level: float = 0.05,
    device: str | None = None,
    store: Store = None,
) -> RepairResult:
    """Can a class that a generator omits be brought back by editing one of its weights?

    For each class: photos of it are inverted; how much of them an edit of each layer could give is
    said before any image is made; the edits that could give most are compared in images, and the
    best is measured in fresh ones: objects of real size that two views agree on, beside an edit
    planned from places beside the class. The answers become a section of the run's report.

    Args:
        run: the directory of a run of ``analyze``.
        classes: these alone; default: those that the analysis names missing.
        sites: layers; default: all behind the cut.
        cut: boundary where photos are inverted; default: the generator's usual cut.
        photos: of each class.
        ranks: directions of the keys that edits may use.
        keeps: how much the change of other places counts.
        trials: edits of which images are made.
        search: images in which they are compared.
        n: fresh images in which the chosen one is measured.
        moved: share of the labels that it may change in the searched images.
        second: second view of the images: ``scale``, ``scale:0.75``, or another segmenter.
        most: classes, largest difference first.
        level: false discovery rate of all claims.
        device: where models compute; default: as the run.
        store: where tallies, inversions and counts are kept; default: the cache.

    Raises:
        RunError: no finished run of ``analyze`` with a generator.
        UsageError: no such class or site, or a generator without sites.

    ::

        repair("runs/progan", classes=["person"]).classes[0].verdict
    """
    if process_rank():
        raise UsageError("repair is for one process")
    path = Path(run)
    results = finished_analysis(path, "repair")
    config = read_config(path)
    if device is not None:
        config = config.filled(device=device)
    wanted = missing_classes(path, results, classes, most)
    settings = RepairSettings(
        tuple(sites),
        photos=photos,
        ranks=tuple(ranks),
        keeps=tuple(keeps),
        trials=trials,
        search=search,
        n=n,
        moved=moved,
        level=level,
        seed=config.seed,
    )
    inversion = config.inversion.model_copy(
        update={
            "methods": (DEFAULT_METHOD,),
            "cuts": (cut or "default",),
            "options": {"encoder": "found"},
        }
    )
    plan = resolve(config.filled(inversion=inversion))
    return _tried(path, plan, results, wanted, settings, second, store)


def _tried(
    path: Path,
    plan: Plan,
    results: Results,
    wanted: Sequence[ClassResult],
    settings: RepairSettings,
    second: str,
    store: Store,
) -> RepairResult:
    """Try the classes one after another; each stands in the run as soon as it is finished."""
    with closing(open_sides(plan)) as sides:
        work = _Work.of(path, plan, sides, results, settings, second, store)
        found = RepairResult(
            n=settings.n,
            seed=settings.effect_seed,
            searched=settings.search,
            search_seed=settings.search_seed,
            view=work.view.words,
            level=settings.level,
            moved=settings.moved,
        )
        for record in wanted:
            try:
                made = work.repaired(record)
            except SeeingkitError as error:
                if len(wanted) == 1:
                    raise
                log.warning("%s: %s", record.label, error)
                untried = [*found.untried, (record.label, str(error))]
                found = found.model_copy(update={"untried": untried})
            else:
                found = found.model_copy(update={"classes": [*found.classes, made]})
            _write(path, concluded(with_earlier(path, found)))
    found = _written(path)
    rebuild_report(path)
    return found


def _written(path: Path) -> RepairResult:
    found = finished_analysis(path, "repair").repair
    assert found is not None
    return found


def _write(path: Path, found: RepairResult) -> None:
    """Put the repair into the results as they are now: another command may have added to them."""
    written = finished_analysis(path, "repair").model_copy(update={"repair": found})
    text = json_text(written.model_dump(mode="json"), indent=2)
    write_text(path / "results.json", text + "\n")


def with_earlier(path: Path, found: RepairResult) -> RepairResult:
    """The repair with other classes that the run has from an earlier one of the same settings.

    Those of other settings are said and left out: their claims cannot be corrected together.

    ::

        with_earlier(path, found).classes
    """
    earlier = finished_analysis(path, "repair").repair
    if earlier is None:
        return found
    own = {one.label for one in found.classes} | {label for label, _ in found.untried}
    alike = {"n", "seed", "searched", "search_seed", "view", "level", "moved"}
    rest = [one for one in earlier.classes if one.label not in own]
    if earlier.model_dump(include=alike) != found.model_dump(include=alike):
        if rest:
            names = ", ".join(one.label for one in rest)
            log.warning("%s: repaired with other settings, and left out of the run now", names)
        return found
    untried = [each for each in earlier.untried if each[0] not in own]
    update = {"classes": [*rest, *found.classes], "untried": [*untried, *found.untried]}
    return found.model_copy(update=update)


def missing_classes(
    path: Path, results: Results, names: Sequence[str], most: int
) -> list[ClassResult]:
    """The classes to bring back.

    Raises:
        UsageError: none is missing, or one of the names is not.

    ::

        missing_classes(path, results, [], 3)
    """
    if not names:
        found = claimed_classes(results.classes, most).missing
        if not found:
            raise UsageError(f"{path}: the analysis names no class missing; name some with --class")
        return found
    chosen = named_classes(results.classes, names)
    if chosen.excess:
        excess = ", ".join(one.label for one in chosen.excess)
        raise UsageError(f"{path}: generated images show no less of {excess} than real ones do")
    return chosen.missing


class _Work:
    """What all classes of a repair share."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        sides: Sides,
        generator: RewritableGenerator,
        real: Tally,
        view: View,
        finder: PhotoFinder,
        settings: RepairSettings,
        store: Store,
    ) -> None:
        self.path, self.plan, self.sides, self.generator = path, plan, sides, generator
        self.real, self.view, self.finder, self.settings = real, view, finder, settings
        self.folder = beside_tallies(store, "rewriting") or place(cache_folder() / "rewriting")

    @classmethod
    def of(
        cls,
        path: Path,
        plan: Plan,
        sides: Sides,
        results: Results,
        settings: RepairSettings,
        second: str,
        store: Store,
    ) -> _Work:
        source = sides.generated
        if not isinstance(source, SamplerSource):
            raise RunError(f"{path}: the generated side is no generator")
        generator = rewritable(source.sampler)
        cut = plan.config.inversion.cuts[0]
        at = generator.default_cut if cut == "default" else cut
        usable_sites(generator, at, settings.sites)
        subject = WholeSubject(generator, sides.shown, at, plan.preset)
        subject.check_classes(source.labels, n=settings.n, search=settings.search)
        check_same(path, sides, results)
        view = second_view(second, sides.shown)
        share, asked = results.segmenter_share, plan.config.truth
        held = share is not None and share.kind == "labels"  # their numbers were checked
        truth = None if asked is None else str(asked)
        finder = PhotoFinder.of(plan, sides, generator, store, truth if held else "none")
        config = plan.config
        real = tally_side(sides.real, sides.segmenter, plan, store, "real images")
        generated = tally_side(sides.generated, sides.segmenter, plan, store, "generated images")
        real, _, _ = equally_many(real, generated, plan)
        if config.classes:
            real = apply_classes(real, read_classes(config.classes))
        return cls(path, plan, sides, generator, real, view, finder, settings, store)

    def repaired(self, record: ClassResult) -> RepairedClass:
        """The record of a class, with its edit and its pictures in the run directory."""
        vocabulary, settings = self.sides.shown.vocabulary, self.settings
        label = vocabulary.names.index(record.label)
        objects = ObjectFinder.of(self.sides.shown, self.view, label)
        photos = self.finder.photos(self.real, label, settings.photos)
        truth = true_places(self.sides.real, self.sides.shown, label, self.finder.truth)
        many = max(settings.n, REAL_IMAGES)
        real = real_objects(self.sides.real, objects, many, settings.seed, truth)
        labels = tuple(cast("SamplerSource", self.sides.generated).labels)
        found = repair_class(
            self.generator,
            record,
            photos,
            real,
            self.real,
            settings,
            self.plan.preset,
            labels=labels,
            folder=self.folder,
        )
        return self._kept(found)

    def _kept(self, found: Repaired) -> RepairedClass:
        make_folder(self.path / FOLDER)
        pictures = RepairPictures(self.path, self.generator, self.plan.preset, self.sides.real)
        stem = f"{FOLDER}/{pictures.stem(found)}"
        found.edit.save(self.path / f"{stem}.safetensors")
        drawn = pictures.draw(found, stem)
        update = {"edit": f"{stem}.safetensors", "pictures": drawn}
        return found.record.model_copy(update=update)
