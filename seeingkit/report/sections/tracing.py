"""The section on units behind the missing and the excess classes of a comparison."""

from __future__ import annotations

import io
from pathlib import Path

from seeingkit.results import ExcessClass, MissingClass, Results

from ..pictures.files import read_picture
from ..pictures.uris import image_uri
from ..templates import Section, render
from ..words.numbers import between, number, probability, share
from ..words.tracing import excess_sentence, missing_sentence, share_words, summary_of

CHANGED = 6
"""Other classes of an edit that are listed."""


def tracing_section(results: Results, run_dir: Path | None) -> Section | None:
    """Each traced class with its sentence, its numbers and its pictures; None without a tracing.

    Raises:
        RunError: a picture that a record names is missing, damaged, or not inside the directory.
    """
    found = results.tracing
    if found is None:
        return None
    body = render(
        "tracing.html.j2",
        found=found,
        missing=[
            (one, missing_sentence(one, found), _strips(one, run_dir)) for one in found.missing
        ],
        excess=[(one, excess_sentence(one, found), _strips(one, run_dir)) for one in found.excess],
        changed=CHANGED,
        between=between,
        number_of=number,
        q=probability,
        share_of=share,
        left=share_words,
    )
    return Section("units", "Units behind these classes", body, "Units", summary_of(found))


def _strips(one: MissingClass | ExcessClass, run_dir: Path | None) -> list[str]:
    """Pictures before and after, as addresses of their data."""
    if one.pictures is None or run_dir is None:
        return []
    found = []
    for name in one.pictures:
        data = io.BytesIO()
        read_picture(run_dir, name).convert("RGB").save(data, "WEBP", quality=85)
        found.append(image_uri("webp", data.getvalue()))
    return found
