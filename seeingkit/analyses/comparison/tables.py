"""The tables that a comparison gives to Python: what each column means, and its rows.

Areas are percent of the image, relative differences and shares of images are shares (−0.5 is a loss
of half, 0.25 a quarter of the images), distances are percent². NaN is "not defined", never zero.
Names of columns are those of ``results.json`` where it has the number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seeingkit.results import (
    ClassDifference,
    ClassResult,
    Column,
    Frame,
    GeneratorsResults,
    Results,
    images_lost,
    table,
)

CLASSES: Mapping[str, Column] = {
    "label": Column(str, "name of the class"),
    "category": Column(str, "its category in the segmenter's vocabulary"),
    "index": Column(int, "number of the class in the segmenter's vocabulary"),
    "real_area": Column(float, "mean area in the real images, percent of the image"),
    "generated_area": Column(float, "mean area in the generated images, percent of the image"),
    "relative_difference": Column(
        float, "(generated − real) / real area, a share; NaN where no real image shows the class"
    ),
    "ci_low": Column(float, "lower end of its interval, a share; NaN: unbounded or not defined"),
    "ci_high": Column(float, "upper end, likewise"),
    "real_images": Column(
        int, "number of real images that show more than a speck of it (in older runs: any pixel)"
    ),
    "generated_images": Column(int, "number of generated images that do"),
    "images_change": Column(float, "relative difference of the shares of images that do, a share"),
    "p_value": Column(float, "of the stronger of the two claims, the other one counted in"),
    "q_value": Column(float, "the same after correction for the number of classes"),
    "area_claim": Column(str, "less area, more area or no evidence"),
    "images_claim": Column(str, "in fewer images, in more images or no evidence"),
    "verdict": Column(str, "both claims in one word"),
    "omitted": Column(bool, "the verdict is omitted: a sure loss of at least half"),
    "fsd_mean_term": Column(float, "part of the class in the mean term of FSD, percent²"),
    "fsd_cov_term": Column(float, "part of the class in the covariance term of FSD, percent²"),
}
"""Of ``Comparison.classes``: one row a class, largest real area first."""

PAIRED: Mapping[str, Column] = {
    "mean_difference": Column(float, "generated − real area, percentage points of the image"),
    "only_real": Column(int, "pairs in which only the real image shows more than a speck of it"),
    "only_generated": Column(int, "pairs in which only the generated image does"),
    "vanished": Column(int, "pairs in which it loses at least half of its area"),
    "appeared": Column(int, "pairs in which it gains as much the other way round"),
}
"""Beside these in a paired comparison."""

PAIRS: Mapping[str, Column] = {
    "first": Column(str, "the class of the pair that fewer real images show"),
    "second": Column(str, "the other one"),
    "real_together": Column(float, "share of real images that show both"),
    "generated_together": Column(float, "share of generated images that show both"),
    "expected_together": Column(
        float, "the share that the generated images' presences alone would give"
    ),
    "odds_ratio_real": Column(float, "odds ratio of the two presences in the real images"),
    "odds_ratio_generated": Column(float, "in the generated images"),
    "p_value": Column(float, "of: the pair goes together equally much in both"),
    "q_value": Column(float, "the same after correction for the number of pairs"),
    "verdict": Column(str, "apart or together"),
}
"""Of ``Comparison.pairs``: one row a pair of classes with a verdict, largest loss first."""

DIFFERENCES: Mapping[str, Column] = {
    "first": Column(str, "a generator"),
    "second": Column(str, "another one"),
    "value": Column(float, "FSD of the first − FSD of the second, bias-reduced, percent²"),
    "ci_low": Column(float, "lower end of its interval, percent²"),
    "ci_high": Column(float, "upper end"),
    "confidence": Column(float, "of the interval, corrected for the number of pairs, a share"),
    "p_swap": Column(float, "of: both generators draw from one distribution; NaN: not tested"),
    "nearer": Column(str, "the generator that is surely nearer to the real images; empty: neither"),
}
"""Of ``GeneratorsComparison.differences``: one row a pair of generators."""

CONTRASTS: Mapping[str, Column] = {
    "first": Column(str, "a generator"),
    "second": Column(str, "another one"),
    "label": Column(str, "name of the class"),
    "category": Column(str, "its category in the segmenter's vocabulary"),
    "index": Column(int, "number of the class in the segmenter's vocabulary"),
    **{
        f"{question}_{name}": Column(kind, about.format(what))
        for question, what in (
            ("area", "mean area in percent"),
            ("images", "share of images with more than a speck of it"),
        )
        for name, kind, about in (
            ("real", float, "{}, of the real images"),
            ("first", float, "{}, of the first generator"),
            ("second", float, "{}, of the second"),
            ("more", str, "the generator whose {} is surely larger; empty: neither"),
            ("q_more", float, "of: both have equally much; corrected for all classes and pairs"),
            ("closer", str, "the generator whose {} is surely closer; empty: neither"),
            ("q_closer", float, "of: both are equally far; corrected likewise"),
        )
    },
}
"""Of ``GeneratorsComparison.contrasts``: one row a pair of generators and class."""


def class_table(results: Results, *, has_background: bool) -> Frame:
    """The classes of a comparison; ``has_background``: number 0 is no object, and left out."""
    rows = list(_class_rows(results.classes, results.n_real, results.n_generated, has_background))
    if results.paired is None:
        return table(rows, CLASSES)
    pairs = {record.index: record.model_dump() for record in results.paired.classes}
    columns = {**CLASSES, **PAIRED}
    return table([{**pairs[row["index"]], **row} for row in rows], columns)


def pair_table(results: Results) -> Frame:
    """The pairs of classes with a verdict; without rows where pairs were not asked about."""
    found = results.pairs.pairs if results.pairs is not None else []
    return table([pair.model_dump() for pair in found], PAIRS)


def generators_class_table(results: GeneratorsResults, *, has_background: bool) -> Frame:
    """The classes of every generator, one after another, as ``class_table`` has them."""
    rows = [
        {"generator": each.name, **row}
        for each in results.generators
        for row in _class_rows(each.classes, results.n_real, each.n, has_background)
    ]
    return table(rows, {"generator": Column(str, "name of the generator"), **CLASSES})


def difference_table(results: GeneratorsResults) -> Frame:
    """The differences of the distances of every pair of generators."""
    return table([found.model_dump() for found in results.differences], DIFFERENCES)


def contrast_table(results: GeneratorsResults) -> Frame:
    """The two questions about every class and pair of generators."""
    return table([_contrast(found) for found in results.classes], CONTRASTS)


def _class_rows(
    records: Sequence[ClassResult], n_real: int, n_generated: int, has_background: bool
) -> Iterator[dict[str, Any]]:
    for record in records:
        if record.index == 0 and has_background:
            continue
        real, generated, _ = images_lost(record)
        counts = {
            "real_images": round(real * n_real),
            "generated_images": round(generated * n_generated),
        }
        yield {**record.model_dump(), **counts}


def _contrast(record: ClassDifference) -> dict[str, Any]:
    row = record.model_dump(exclude={"area", "images"})
    for name in ("area", "images"):
        asked = getattr(record, name).model_dump()
        row |= {f"{name}_{key}": value for key, value in asked.items()}
    return row
