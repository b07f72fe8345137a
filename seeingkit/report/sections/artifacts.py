"""The page of a search for artifact units: the answer, tests, suspicious units, pairs, classes.

A pure function of ``results.json`` and of the pictures that it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.errors import RunError
from seeingkit.results import ArtifactPair, ArtifactResults, ArtifactUnit, ClassEffect

from ..pictures.colours import class_colour
from ..pictures.files import read_photo
from ..pictures.marks import css_colour
from ..pictures.uris import Level, photo_uri
from ..templates import Section, render
from ..words.artifacts import claims_of_effect, null_words, summarise_artifacts, swap_words
from ..words.names import titles
from ..words.numbers import area, between, change, number, probability, share

STRIP = Level(1536, 85)
"""Detail of a strip of images."""
RANKED = 12
"""Units of the ranking that stand in the table."""
CLASSES = 12
"""Classes of the table, besides all with a claim."""


@dataclass(frozen=True)
class Strip:
    """Images without and with units ablated.

    Attributes:
        uri: upper row without, lower row with; width, height: of the whole in pixels.
    """

    record: ArtifactUnit | ArtifactPair
    uri: str
    width: int
    height: int


def artifacts_values(results: ArtifactResults, run_dir: Path | None) -> dict[str, Any]:
    """The words, numbers and pictures of the page.

    Raises:
        RunError: pictures are needed and there is no folder to read them from, or one is damaged.
    """
    units = [one for one in results.units if one.strip]
    if run_dir is None and (units or results.pairs):
        raise RunError("a page with pictures of units needs the run directory they are in")
    words = summarise_artifacts(results)
    return {
        "names": titles([results.generator.name, results.data.name]),
        "headline": words.headline,
        "details": words.details,
        "cautions": list(words.cautions),
        "sections": [_sure(results)],
        "best": results.best,
        "units": [_strip(run_dir, one, one.strip) for one in units],
        "pairs": [_strip(run_dir, one, one.strip) for one in results.pairs],
        "ranked": results.units[:RANKED],
        "classes": shown_classes(results),
        "colour": lambda label: css_colour(class_colour(label)),
        "claims": claims_of_effect,
        "between": between,
        "swap": swap_words,
        "area": area,
        "change": change,
        "q": probability,
        "share_of": share,
        "signed": number,
    }


def shown_classes(results: ArtifactResults) -> list[ClassEffect]:
    """The classes of the table: the largest changes, and all that are claimed."""
    found = results.effect.classes
    return [one for k, one in enumerate(found) if k < CLASSES or claims_of_effect(one)]


def _strip(run_dir: Path | None, record: ArtifactUnit | ArtifactPair, name: str | None) -> Strip:
    assert run_dir is not None and name is not None
    pixels = read_photo(run_dir, name)
    height, width = pixels.shape[:2]
    return Strip(record, photo_uri(pixels, STRIP), width, height)


def _sure(results: ArtifactResults) -> Section:
    """The section on doubt: the nulls, and what random units do."""
    body = render(
        "artifacts_doubt.html.j2",
        results=results,
        null=null_words(results),
        between=between,
        swap=swap_words,
    )
    answer = "Units were chosen on other images than they were tested on."
    return Section("sure", "How sure", body, answer=answer, appendix=False)
