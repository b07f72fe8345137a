"""The definition of each number in a report, with the source of its formula.

The page lists them at its end. A run made before a definition changed is shown with the definition
that it was made by.
"""

from __future__ import annotations

from typing import NamedTuple

from seeingkit.results import Results

from .findings import tested_presence


class Definition(NamedTuple):
    """A term of the report, its meaning in one sentence, and the source of its formula, if any."""

    term: str
    meaning: str
    source: str = ""


_AREAS = (
    Definition(
        "area",
        "pixels with the label ÷ all pixels of an image, averaged over the images of a side, in "
        "percent",
        "Bau et al. 2019",
    ),
    Definition("presence", "share of the images with at least one pixel of the label"),
    Definition("area if present", "mean area in those images that show the label"),
    Definition(
        "relative difference",
        "(generated − real) ÷ real, of area or of presence",
        "Bau et al. 2019, fsd.py",
    ),
)
_TESTS = (
    Definition(
        "95 % interval of a class",
        "of the relative difference of the mean areas: the intervals of presence and of area if "
        "present, combined on logarithms (of presence alone, where no generated image shows the "
        "label); never below −100 %, and 0 lies in it if and only if the test of the mean area "
        "does not reject at 5 %; not adjusted for the number of labels",
        "Wilson 1927; Hall 1992; Donner and Zou 2012",
    ),
    Definition(
        "p",
        "two-sided test of no difference in amount, the mean area over all images: the share of "
        "random divisions of all images whose smallest p-value is at most the observed one, s; in "
        "the farthest hundredth 1 − (1 − s)³. The smallest is that of Welch's test of the mean "
        "area, and, where that rejects at 5 % and the amount changes the same way and at least "
        "half as much (on logarithms), of the images above the area threshold (Fisher's exact "
        "test, mid-p) and of the area in those (Welch)",
        "Tippett 1931; Welch 1947; Lancaster 1961; Janssen 1997",
    ),
    Definition(
        "area threshold",
        "of a label: the smallest areas of all images, which hold at most 2 % of the label's "
        "area, lie at or below it",
    ),
    Definition(
        "q",
        "p adjusted for the number of labels looked at: among labels with q at or below the "
        "level, at most that share are false finds on average",
        "Benjamini and Hochberg 1995",
    ),
    Definition(
        "omitted",
        "q at or below the level, and at least half of the real area gone; or, where the amount "
        "follows them and their test rejects too, at least half of the images above the area "
        "threshold: “by presence”",
    ),
    Definition(
        "reduced, excess",
        "q at or below the level with less than half gone, or with more than in the real images; "
        "a label that differs in presence and in area if present, but not in amount, has no "
        "verdict",
    ),
)
_TESTS_BEFORE = (
    Definition(
        "95 % interval of a class",
        "Fieller's interval for a ratio of two independent means; never below −100 %",
        "Fieller 1954",
    ),
    Definition(
        "p", "two-sided p-value of Welch's test that the mean areas are equal", "Welch 1947"
    ),
    Definition(
        "q",
        "p-value adjusted for the number of labels looked at: among labels with q at or below "
        "the level, at most that share are false finds on average",
        "Benjamini and Hochberg 1995",
    ),
    Definition("omitted", "q at or below the level, and at least half of the real area gone"),
    Definition(
        "reduced, excess",
        "q at or below the level with less than half of the area gone, or with more area than in "
        "the real images",
    ),
)
_DISTANCE = (
    Definition(
        "FSD",
        "Fréchet Segmentation Distance: squared distance between the mean areas of all labels, "
        "plus tr(S + T − 2 (S T)^½) of their covariances S and T, in percent²",
        "Bau et al. 2019",
    ),
    Definition(
        "floor",
        "FSD that two disjoint samples of the real images would give at these sizes: measured on "
        "disjoint halves, and carried over by the power law through halves and quarters",
    ),
)
_REDUCED = Definition(
    "bias-reduced FSD",
    "half-sample Richardson extrapolation, 2 × FSD(n) − mean FSD(n/2), less the same quantity of "
    "images permuted between the sides, in the share in which the labels that make it are on both "
    "sides; may be slightly negative",
    "Richardson 1911",
)
_REDUCED_BEFORE = Definition(
    "bias-reduced FSD",
    "half-sample Richardson extrapolation, 2 × FSD(n) − mean FSD(n/2); may be slightly negative",
    "Richardson 1911",
)
_FSD_INTERVAL = Definition(
    "interval of the FSD",
    "of the distance of the two distributions, free of the bias that FSD has at finite n; never "
    "empty nor below 0, and 0 lies in it if and only if the permutation test does not reject at "
    "5 %",
    "Feldman and Cousins 1998",
)
_PERMUTATION = Definition(
    "permutation p",
    "share of random divisions of all images into two sides whose FSD is at least the observed "
    "one, the observed one counted in",
    "Phipson and Smyth 2010",
)
_CONTRIBUTION = Definition(
    "contribution of a class",
    "expected squared movement of the class's area under the optimal transport between the two "
    "Gaussians that FSD compares: a mean and a covariance term, which add up to FSD over all "
    "labels",
    "Dowson and Landau 1982",
)
_POWER = Definition(
    "power",
    "chance that the test of the images above the area threshold finds the loss of a class in "
    "this share of them, at the level divided by the number of labels and of the tests of each, "
    "the strictest threshold that q can ask for",
)
_PAIRS = (
    Definition(
        "expected together",
        "share of images that would show both classes if the generated images kept their own "
        "presences and the odds ratio of the real ones",
    ),
    Definition(
        "apart, together",
        "both the odds ratio of two presences and their lift, P(both) ÷ (P(first) P(second)), are "
        "lower, or higher, than in the real images, with q over all pairs tested at or below the "
        "level, and in at most half, or at least twice, of the images expected",
        "Zelen 1971; Berger 1982; Benjamini and Hochberg 1995",
    ),
)
_SCENES = (
    Definition(
        "coverage",
        "share of the real images with a generated one no further away than their k-th nearest "
        "real image, by the square roots of the areas (Hellinger distance)",
        "Naeem et al. 2020",
    ),
    Definition(
        "density",
        "number of real neighbourhoods that hold a generated image, on average and divided by k; "
        "to be compared with the expected value",
        "Naeem et al. 2020",
    ),
    Definition(
        "kernel distance",
        "unbiased squared maximum mean discrepancy of the square roots of the areas; about 0 for "
        "the same distribution, may be slightly negative; weak on rare classes",
        "Gretton et al. 2012; Bińkowski et al. 2018",
    ),
)
_CONFUSION = (
    Definition(
        "difference corrected",
        "relative difference of the areas that make the segmented ones most likely, given the "
        "labels that the segmenter confuses on labelled images",
        "Saerens et al. 2002",
    ),
    Definition(
        "explained",
        "share of a class's difference in area that segmentation error could make: the area that "
        "the segmenter takes for the class from others that changed, and one kind of its errors "
        "vanishing or doubling on generated images; a yardstick, not a probability",
    ),
)
_TWO_VIEWS = (
    Definition(
        "shift",
        "relative change of the class's area on the same real images, from the first to the "
        "second view of them",
    ),
    Definition(
        "explained",
        "share of a class's difference in area that is gone, or could be made, by the change from "
        "one view to the other; a yardstick, not a probability",
    ),
)

INVERSION_DEFINITIONS = (
    Definition(
        "cut",
        "the layer whose output r is sought so that the layers after it draw the photo; an early "
        "cut holds the generator to the training data",
        "Bau et al. 2019, section 4",
    ),
    Definition(
        "generator samples",
        "images that the generator made, inverted in the same way as photos: nothing needs to be "
        "left out of them, so their losses are losses of the inversion",
    ),
    Definition(
        "lost",
        "(area in the photo − area in the reconstruction) ÷ area in the photo, both as the "
        "segmenter sees them",
    ),
    Definition(
        "inversion alone",
        "share of a class that 19 of 20 generator samples lose at most; where too few show the "
        "class, that of all classes of about its area",
    ),
    Definition("omitted", "at least half of a class is lost, and more than inversion alone loses"),
    Definition("reduced", "less than half is lost, but more than inversion alone loses"),
    Definition("PSNR", "peak signal-to-noise ratio of the reconstruction, in dB on 8-bit values"),
    Definition(
        "perceptual distance",
        "mean absolute difference of the features of an image classifier",
        "Bau et al. 2019",
    ),
    Definition(
        "correlation of z, r, pixels",
        "between the true values of generator samples and those that the inversion found, over "
        "all coordinates of all samples",
        "Bau et al. 2019",
    ),
    Definition(
        "out-of-distribution distance",
        "distance of a photo to the nearest reference image ÷ the usual distance of these from "
        "each other; a photo above 1 is marked as out of distribution",
    ),
)
"""The terms of a report's section on inversions."""


def definitions(results: Results) -> list[Definition]:
    """The definitions of the numbers on the page of these results, in the order of its sections."""
    combined = tested_presence(results)
    parted = any(record.fsd_mean_term is not None for record in results.classes)
    check: tuple[Definition, ...] = ()
    if results.segmenter_share is not None:
        check = _CONFUSION if results.segmenter_share.kind == "labels" else _TWO_VIEWS
    return [
        *_AREAS,
        *(_TESTS if combined else _TESTS_BEFORE),
        *([_POWER] if results.power else []),
        *_DISTANCE,
        _REDUCED if combined else _REDUCED_BEFORE,
        *([_FSD_INTERVAL] if results.fsd.ci_high is not None else []),
        _PERMUTATION,
        *([_CONTRIBUTION] if parted else []),
        *(_PAIRS if results.pairs else []),
        *(_SCENES if results.scenes else []),
        *check,
    ]
