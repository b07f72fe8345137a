"""Peak memory and CPU time of a tally, of its merge, and of ``compare``, for many images.

``write`` fabricates the tallies of two sides of 40 labels through the real writer of chunks:
``scenes`` (11 labels an image) or ``dense`` (all 40). ``merge`` reads the chunks of one side,
``compare`` those of both. ``tally`` runs the whole loop with a generator and a segmenter of a few
operations. Each runs in a process of its own, which has done the same with few images before;
memory is the peak of what is resident (Linux) beyond that.

``null`` counts how often tests by random blocks of images find something where nothing is, beside
those by single images: both sides have one distribution, or all but one class have, which one side
shows twice as often at half the size, so that its mean area alone is the same.

    python -m benchmarks.memory write --n 1000000
    python -m benchmarks.memory merge --n 1000000
    python -m benchmarks.memory compare --n 1000000
    python -m benchmarks.memory tally --n 1000000
    python -m benchmarks.memory null --n 2000 --runs 200
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

from seeingkit import Tally, compare, tally
from seeingkit.contracts import ImageSource, Label, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.errors import ImageError
from seeingkit.images import SamplerSource
from seeingkit.models.code import identity_of
from seeingkit.models.registry import find_preset
from seeingkit.specs import Preset
from seeingkit.statistics import Pool, fsd_of_rows
from seeingkit.statistics.blocks import Blocks, Units
from seeingkit.statistics.claims import class_tests
from seeingkit.statistics.resampling import floor_of_units, permute
from seeingkit.tallies import ChunkStore, TallyIdentity
from seeingkit.tallies.chunks import CHUNK, Chunk, ChunkRows, write_chunk
from seeingkit.tallies.record import TallyRecord

from .cheap_models import painter, register_all

LABELS = 40
PIXELS = 256 * 256
FEW = 600
"""Images of the same work before memory is measured."""
DOUBLED, IN_A_BLOCK = 7, 10
"""Of ``null``: the class that may be drawn twice as often, and the images in a block."""


class Shades(Segmenter):
    """The label of a pixel is one of 40 shades of red; nothing is unlabelled."""

    def __init__(self) -> None:
        names = (Label("-"), *(Label(f"shade {k}") for k in range(1, LABELS)))
        self.vocabulary = Vocabulary(names, has_background=False)
        self.info = SegmenterInfo(family="shades")

    def segment(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) labels."""
        return ((images[:, :1] + 1) / 2 * LABELS).long().clamp(0, LABELS - 1)

    def score(self, images: Tensor, label: int) -> Tensor:
        """(N, H, W) nearness to a shade."""
        return 1 - (images[:, 0] - (2 * label / LABELS - 1)).abs() / 2


class _Ids(Sequence[str]):
    def __init__(self, name: str, n: int) -> None:
        self.name, self.n = name, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        return f"{self.name}/{int(index):07d}.jpg"


class Fabricated(ImageSource):
    """Images of which only the areas are made up, chunk by chunk; there are no pictures."""

    preset = Preset(name="native", size=None, crop=False)

    def __init__(self, side: str, kind: str, n: int) -> None:
        self.name, self.kind_of_rows = side, kind
        self.fingerprint = f"{side} {kind}"
        self.ids = _Ids(side, n)

    def read(self, indices: Sequence[int]) -> Tensor:
        """There are no pictures.

        Raises:
            ImageError: always.
        """
        raise ImageError(self.ids[indices[0]], "only its areas are made up")

    def areas(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 40) pixels of each label, of one chunk."""
        rng = np.random.default_rng([self.name == "real", start])
        k = np.arange(LABELS)
        areas = np.exp(-k / 12 + 0.8 * rng.standard_normal((stop - start, LABELS)))
        if self.kind_of_rows == "scenes":
            presence = np.minimum(0.98, 1.6 / (k + 1) ** 0.75)
            if self.name == "generated":
                presence[7] /= 2
            areas *= rng.random(areas.shape) < presence
        areas[:, 0] += 1e-3
        pixels = np.floor(areas / areas.sum(axis=1, keepdims=True) * PIXELS).astype(np.int64)
        pixels[:, 0] += PIXELS - pixels.sum(axis=1)
        return pixels

    def write(self, store: ChunkStore, segmenter: Segmenter) -> None:
        """The chunks, where ``tally`` looks for them."""
        identity = TallyIdentity(
            source=self.fingerprint,
            segmenter=identity_of(segmenter),
            preset=self.preset.identity(),
        )
        record = TallyRecord.of(self, segmenter)
        for start in range(0, len(self), CHUNK):
            stop = min(start + CHUNK, len(self))
            path = store.path(identity, start, stop)
            if path.exists():
                continue
            rows = ChunkRows()
            for k, row in zip(range(start, stop), self.areas(start, stop), strict=True):
                rows.add(k, self.ids[k], PIXELS, row)
            write_chunk(Chunk(identity, start, stop, path), rows, segmenter.vocabulary, record)


def read_side(side: str, asked: argparse.Namespace, n: int) -> Tally:
    """The tally of one fabricated side, its chunks written before."""
    source, segmenter, store = Fabricated(side, asked.rows, n), Shades(), ChunkStore(asked.store)
    source.write(store, segmenter)
    return tally(source, segmenter, store=store)


def write(asked: argparse.Namespace, n: int) -> dict[str, Any]:
    """Both sides."""
    for side in ("real", "generated"):
        Fabricated(side, asked.rows, n).write(ChunkStore(asked.store), Shades())
    return {}


def merge(asked: argparse.Namespace, n: int) -> dict[str, Any]:
    """Read one side."""
    found = read_side("real", asked, n)
    return {"labels an image": round(found.counts.nnz / len(found), 1)}


def compared(asked: argparse.Namespace, n: int) -> dict[str, Any]:
    """Read both sides and compare them."""
    sides = [read_side(side, asked, n) for side in ("real", "generated")]
    gc.collect()
    merged = _resident("VmHWM")
    _forget_peak()
    started = time.process_time()
    results = compare(*sides, permutations=asked.permutations).results
    fsd = results.fsd
    return {
        "labels an image": round(sides[0].counts.nnz / n, 1),
        "compare_cpu_seconds": round(time.process_time() - started, 1),
        "merge_peak": merged,
        "fsd": fsd.value,
        "floor": fsd.floor,
        "p_value": fsd.p_value,
        "interval": [fsd.ci_low, fsd.ci_high],
        "claimed": [c.label for c in results.classes if c.verdict != "no evidence"],
        "warnings": results.warnings,
    }


def counted(asked: argparse.Namespace, n: int) -> dict[str, Any]:
    """The whole loop, from latents to the merged tally."""
    source = SamplerSource(painter(), n, preset=find_preset("native"), batch=256)
    with tempfile.TemporaryDirectory(dir=asked.store) as store:
        found = tally(source, Shades(), store=store, batch_size=256)
    return {"labels an image": round(found.counts.nnz / len(found), 1)}


def null(asked: argparse.Namespace, n: int) -> dict[str, Any]:
    """Shares of runs, and of classes, with p of at most 0.05, and the floor: mean, deviation."""
    found: dict[str, Any] = {}
    for kind in ("one distribution", "one mean"):
        runs = [_null_run(kind, n, k) for k in range(asked.runs if n > FEW else 1)]
        for way, each in zip(("blocks", "single images"), zip(*runs, strict=True), strict=True):
            fsd, others, doubled, floors = np.array(each).T
            found[f"{kind}, {way}"] = {
                "FSD": float(np.mean(fsd <= 0.05)),
                "area of the 39 other classes": float(np.mean(others)),
                "area of the class drawn twice as often": float(np.mean(doubled <= 0.05)),
                "floor": [float(floors.mean()), float(floors.std())],
            }
    return {"runs": asked.runs, "images in a block": IN_A_BLOCK, "p <= 0.05": found}


def _null_run(kind: str, n: int, seed: int) -> list[tuple[float, float, float, float]]:
    """By blocks and by single images: p of FSD, share of small p of the areas, p of one, floor."""
    rng = np.random.default_rng([n, seed])
    presence = np.minimum(0.98, 1.6 / np.arange(1, LABELS + 1) ** 0.75)
    rows = []
    for side in (0, 1):
        areas = np.exp(0.8 * rng.standard_normal((n, LABELS)))
        shown, doubled = presence.copy(), side and kind == "one mean"
        if doubled:
            shown[DOUBLED] *= 2
            areas[:, DOUBLED] /= 2
        rows.append(areas * (rng.random(areas.shape) < shown))
    pool = Pool(*rows)
    mask, observed = pool.real_mask(), fsd_of_rows(*rows)
    found = []
    for units in (Blocks(pool, seed=seed, size=IN_A_BLOCK), Units(pool)):
        permuted = permute(units, permutations=199, seed=seed)
        p = class_tests(pool.side(mask), pool.side(1 - mask), permuted).area
        floor, p_fsd = floor_of_units(units, seed=seed), permuted.p_value(observed)
        assert floor is not None and p_fsd is not None
        others = float(np.mean(np.delete(p, DOUBLED) <= 0.05))
        found.append((p_fsd, others, float(p[DOUBLED]), floor.value))
    return found


WORK: dict[str, Callable[[argparse.Namespace, int], dict[str, Any]]] = {
    "write": write,
    "merge": merge,
    "compare": compared,
    "tally": counted,
    "null": null,
}


def _resident(name: str) -> int:
    """Bytes by a name of /proc/self/status: ``VmRSS`` now, ``VmHWM`` at the peak."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _forget_peak() -> None:
    gc.collect()
    with contextlib.suppress(AttributeError):  # glibc: give back what was freed
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("work", choices=WORK)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--rows", choices=("scenes", "dense"), default="scenes")
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=200, help="of null")
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir(), "tallies-memory"))
    parser.add_argument("--json", type=Path, help="append the measurement to this list")
    asked = parser.parse_args()
    asked.store.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    register_all()
    WORK[asked.work](asked, FEW)
    _forget_peak()
    before, cpu, started = _resident("VmRSS"), time.process_time(), time.perf_counter()
    found = WORK[asked.work](asked, asked.n)
    peak = max(_resident("VmHWM"), found.pop("merge_peak", 0))
    line = {
        "work": asked.work,
        "n": asked.n,
        "rows": asked.rows,
        "peak_mib": round((peak - before) / 2**20),
        "start_mib": round(before / 2**20),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "seconds": round(time.perf_counter() - started, 1),
        **found,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "torch": torch.__version__,
        },
    }
    print(json.dumps(line, indent=1))
    if asked.json:
        known = json.loads(asked.json.read_text("utf-8")) if asked.json.exists() else []
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps([*known, line], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
