"""The section on edits that are to bring missing classes back."""

from __future__ import annotations

import io
from pathlib import Path

from seeingkit.results import Results
from seeingkit.results.repairs import RepairedClass

from ..pictures.files import read_picture
from ..pictures.uris import image_uri
from ..templates import Section, render
from ..words.numbers import between, number, probability, share
from ..words.repair import price_sentence, reach_sentence, repair_sentence, repair_summary

VERDICTS = {"back": "drawn again", "partly": "more often, not back", "no": "not back"}
STRIPS = {
    "photos": "Photos of it; outlined: it.",
    "made": "Their inversions: the same photos as the generator draws them.",
    "values": "With the values that the layer would have to give.",
    "before": "Generated images without the edit, those that gain most.",
    "after": "The same images with the edit; outlined: its largest object.",
    "real-objects": "Close-ups of its largest objects in real images.",
    "made-objects": "Close-ups of its largest objects in images with the edit.",
}
CHANGED = 6
"""Other classes of an edit that are listed."""


def repair_section(results: Results, run_dir: Path | None) -> Section | None:
    """Each class with its sentences, its numbers and its pictures; None without a repair.

    Raises:
        RunError: a picture that a record names is missing, damaged, or not inside the directory.
    """
    found = results.repair
    if found is None:
        return None
    told = [
        (
            one,
            [repair_sentence(one), reach_sentence(one), price_sentence(one)],
            _strips(one, run_dir),
        )
        for one in found.classes
    ]
    body = render(
        "repair.html.j2",
        found=found,
        told=told,
        verdicts=VERDICTS,
        changed=CHANGED,
        between=between,
        number_of=number,
        q=probability,
        share_of=share,
    )
    title = "Can an edit bring these classes back?"
    return Section("repair", title, body, "Repair", repair_summary(found))


def _strips(one: RepairedClass, run_dir: Path | None) -> list[tuple[str, str]]:
    """Pictures as addresses of their data, with a caption each."""
    if run_dir is None:
        return []
    found = []
    for name in one.pictures:
        data = io.BytesIO()
        read_picture(run_dir, name).convert("RGB").save(data, "WEBP", quality=85)
        caption = next(text for key, text in STRIPS.items() if name.endswith(f"-{key}.png"))
        found.append((image_uri("webp", data.getvalue()), caption))
    return found
