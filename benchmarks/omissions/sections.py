"""The sections of the validation page: false claims, p-values, coverage, power, bias.

Each function takes the findings and returns Markdown; every number comes from them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

from . import coverage, summary
from .coverage import KINDS
from .running import Finding
from .summary import Row
from .tables import number, percent, pivot, plain, span, table


def claims_section(found: Sequence[Finding]) -> str:
    """False claims: under the null, and among the claims where something was planted."""
    null = table(
        ("source", "n", "repeats", "runs with any claim, %", "claims a run"),
        (
            (r["source"], f"{r['n']:,}", str(r["repeats"]), percent(r["any"]), number(r["mean"]))
            for r in summary.null_claims(found)
        ),
    )
    planted = table(
        (
            "source",
            "n",
            "omissions",
            "repeats",
            "wrong claims, %",
            "worst omission",
            "claims a run",
        ),
        (
            (
                r["source"],
                f"{r['n']:,}",
                str(r["omissions"]),
                str(r["repeats"]),
                percent(r["fdp"]),
                percent(r["worst"]),
                number(r["claims"]),
            )
            for r in summary.planted_claims(found)
        ),
    )
    return f"""## False claims

Two disjoint samples of one source: every claim is false, so the false discovery rate is the share
of runs that claim anything. Stated level: 5 %.

{null}

![Share of null runs with any claim](figures/validation-claims.svg)

With an omission planted, a claim is wrong if what it says changed did not change in that direction
(the class that receives the area truly grows). Mean over repeats of wrong claims ÷ claims:

{planted}
"""


def p_value_section(found: Sequence[Finding]) -> str:
    """Uniformity of p-values under the null."""
    rows = summary.p_values(found)
    names = {
        "p_area": "area",
        "p_seen": "images",
        "p_presence": "any pixel",
        "p_given": "if present",
    }
    ks = table(
        (
            "source",
            "n",
            "repeats",
            "FSD: KS p",
            "FSD: p ≤ 0.05, %",
            "classes",
            *(f"KS p ≤ 0.05, %: {name}" for name in names.values()),
        ),
        (
            (
                r["source"],
                f"{r['n']:,}",
                str(r["repeats"]),
                number(r.get("fsd_ks")),
                percent(r.get("fsd_low")),
                str(r["p_area classes"]),
                *(percent(r[f"{key} ks"]) for key in names),
            )
            for r in rows
        ),
    )
    bands = (("common", "≥ 1 %"), ("rare", "rarer"))
    size = table(
        ("source", "n", *(f"{name}, {text}" for _, text in bands for name in names.values())),
        (
            (
                r["source"],
                f"{r['n']:,}",
                *(percent(r[f"{key} {band}"]) for band, _ in bands for key in names),
            )
            for r in rows
        ),
    )
    return f"""## p-values

Nothing planted: p-values should be uniform. Permutation p-values go in steps; for the test of
uniformity (Kolmogorov–Smirnov) a uniform random part of one step is taken off. Each class in at
least 1 % of the images is tested over the repeats; if all are uniform, 5 % of the classes have
KS p ≤ 0.05. Columns: the two questions on which claims rest, mean area and images above the area
threshold; and two that describe, presence of any pixel and area in images that show the class.
Shares of images come in steps, and of a class that fewer than ten effective images make up the p
of its area is 1: no uniformity is to be had there. What counts is the share of small ones, in the
table below.

{ks}

![Distribution of null p-values](figures/validation-p-values.svg)

Share of tests with p ≤ 0.05, in percent. Below 5 a test is careful, above 5 it claims too much.

{size}
"""


def _single(found: Row | None) -> str:
    if found is None or found["pooled"] is None:
        return "–"
    low, high = found["lowest"], found["highest"]
    ends = "" if low is None else f" ({100 * low:.1f}…{100 * high:.1f})"
    return f"{100 * found['pooled'].value:.1f}{ends}"


def coverage_section(found: Sequence[Finding]) -> str:
    """Coverage of intervals: classes by presence, FSD, the planted class."""
    null = coverage.null_coverage(found)
    parts = []
    for low, high in coverage.BANDS:
        rows = [r for r in null if r["from"] == low]
        if rows:
            band = "at least 1 %" if low == summary.COMMON else f"{100 * low:g} to {100 * high:g} %"
            parts.append(
                f"Classes in {band} of the images:\n\n"
                + table(
                    ("source", "n", "repeats", "classes", "lowest by chance", *KINDS),
                    (
                        (
                            r["source"],
                            f"{r['n']:,}",
                            str(r["repeats"]),
                            *_classes_and_chance(r),
                            *(_single(r[kind]) for kind in KINDS),
                        )
                        for r in rows
                    ),
                )
            )
    distances = coverage.distance_coverage(found)
    fsd = pivot(
        ("source", "planted", "true FSD"),
        ((r["source"], r["planted"], number(r["truth"])) for r in distances),
        (r["n"] for r in distances),
        (
            f"{percent(r['coverage'])} ({percent(r['truth_below'])} / {percent(r['truth_above'])})"
            for r in distances
        ),
    )
    suffered = [r for r in coverage.planted_class_coverage(found) if r["partly"]]
    own = pivot(
        ("source", "planted"),
        ((r["source"], r["planted"]) for r in suffered),
        (r["n"] for r in suffered),
        (" / ".join(plain(r[kind]) for kind in KINDS[2:]) for r in suffered),
    )
    return f"""## Coverage of 95 % intervals

Shown is the share of intervals that hold the true value, in percent, over all classes of a band;
in brackets the lowest and the highest single class. *Area difference* is the interval of a claim,
whose confidence is corrected for the number of classes: 97.5 % or more, and so should its column
be. *Lowest by chance* is the lowest of that many exact intervals in one run of these simulations
out of two. A difference is relative to the real side. Classes in every image have no presence to
estimate.

{chr(10).join(part + chr(10) for part in parts)}
![Coverage of intervals](figures/validation-coverage.svg)

The interval of FSD, against the true distance (percent²). In brackets: how often that lies
below / above the interval, in percent.

{fsd}

The class that suffered, where some of it is left: coverage of the relative difference in area / in
presence / in area if present, in percent. All omissions of one source and n are planted into the
same images, so neighbouring rows err together.

{own}
"""


def _classes_and_chance(row: Row) -> tuple[str, str]:
    first = next((row[kind] for kind in KINDS if row[kind]), None)
    return ("–", "–") if first is None else (str(first["classes"]), percent(first["chance"]))


def _before(row: Row) -> str:
    """The rate of the former rule on the same source, class, n and share, in brackets."""
    key = f"{row['source']} {row['class']} {row['n']} {100 * row['share']:g}"
    found = _former_power().get(key)
    return "" if found is None else f" ({found:g})"


@functools.lru_cache(maxsize=1)
def _former_power() -> dict[str, float]:
    path = Path(__file__).with_name("former_power.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def power_section(found: Sequence[Finding]) -> str:
    """How often an omission is found."""
    rows = summary.power(found)
    shares = [r for r in rows if r["kind"] == "removed"]
    removed = pivot(
        ("source", "class", "in, % of images", "n"),
        ((r["source"], r["class"], percent(r["presence"]), f"{r['n']:,}") for r in shares),
        (r["share"] for r in shares),
        (f"{percent(r['found'])}{_before(r)}" for r in shares),
        lambda share: f"gone from {100 * share:g} %",
    )
    others = table(
        ("source", "planted", "class is in, %", "n", "repeats", "found, %", "called omitted, %"),
        (
            (
                r["source"],
                r["planted"],
                percent(r["presence"]),
                f"{r['n']:,}",
                str(r["repeats"]),
                percent(r["found"]),
                percent(r["omitted"]),
            )
            for r in rows
            if r["kind"] != "removed"
        ),
    )
    counts = span(r["repeats"] for r in shares)
    return f"""## Power

*Found*: less area, or in fewer images, at a false discovery rate of 5 % over both questions and all
classes. Share of repeats in which it is, in percent ({counts} repeats). In brackets, where it was
measured: the same of the rule before, a gate on the area and one combined p.

{removed}

![Power against the share removed](figures/validation-power.svg)

Thinned and swapped classes:

{others}
"""


def bias_section(found: Sequence[Finding]) -> str:
    """FSD variants against the true value."""
    everything = summary.bias(found)
    rows = [r for r in everything if r["plant"] is None or r["plant"].share == 1]
    shown = table(
        (
            "source",
            "planted",
            "n",
            "repeats",
            "true value",
            "as published",
            "floor",
            "minus floor",
            "bias-reduced",
            "(bias-reduced − true value) ÷ its error",
        ),
        (
            (
                r["source"],
                r["planted"],
                f"{r['n']:,}",
                str(r["repeats"]),
                number(r["truth"]),
                number(r["value"]),
                number(r["floor"]),
                number(r["minus_floor"]),
                number(r["reduced"]),
                f"{r['z']:+.1f}" if "z" in r else "–",
            )
            for r in rows
        ),
    )
    return f"""## Bias of the distance

Mean ± standard error over the repeats, percent². *Floor* is what the tool says two samples of the
real images would give at this n; with nothing planted it should equal *as published*.

{shown}

![Mean FSD with nothing planted](figures/validation-bias.svg)
"""
