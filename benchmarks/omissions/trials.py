"""Repeats of a simulation: draw, plant, compare with the public function, and keep the findings.

Guarantees: ``measure`` is the only place that knows the programming interface of seeingkit; a value
that is not available there is NaN, never a number; a repeat depends on its cell and its number
alone; parts appear by rename, whole or not at all, in a folder named by the code that made them.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeingkit.system.writing import atomic_write

from .families import Rows
from .grid import PART, Cell
from .planting import plant
from .sources import Source
from .truths import Truth

DISTANCE = (
    "value",
    "floor",
    "bias_reduced",
    "ci_low",
    "ci_high",
    "standard_error",
    "p_value",
    "seconds",
)
P_VALUES = ("p_area", "p_seen", "p_presence", "p_given")
VERDICTS = (
    "no evidence",
    "omitted",
    "reduced",
    "in fewer images",
    "excess",
    "in more images",
)
CLAIMS = {"less area": -1, "more area": 1, "in fewer images": -1, "in more images": 1}
"""Directions of the claims; no evidence is 0."""
INTERVALS = (
    "area",
    "generated area",
    "presence",
    "generated presence",
    "area difference",
    "presence difference",
    "difference if present",
)
ABSENT, INSIDE, TRUTH_BELOW, TRUTH_ABOVE = -1, 0, 1, 2
"""Of an interval: not given; holds the truth; the truth lies below it; above it."""

UNREAD = (
    "bursts",
    "closeness",
    "compositions",
    "confusion",
    "contrasts",
    "neighbourhoods",
    "paired",
    "pairs",
    "power",
    "renumbering",
    "scenes",
    "signflips",
    "swaps",
    "twoviews",
)
"""Modules of ``seeingkit.statistics`` that no number kept here depends on."""

NAN = float("nan")
Found = dict[str, NDArray[Any]]


def measure(
    real: Rows, generated: Rows, seed: int, *, background: bool = False, permutations: int = 0
) -> Found:
    """The public comparison of two samples, as arrays.

    Args:
        real, generated: (N, L), (M, L) area fractions.

    Returns:
        ``distance``: (8,) in the order of ``DISTANCE``; ``p``: (L, 4) in the order of ``P_VALUES``;
        ``verdict``: (L,) number in ``VERDICTS``; ``claims``: (L, 2) directions of the claims about
        area and about images, 0 where there is none;
        ``low``, ``high``: (L, 7) in the order of ``INTERVALS``. NaN where there is nothing.
    """
    from seeingkit import Tally, compare

    size = real.shape[1]
    names = tuple("-" if background and k == 0 else f"class {k}" for k in range(size))
    left, right = (Tally.from_fractions(rows, names) for rows in (real, generated))
    started = time.perf_counter()
    results = compare(left, right, seed=seed, permutations=permutations, evidence=False).results
    seconds = time.perf_counter() - started
    known = {"seconds": seconds}
    distance = [known.get(name, getattr(results.fsd, name, None)) for name in DISTANCE]
    p = np.full((size, len(P_VALUES)), np.nan)
    verdict, claims = np.zeros(size, dtype=np.int8), np.zeros((size, 2), dtype=np.int8)
    low, high = (np.full((size, len(INTERVALS)), np.nan) for _ in range(2))
    for record in results.classes:
        k = record.index
        p[k] = [_number(getattr(record, name, None)) for name in P_VALUES]
        verdict[k] = VERDICTS.index(record.verdict)
        claims[k] = [CLAIMS.get(c or "", 0) for c in (record.area_claim, record.images_claim)]
        pairs = (
            getattr(record, "real_area_ci", None),
            getattr(record, "generated_area_ci", None),
            getattr(record, "real_presence_ci", None),
            getattr(record, "generated_presence_ci", None),
            (record.ci_low, record.ci_high),
            getattr(record, "presence_ci", None),
            getattr(record, "given_ci", None),
        )
        for column, pair in enumerate(pairs):
            low[k, column], high[k, column] = map(_number, pair or (None, None))
    return {
        "distance": np.array([_number(value) for value in distance]),
        "p": p,
        "verdict": verdict,
        "claims": claims,
        "low": low,
        "high": high,
    }


def _number(value: float | None) -> float:
    return NAN if value is None else float(value)


def judge(low: NDArray[Any], high: NDArray[Any], truth: Truth, plentiful: bool) -> NDArray[np.int8]:
    """(L, 7) whether each interval holds the truth (``INSIDE`` …); ABSENT where there is none."""
    true = np.stack(
        [
            truth.area,
            truth.planted_area,
            truth.presence,
            truth.planted_presence,
            truth.relative,
            truth.presence_change,
            truth.given_change,
        ],
        axis=1,
    )
    if not plentiful:
        true[:, :4] = np.nan
    slack = 1e-9 * (1 + np.abs(true))
    with np.errstate(invalid="ignore"):
        found = np.where(true < low - slack, TRUTH_BELOW, INSIDE)
        found = np.where(true > high + slack, TRUTH_ABOVE, found)
    missing = np.isnan(low) | np.isnan(high) | np.isnan(true)
    return np.where(missing, ABSENT, found).astype(np.int8)


def generators(cell: Cell, repeat: int) -> tuple[np.random.Generator, np.random.Generator, int]:
    """Of the samples, of the planting, and the seed of the comparison, for one repeat.

    The samples do not depend on the omission, so omissions are compared on the same images.
    """
    place = [zlib.crc32(cell.source.encode()), cell.n, repeat]
    sampling, planting = (np.random.default_rng([*place, k]) for k in range(2))
    return sampling, planting, int(np.random.default_rng([*place, 2]).integers(2**31))


def run_part(source: Source, cell: Cell, truth: Truth, part: int) -> Found:
    """Repeats ``part * PART`` and on; arrays of one more dimension than ``measure`` gives."""
    stop = min((part + 1) * PART, cell.repeats)
    rows: list[Found] = []
    for repeat in range(part * PART, stop):
        sampling, planting, seed = generators(cell, repeat)
        real, generated = source.pair(cell.n, sampling)
        if cell.plant is not None:
            generated = plant(generated, cell.plant, planting)
        found = measure(
            real, generated, seed, background=source.background, permutations=cell.permutations
        )
        low, high = found.pop("low"), found.pop("high")
        found["inside"] = judge(low, high, truth, source.plentiful(cell.n))
        found["p"] = found["p"].astype(np.float32)
        rows.append(found)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@functools.cache
def code_digest(*, truths_only: bool = False) -> str:
    """Hash of the code that decides a repeat (or a truth), without comments and docstrings.

    Covers the statistics of seeingkit and the drawing, planting and measuring here. Modules that
    decide nothing of what ``measure`` reads (``UNREAD``) may change without a new run.
    """
    import seeingkit

    package, here = Path(seeingkit.__file__).parent, Path(__file__).parent
    statistics = sorted((package / "statistics").glob("*.py"))
    if truths_only:
        read = [package / "statistics" / "frechet.py"]
    else:
        read = [
            package / "analyses" / "comparison" / "compare.py",
            *(p for p in statistics if p.stem not in UNREAD),
        ]
        read.append(here / "trials.py")
    names = ("families", "planting", "sources", "truths")
    paths = [*read, *(here / f"{name}.py" for name in names)]
    digest = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):  # those of constants stand in the middle
                body[:] = [statement for statement in body if not _is_docstring(statement)]
        digest.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:12]


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def save_arrays(path: Path, arrays: Found) -> None:
    """Write arrays as one compressed file, whole or not at all."""
    with atomic_write(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path) -> Found:
    """The arrays of a file of ``save_arrays``."""
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
