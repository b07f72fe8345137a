"""Painting: time of a brush, pixels of the page against torch's, trees drawn and erased.

``brush``: pictures of the offline page in Chromium: median time, and levels from torch's picture.
``cpu``: the page's interpreter under Node: CPU time of a picture, whatever else the machine does.
``draw``: share of tree in a painted box by strength, with 20 and 40 units by agreement.
``photos``: trees of photos erased from their inversions: tree in the mask, PSNR outside of it.

    python -m benchmarks.painting brush
    python -m benchmarks.painting cpu
    python -m benchmarks.painting draw
    python -m benchmarks.painting photos
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

import seeingkit
from seeingkit.analyses.interventions.cells import cell_means
from seeingkit.analyses.interventions.subjects import Subject, pixels_of
from seeingkit.analyses.inversion import invert
from seeingkit.contracts import Generator
from seeingkit.images import open_images
from seeingkit.models.edits import UnitEdit, run
from seeingkit.report.templates import asset
from seeingkit.runs.easel import prepare_easel
from seeingkit.runs.paint import paint
from seeingkit.runs.painting_models import Wish, open_models
from seeingkit.specs import PRESETS

LAYER = "r8.conv1"
TREE = (13, 112, 35, 21, 68, 92, 31, 43, 122, 82, 42, 30, 90, 57, 44, 39, 61, 84, 52, 71)
"""Units of the embedded ProGAN by IoU with tree over chance (160 images of seed 0)."""


def subject_of() -> Subject:
    generator = seeingkit.load_generator("progan:minichurches")
    assert isinstance(generator, Generator)
    return Subject(generator, seeingkit.load_segmenter("upernet:minichurches"), LAYER)


def brush(strokes: int) -> None:
    """Time of pictures in the page, on this machine as busy as it is."""
    from tests.helpers.chromium import Chromium

    browser = Chromium("/usr/bin/chromium")
    for name in ("progan:minichurches", "stylegan2:minichurches"):
        with tempfile.TemporaryDirectory() as folder:
            wish = Wish(layer=LAYER, units={"tree": TREE}, indices=range(4), search=16)
            path = paint(name, wish, out=Path(folder) / "painting.html")
            size = path.stat().st_size / 1e6
            page = browser.open(path)
            worst = 0
            for k in range(4):
                page.locator("#starts button").nth(k).click()
                browser.wait(f"start === {k} && !busy && originals[{k}] !== null")
                worst = max(
                    worst, int(browser.evaluate("document.documentElement.dataset.difference"))
                )
            box = page.locator("#frame").bounding_box()
            assert box is not None
            times = []
            for k in range(strokes):
                x, y = (0.1 + 0.8 * (k % 7) / 7), 0.7
                page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
                browser.wait("!busy && !waiting")
                times.append(float(page.inner_text("#status").split()[-2]))
        print(
            f"{name}: {size:.1f} MB, at most {worst} of 255 levels from torch; median "
            f"{statistics.median(times):.0f} ms, least {min(times):.0f}, most {max(times):.0f} "
            f"({strokes} strokes; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
        )
    browser.close()


NODE = """
const file = require("fs").readFileSync(process.argv[2], "utf8");
const data = JSON.parse(file.split('id="data">')[1].split("</script>")[0]);
const cells = data.extent[0] * data.extent[1];
const inputs = data.starts.map((one) => one.inputs), { program, size } = data;
self.onmessage({ data: { kind: "begin", program, starts: inputs, cells, size } });
for (let k = 0; k < Number(process.argv[3]) + 3; k++) {
  const before = process.cpuUsage();
  self.onmessage({ data: { start: 0, edits: [] } });
  const { user, system } = process.cpuUsage(before);
  if (k >= 3) console.log((user + system) / 1000);
}
"""


def cpu(strokes: int) -> None:
    """CPU milliseconds of a picture, after three that warm up the compiler."""
    for name in ("progan:minichurches", "stylegan2:minichurches"):
        with tempfile.TemporaryDirectory() as folder:
            wish = Wish(layer=LAYER, units={"tree": TREE}, indices=(0,), search=16)
            page = paint(name, wish, out=Path(folder) / "painting.html")
            script = Path(folder) / "worker.js"
            worker = asset("painting_worker.js")
            script.write_text(f"const self = {{ postMessage() {{}} }};\n{worker}\n{NODE}")
            command = ["node", str(script), str(page), str(strokes)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        times = [float(line) for line in done.stdout.split()]
        print(
            f"{name}: median {statistics.median(times):.0f} ms, {min(times):.0f} to "
            f"{max(times):.0f} ms of CPU time"
        )


def draw() -> None:
    """Share of tree in boxes of 3 x 3 cells of images 0 to 7, by units and strength.

    One box is near the ground, the other at the top right, where most of these have sky.
    """
    wish = Wish(layer=LAYER, indices=(0,))
    easel = prepare_easel(open_models("progan:minichurches", wish), wish)
    tree = next(one for one in easel.page.brushes if one.label == "tree")
    subject = subject_of()
    start = subject.generator.begin(subject.generator.latents(range(8)))

    def share(top: int, left: int, edits: list[UnitEdit]) -> str:
        with torch.no_grad():
            maps = subject.label_maps(subject.images(start, edits))
        box = slice(8 * top, 8 * top + 24), slice(8 * left, 8 * left + 24)
        return f"{float(pixels_of(maps, subject.label('tree'))[:, *box].float().mean()):.1%}"

    places = {"ground": (4, 1), "sky": (0, 5)}
    print("before:", *(f"{name} {share(*place, [])}" for name, place in places.items()))
    for many in (20, 40):
        for strength in (1.0, 1.5, 2.0, 3.0):
            values = strength * torch.tensor(tree.values[:many])
            said = [f"{many} units, strength {strength}:"]
            for name, (top, left) in places.items():
                mask = torch.zeros(8, 8)
                mask[top : top + 3, left : left + 3] = 1
                edit = UnitEdit(LAYER, tree.units[:many], value=values, mask=mask)
                said.append(f"{name} {share(top, left, [edit])}")
            print(*said)


def photos(rows: list[int]) -> None:
    """Trees of photos of the data set, erased in the cells that they fill by more than half."""
    subject = subject_of()
    generator, tree = subject.generator, subject.label("tree")
    images = open_images("minichurches", preset=PRESETS["native"]).read(rows)
    found = invert(generator, images, cut=LAYER, encoder="found")
    with torch.no_grad():
        plain = generator.advance(found.state).x
        filled = cell_means(pixels_of(subject.label_maps(images), tree).float(), subject.boundary)
        mask = (filled > 0.5).float()[:, None]
        erased = run(generator, found.state, edits=[UnitEdit(LAYER, TREE, mask=mask)])[0].x
        before, after = (pixels_of(subject.label_maps(x), tree).float() for x in (plain, erased))

    def of_image(cells: Tensor) -> Tensor:
        return cells[:, 0].repeat_interleave(8, 1).repeat_interleave(8, 2)

    def psnr(x: Tensor, where: Tensor) -> Tensor:
        error = (((x.clamp(-1, 1) - images) / 2) ** 2).mean(1)
        return -10 * torch.log10((error * where).sum((1, 2)) / where.sum((1, 2)))

    inside = of_image(mask)
    for k, row in enumerate(rows):
        shares = [float((x[k] * inside[k]).sum() / inside[k].sum()) for x in (before, after)]
        print(
            f"photo {row}: inverted to {float(found.psnr[k]):.1f} dB; {int(mask[k].sum())} cells; "
            f"tree in the mask {shares[0]:.0%} -> {shares[1]:.0%}"
        )
    for margin in (0, 1, 2):
        near = max_pool2d(mask, 2 * margin + 1, 1, margin)
        fall = psnr(plain, 1 - of_image(near)) - psnr(erased, 1 - of_image(near))
        print(
            f"PSNR beyond {margin} cells from the mask falls by "
            f"{', '.join(f'{v:.2f}' for v in fall.tolist())} dB (mean {float(fall.mean()):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("brush", "cpu", "draw", "photos"))
    parser.add_argument("--strokes", type=int, default=15)
    parser.add_argument("--rows", type=int, nargs="+", default=[18, 24, 25, 32])
    given = parser.parse_args()
    if given.what == "brush":
        brush(given.strokes)
    elif given.what == "cpu":
        cpu(given.strokes)
    elif given.what == "draw":
        draw()
    else:
        photos(given.rows)


if __name__ == "__main__":
    main()
