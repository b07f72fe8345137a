"""A sweep of edits as sentences and as a table."""

from __future__ import annotations

from seeingkit.results.sweeps import Estimate, SweepResults, SweptEdit

from .numbers import MINUS, listing, share


def sweep_sentence(found: SweepResults) -> str:
    """Which edit is chosen and what it does, or that no layer does this.

    ``sweep_sentence(sweep(generator, request, segmenter).results)``
    """
    wanted = listing(found.wanted)
    sites = len({edit.site for edit in found.edits})
    tried = f"{len(found.edits)} edits of {sites} {'layer' if sites == 1 else 'layers'}"
    best, chosen = next((one for one in found.edits if one.chosen), None), found.chosen
    if best is None or chosen is None:
        return (
            f"No layer does this: none of {tried} that changes at most {share(found.budget)} of "
            f"the labels of other places brings {wanted} to places that match the context."
        )
    named = f"{best.site}, rank {best.rank}, keep {best.keep:g}"
    shown = (
        f"in {chosen.images:,} images that nothing was chosen with, {wanted} goes from "
        f"{_share(chosen.before)} to {_share(chosen.after)} of the matching places, "
        f"{_points(chosen.beyond)} than with an edit of the same size elsewhere"
    )
    price = f"{_share(chosen.labels_outside)} of the labels of other places change"
    if found.found:
        return f"Chosen of {tried}: {named}. {_capital(shown)}; {price}."
    return (
        f"No layer does this. With the best of {tried} ({named}), {shown}: not surely more than "
        f"{_plain(found.least)}. {_capital(price)}."
    )


def compared_sentence(found: SweepResults) -> str:
    """On which examples and places edits were compared.

    ``compared_sentence(sweep(generator, request, segmenter).results)``
    """
    kept = (
        "no context was kept apart"
        if not found.held_out
        else f"{found.held_out} of {found.contexts} contexts were kept apart from planning"
    )
    told = sorted(found.matching, key=lambda name: -found.matching[name])
    best = share(found.matching[told[0]])
    whose = told[0] if len(told) == 1 else f"{len(told)} layers"
    which = "which tell" if len(told) == 1 else f"of which {told[0]} tells"
    return (
        f"Compared on {found.images} images; {kept}. Places match by the keys of {whose} "
        f"({share(found.matching_share)} of all places), {which} contexts from the rest of their "
        f"images in {best} of pairs."
    )


HEADER = ("layer", "rank", "keep", "success", "95 %", "outside", "labels", "kept apart", "")


def sweep_rows(found: SweepResults) -> list[list[str]]:
    """A row for each edit, under ``HEADER``; those that no other one beats are marked.

    ``sweep_rows(results)[0]``
    """
    return [_row(edit) for edit in found.edits]


def _row(edit: SweptEdit) -> list[str]:
    success = edit.success
    ends = (
        "" if success.low is None or success.high is None
        else f"{success.low:.2f} to {success.high:.2f}"
    )  # fmt: skip
    return [
        edit.site,
        str(edit.rank),
        f"{edit.keep:g}",
        _number(success.value),
        ends,
        _number(edit.outside.value),
        _number(edit.labels_outside.value),
        _number(edit.held_out),
        "chosen" if edit.chosen else "unbeaten" if edit.unbeaten else "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(found: Estimate) -> str:
    return "no share" if found.value is None else share(found.value)


def _plain(value: float) -> str:
    return f"{100 * value:g} points"


def _points(found: Estimate) -> str:
    """A difference of shares, as ``20 points (11 to 35) more``."""
    if found.value is None or found.low is None or found.high is None:
        return "nobody can say how many points more"
    sign, word = (1, "more") if found.value >= 0 else (-1, "fewer")
    ends = sorted(100 * sign * end for end in (found.low, found.high))
    low, high = (f"{end:.0f}".replace("-", MINUS) for end in ends)
    return f"{100 * sign * found.value:.0f} points ({low} to {high}) {word}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
