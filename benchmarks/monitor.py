"""A monitor in a real training: what its checks find, and what they cost.

    python -m benchmarks.monitor train --out RUN
    python -m benchmarks.monitor draw --out RUN --figure docs/figures/monitor.svg
    python -m benchmarks.monitor looks --runs 200

``train`` takes a few hundred steps of the shipped ProGAN's recipe with quick phases, and checks the
averaged generator every so many of them; ``draw`` makes the curve. ``looks`` simulates trainings in
which nothing is missing at any time: how often is a class said to be missing at any of 20 checks?
Times are of the process (CPU seconds), because the machine was shared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import altair as alt
import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit import Monitor, Tally, compare
from seeingkit.system.writing import write_text
from seeingkit_adapters.progan.network import resolutions
from seeingkit_plugins.minichurches.training import TRAIN_SEED
from seeingkit_plugins.minichurches.training.pictures import picture_cache
from seeingkit_plugins.minichurches.training.progan import train
from seeingkit_plugins.minichurches.training.progressive import Plan, Run

FILE = "checks.json"


class EnoughStepsError(Exception):
    """The steps that were asked for are taken."""


class Watch:
    """Checks the averaged generator every so many steps, and keeps times."""

    def __init__(self, monitor: Monitor, steps: int, every: int, n: int) -> None:
        self.monitor, self.steps, self.every, self.n = monitor, steps, every, n
        self.found: list[dict[str, object]] = []
        self.write: Callable[[list[dict[str, object]]], object] = len
        self._since = time.process_time()

    def __call__(self, run: Run) -> None:
        if run.steps % self.every == 0:
            now = time.process_time()
            each = (now - self._since) / self.every
            self.monitor.reset()
            drawn = run.samples(self.n)
            drawing = time.process_time() - now
            self.monitor.update(drawn)
            counting = time.process_time() - now - drawing
            check = self.monitor.compute()
            comparing = time.process_time() - now - drawing - counting
            row = {
                "step": run.steps,
                "images": run.images,
                "resolution": run.plan.stage(run.images)[0],
                "step_seconds": each,
                "draw_seconds": drawing,
                "count_seconds": counting,
                "compare_seconds": comparing,
                **check.numbers(),
                "missing": check.missing,
            }
            self.found.append(row)
            self.write(self.found)
            print(f"step {run.steps}: {check}", flush=True)
            self._since = time.process_time()
        if run.steps >= self.steps:
            raise EnoughStepsError


def training(out: Path, *, steps: int, every: int, n: int, permutations: int) -> None:
    """Train with checks; writes ``checks.json`` into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        phases=(0.3, 0.3, 0.5, 0.5),
        fade=0.5,
        batch=16,
        pictures=2048,
        ema_half_life=500,
        half=torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    )
    size = resolutions(plan.sizes)[-1]
    pictures = picture_cache(out / "scenes.npy", plan.pictures, seed=TRAIN_SEED, size=size)
    checks = steps // every
    monitor = Monitor("minichurches", n=n, checks=checks, permutations=permutations)
    watch = Watch(monitor, steps, every, n)
    about = {"steps": steps, "every": every, "n": n, "permutations": permutations}
    watch.write = lambda found: write_text(
        out / FILE, json.dumps({**about, "checks": found}, indent=1)
    )
    with contextlib.suppress(EnoughStepsError):
        train(Run(plan), pictures, out, minutes=1e6, every=1e6, watch=watch)
    costs(out)


def costs(out: Path) -> None:
    """Print what a check costs beside a step at the last resolution."""
    stored = json.loads((out / FILE).read_text())
    rows = [row for row in stored["checks"] if row["resolution"] == 64]
    mean = {
        name: float(np.mean([row[f"{name}_seconds"] for row in rows]))
        for name in ("step", "draw", "count", "compare")
    }
    check = mean["draw"] + mean["count"] + mean["compare"]
    print({name: round(value, 3) for name, value in mean.items()}, f"check {check:.2f} s")
    print(f"a check is {check / mean['step']:.1f} steps")
    for every in (stored["every"], 1000):
        print(f"every {every} steps: {100 * check / mean['step'] / every:.1f} % of a step")


def draw(out: Path, figure: Path) -> None:
    """The curve of FSD with its interval and floor, and of missing classes."""
    rows = json.loads((out / FILE).read_text())["checks"]
    x = alt.X("images:Q", title="training images seen")
    distance = alt.Y("fsd:Q", title="FSD, percent²").scale(type="log", domainMin=5)
    base = alt.Chart(alt.Data(values=rows))
    around = base.mark_area(opacity=0.25).encode(x, alt.Y("fsd_low:Q").title(""), y2="fsd_high:Q")
    floor = base.mark_line(strokeDash=[4, 3], color="grey").encode(x, y="fsd_floor:Q")
    line = base.mark_line(point=True).encode(x, y=distance)
    top = (around + floor + line).properties(width=520, height=220)
    missing = alt.Y("missing_classes:Q", title="missing classes")
    bottom = base.mark_line(point=True, interpolate="step-after", color="#b3462f").encode(
        x, missing
    )
    alt.vconcat(top, bottom.properties(width=520, height=90)).save(str(figure))


def classes(rng: np.random.Generator, n: int, shared: bool) -> NDArray[np.float64]:
    """(n, 12) areas: rare and common classes; ``shared``: they go together, else they do not.

    Both have the same share of images and the same areas of each class.
    """
    presence = np.geomspace(0.01, 0.9, 12)
    common = rng.random((n, 1)) if shared else rng.random((n, 12))
    there = (common + rng.random(12)) % 1 < presence if shared else common < presence
    areas = rng.beta(2.0, 40.0, (n, 12))
    return np.asarray(np.where(there, areas, 0.0))


def looks(runs: int, n: int, checks: int) -> None:
    """Print the share of trainings with a false claim at any check, with and without a plan."""
    names = [f"class {k}" for k in range(12)]

    levels = (0.05, 0.05 / checks)

    for title, shared in (("one distribution", True), ("other pairs of classes", False)):
        counts = np.zeros((2, 3), int)
        for run in range(runs):
            rng = np.random.default_rng([run, shared])
            real = Tally.from_fractions(classes(rng, n, True), names)
            seen = np.zeros((2, 3), bool)
            for check in range(checks):
                made = Tally.from_fractions(classes(rng, n, shared), names)
                found = compare(real, made, level=0.05, permutations=0, evidence=False).results
                for k, level in enumerate(levels):  # a claim stands where its q is at most that
                    claims = [one for one in found.classes if one.q_value <= level]
                    missing = any(one.omitted for one in claims)
                    seen[k] |= (missing, bool(claims), bool(claims) and check == 0)
            counts += seen
        for k, name in enumerate(("each at 5 %", f"planned, checks={checks}")):
            missing, any_claim, first = (f"{100 * c / runs:.1f} %" for c in counts[k])
            print(
                f"{title}, {name}: missing at any check {missing}, any claim {any_claim}, "
                f"any claim at the first check {first} ({runs} trainings)",
                flush=True,
            )


def main() -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "draw", "looks", "costs"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--checks", type=int, default=20)
    args = parser.parse_args()
    numbers = {"n": args.n, "permutations": args.permutations}
    steps: dict[str, Callable[[], None]] = {
        "train": lambda: training(args.out, steps=args.steps, every=args.every, **numbers),
        "draw": lambda: draw(args.out, args.figure),
        "looks": lambda: looks(args.runs, args.n, args.checks),
        "costs": lambda: costs(args.out),
    }
    steps[args.what]()


if __name__ == "__main__":
    main()
