"""Small made-up runs for figures: areas, photos and label maps whose figures are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seeingkit.results import (
    CalibrationRecord,
    ClassResult,
    ClassVanishing,
    InversionRecord,
    InversionResults,
    InversionSettings,
    LostClass,
    ModelRecord,
    ReferenceRate,
    Results,
)

from .church_report import church_results, class_result, save_results

AREAS = (("sky", 10.0, 0.0), ("tree", 1.0, -0.5), ("person", 0.1, -1.0), ("rock", 0.01, 3.0))
"""Label, real area in percent, relative difference: a decade apart each."""
LABELS = ["-", "person", "car"]
SIDE = 8
"""Pixels of a photo."""


def decades() -> list[ClassResult]:
    """The classes of ``AREAS``, and "no object"."""
    made = [class_result(*row[:1], k + 1, *row[1:]) for k, row in enumerate(AREAS)]
    return [class_result("-", 0, 80.0, 0.0), *made]


def comparison(folder: Path, name: str = "progan:church", **changes: Any) -> Path:
    """A run that compares the classes of ``AREAS``, unless ``changes`` give others."""
    folder.mkdir(parents=True)
    model = ModelRecord(name=name, family="progan")
    values: dict[str, Any] = {"classes": decades(), "generator": model}
    save_results(folder, church_results(**{**values, **changes}))
    return folder


def photo_files(folder: Path, stem: str, lost: int, grey: int = 100) -> dict[str, Any]:
    """A grey photo with a person of four pixels, of which the reconstruction loses some."""
    inside = folder / "inversions"
    inside.mkdir(parents=True, exist_ok=True)
    before = np.zeros((SIDE, SIDE), np.uint8)
    before[2, 2:6] = 1
    before[6, :4] = 2
    after = before.copy()
    after[2, 2 : 2 + lost] = 0
    after[0, 0] = 1  # new
    pictures = {
        "photo": np.full((SIDE, SIDE, 3), grey, np.uint8),
        "reconstruction": np.full((SIDE, SIDE, 3), 200, np.uint8),
        "photo_labels": before,
        "reconstruction_labels": after,
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(inside / f"{stem}-{name}.png")
    pixel = 100 / SIDE**2
    person = 4 * pixel
    left = (4 - lost + 1) * pixel
    classes = [
        LostClass(
            label="person", photo_area=person, reconstruction_area=left, lost=1 - left / person
        ),
        LostClass(label="car", photo_area=person, reconstruction_area=person, lost=0.0),
    ]
    return {**{name: f"inversions/{stem}-{name}.png" for name in pictures}, "classes": classes}


def photo(folder: Path, image: str, lost: int = 4, **changes: Any) -> InversionRecord:
    """The record of a photo of ``photo_files``."""
    values: dict[str, Any] = {
        "image": image,
        "method": "layered+r",
        "cut": "r8",
        "psnr": 20.0,
        "lost": {},
        **photo_files(folder, f"{image}-{changes.get('cut', 'r8')}", lost),
        "picked_for": "person",
    }
    return InversionRecord(**{**values, **changes})


def rates(label: str = "person", **changes: Any) -> ClassVanishing:
    """A class that vanishes more often than drawn ones."""
    values: dict[str, Any] = {
        "method": "layered+r",
        "cut": "r8",
        "label": label,
        "photos": 8,
        "vanished": 7,
        "in_photos": ReferenceRate(vanished=12, pairs=50, rate=0.24, p_value=0.001),
        "q_value": 0.004,
        "verdict": "more often",
    }
    return ClassVanishing(**{**values, **changes})


def samples(cut: str, psnr: float) -> CalibrationRecord:
    """Generator samples inverted at a cut."""
    quality = {"psnr": psnr, "psnr_low": psnr, "pixel_correlation": 0.9}
    return CalibrationRecord(method="layered+r", cut=cut, n=20, **quality)


def inverted(
    folder: Path,
    records: Sequence[InversionRecord] | None = None,
    *,
    kind: type[Results] | type[InversionResults] = Results,
    **changes: Any,
) -> Path:
    """A finished run with these inversions, or with two photos of a person.

    Args:
        kind: of its results: with a comparison, or of ``invert``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if records is None:
        records = [photo(folder, "a", lost=3), photo(folder, "b", lost=4)]
    whole = church_results(classes=decades())
    values: dict[str, Any] = {
        "inversion": InversionSettings(preset="fast", labels=LABELS),
        "inversions": list(records),
        "vanishing": [rates()],
        **changes,
    }
    if kind is Results:
        results: Any = church_results(**{"classes": decades(), **values})
    else:
        values |= {"generator": whole.generator, "segmenter": whole.segmenter, "data": whole.data}
        results = InversionResults(**values)
    save_results(folder, results)
    return folder
