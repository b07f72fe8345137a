"""Tables and site of a large made-up suite: ``python benchmarks/suites/site.py``.

50 generators in 20 rankings with 150 classes, two controls each. A few real comparisons are made
and ranked; the others have their records, with another order of classes and generators, because a
thousand comparisons take long and a page does not know the difference. Measured: the time to write
the site, the cold opening of its pages in Chromium (a new browser each time; milliseconds from the
start of the navigation to ``data-ready``), and each table.
Needs Chromium and Playwright (extra ``dev``).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from seeingkit import Tally, compare
from seeingkit.analyses.comparison.ranking import rank_generators
from seeingkit.report.suites import suite_table, write_site
from seeingkit.results import (
    SuiteCell,
    SuiteGenerator,
    SuiteRanking,
    SuiteResults,
)

GENERATORS, RANKINGS, CLASSES, IMAGES = 50, 20, 150, 250
COMPARED = 10
"""Comparisons that are really made; each stands for several generators."""


def made_up(folder: Path) -> Path:
    """The folder of the suite."""
    names = [f"gan-{k:02}" for k in range(GENERATORS)]
    first = _ranking(names)
    rankings = [f"seed {k}" for k in range(RANKINGS)]
    for number, name in enumerate(rankings):
        path = folder / "rankings" / name / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(_shuffled(first, number)), encoding="utf-8")
    series = {name: k for k, name in enumerate(names[20:40])}
    suite = SuiteResults(
        title=f"{GENERATORS} × {RANKINGS} × {CLASSES}",
        generators=[
            SuiteGenerator(
                name=name,
                source="made up",
                series="snapshots" if name in series else "",
                step=1000.0 * series[name] if name in series else None,
            )
            for name in names
        ],
        rankings=[
            SuiteRanking(
                name=name,
                data="made up",
                segmenter="made up",
                seed=k,
                n=IMAGES,
                state="done",
                generators=names,
            )
            for k, name in enumerate(rankings)
        ],
        cells=[
            SuiteCell(generator=name, ranking=ranking, state="done")
            for ranking in rankings
            for name in names
        ],
    )
    (folder / "results.json").write_text(suite.model_dump_json(), encoding="utf-8")
    return folder


def _ranking(names: list[str]) -> dict[str, Any]:
    """A ranking of as many generators as there are comparisons, made longer with copies."""
    rng = np.random.default_rng(0)
    labels = tuple(f"class {k:03}" for k in range(CLASSES))
    areas = np.r_[np.full(20, 0.5), np.full(CLASSES - 20, 0.02)]

    def tally(lost: float) -> Tally:
        rows = rng.dirichlet(areas, IMAGES)
        rows[rows < 1e-4] = 0.0
        rows[:, rng.permutation(CLASSES)[:30]] *= 1 - lost
        return Tally.from_fractions(rows / rows.sum(axis=1, keepdims=True), labels)

    real = tally(0.0)
    losses = np.linspace(0.0, 0.95, COMPARED)
    found = [compare(real, tally(lost), permutations=99, evidence=False) for lost in losses]
    controls = [compare(real, tally(0.0), permutations=99, evidence=False) for _ in range(2)]
    ranked = rank_generators(found, names[:COMPARED], controls=controls)
    return _longer(ranked.model_dump(mode="json"), names)


def _longer(ranked: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The records of a ranking with every generator several times, under other names."""
    times = len(names) // COMPARED
    places, members = [], []
    for k, member in enumerate(ranked["members"]):
        for _ in range(1 if member["control"] else times):
            places.append(k)
            members.append(dict(member))
    made = iter(names)
    for member in members:
        if not member["control"]:
            member["name"] = next(made)
            for key in ("rank", "best_rank", "worst_rank"):
                member[key] = member[key] * times - (times - 1 if key == "best_rank" else 0)
    pairs = {(d["first"], d["second"]): d for d in ranked["differences"]}
    old = [member["name"] for member in ranked["members"]]
    differences = []
    for a in range(len(members)):
        for b in range(a + 1, len(members)):
            found = pairs.get((old[places[a]], old[places[b]]))
            pair = dict(found or ranked["differences"][0] | {"nearer": None})
            first, second = members[a]["name"], members[b]["name"]
            nearer = pair["nearer"] and (first if pair["nearer"] == pair["first"] else second)
            differences.append(pair | {"first": first, "second": second, "nearer": nearer})
    classes = []
    for one in ranked["classes"]:
        one = dict(one, verdicts=[one["verdicts"][k] for k in places])
        for question in ("area", "images"):
            lists = ("values", "low", "high", "letters")
            longer = {
                key: [one[question][key][k] for k in places] for key in lists if one[question][key]
            }
            one[question] = one[question] | longer
        classes.append(one)
    return ranked | {"members": members, "differences": differences, "classes": classes}


def _shuffled(ranked: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same ranking with the generators' names and the classes in another order."""
    dice = random.Random(seed)
    names = [m["name"] for m in ranked["members"] if not m["control"]]
    other = dict(zip(names, dice.sample(names, len(names)), strict=True))

    def renamed(name: str | None) -> str | None:
        return other.get(name, name) if name else name

    members = [m | {"name": renamed(m["name"])} for m in ranked["members"]]
    differences = [
        d | {key: renamed(d[key]) for key in ("first", "second", "nearer")}
        for d in ranked["differences"]
    ]
    labels = [one["label"] for one in ranked["classes"]]
    labels = dice.sample(labels, len(labels))
    classes = [one | {"label": x} for one, x in zip(ranked["classes"], labels, strict=True)]
    return ranked | {"members": members, "differences": differences, "classes": classes}


class Watch:
    """Seconds since it was made, on the clock and of this process alone."""

    def __init__(self) -> None:
        self.clock, self.own = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        clock, own = time.perf_counter() - self.clock, time.process_time() - self.own
        return f"{clock:.1f} s ({own:.1f} s of this process)"


def opened(page: Path, loads: int) -> tuple[float, float, float]:
    """A page in a new browser each time: medians of milliseconds, and MB.

    Returns:
        from the start of the navigation to ``data-ready``; time of the page's process alone, which
        other work on the machine hardly changes; the JavaScript heap.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium on the PATH")
    found = []
    with sync_playwright() as driver:
        for _ in range(loads):
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            client = tab.context.new_cdp_session(tab)
            client.send("Performance.enable")
            tab.goto(page.resolve().as_uri())
            tab.wait_for_selector("html[data-ready=true]", state="attached")
            ready = float(tab.evaluate("performance.now()"))
            metrics = client.send("Performance.getMetrics")["metrics"]
            value = {metric["name"]: float(metric["value"]) for metric in metrics}
            found.append((ready, 1e3 * value["ProcessTime"], value["JSHeapUsedSize"] / 1e6))
            browser.close()
    ready, own, heap = (median(column) for column in zip(*found, strict=True))
    return ready, own, heap


def main() -> None:
    """Print the measured times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a new folder for suite and site")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        suite = made_up(folder / "suite")
        began = Watch()
        index = write_site(suite, folder / "site")
        print(f"site written in {began}")
        files = [path for path in (folder / "site").rglob("*") if path.is_file()]
        print(f"{len(files):,} files, {sum(p.stat().st_size for p in files) / 1e6:.0f} MB")
        print("| page | size, MB | ready, ms | of its process, ms | heap, MB |")
        print("| --- | ---: | ---: | ---: | ---: |")
        pages = [
            index,
            *(
                sorted((index.parent / name).iterdir())[0]
                for name in ("rankings", "classes", "generators")
            ),
        ]
        for page in pages:
            ready, own, heap = opened(page, args.loads)
            name = page.relative_to(index.parent)
            size = page.stat().st_size / 1e6
            print(f"| {name} | {size:.2f} | {ready:.0f} | {own:.0f} | {heap:.0f} |")
        for what in ("ranking", "classes", "differences"):
            for form in ("terminal", "csv", "json", "parquet"):
                began = Watch()
                size = len(suite_table(suite, what=what, format=form))
                print(f"table {what} as {form}: {began}, {size / 1e6:.1f} MB")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"largest memory of this process: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
