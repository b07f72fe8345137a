"""The findings of a search for artifact units as sentences, and its cautions."""

from __future__ import annotations

from collections.abc import Iterator

from seeingkit.results import ArtifactResults, ArtifactTest, ClassEffect

from .assumptions import assumed
from .cautions import skipped_caution
from .findings import Summary
from .numbers import between, count, level, listing, number, probability, share

CLASSES = 6
"""Classes whose change a sentence names."""
RANKINGS = {
    "ablation": "the gain of ablating each unit alone",
    "images": "the distance from the real images of the images in which each unit is strongest",
    "marks": "the agreement of each unit's map with the painted regions",
}
"""How units are ranked, as a noun."""


def summarise_artifacts(results: ArtifactResults) -> Summary:
    """Put a search into words: the test that is shown first, then the other tests."""
    others = [test for test in results.tests if test is not results.best]
    details = [control_sentence(results.best, results), collateral_sentence(results)]
    details += [short_sentence(test, results) for test in others]
    cautions = tuple(artifact_cautions(results))
    return Summary(headline(results), tuple(filter(None, details)), cautions)


def headline(results: ArtifactResults) -> str:
    """The answer: which units are artifact units, or that none is."""
    test = results.best
    if test.claim == "gain":
        return (
            f"{units_words(test)} of {results.layer} found as artifacts: without "
            f"{'it' if len(test.units) == 1 else 'them'} the distance from the real images falls "
            f"from {number(test.before)} to {number(test.after)}, a gain of {number(test.gain)} "
            f"({between((test.low, test.high))})."
        )
    many = len(test.units)
    units = "the most suspicious unit" if many == 1 else f"the {many:,} most suspicious units"
    found = f"No units of {results.layer} are artifact units by this measure: ablating {units} "
    distances = f"from {number(test.before)} to {number(test.after)}"
    gain = f"gain {number(test.gain)}, {between((test.low, test.high))}"
    if test.claim == "loss":
        return f"{found}takes the images farther away, {distances} ({gain})."
    if test.claim == "gain of any units":
        return (
            f"{found}brings the images nearer, {distances} ({gain}), but it is not shown that "
            "random units do less."
        )
    return f"{found}does not surely change the distance from the real images, {distances} ({gain})."


def units_words(test: ArtifactTest, limit: int = 6) -> str:
    """``Unit 7``, ``Units 7, 3 and 12``."""
    noun = "Unit" if len(test.units) == 1 else "Units"
    return f"{noun} {listing([str(unit) for unit in test.units], limit)}"


def control_sentence(test: ArtifactTest, results: ArtifactResults) -> str:
    """The chosen units beside as many random ones."""
    gains = [one.gain for one in test.random]
    random = f"{count(len(gains), 'set')} of {count(len(test.units), 'random unit')}"
    as_good = f"{test.as_good} of them at least as much" if test.as_good else "none as much"
    return (
        f"{random} gain {between((min(gains), max(gains)))}, {as_good}; gain of the chosen units "
        f"− mean of these: {number(test.against)} "
        f"({between((test.against_low, test.against_high))})."
    )


def short_sentence(test: ArtifactTest, results: ArtifactResults) -> str:
    """A further test in one line."""
    found = f"gain {number(test.gain)} ({between((test.low, test.high))})"
    return f"{count(len(test.units), 'unit')} ablated: {found}, {test.claim}."


def claims_of_effect(record: ClassEffect) -> str:
    """``less area, in fewer images``; empty where nothing is claimed."""
    said = (record.area_claim, record.images_claim)
    return ", ".join(claim for claim in said if claim != "no evidence")


def collateral_sentence(results: ArtifactResults) -> str:
    """What the ablation does to the classes."""
    changed = [one for one in results.effect.classes if claims_of_effect(one)]
    moved = f"The ablation changes the class of {share(results.effect.moved)} of the pixels"
    if not changed:
        return f"{moved}, and no class surely changes."
    named = [f"{one.label} {_signed(one)}" for one in changed]
    return f"{moved}; classes that surely change: {listing(named, CLASSES)}."


def _signed(record: ClassEffect) -> str:
    if record.relative is None:
        return "(new)"
    sign = "+" if record.relative >= 0 else "−"
    return f"{sign}{share(abs(record.relative))}"


def null_words(results: ArtifactResults) -> str:
    """The two nulls and their rate, for the section on doubt."""
    settings, test = results.settings, results.best
    tests = count(len(results.tests), "test")
    marked = settings.ranking == "marks"
    images = "painted images" if marked else f"images of seed {settings.search_seed:,}"
    return (
        f"Units are ranked by {RANKINGS[settings.ranking]}, on {settings.search_images:,} {images}"
        f"{'' if marked else f' and {settings.search_real:,} real images'}. The tests rest on "
        f"{results.n:,} other images, each without and with the ablation, and on "
        f"{results.n_real:,} other real images, so that the choice of units cannot flatter them. "
        "“Gain” rejects two nulls: that both distances are equal (an interval from influence "
        "functions within pairs; where it leaves out 0, images without and with the ablation are "
        "also exchanged at random), and that random units of the same number gain as much on "
        f"average. For {tests} the error rate together is {level(settings.level)}: intervals have "
        f"a confidence of {level(test.confidence)}. Distances are of {settings.space}, "
        f"bias-reduced, in {settings.unit}."
    )


def swap_words(test: ArtifactTest) -> str:
    """The p-value of the exchange, or why there is none."""
    return "not needed" if test.p_swap is None else probability(test.p_swap)


def artifact_cautions(results: ArtifactResults) -> list[str]:
    """The reasons to read a search with care, most important first."""
    found = [
        *_near(results),
        *_small(results),
        *_measure(results),
        *skipped_caution(results.skipped),
        *assumed([results.generator, results.segmenter]),
        *results.warnings,
    ]
    return list(dict.fromkeys(found))


def _measure(results: ArtifactResults) -> Iterator[str]:
    if results.settings.space == "areas of classes":
        yield (
            "Distances are of areas of classes: an artifact that leaves the areas as they are, "
            "such as a wrong texture, is not seen; --features names another measure."
        )


def _near(results: ArtifactResults) -> Iterator[str]:
    best = results.best
    if best.before < 2 * best.before_error:
        yield (
            f"The distance without any ablation ({number(best.before)} ± "
            f"{number(best.before_error)}) is hardly more than 0 in {count(results.n, 'image')}: "
            "there is little to gain, or more images are needed."
        )


def _small(results: ArtifactResults) -> Iterator[str]:
    if results.best.claim == "no evidence" and results.best.error > 0:
        least = number(2 * results.best.error)
        yield (
            f"A gain below about {least} would not be seen with {count(results.n, 'image')}; "
            "“no evidence” does not say that there is no gain."
        )
