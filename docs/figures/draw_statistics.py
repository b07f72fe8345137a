"""Draws the figures of ``docs/statistics.md`` from a finished run, and writes its tables.

From the root of the checkout::

    seeingkit analyze --gan progan --data minichurches --n 2000 --method none --out RUN
    python docs/figures/draw_statistics.py RUN

Areas come from the run's ``images.parquet``, everything else from its ``results.json``; the same
run gives the same figures. The permutations are those that the run's p-value rests on. Tables
stand in the page between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; the words around them
are written by hand, so read them again when the numbers change.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pyarrow.parquet as pq
import vl_convert
from scipy import sparse

from seeingkit.report.figures.charts import (
    PRINT_COLOURS,
    chart_config,
    chart_svg,
    vega_lite_version,
)
from seeingkit.report.figures.classes import figure_svg
from seeingkit.report.figures.contributions import build_contribution_chart, contributions
from seeingkit.report.words.findings import verdict_words
from seeingkit.report.words.numbers import area, change, interval, number, probability, share
from seeingkit.results import FSDResult, Results
from seeingkit.results.gates import check_gates
from seeingkit.runs.config import PERMUTATIONS
from seeingkit.statistics import Pool, measure_distance
from seeingkit.statistics.claims import QUESTIONS
from seeingkit.statistics.power import power

HERE = Path(__file__).parent
PAGE = HERE.parent / "statistics.md"
GATES = ("fsd.ci_low > 15", "omitted: person, car", "resolution.mismatch == 1")
"""Those of the page's example."""
SIZES = (125, 250, 500, 1000, 2000)
"""Images per side of the figure of FSD against n, as far as the run has them."""
IMAGES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000)
"""Images per side of the figure of power."""
CLASSES = (22, 336)
"""Numbers of classes tested in that figure: those of the example, and all of the paper's."""
CLASS_COLUMNS = (
    "class",
    "real",
    "generated",
    "difference",
    "interval",
    "more than a speck",
    "q",
    "verdict",
    "explained",
)
BINS = 50
INK, MUTED = PRINT_COLOURS["ink"], PRINT_COLOURS["muted"]
BLUE, RED, GREEN = (PRINT_COLOURS[name] for name in ("generated", "omitted", "excess"))
Chart = Any


def side_rows(run: Path, side: str) -> sparse.csr_array:
    """(N, L) areas of one side in percent, in the order of the run."""
    table = pq.read_table(run / "images.parquet", filters=[("side", "=", side)])
    lists = [table.column(name).combine_chunks() for name in ("labels", "counts")]
    labels, counts = (values.flatten().to_numpy() for values in lists)
    lengths = np.diff(lists[0].offsets.to_numpy())
    pixels = table.column("pixels").to_numpy()
    rows = sparse.csr_array(
        (100 * counts / np.repeat(pixels, lengths), labels, np.append(0, np.cumsum(lengths)))
    )
    rows.sort_indices()
    return rows


def both_sides(run: Path) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Both sides over the same labels."""
    sides = [side_rows(run, side) for side in ("real", "generated")]
    width = max(rows.shape[1] for rows in sides)
    for rows in sides:
        rows.resize((rows.shape[0], width))
    return sides[0], sides[1]


def write(chart: Chart, name: str, **size: Any) -> None:
    """Write a chart as ``statistics-NAME.svg`` on white."""
    params = [alt.param(name=key, value=value) for key, value in PRINT_COLOURS.items()]
    spec = chart.add_params(*params).properties(padding=6, **size).configure(**chart_config())
    write_svg(vl_convert.vegalite_to_svg(spec.to_dict(), vl_version=vega_lite_version()), name)


def write_svg(svg: str, name: str) -> None:
    """Write SVG text as ``statistics-NAME.svg``."""
    path = HERE / f"statistics-{name}.svg"
    path.write_text(svg, encoding="utf-8", newline="\n")
    print(path)


def permuted_chart(null: np.ndarray, results: Results) -> Chart:
    """Histogram of the FSD under permutation, with floor, plug-in and interval."""
    fsd = results.fsd
    edges = np.geomspace(0.97 * null.min(), 1.03 * null.max(), BINS)
    counts, _ = np.histogram(null, edges)
    bars = [
        {"from": a, "to": b, "count": int(c), "zero": 0}
        for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    top = int(counts.max())
    axis = alt.Axis(
        title="FSD, percent² (logarithmic)", values=[0.5, 1, 2, 5, 10, 20, 50], grid=True
    )
    scale = alt.Scale(type="log", domain=[0.4, 50], nice=False)
    height = alt.Scale(domain=[0, 1.25 * top])
    place = alt.X("from:Q", scale=scale, axis=axis)
    count = alt.Y("count:Q", scale=height, axis=alt.Axis(title="random divisions", grid=False))
    histogram = (
        alt.Chart(alt.Data(values=bars))
        .mark_rect(color=PRINT_COLOURS["real"], stroke="#ffffff", strokeWidth=0.4)
        .encode(place, alt.X2("to:Q"), count, alt.Y2("zero:Q"))
    )
    marks = [
        {"at": fsd.floor, "text": f"floor {fsd.floor:.1f}", "colour": GREEN, "row": 1.2 * top},
        {"at": fsd.value, "text": f"FSD {fsd.value:.1f}", "colour": BLUE, "row": 1.2 * top},
    ]
    at = alt.X("at:Q", scale=scale, axis=axis)
    paint = alt.Color("colour:N", scale=None)
    row = alt.Y("row:Q", scale=height)
    base = alt.Chart(alt.Data(values=marks))
    rules = base.mark_rule(strokeWidth=1.6).encode(at, color=paint)
    texts = base.mark_text(align="left", dx=5, fontSize=11).encode(
        at, row, color=paint, text="text:N"
    )
    interval = [
        {
            "at": fsd.bias_reduced,
            "low": fsd.ci_low,
            "high": fsd.ci_high,
            "row": 0.45 * top,
            "text": f"bias-reduced {fsd.bias_reduced:.1f}, {fsd.ci_low:.1f} to {fsd.ci_high:.1f}",
        }
    ]
    span = alt.Chart(alt.Data(values=interval))
    reach = span.mark_rule(strokeWidth=2.4, color=RED).encode(
        alt.X("low:Q", scale=scale, axis=axis), alt.X2("high:Q"), row
    )
    point = span.mark_point(filled=True, size=55, color=RED, opacity=1).encode(at, row)
    words = span.mark_text(align="right", dx=-22, fontSize=11, color=RED).encode(
        at, row, text="text:N"
    )
    return alt.layer(histogram, rules, texts, reach, point, words)


def measured_sizes(
    real: sparse.csr_array, generated: sparse.csr_array
) -> list[tuple[int, FSDResult]]:
    """The distance of the first n images of each side, in a random order."""
    orders = [
        np.random.default_rng([k, 0]).permutation(rows.shape[0])
        for k, rows in enumerate((real, generated))
    ]
    sizes = [n for n in SIZES if n <= min(real.shape[0], generated.shape[0])]
    found = []
    for n in sizes:
        pool = Pool(real[np.sort(orders[0][:n])], generated[np.sort(orders[1][:n])])
        found.append((n, measure_distance(pool, permutations=PERMUTATIONS).result))
    return found


def sizes_chart(measured: list[tuple[int, FSDResult]]) -> Chart:
    """Plug-in FSD, floor and bias-reduced FSD with its interval, against n."""
    names = ("FSD", "bias-reduced FSD", "floor")
    sizes = [n for n, _ in measured]
    found: list[dict[str, Any]] = []
    for n, result in measured:
        values = (result.value, result.bias_reduced, result.floor)
        found += [{"n": n, "what": w, "value": v} for w, v in zip(names, values, strict=True)]
        found[-2].update(low=result.ci_low, high=result.ci_high)
    x = alt.X(
        "n:Q",
        scale=alt.Scale(type="log", domain=[sizes[0] / 1.15, sizes[-1] * 1.15], nice=False),
        axis=alt.Axis(title="images per side", values=sizes, format=",d", grid=False),
    )
    y = alt.Y("value:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title="percent²", tickCount=6))
    colour = alt.Color("what:N", scale=alt.Scale(domain=names, range=[BLUE, RED, GREEN]))
    base = alt.Chart(alt.Data(values=found))
    reach = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=1.6)
        .encode(
            x,
            alt.Y("low:Q"),
            alt.Y2("high:Q"),
            colour,
        )
    )
    lines = base.mark_line(strokeWidth=1.4).encode(x, y, colour)
    points = base.mark_point(filled=True, size=46, opacity=1).encode(x, y, colour)
    return alt.layer(lines, reach, points)


def power_chart() -> Chart:
    """The smallest presence whose loss is found with 95 % power, against images per side."""
    losses = ("gone from all images", "gone from half of them")
    points = []
    for classes in CLASSES:
        for n in IMAGES:
            found = power(n, n, classes_tested=classes, tests=QUESTIONS)
            for loss, presence in zip(losses, (found.all_removed, found.half_removed), strict=True):
                if presence is not None:
                    points.append(
                        {"n": n, "loss": loss, "classes": f"{classes} classes", "value": presence}
                    )
    scale = alt.Scale(type="log", domain=[IMAGES[0] / 1.1, IMAGES[-1] * 1.1], nice=False)
    ticks = [50, 200, 1000, 5000, 10_000, 50_000]
    x = alt.X(
        "n:Q",
        scale=scale,
        axis=alt.Axis(title="images per side", values=ticks, format=",d", grid=True),
    )
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(type="log", domain=[2e-4, 1], nice=False),
        axis=alt.Axis(
            title="share of real images that show the class",
            values=[0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1],
            labelExpr="format(100 * datum.value, '~g') + ' %'",
        ),
    )
    colour = alt.Color(
        "loss:N",
        scale=alt.Scale(domain=losses, range=[RED, BLUE]),
        legend=alt.Legend(symbolStrokeWidth=1.8, symbolType="stroke"),
    )
    names = [f"{classes} classes" for classes in CLASSES]
    dash = alt.StrokeDash(
        "classes:N",
        scale=alt.Scale(domain=names, range=[[1, 0], [5, 3]]),
        legend=alt.Legend(symbolStrokeColor=INK, symbolStrokeWidth=1.6, symbolType="stroke"),
    )
    base = alt.Chart(alt.Data(values=points))
    return base.mark_line(strokeWidth=1.8).encode(x, y, colour, dash)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, numbers to the right but for the first column."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def distance_table(results: Results) -> str:
    """The distance of the run."""
    fsd = results.fsd
    rows = [
        ("FSD", f"{number(fsd.value)} percent²"),
        ("of it mean term, covariance term", f"{number(fsd.mean_term)}, {number(fsd.cov_term)}"),
        ("floor", f"{number(fsd.floor or 0)} ± {number(fsd.floor_error or 0)}"),
        ("permutation p", probability(fsd.p_value or 0)),
        ("bias-reduced FSD", number(fsd.bias_reduced or 0)),
        ("95 % interval", f"{number(fsd.ci_low or 0)} to {number(fsd.ci_high or 0)}"),
    ]
    return table(("2,000 images per side", ""), rows)


def class_table(results: Results) -> str:
    """Areas, presences, q-values and verdicts of the classes."""
    checks = results.segmenter_share
    checked = {c.label: c for c in checks.classes} if checks else {}
    rows = []
    for c in results.classes:
        check = checked.get(c.label)
        explained = "" if check is None or check.explained is None else f"{check.explained:.2f}"
        rows.append(
            (
                c.label,
                area(c.real_area),
                area(c.generated_area),
                change(c.relative_difference),
                interval(c.ci_low, c.ci_high),
                f"{share(c.real_seen or 0)} → {share(c.generated_seen or 0)}",
                probability(c.q_value),
                verdict_words(c),
                explained + (" !" if check is not None and check.flagged else ""),
            )
        )
    return table(CLASS_COLUMNS, rows)


def sizes_table(measured: list[tuple[int, FSDResult]]) -> str:
    """The numbers of the figure of FSD against n."""
    rows = [
        (
            f"{n:,}",
            number(r.value),
            number(r.floor or 0),
            number(r.bias_reduced or 0),
            f"{number(r.ci_low or 0)} to {number(r.ci_high or 0)}",
        )
        for n, r in measured
    ]
    return table(("n", "FSD", "floor", "bias-reduced", "95 % interval"), rows)


def write_block(name: str, text: str) -> None:
    """Put text between the marks of this name in the page."""
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    before, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"{PAGE}: no marks for {name!r}")
    after = rest[rest.index(end) :]
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{after}", encoding="utf-8", newline="\n")


def main(run: Path) -> None:
    """Write all figures and tables of one run."""
    results = Results.model_validate_json((run / "results.json").read_text(encoding="utf-8"))
    real, generated = both_sides(run)
    distance = measure_distance(Pool(real, generated), permutations=results.fsd.permutations)
    if not np.isclose(distance.result.value, results.fsd.value):
        raise SystemExit(f"{run}: the areas do not give the FSD of its results.json")
    if results.fsd.ci_high is None:
        raise SystemExit(f"{run}: without an interval; take more images and the usual permutations")
    null, residual = distance.permuted.distances, distance.permuted.residual
    print(
        f"permuted: mean {null.mean():.2f}, 95 % below {np.quantile(null, 0.95):.2f}, largest "
        f"{null.max():.2f}; left by the extrapolation {residual.mean if residual else 0:.2f}"
    )
    write_svg(figure_svg(results), "classes")
    write_svg(chart_svg(build_contribution_chart(contributions(results))), "contributions")
    write(permuted_chart(null, results), "permuted", width=540, height=190)
    measured = measured_sizes(real, generated)
    write(sizes_chart(measured), "sizes", width=540, height=240)
    write(power_chart(), "power", width=540, height=260)
    write_block("distance", distance_table(results))
    write_block("classes", class_table(results))
    write_block("sizes", sizes_table(measured))
    reasons = "\n".join(f"    gate failed: {reason}" for reason in check_gates(GATES, results))
    write_block("gates", reasons)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python docs/figures/draw_statistics.py RUN")
    main(Path(sys.argv[1]))
