"""The short table of the validation page: the figures asked of the tool, and those measured.

Guarantees: every number comes from the findings; a figure that was not measured is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import coverage, summary
from .coverage import KINDS
from .running import Finding
from .tables import number, percent, table


def promises(found: Sequence[Finding]) -> str:
    """A Markdown table of the figures asked of the tool and those measured."""
    claims = summary.null_claims(found)
    rows: list[tuple[str, str]] = []
    if claims:
        runs = sum(r["repeats"] for r in claims)
        wrong = round(sum(r["any"].value * r["repeats"] for r in claims))
        every = summary.Rate.of_share(wrong, runs)
        rows.append(("null runs with any claim, all together", f"{percent(every)} % of {runs:,}"))
        most = max(r["repeats"] for r in claims)
        often = [r for r in claims if r["repeats"] >= most / 4]  # few repeats are mostly noise
        worst = max(often, key=lambda r: r["any"].value)
        where = f"{worst['source']}, n = {worst['n']:,}, {worst['repeats']} runs"
        least = min(r["repeats"] for r in often)
        text = f"{percent(worst['any'])} % ({where})"
        rows.append((f"the same, largest of a source and n with at least {least} runs", text))
    power = summary.power(found)
    for n, share, words in ((2_000, 1.0, "all"), (10_000, 0.5, "half")):
        for r in power:
            wanted = r["source"] == "long-tail" and 0.025 < r["presence"] < 0.03
            if wanted and (r["kind"], r["n"], r["share"]) == ("removed", n, share):
                text = (
                    f"class in {100 * r['presence']:.1f} % of images gone from {words}, n = {n:,}"
                )
                rows.append((text, f"found in {percent(r['found'])} % of {r['repeats']}"))
    for r in summary.bias(found):
        plant = r["plant"]
        if (
            plant
            and plant.share == 1
            and r["n"] == 10_000
            and r["reduced"]
            and r["large"] == r["large"]
        ):
            off = 100 * (r["reduced"].value / r["large"] - 1)
            text = f"bias-reduced FSD at 10,000 over FSD at 200,000: {r['source']}, {r['planted']}"
            measured = f"{number(r['reduced'])} over {number(r['large'])}: {off:+.0f} %"
            # The plug-in value still has a bias at 200,000, and all of a tiny distance is bias.
            rows.append((text, f"{measured} (true value, without any bias: {number(r['truth'])})"))
    rows += _null_extremes(found)
    for r in coverage.distance_coverage(found):
        if r["null"] and r["n"] in (2_000, 10_000):
            text = (
                f"coverage of the interval of FSD, nothing planted: {r['source']}, n = {r['n']:,}"
            )
            rows.append((text, f"{percent(r['coverage'])} %"))
    return table(("asked", "measured"), rows) if rows else "Nothing of what is asked was run."


def _null_extremes(found: Sequence[Finding]) -> list[tuple[str, str]]:
    """The worst of all null cells: coverage of common classes, uniformity, bias."""
    rows = []
    common = [r for r in coverage.null_coverage(found) if r["from"] == summary.COMMON]
    for kind in KINDS:
        cells = [(r, r[kind]) for r in common if r[kind] and r[kind]["pooled"]]
        if cells:
            shares = [cell["pooled"].value for _, cell in cells]
            r, worst = min(cells, key=lambda cell: (cell[1]["lowest"] or 1) - cell[1]["chance"])
            text = f"{percent(min(shares))} to {percent(max(shares))} % over all classes of a cell"
            if worst["lowest"] is not None:
                text += (
                    f"; lowest single class {percent(worst['lowest'])} % ({r['source']}, "
                    f"n = {r['n']:,}; by chance {percent(worst['chance'])} %)"
                )
            classes, below, above = (
                sum(cell[key] for _, cell in cells) for key in ("classes", "below", "above")
            )
            text += (
                f"; of {classes:,} classes of all cells {below:,} below 93 % and {above:,} above "
                "97 % beyond chance (p ≤ 0.01 each)"
            )
            rows.append((f"coverage in classes of ≥ 1 %, nothing planted: {kind}", text))
    tests = [r["fsd_ks"] for r in summary.p_values(found) if r.get("fsd_ks") is not None]
    if tests:
        text = f"least KS p of {len(tests)} cells: {number(min(tests))}"
        rows.append(("permutation p-values of FSD are uniform", text))
    means = [r for r in summary.bias(found) if r["plant"] is None and "z" in r]
    if means:
        worst = max(means, key=lambda r: abs(r["z"]))
        where = f"{worst['source']}, n = {worst['n']:,}"
        text = f"{worst['z']:+.1f} standard errors ({where}), the farthest of {len(means)} cells"
        rows.append(("mean of bias-reduced FSD, nothing planted, from 0", text))
    return rows
