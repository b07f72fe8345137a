"""Counted modes in sentences.

What is said follows from the claims: a class "is drawn" where more images are read as it than the
reader's mistakes explain.
"""

from __future__ import annotations

from seeingkit.results import AskedClass, ModeResult, ModesResult

from .numbers import count, level, listing, number, probability

NAMED = 12
"""At most so many classes are named in a sentence."""


def mode_sentences(found: ModesResult | None) -> list[str]:
    """What is said of modes where there is no table of them; nothing without modes.

    >>> mode_sentences(None)
    []
    """
    if found is None:
        return []
    said = [modes_sentence(found), missing_sentence(found), divergence_sentence(found)]
    if found.asked:
        right, of = (sum(getattr(a, name) for a in found.asked) for name in ("right", "images"))
        guess = ", classes matched by their numbers" if found.asked_by == "number" else ""
        said.append(f"Of {of:,} images {right:,} are read as the class that was asked for{guess}.")
    return [sentence for sentence in said if sentence]


def missing_modes(found: ModesResult) -> list[ModeResult]:
    """Classes of the real images that the generated ones do not show for sure, by real images.

    Without a table of confusion: that no generated image is read as.

    ::

        missing_modes(results.modes)
    """
    return [
        mode
        for mode in found.modes
        if mode.real and not (mode.generated if mode.drawn is None else mode.drawn)
    ]


def modes_sentence(found: ModesResult) -> str:
    """How many classes are drawn, beside as many real images.

    ::

        modes_sentence(results.modes)
    """
    low, high = found.expected_range
    real = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    beside = f"as many real images are read as {real}"
    read = f"read as {found.generated_seen:,} of {found.labels:,} classes"
    if found.drawn is None:
        return (
            f"The generated images are {read}; {beside}. Without a table of the reader's mistakes "
            "it is not said which of them are drawn."
        )
    said = count(found.drawn, "class is", "classes are")
    text = f"{said} drawn for sure, of {found.labels:,}. The images are {read}; {beside}."
    if found.mistaken_seen is not None and found.mistaken_seen >= 0.5:
        others = f"{found.mistaken_seen:,.0f}"
        text += f" Were only these drawn, mistakes of the reader would show about {others} others."
    return text


def missing_sentence(found: ModesResult) -> str:
    """Which classes are missing, by name where they are few; empty where none is.

    ::

        missing_sentence(results.modes)
    """
    missing = missing_modes(found)
    if not missing:
        return ""
    named = [mode.label for mode in missing[:NAMED]]
    more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
    return f"Not drawn for sure: {listing(named) if not more else ', '.join(named) + more}."


def divergence_sentence(found: ModesResult) -> str:
    """How far the shares are off, beside what equal shares would give.

    ::

        divergence_sentence(results.modes)
    """
    low, high = found.kl_range
    return (
        f"The shares are {number(found.kl)} nats from the real ones (Kullback and Leibler); equal "
        f"shares would give {number(found.kl_expected)} ({number(low)} to {number(high)}) at "
        f"these numbers of images, {_p(found)}."
    )


def reader_sentence(found: ModesResult) -> str:
    """How good the reader is, and what that is about.

    ::

        reader_sentence(results.modes)
    """
    if found.confusion is None:
        return "How often the reader errs is not known."
    images = found.confusion.images or "labelled images"
    word = "" if found.confusion.readings == 1 else f" each of the {found.confusion.readings} of"
    right = f"{100 * found.confusion.right:.1f}\u00a0%"
    return (
        f"The reader names{word} {right} right, of {images}. Claims hold if it errs "
        "on generated images as on these; it has no word for a picture that shows none of its "
        f"classes. At most {level(found.level)} of the claims that a class is drawn "
        "are expected to be false."
    )


def asked_sentence(asked: AskedClass) -> str:
    """How often an image of a conditional generator shows the class that was asked for.

    ::

        asked_sentence(results.modes.asked[0])
    """
    found = f"{asked.right:,} of {asked.images:,} are read as asked"
    if asked.other is None:
        return found
    return f"{found}; most others as {asked.other} ({asked.other_images:,})"


def _p(found: ModesResult) -> str:
    least = 1 / (found.draws + 1)
    return (
        f"p ≤ {probability(least)}" if found.p_value <= least else f"p {probability(found.p_value)}"
    )
