"""The findings of a comparison as sentences: missing classes, other changes, the distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seeingkit.results import (
    OMITTED_BELOW,
    ClassResult,
    Results,
    claims_of,
    images_lost,
    only_composition,
)

from ..selection import judged
from .assumptions import assumed
from .cautions import FEW_IMAGES, cautions, power_sentence, sides
from .modes import mode_sentences
from .numbers import (
    area,
    between,
    change,
    count,
    interval,
    level,
    listing,
    number,
    probability,
    share,
    some_of,
)
from .paired import paired_details, paired_headline
from .translation import question_of


@dataclass(frozen=True)
class Summary:
    """The words of a report.

    Attributes:
        headline: one sentence on the missing classes.
        details: further findings, one sentence or two each.
        cautions: reasons to read the numbers with care, the run's own warnings last.
        question: what is asked, where the generated images are translations.
    """

    headline: str
    details: tuple[str, ...]
    cautions: tuple[str, ...]
    question: str = ""

    @property
    def text(self) -> str:
        """All of it, one paragraph a line."""
        asked = [self.question] if self.question else []
        return "\n".join([*asked, self.headline, *self.details, *self.cautions])


def summarise(results: Results) -> Summary:
    """Put the findings of a comparison into words."""
    classes, paired = judged(results), results.paired
    if paired is not None:
        headline = paired_headline(results, paired, classes)
        details = tuple(paired_details(results, paired, classes))
    else:
        headline = _headline(results, classes)
        modes = mode_sentences(results.modes)
        details = (*_other_changes(classes), *modes, _distance(results), *_power(results))
    said = assumed([results.generator, results.segmenter])
    return Summary(
        headline=headline,
        details=details,
        cautions=tuple(dict.fromkeys([*cautions(results, classes), *said, *results.warnings])),
        question=question_of(results),
    )


def _findings(records: list[ClassResult]) -> str:
    """Names with the change that was claimed and its interval."""
    texts = []
    for record in records:
        text = f"{change(record.relative_difference)}, {interval(record.ci_low, record.ci_high)}"
        if record.area_claim == "no evidence" or record.one_class:
            text = images_words(record)
        elif lost_by_presence(record):
            before, now, where = images_lost(record)
            text = f"{where} {share(now)} instead of {share(before)} of the images; area {text}"
        texts.append(f"{record.label} ({text})")
    return listing(texts, limit=6)


def images_words(record: ClassResult) -> str:
    """``in 2.1 % instead of 8.0 % of the images, −80 to −63 %``: a claim about images."""
    before, now, where = images_lost(record)
    text = f"{where} {share(now)} instead of {share(before)} of the images"
    return text + (f", {interval(*record.images_ci)}" if record.images_ci else "")


def tested_presence(results: Results) -> bool:
    """Whether the verdicts rest on presence too; those of older runs rest on area alone."""
    return any(record.p_presence is not None for record in results.classes)


def lost_by_presence(record: ClassResult) -> bool:
    """Whether it is called omitted for its images, having kept more than half of its area."""
    kept = record.relative_difference is not None and record.relative_difference > OMITTED_BELOW
    return record.omitted and kept


def verdict_words(record: ClassResult) -> str:
    """``omitted: less area, in fewer images``, ``in more images``, ``no evidence``."""
    if record.area_claim is None:  # a run made before claims were told apart
        return record.verdict + (", by presence" if record.because == "presence" else "")
    claims = ", ".join(claims_of(record))
    return f"{record.verdict}: {claims}" if claims not in ("", record.verdict) else record.verdict


def _headline(results: Results, classes: list[ClassResult]) -> str:
    shown = [record for record in classes if record.real_area > 0]
    omitted = [record for record in shown if record.omitted]
    if not shown:
        return (
            "The real images show none of the classes that the segmenter knows, "
            "so no class can be called missing."
        )
    rate = f"false discovery rate of {level(results.level)}"
    half = "half of its area" + (" or of its images" if tested_presence(results) else "")
    if any(record.one_class for record in shown):
        half = "half of its images"
    if not omitted:
        nothing = "Nothing is found to be left out"
        if results.power and min(results.n_real, results.n_generated) < FEW_IMAGES:
            nothing += f", and with {sides(results)} little could be"
        lost = f"of the {len(shown):,} classes that the real images show, none has lost at least"
        if len(shown) == 1:
            lost = f"the one class that the real images show, {shown[0].label}, has not lost"
        return f"{nothing}: {lost} {half} at a {rate}."
    of = f"{some_of(len(omitted), len(shown))} classes"
    if len(shown) == 1:
        of = "the only class"
    are, its = ("is", "its") if len(omitted) == 1 else ("are", "their")
    lost = half.replace("its", its)
    text = f"{of[:1].upper()}{of[1:]} that the real images show {are} omitted, by at least {lost}"
    return f"{text}: {_findings(omitted)}; at a {rate}, with intervals corrected alike."


def _other_changes(classes: list[ClassResult]) -> Iterable[str]:
    def named(records: list[ClassResult]) -> str:
        return listing([f"{r.label} ({change(r.relative_difference)})" for r in records], limit=6)

    reduced = [r for r in classes if r.verdict == "reduced" and not r.composition]
    excess = [r for r in classes if r.verdict == "excess" and r.relative_difference is not None]
    new = [r for r in classes if r.verdict == "excess" and r.relative_difference is None]
    one_class = any(record.one_class for record in classes)
    if reduced:
        further = " further" if any(r.omitted for r in classes) else ""
        start = f"{len(reduced):,}{further} classes have"
        if len(reduced) == 1:
            start = f"{'A' if further else 'One'}{further} class has"
        less = "fewer images" if one_class else "less area"
        yield f"{start} {less}, by less than half: {named(reduced)}."
    own = [r for r in excess if not r.composition and r.area_claim != "no evidence"]
    by_images = [r for r in excess if r.area_claim == "no evidence"]
    if own:
        one, many, more = "takes", "take", "more room than in the real images"
        if one_class:
            one, many, more = "is read", "are read", "more often than in the real images"
        start = f"One class {one}" if len(own) == 1 else f"{len(own):,} classes {many}"
        yield f"{start} {more}: {named(own)}."
    if by_images:
        names = listing([f"{r.label} ({images_words(r)})" for r in by_images], limit=6)
        yield f"At least twice as many images show {names}; of the area there is no evidence."
    yield from _compositions(classes, named)
    if new:
        start = f"{len(new):,} classes that no real image has are"
        if len(new) == 1:
            start = "One class that no real image has is"
        names = listing([f"{r.label} ({area(r.generated_area)})" for r in new], limit=6)
        yield f"{start} drawn: {names}."
    for claim in ("in fewer images", "in more images"):
        alone = [r for r in classes if r.verdict == claim]
        if alone:
            names = listing([f"{r.label} ({_seen(r)})" for r in alone], limit=6)
            start = "One class is" if len(alone) == 1 else f"{len(alone):,} classes are"
            yield (
                f"{start} drawn {claim}, with no evidence of more or less area in all: {names}. "
                "Images count that show it above its area threshold."
            )


def _seen(record: ClassResult) -> str:
    before, now, _ = images_lost(record)
    return f"{share(now)} instead of {share(before)}"


def _compositions(
    classes: list[ClassResult], named: Callable[[list[ClassResult]], str]
) -> Iterable[str]:
    """Differences in area that are not shown in the rest of the image."""
    marked = [r for r in classes if r.composition]
    for claim, change_words, cause in (
        ("more area", "more", "lost area"),
        ("less area", "less", "gained area"),
    ):
        found = [r for r in marked if r.area_claim == claim]
        if not found:
            continue
        takes, theirs = ("takes", "its") if len(found) == 1 else ("take", "their")
        yield (
            f"{named(found)} {takes} {change_words} room, but of the image without the classes "
            f"that {cause} no change in {theirs} share is shown."
        )
        settled = [r.label for r in found if only_composition(r)]
        if settled:
            yield (
                f"Of {listing(settled)} it is shown that the share of that rest changed by half as "
                "much at most: areas sum to 100 %."
            )


def _distance(results: Results) -> str:
    fsd = results.fsd
    text = (
        f"FSD {number(fsd.value)} percent² "
        f"(mean {number(fsd.mean_term)} + covariance {number(fsd.cov_term)})"
    )
    if fsd.floor is not None:
        error = "" if fsd.floor_error is None else f" ± {number(fsd.floor_error)}"
        text += f" against a floor of {number(fsd.floor)}{error} for two real samples of this size"
        n = min(results.n_real, results.n_generated)
        if fsd.floor_halves is not None and fsd.floor_halves < n:
            text += f" (measured on disjoint halves of {count(fsd.floor_halves, 'image')})"
    if fsd.p_value is not None:
        text += f", permutation p = {probability(fsd.p_value)}"
        if fsd.permutations and fsd.p_value <= 1.000001 / (fsd.permutations + 1):
            times = count(fsd.permutations, "permutation")
            text += f", the smallest that {times} can give"
        if fsd.block > 1:
            what = "group" if results.groups else "image"
            text += f" (random blocks of {count(fsd.block, what)} change sides)"
    bounds = ""
    if fsd.ci_low is not None or fsd.ci_high is not None:
        bounds = f"{level(fsd.confidence)} interval {between((fsd.ci_low, fsd.ci_high))}"
    if fsd.bias_reduced is not None:
        text += f"; with the sampling bias reduced, {number(fsd.bias_reduced)}"
        text += f" ({bounds})" if bounds else ""
    elif bounds:
        text += f"; without its sampling bias the distance has the {bounds}"
    return text + "."


def _power(results: Results) -> Iterable[str]:
    sentence = power_sentence(results)
    if sentence and min(results.n_real, results.n_generated) >= FEW_IMAGES:
        yield sentence
