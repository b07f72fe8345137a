"""Units of the numbers of results by their names: percent of an image, percent², decibels, seconds.

Shares in [0, 1], ratios, probabilities and counts have none.
"""

from __future__ import annotations

import re

PERCENT, SQUARED = "percent", "percent^2"

UNITS: dict[str, str] = {
    **dict.fromkeys(
        (
            "real_area",
            "generated_area",
            "real_area_ci",
            "generated_area_ci",
            "real_area_if_present",
            "generated_area_if_present",
            "speck_area",
            "error_area",
            "real_corrected",
            "generated_corrected",
            "other_real_area",
            "other_generated_area",
            "photo_area",
            "reconstruction_area",
            "mean_difference",
            "difference_low",
            "difference_high",
        ),
        PERCENT,
    ),
    **dict.fromkeys(("fsd_mean_term", "fsd_cov_term", "fsd_swapped"), SQUARED),
    **dict.fromkeys(("psnr", "psnr_low", "patched_psnr"), "dB"),
    "seconds": "s",
}
"""Unit by the name of the field, whatever record it is in."""

_DISTANCE = re.compile(
    r"(?:.*\.)?(?:fsd|differences\[[^\]]*\])\."
    r"(?:value|mean_term|cov_term|floor|floor_error|bias_reduced|ci_low|ci_high|standard_error)"
)
"""Distances (``FSDResult``) and their differences, whose fields have names that others have too."""


def unit_of(path: str) -> str:
    """The unit of a number by its path (``results.paths``); empty where it has none.

    >>> unit_of("fsd.value"), unit_of("classes[traffic sign].real_area_ci[0]"), unit_of("n_real")
    ('percent^2', 'percent', '')
    """
    if _DISTANCE.fullmatch(path):
        return SQUARED
    return UNITS.get(re.sub(r"\[[01]\]$", "", path).rpartition(".")[2], "")
