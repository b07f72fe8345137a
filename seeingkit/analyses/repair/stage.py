"""One class: how much a site can give, edits in searched images, the chosen one in fresh images.

Guarantees: what the edits can give is known, and told, before any image of them is made; the
chosen edit is measured in images that nothing was chosen with, beside the edit that was planned in
the same way from places beside the class.

Null of the claim of a class: *no more images show an object of it with the edit than without, or
than with an equally large edit from places beside it*. Both are exact tests of pairs of images of
the same latent (McNemar 1947), the greater p counts (Berger 1982), and Benjamini and Hochberg
correct over classes and distances. Without places beside there is no claim.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import WeightEdit
from seeingkit.results import ClassResult
from seeingkit.results.repairs import (
    ObjectShare,
    ReachRecord,
    RepairedClass,
    RepairResult,
    SiteRecord,
    TrialRecord,
)
from seeingkit.results.tracing import DistanceChange
from seeingkit.specs import Preset
from seeingkit.statistics.arrays import defined
from seeingkit.statistics.gains import enough_swaps
from seeingkit.system.addresses import Place
from seeingkit.tallies import Tally

from ..interventions.differences import effect, student
from ..interventions.effects import Floats, Measured
from ..interventions.subjects import Sample
from ..rewriting.bench import Bench
from ..rewriting.controls import size
from ..rewriting.kept import KeptPlaces
from ..rewriting.plan import usual_moments, usual_sample
from ..tracing.excess import distance_change
from .objects import Sizes
from .reachable import ClassPhotos, SiteReach, site_reach, usable_sites
from .real import RealObjects
from .settings import RepairSettings
from .trials import Candidate, Looked, candidates_of, chosen, look

log = logging.getLogger(__name__)

HALF = 0.5
"""Share of the real images' rate from which on a class is back."""


@dataclass(frozen=True, eq=False)
class Repaired:
    """A class that was tried.

    Attributes:
        record: without q and verdict, which need all classes.
        photos: of the class.
        sites: what was found at each site, best first.
        edit: the chosen edit.
        looks: the fresh images without the edit, and with it.
        sample: the fresh images.
        real: objects in real images.
    """

    record: RepairedClass
    photos: ClassPhotos
    sites: list[SiteReach]
    edit: WeightEdit
    looks: list[Looked]
    sample: Sample
    real: RealObjects


def reaches_of(
    generator: RewritableGenerator,
    photos: ClassPhotos,
    name: str,
    settings: RepairSettings,
    folder: Place | None = None,
    labels: tuple[int, ...] = (),
) -> list[SiteReach]:
    """What each site can give, the one that reaches most first; said as it is found.

    Args:
        generator: of tier 3.
        photos: of the class.
        name: of the class.
        settings: sites, ranks, weights.
        folder: where moments are stored; None: nowhere.
        labels: classes of a conditional generator, in turn; default: all.

    Raises:
        UsageError: no site can be used.
    """
    found: list[SiteReach] = []
    faults: list[str] = []
    for site in usable_sites(generator, photos.state.at, settings.sites):
        bench = Bench(generator, site, settings.seed, labels)
        moments = usual_moments(generator, site, settings.seed, labels=labels, folder=folder)
        try:
            found.append(site_reach(bench, moments, photos, settings))
        except UsageError as error:  # too few places, or a region below one cell of this map
            faults.append(str(error))
            continue
        record = site_record(found[-1])
        log.info("%s at %s: %s", name, site.name, reach_words(record))
    if not found:
        raise UsageError(f"{name}: no site can be used ({'; '.join(faults)})")
    return sorted(found, key=lambda one: -one.values[one.best][0].net)


def reach_words(record: SiteRecord) -> str:
    """How much a site can give, in one line.

    ``reach_words(site_record(found))``
    """
    best = record.best
    beside = "" if best.control is None else f", of places beside it {best.control:.0%}"
    keys = ""
    if record.keys_in_samples is not None:
        keys = f"; {record.keys_in_samples:.1%} of the places of samples have such keys"
    return (
        f"an edit of rank {best.rank} gives {best.apart:.0%} of the wanted values in photos left "
        f"out (net of the change elsewhere {best.net:.0%}{beside}){keys}"
    )


def site_record(found: SiteReach) -> SiteRecord:
    """The record of a site.

    ``site_record(found).best.apart``
    """
    rank, keep = found.best
    own, beside = found.values[rank, keep]
    best = Candidate(found, rank, keep, own, beside)
    return SiteRecord(
        site=found.bench.site.name,
        made=found.made,
        reached=found.reached,
        keys_apart=defined(found.keys.apart),
        keys_in_samples=defined(found.keys.in_samples),
        keys_in_photos=defined(found.keys.in_photos),
        best=_reach_record(best),
    )


def _reach_record(one: Candidate) -> ReachRecord:
    return ReachRecord(
        site=one.site.bench.site.name,
        rank=one.rank,
        keep=one.keep,
        apart=one.reach.apart,
        net=one.reach.net,
        own=one.reach.own,
        control=None if one.control is None else one.control.apart,
    )


def repair_class(
    generator: RewritableGenerator,
    record: ClassResult,
    photos: ClassPhotos,
    real: RealObjects,
    tally: Tally,
    settings: RepairSettings,
    preset: Preset,
    *,
    labels: tuple[int, ...] = (),
    folder: Place | None = None,
) -> Repaired:
    """Try to bring a class back.

    Args:
        generator: of tier 3.
        record: of the class in the comparison.
        photos: of it.
        real: its objects in real images.
        tally: of the real images, with the segmenter's vocabulary.
        settings: numbers of edits and images.
        preset: of pictures before they are segmented.
        labels: classes of a conditional generator, in turn.
        folder: where moments are stored; None: nowhere.

    Raises:
        UsageError: no site can be used.

    ``repair_class(generator, record, photos, real, tally, settings, preset).record.objects``
    """
    name, finder = record.label, real.finder
    sites = reaches_of(generator, photos, name, settings, folder, labels)
    candidates = candidates_of(sites, settings)
    edits = [one.edit for one in candidates]
    searched = Sample(range(settings.search), settings.search_seed, labels)
    looks = look(generator, edits, finder, preset, searched, f"edits for {name}").seen
    which = chosen(looks, settings.moved)
    _check_maps(real, looks[0], name)
    edit = edits[which]
    beside = equally_large(candidates[which], edit, settings, labels)
    sample = Sample(range(settings.n), settings.effect_seed, labels)
    both = [edit] if beside is None else [edit, beside]
    fresh, measured = look(generator, both, finder, preset, sample, f"{name}, fresh images")
    everything = effect(
        measured, finder.segmenter.vocabulary, seed=settings.effect_seed, level=settings.level
    )
    own = next((one for one in everything.classes if one.label == name), None)
    made = RepairedClass(
        label=name,
        verdict_before=record.verdict,
        real_area=record.real_area,
        generated_area=record.generated_area,
        photos=len(photos.images),
        by_truth=photos.by_truth,
        cut=photos.state.at,
        sites=[site_record(one) for one in sites],
        trials=_trials(candidates, looks, which),
        objects=object_share(fresh, real),
        before=fresh[0].area,
        after=fresh[1].area,
        difference=0.0 if own is None else own.difference,  # no image shows it
        low=None if own is None else own.low,
        high=None if own is None else own.high,
        distance=_distance(tally, measured, settings),
        classes=everything.classes,
        moved=everything.moved,
    )
    return Repaired(made, photos, sites, edit, fresh[:2], sample, real)


def equally_large(
    one: Candidate,
    edit: WeightEdit,
    settings: RepairSettings,
    labels: tuple[int, ...] = (),
) -> WeightEdit | None:
    """The edit of places beside the class that moves linear values as much as the class's edit.

    Places beside are fitted better than the class, so that their own edit would be smaller; one of
    exactly 0, where they need no change, stays it. None: the photos have no places beside, or too
    few for the rank.

    ``equally_large(candidate, candidate.edit, settings)``
    """
    try:
        beside = one.beside
    except UsageError:  # fewer keys than the rank
        return None
    if beside is None:
        return None
    kept = KeptPlaces(one.site.bench, usual_sample(settings.seed, labels=labels))
    own, other = size(kept, edit), size(kept, beside)
    return beside if other == 0 else beside.at(own / other)


def _check_maps(real: RealObjects, generated: Looked, name: str) -> None:
    """Refuse label maps of unlike size: sizes of objects are pixels of them."""
    if real.pixels != generated.total:
        raise UsageError(
            f"{name}: label maps of real images have {real.pixels:,} pixels, those of generated "
            f"ones {generated.total:,}; analyze with a --preset that gives both one size"
        )


def _trials(
    candidates: Sequence[Candidate], looks: Sequence[Looked], which: int
) -> list[TrialRecord]:
    """The records of edits in the searched images, of which ``looks`` has those without first."""
    return [
        TrialRecord(
            reach=_reach_record(one),
            shown=float(seen.shown.mean()),
            area=seen.area,
            moved=float(seen.moved.mean()),
            chosen=k == which,
        )
        for k, (one, seen) in enumerate(zip(candidates, looks[1:], strict=True))
    ]


def _distance(tally: Tally, measured: Measured, settings: RepairSettings) -> DistanceChange:
    labels = len(tally.vocabulary)
    swaps = enough_swaps(1 - settings.level / 10)
    real = tally.sparse_percent()
    return distance_change(real, measured, labels, settings.effect_seed, swaps)


def object_share(looks: Sequence[Looked], real: RealObjects) -> ObjectShare:
    """How often an object is shown without the edit, with it, and with the one from places beside.

    >>> from types import SimpleNamespace as Made
    >>> looks = [Made(shown=np.array([False] * 9)) for k in range(3)]
    >>> finder = Made(sizes=Made(least=4, most=9), shape=None)
    >>> object_share(looks, Made(finder=finder, shown=0.5, precise=None)).p
    1.0
    """
    before, after = looks[0].shown, looks[1].shown
    sizes = real.finder.sizes or Sizes()
    difference, low, high = student(_gain(before, after))
    p = more_often(before, after)
    against = against_low = against_high = beside = None
    if len(looks) < 3:
        p = 1.0
    else:
        other = looks[2].shown
        beside = float(other.mean())
        against, against_low, against_high = student(_gain(other, after))
        p = max(p, more_often(other, after))
    return ObjectShare(
        size=sizes.least,
        largest=sizes.most,
        before=float(before.mean()),
        after=float(after.mean()),
        beside=beside,
        real=real.shown,
        difference=difference,
        low=low,
        high=high,
        against=against,
        against_low=against_low,
        against_high=against_high,
        p=p,
        shaped=real.finder.shape is not None,
        precise=real.precise,
    )


def _gain(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Floats:
    return np.asarray(second.astype(np.float64) - first, np.float64)


def more_often(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """p of "the second is no more often true than the first", over pairs; exact, one-sided.

    >>> more_often(np.zeros(5, bool), np.ones(5, bool))
    0.03125
    """
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    if not gained + lost:
        return 1.0
    return float(stats.binomtest(gained, gained + lost, alternative="greater").pvalue)


def concluded(found: RepairResult) -> RepairResult:
    """The claims of all classes, corrected together, and their verdicts.

    ``concluded(result).classes[0].verdict``
    """
    tests = [one.objects.p for one in found.classes]
    distances = [one.distance.p for one in found.classes]
    q = stats.false_discovery_control([*tests, *distances]) if tests else np.zeros(0)
    classes = []
    for k, one in enumerate(found.classes):
        sure, of_distance = float(q[k]), float(q[len(tests) + k])
        direction = "no evidence"
        if of_distance <= found.level:
            direction = "nearer" if one.distance.difference < 0 else "farther"
        verdict = "no"
        if sure <= found.level:
            enough = one.objects.after >= HALF * one.objects.real > 0 and direction != "farther"
            verdict = "back" if enough else "partly"
        update = {
            "objects": one.objects.model_copy(update={"q": sure}),
            "distance": one.distance.model_copy(update={"q": of_distance, "direction": direction}),
            "verdict": verdict,
        }
        classes.append(one.model_copy(update=update))
    return found.model_copy(update={"classes": classes})
