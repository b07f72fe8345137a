"""The sections that support the findings: distance, power, pairs, and measures of other libraries.

Each section of evidence is a pure function of ``results.json`` (scenes: of the pictures of a
gallery too), has its answer in one sentence, and is None where the run has no such results. Names
of classes and images are escaped by the templates.
"""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.results import (
    FidelityResult,
    PairsResult,
    Results,
)

from ..figures.contributions import contribution_sentence, contribution_svg, contributions
from ..figures.themes import themed_figures
from ..pictures.encoding import ScenePictures
from ..templates import Section, render
from ..words.numbers import at_least, count, level, listing, number
from .scenes import scenes_section
from .segmenter import segmenter_section

PAIRS_SHOWN = 30


def evidence_sections(results: Results, scenes: Sequence[ScenePictures] = ()) -> list[Section]:
    """The sections that stand between the examples and the other sections, in their order."""
    made = [
        distance_section(results),
        power_section(results),
        pairs_section(results),
        scenes_section(results, scenes),
        segmenter_section(results),
    ]
    return [section for section in made if section is not None]


# -------------------------------------------------------------------------------------- distance


def distance_section(results: Results) -> Section | None:
    """The contributions of classes to FSD, as a figure and a table."""
    bars = contributions(results)
    if not bars:
        return None
    body = render(
        "distance.html.j2",
        bars=bars,
        fsd=results.fsd,
        figures=themed_figures(lambda layout: contribution_svg(bars, layout=layout)),
    )
    return Section(
        id="distance",
        title="Contributions to FSD",
        body=body,
        link="Distance",
        answer=contribution_sentence(results),
        folded=False,
    )


# ----------------------------------------------------------------------------------------- power


def power_section(results: Results) -> Section | None:
    """The losses that these numbers of images detect, and the numbers that others would take."""
    power = results.power
    if power is None:
        return None
    if power.all_removed is None:
        answer = "At these numbers of images, the loss of no class would be detected reliably."
    else:
        answer = (
            f"The loss of a class is found with a power of {level(power.power)} if at least "
            f"{at_least(power.all_removed)} of the real images show it."
        )
    body = render(
        "power.html.j2", power=power, n_real=results.n_real, n_generated=results.n_generated
    )
    return Section(
        id="power",
        title="Detectable losses",
        body=body,
        link="Power",
        answer=answer,
        folded=True,
    )


# ----------------------------------------------------------------------------------------- pairs


def pairs_section(results: Results) -> Section | None:
    """The pairs of classes that are drawn together less, or more, than in the real images."""
    pairs = results.pairs
    if pairs is None:
        return None
    shown = pairs.pairs[:PAIRS_SHOWN]
    body = render("pairs.html.j2", pairs=pairs, shown=shown, hidden=pairs.found - len(shown))
    return Section(
        id="together", title="Together", body=body, answer=_pairs_answer(pairs), folded=True
    )


def _pairs_answer(pairs: PairsResult) -> str:
    if not pairs.tested:
        return "No pair of classes is in enough images to be tested."
    if not pairs.found:
        return (
            f"Of {count(pairs.tested, 'pair')} of classes tested, none is found to be drawn "
            "together less or more often than the presences of its classes explain."
        )
    apart = [f"{p.first} with {p.second}" for p in pairs.pairs if p.verdict == "apart"]
    together = [f"{p.first} with {p.second}" for p in pairs.pairs if p.verdict == "together"]
    texts = []
    if apart:
        texts.append(f"too seldom together: {listing(apart, limit=3)}")
    if together:
        texts.append(f"too often together: {listing(together, limit=3)}")
    return (
        f"{pairs.found:,} of {count(pairs.tested, 'pair')} of classes "
        f"{'is' if pairs.found == 1 else 'are'} drawn together otherwise than the presences of "
        f"their classes explain; {'; '.join(texts)}."
    )


# ---------------------------------------------------------------------------------- other measures


def fidelity_section(results: Results) -> Section | None:
    """Distances by features of a classifier, computed by another library."""
    found = results.fidelity
    if found is None:
        return None
    values = [f"{name} {number(value)}" for name, value in found.values.items()]
    answer = f"{listing(values, limit=5)}, by {found.library}." if values else ""
    settings = [
        (name, value)
        for name, value in found.options.items()
        if name != "notes" and not isinstance(value, (dict, list, tuple))
    ]
    body = render(
        "fidelity.html.j2",
        fidelity=found,
        measures=list(found.values.items()),
        settings=settings,
        notes=_notes(found),
    )
    return Section(id="fidelity", title="Other measures", body=body, answer=answer, folded=True)


def _notes(found: FidelityResult) -> list[str]:
    """The notes of the library's adapter, each as a sentence."""
    notes = found.options.get("notes") or []
    texts = [str(note) for note in (notes if isinstance(notes, (list, tuple)) else [notes])]
    return [text[:1].upper() + text[1:].rstrip(".") + "." for text in texts]
