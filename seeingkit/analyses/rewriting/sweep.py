"""Which layer, how many directions and how strong: a sweep of edits of one request.

1. Candidates are planned on a part of the contexts (``candidates``).
2. Each is measured on images of the series ``SWEPT``, at the same matching places, which favour no
   site (``consensus``).
3. The one with the greatest gain − price within a budget is chosen (``frontiers.knee``): gain is
   the success at matching places, price the share of the other pixels whose label changes.
4. It is planned anew on all contexts, and measured on images of the series ``REWRITTEN``, beside
   ``controls`` of the same size.

The null is: *the success of the chosen edit is at most* ``least`` *above that of some control*. It
is tested once, on images that had no part in the choice, so that the number of candidates does not
raise the error rate: at most 2.5 %, one end of a 95 % interval. Where it stands, the answer is that
no layer of those tried does this.

Guarantees: no chance but that of the controls, which depends on the request alone; counts are
stored and met again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seeingkit.contracts import RewritableGenerator, Segmenter
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import WeightEdit
from seeingkit.results.sweeps import ChosenEdit, Estimate, SweepResults, SweptEdit
from seeingkit.specs import Preset
from seeingkit.statistics.frontiers import frontier, knee
from seeingkit.statistics.ratios import Ratio
from seeingkit.system.addresses import Place

from ..interventions.subjects import Sample
from .candidates import Candidate, candidates, fitting_sites
from .consensus import Consensus, consensus
from .contexts import HeldOut, separation, split, with_contexts
from .controls import beyond, controls
from .matching import Matcher, matcher_of
from .moments import KeyMoments
from .outcomes import Outcome, copied_classes, outcomes
from .plan import bench_of, plan, usual_moments
from .regions import Request
from .sweep_settings import SweepSettings


@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep, and the edit that it chose.

    Attributes:
        results: all numbers.
        edit: the chosen one, planned on all contexts; None where no candidate gains anything.
        outcome: of it, on fresh images.
        controls: outcomes of its controls.
    """

    results: SweepResults
    edit: WeightEdit | None
    outcome: Outcome | None = None
    controls: list[Outcome] = field(default_factory=list)


def sweep(
    generator: RewritableGenerator,
    request: Request,
    segmenter: Segmenter,
    settings: SweepSettings | None = None,
    *,
    wanted: Sequence[str] = (),
    seed: int = 0,
    preset: Preset | None = None,
    folder: Place | None = None,
) -> Sweep:
    """Choose site, rank and strength of an edit.

    Args:
        generator: of tier 3.
        request: copy, and contexts; with three or more every third context is held out.
        segmenter: names the classes.
        settings: of the sweep.
        wanted: classes that are to appear; default: those of the copied region.
        seed: of the run.
        preset: of pictures before they are segmented; default: ``native``.
        folder: where moments and counts are stored.

    Raises:
        UsageError: a site, region or class that does not fit.
        UnknownNameError: no such site or class.

    ``sweep(generator, request, segmenter).results.found``
    """
    settings = settings or SweepSettings()
    sites = fitting_sites(generator, request, settings.sites)
    matching = fitting_sites(generator, request, [settings.matching]) if settings.matching else []
    for name in wanted:
        segmenter.vocabulary.index(name)
    given: dict[str, Any] = {"images": settings.key_images, "folder": folder}
    moments = {
        site.name: usual_moments(generator, site, seed, labels=request.labels, **given)
        for site in dict.fromkeys((*sites, *matching))
    }
    work = _Work(generator, request, segmenter, settings, moments, seed, preset, folder)
    work = work.wanting(wanted or work.copied())
    matcher = work.matcher(matching[0].name if matching else None)
    tried: list[Candidate] = []
    found: list[Outcome] = []
    held: list[float | None] = []
    for site in sites:
        some, shown, gains = work.tried(site.name, matcher)
        tried, found, held = tried + some, found + shown, held + gains
    return work.chosen(tried, found, held, matcher)


@dataclass(frozen=True, eq=False)
class _Work:
    """The parts of a sweep; attributes as the arguments of ``sweep``."""

    generator: RewritableGenerator
    request: Request
    segmenter: Segmenter
    settings: SweepSettings
    moments: dict[str, KeyMoments]
    seed: int
    preset: Preset | None
    folder: Place | None
    wanted: tuple[str, ...] = ()

    def wanting(self, wanted: Sequence[str]) -> _Work:
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return _Work(**{**given, "wanted": tuple(wanted)})

    def copied(self) -> tuple[str, ...]:
        """The classes of the copied region."""
        site = self.generator.site(next(iter(self.moments)))
        bench = bench_of(self.generator, site, self.request)
        return copied_classes(bench, self.request.copy, self.segmenter, preset=self.preset)

    def matcher(self, name: str | None) -> Matcher:
        """Of a named site, else of all that are swept."""
        if name is None:
            return consensus(self.generator, self.request, self.moments)
        return matcher_of(self.generator, name, self.request, self.moments[name])

    def told(self, matcher: Matcher) -> dict[str, float]:
        """How well the keys that say which places match tell the contexts, by site."""
        if isinstance(matcher, Consensus):
            return {part.site.name: matcher.told[part.site.name] for part in matcher.parts}
        name, contexts = matcher.site.name, self.request.contexts
        bench = bench_of(self.generator, matcher.site, self.request)
        return {name: separation(bench, contexts, self.moments[name])}

    def sample(self, images: int, series: Series) -> Sample:
        return Sample(range(images), further_seed(self.seed, series), self.request.labels)

    def outcomes(
        self, edits: Sequence[WeightEdit], matcher: Matcher, sample: Sample, title: str
    ) -> list[Outcome]:
        more: dict[str, Any] = {"preset": self.preset, "store": self.folder, "title": title}
        given = self.generator, [[edit] for edit in edits], matcher, self.segmenter, sample
        return outcomes(*given, wanted=self.wanted, **more)

    def tried(
        self, site: str, matcher: Matcher
    ) -> tuple[list[Candidate], list[Outcome], list[float | None]]:
        """The candidates of a site, their outcomes, and their gains in held-out contexts."""
        parts, place = split(self.request.contexts), self.generator.site(site)
        own = with_contexts(self.request, parts.planned)
        given = self.settings.ranks, self.settings.keeps, self.moments[site]
        some = list(candidates(self.generator, own, place, *given))
        if not some:
            return [], [], []
        sample = self.sample(self.settings.images, Series.SWEPT)
        edits = [each.edit for each in some]
        shown = self.outcomes(edits, matcher, sample, f"edits of {site}")
        bench = bench_of(self.generator, place, self.request)
        out = HeldOut(bench, self.segmenter, parts.held, self.wanted, self.preset)
        return some, shown, [out.gain(edit) for edit in edits]

    def chosen(
        self,
        tried: Sequence[Candidate],
        found: Sequence[Outcome],
        held: Sequence[float | None],
        matcher: Matcher,
    ) -> Sweep:
        """Choose, plan on all contexts, measure."""
        if not tried:
            raise UsageError("no rank fits the contexts: take lower ranks, or paint more context")
        gains, prices = ([one.ratio(name).value for one in found] for name in GAIN_AND_PRICE)
        if None in gains or None in prices:
            raise UsageError(
                f"no place of {self.settings.images} images matches the contexts: take more "
                "images, or another matching site"
            )
        numbers = [float(g or 0) for g in gains], [float(p or 0) for p in prices]
        best, able = knee(*numbers, self.settings.budget), frontier(*numbers)
        rows = [
            _swept(each, outcome, gain, k in able, k == best)
            for k, (each, outcome, gain) in enumerate(zip(tried, found, held, strict=True))
        ]
        parts = split(self.request.contexts)
        results = SweepResults(
            wanted=list(self.wanted),
            matching=self.told(matcher),
            matching_share=matcher.usual_share,
            images=self.settings.images,
            contexts=len(self.request.contexts),
            held_out=len(parts.held),
            budget=self.settings.budget,
            edits=rows,
            chosen=None,
            least=self.settings.least,
            found=False,
        )
        if best is None:
            return Sweep(results, None)
        return self._measured(results, tried[best], matcher)

    def _measured(self, results: SweepResults, best: Candidate, matcher: Matcher) -> Sweep:
        """The chosen candidate on all contexts, beside its controls, on fresh images."""
        moments, rank = self.moments[best.site], best.rank
        given = self.generator, self.request, best.site
        edit = plan(*given, rank=rank, keep=best.keep, moments=moments)
        others = controls(self.generator, self.request, edit, moments, self.settings.controls)
        sample = self.sample(self.settings.fresh, Series.REWRITTEN)
        own, *rest = self.outcomes([edit, *others], matcher, sample, "the chosen edit, controls")
        gained = beyond(own, rest, self.settings.least)
        other = rest[gained.control]
        shown = ChosenEdit(
            images=self.settings.fresh,
            before=_estimate(own.before),
            after=_estimate(own.after),
            success=_estimate(own.success),
            outside=_estimate(own.outside),
            labels_outside=_estimate(own.labels_outside),
            touched=_estimate(own.touched),
            controls=len(rest),
            control_success=_estimate(other.success),
            control_outside=_estimate(other.outside),
            control_labels_outside=_estimate(other.labels_outside),
            beyond=_estimate(gained.difference),
        )
        results = results.model_copy(update={"chosen": shown, "found": gained.sure})
        return Sweep(results, edit, own, rest)


GAIN_AND_PRICE: tuple[Literal["success"], Literal["labels_outside"]] = ("success", "labels_outside")


def _estimate(found: Ratio) -> Estimate:
    return Estimate(value=found.value, low=found.low, high=found.high)


def _swept(
    candidate: Candidate, found: Outcome, held: float | None, unbeaten: bool, chosen: bool
) -> SweptEdit:
    return SweptEdit(
        site=candidate.site,
        rank=candidate.rank,
        keep=candidate.keep,
        success=_estimate(found.success),
        outside=_estimate(found.outside),
        labels_outside=_estimate(found.labels_outside),
        held_out=held,
        unbeaten=unbeaten,
        chosen=chosen,
    )
