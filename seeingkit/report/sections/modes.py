"""The section on modes: which classes a generator draws at all, how often, and as it was asked."""

from __future__ import annotations

import io
from pathlib import Path

from seeingkit.results import Results

from ..pictures.files import read_picture
from ..pictures.uris import image_uri
from ..templates import Section, render
from ..words.modes import (
    asked_sentence,
    divergence_sentence,
    missing_modes,
    missing_sentence,
    modes_sentence,
    reader_sentence,
)
from ..words.numbers import between, number, probability, share

ROWS = 60
"""Most modes that are all listed; of more the missing ones are."""
MISSING = 40
SAMPLES = ("samples/real.png", "samples/generated.png")


def modes_section(results: Results, run_dir: Path | None) -> Section | None:
    """Sheets of images as they come, the modes, and the classes asked for; None without modes.

    Raises:
        RunError: a sheet is damaged.
    """
    found = results.modes
    if found is None:
        return None
    whole = len(found.modes) <= ROWS
    missing = missing_modes(found)
    body = render(
        "modes.html.j2",
        found=found,
        whole=whole,
        rows=found.modes if whole else missing[:MISSING],
        missing=len(missing),
        sentences=[
            modes_sentence(found),
            missing_sentence(found) if whole else "",
            divergence_sentence(found),
            reader_sentence(found),
        ],
        n_real=results.n_real,
        n_generated=results.n_generated,
        asked_of=asked_sentence,
        between=between,
        number_of=number,
        q=probability,
        share_of=share,
    )
    return Section(
        "modes",
        "Which classes are drawn at all",
        body,
        answer=_summary(results),
        appendix=False,
        first=True,
    )


def _summary(results: Results) -> str:
    found = results.modes
    assert found is not None
    if found.drawn is None:
        return f"{found.generated_seen:,} of {found.labels:,} are read"
    return f"{found.drawn:,} of {found.labels:,} are drawn for sure"


def sample_sheets(results: Results, run_dir: Path | None) -> list[tuple[str, str]]:
    """The first images of each side as they come: (``real`` or ``generated``, address of its data).

    Only of results with modes, whose runs have them.

    Raises:
        RunError: a sheet is damaged.
    """
    if results.modes is None:
        return []
    found = [(Path(name).stem, _sheet(run_dir, name)) for name in SAMPLES]
    return [(name, sheet) for name, sheet in found if sheet]


def _sheet(run_dir: Path | None, name: str) -> str:
    """A sheet as an address of its data; empty where there is none."""
    if run_dir is None or not (run_dir / name).is_file():
        return ""
    data = io.BytesIO()
    read_picture(run_dir, name).convert("RGB").save(data, "WEBP", lossless=True)
    return image_uri("webp", data.getvalue())
