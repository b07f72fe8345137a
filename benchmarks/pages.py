"""How large a report is, and how long Chromium takes to open it: ``python benchmarks/pages.py``.

Two pages: the run given (``--run runs/demo``), if it is there, and a made-up one of 500 classes and
200 inverted photos. Milliseconds from the start of the navigation, medians of some loads: the first
paint, the parsed page, and the drawn figure. Needs Chromium and Playwright (extra ``dev``).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from seeingkit import Tally, compare
from seeingkit.report import rebuild_report
from seeingkit.results import (
    InversionRecord,
    InversionSettings,
    LostClass,
    Manifest,
    ModelRecord,
    Results,
)

CLASSES, PHOTOS, SIDE = 500, 200, 256
TIMES = """() => { const n = performance.getEntriesByType("navigation")[0];
const p = performance.getEntriesByName("first-contentful-paint")[0];
return [p ? p.startTime : 0, n.domContentLoadedEventEnd, performance.now()] }"""


def made_up(folder: Path) -> Path:
    """A run of many classes and photos; the class drawn too little is in all photos."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {k}" for k in range(CLASSES))
    rows = rng.dirichlet(np.r_[np.full(20, 0.5), np.full(CLASSES - 20, 0.01)], 800)
    generated = rng.permutation(rows[:400])
    generated[:, :3] *= 0.1
    real = Tally.from_fractions(rows[400:], names)
    results = compare(real, Tally.from_fractions(generated, names), permutations=99).results
    settings = InversionSettings(preset="fast", labels=names)
    records = [_record(folder, rng, k, names[k % 3]) for k in range(PHOTOS)]
    model = ModelRecord(name="made up", family="made up")
    update = {"inversions": records, "inversion": settings, "generator": model}
    _write(folder, results.model_copy(update=update))
    return rebuild_report(folder)


def _record(folder: Path, rng: np.random.Generator, k: int, label: str) -> InversionRecord:
    blocks = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    photo = Image.fromarray(blocks).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    labels = rng.integers(0, 40, (16, 16), dtype=np.uint16).repeat(16, 0).repeat(16, 1)
    inside = folder / "inversions"
    inside.mkdir(parents=True, exist_ok=True)
    names = {}
    for name, picture in (("photo", photo), ("made", photo.point(lambda v: 255 - v))):
        picture.save(inside / f"{k}-{name}.png")
        Image.fromarray(labels).save(inside / f"{k}-{name}-labels.png")
        names[name] = f"inversions/{k}-{name}"
    lost = LostClass(label=label, photo_area=3.0, reconstruction_area=0.1, lost=0.97)
    return InversionRecord(
        image=f"photo {k:04}",
        method="layered+r",
        cut="r4",
        photo=f"{names['photo']}.png",
        reconstruction=f"{names['made']}.png",
        photo_labels=f"{names['photo']}-labels.png",
        reconstruction_labels=f"{names['made']}-labels.png",
        psnr=20.0,
        loss=0.1,
        steps=120,
        picked_for=label,
        lost={label: 0.97},
        classes=[lost],
    )


def _write(folder: Path, results: Results) -> None:
    manifest = Manifest(seeingkit="0", command="made up", config={"command": "analyze"}, started="")
    for name, record in (("results", results), ("manifest", manifest)):
        (folder / f"{name}.json").write_text(record.model_dump_json(), encoding="utf-8")


def measure(name: str, page: Path, loads: int) -> None:
    """Open a page some times, and print medians."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium on the PATH")
    times = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(loads):
            tab = browser.new_page(viewport={"width": 1280, "height": 800})
            tab.goto(page.resolve().as_uri())
            tab.wait_for_selector("html[data-ready=true]", state="attached")
            times.append(tab.evaluate(TIMES))
            tab.close()
        browser.close()
    paint, parsed, drawn = (median(column) for column in zip(*times, strict=True))
    size = page.stat().st_size / 1e6
    print(f"| {name} | {size:.1f} MB | {paint:.0f} | {parsed:.0f} | {drawn:.0f} |")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--loads", type=int, default=5)
    args = parser.parse_args()
    print("| page | size | first paint, ms | parsed, ms | figure drawn, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    if (page := args.run / "report.html").is_file():
        measure(args.run.name, page, args.loads)
    with tempfile.TemporaryDirectory() as folder:
        name = f"{CLASSES} classes, {PHOTOS} photos"
        measure(name, made_up(Path(folder)), args.loads)


if __name__ == "__main__":
    main()
