"""The tables that inverted photos give to Python: losses of classes, and rates of vanishing.

Areas are percent of the image, losses and rates are shares, NaN is "not defined".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seeingkit.results import (
    ClassVanishing,
    Column,
    Frame,
    InversionResults,
    Results,
    table,
)

LOSSES: Mapping[str, Column] = {
    "image": Column(str, "id of the photo"),
    "method": Column(str, "name of the inverter"),
    "cut": Column(str, "the boundary whose x was optimised"),
    "psnr": Column(float, "of the reconstruction, dB"),
    "label": Column(str, "name of the class"),
    "photo_area": Column(float, "area in the photo, percent of the image"),
    "reconstruction_area": Column(float, "area in the reconstruction, percent of the image"),
    "lost": Column(float, "(photo − reconstruction) / photo area, a share; below 0: it grew"),
    "vanished": Column(bool, "at least half of it is gone"),
}
"""Of ``losses``: one row a reconstruction and class, in the order of the run."""

VANISHING: Mapping[str, Column] = {
    "method": Column(str, "name of the inverter"),
    "cut": Column(str, "the boundary whose x was optimised"),
    "label": Column(str, "name of the class"),
    "photos": Column(int, "number of inverted photos that show it"),
    "vanished": Column(int, "number of these that lose at least half of it"),
    "rate_in_photos": Column(
        float, "share that drawn classes of like area lose in the same photos; the reference"
    ),
    "rate_in_samples": Column(float, "likewise in generator samples with a foreign patch"),
    "p_value": Column(float, "of: it vanishes as often as one of the two references"),
    "q_value": Column(float, "the same after correction for the number of classes"),
    "verdict": Column(str, "more often, no evidence, too few or not compared"),
}
"""Of ``vanishing``: one row a method, cut and class."""


def loss_table(results: InversionResults | Results) -> Frame:
    """How much of each class every reconstruction lost."""
    rows = (
        {
            **record.model_dump(include={"image", "method", "cut", "psnr"}),
            **loss.model_dump(),
            "vanished": loss.vanished,
        }
        for record in results.inversions
        for loss in record.classes
    )
    return table(rows, LOSSES)


def vanishing_table(results: InversionResults | Results) -> Frame:
    """Which classes vanish more often than drawn ones: the claims of a run."""
    return table(_rates(results.vanishing), VANISHING)


def _rates(records: list[ClassVanishing]) -> Iterator[dict[str, Any]]:
    for record in records:
        samples = record.in_samples
        yield {
            **record.model_dump(),
            "rate_in_photos": record.in_photos.rate,
            "rate_in_samples": None if samples is None else samples.rate,
        }
