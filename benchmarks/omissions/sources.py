"""Where real rows come from: pools of labelled scenes, and families without an end.

Guarantees: two samples of one draw never share an image; a pool is read from one file that is made
once and named by its content; a source that is not there is named, with the reason, and left out.

A pool is a finite population. Disjoint samples of n and n of its N images differ by exactly as much
as independent ones, so tests and relative differences are judged as they are. A single mean however
lies closer to the pool's by sqrt(1 - n/N); intervals of single means are therefore only judged
while n is at most ``SMALL_PART`` of the pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seeingkit.system.writing import atomic_write

from .families import FAMILIES, Family, Rows

SMALL_PART = 0.05
CHUNK = 20_000
SCENES_SEED = 1_000
"""Series of scenes that nothing was trained, tuned or shown on."""


@dataclass(frozen=True)
class Source:
    """A distribution of real images whose truth is known.

    Attributes:
        name: as on the command line; kind: ``family`` or ``pool``.
        classes: names of the L labels; background: label 0 means "nothing".
        summary: in a few words.
        identity: changes whenever the rows do.
        pool: (N, L) pixel counts, or None for a family; pixels: of each image of the pool.
        family: for a family.
    """

    name: str
    classes: tuple[str, ...]
    background: bool
    summary: str
    identity: str
    pool: NDArray[np.unsignedinteger] | None = None
    pixels: int = 1
    family: Family | None = None

    @property
    def images(self) -> int | None:
        """How many images there are; None without end."""
        return None if self.pool is None else len(self.pool)

    def reaches(self, n: int) -> bool:
        """Whether two disjoint samples of n can be drawn."""
        return self.images is None or 2 * n <= self.images

    def plentiful(self, n: int) -> bool:
        """Whether intervals of single means may be judged at n."""
        return self.images is None or n <= SMALL_PART * self.images

    def pair(self, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Two disjoint samples of n images, (n, L) area fractions each.

        Raises:
            ValueError: the pool is too small.
        """
        if self.family is not None:
            return self.family.draw(n, rng), self.family.draw(n, rng)
        if not self.reaches(n):
            raise ValueError(f"{self.name} has {self.images} images, {2 * n} are needed")
        assert self.pool is not None
        chosen = rng.choice(len(self.pool), 2 * n, replace=False)
        rows = self.pool[np.sort(chosen)] / self.pixels
        rows = rows[np.argsort(np.argsort(chosen))]  # sorted reading, random order
        return rows[:n], rows[n:]

    def population(self, draws: int) -> Iterator[Rows]:
        """All images of a pool, or this many of a family, in chunks; always the same ones."""
        if self.pool is not None:
            for start in range(0, len(self.pool), CHUNK):
                yield self.pool[start : start + CHUNK] / self.pixels
            return
        assert self.family is not None
        for part in range(-(-draws // CHUNK)):
            rng = np.random.default_rng([20_191_026, part])
            yield self.family.draw(min(CHUNK, draws - part * CHUNK), rng)


def family_source(name: str) -> Source:
    """A family as a source."""
    found = FAMILIES[name]
    return Source(
        name=name,
        classes=found.classes,
        background=False,
        summary=found.summary,
        identity=f"family {name}",
        family=found,
    )


def _count_scenes(start: int, stop: int) -> NDArray[np.uint16]:
    from seeingkit_plugins.minichurches.scenes import OBJECTS, render

    return np.stack(
        [
            np.bincount(render(SCENES_SEED, k, 64).objects.ravel(), minlength=len(OBJECTS))
            for k in range(start, stop)
        ]
    ).astype(np.uint16)


def scenes(folder: Path, images: int, processes: int, say: Callable[[str], None]) -> Source:
    """Rendered scenes by their exact labels, counted pixel by pixel at 64 x 64.

    Parts of 2,000 scenes are kept, so that stopping loses little and a larger pool adds to a
    smaller one.
    """
    from seeingkit_plugins.minichurches.scenes import OBJECTS, RENDERER_VERSION

    home = folder / f"scenes-{RENDERER_VERSION}-{SCENES_SEED}"
    home.mkdir(parents=True, exist_ok=True)
    step = 2_000
    parts = [(k, min(k + step, images)) for k in range(0, images, step)]
    paths = [home / f"{start}-{stop}.npy" for start, stop in parts]
    todo = [(a, path) for a, path in zip(parts, paths, strict=True) if not path.exists()]
    if todo:
        say(f"rendering {sum(b - a for (a, b), _ in todo):,} scenes")
        with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
            work = [(path, executor.submit(_count_scenes, *part)) for part, path in todo]
            for path, future in work:
                save_array(path, future.result())
    whole = home / f"all-{images}.npy"
    if not whole.exists():
        save_array(whole, np.concatenate([np.load(path) for path in paths]))
    identity = f"scenes {RENDERER_VERSION} {SCENES_SEED} {images}"
    return Source(
        name="scenes",
        classes=tuple(OBJECTS),
        background=True,
        summary="minichurches, exact labels",
        identity=identity,
        pool=np.load(whole, mmap_mode="r"),
        pixels=64 * 64,
    )


def segmented(folder: Path, images: int, say: Callable[[str], None]) -> Source:
    """Rendered scenes as the shipped segmenter sees them; the tally resumes by itself."""
    from seeingkit import load_segmenter, open_images, tally
    from seeingkit_plugins.minichurches.palette import OBJECTS
    from seeingkit_plugins.minichurches.scenes import RENDERER_VERSION

    segmenter = load_segmenter("upernet:minichurches")
    which = segmenter.info.identity()
    text = f"segmented {RENDERER_VERSION} {SCENES_SEED + 1} {images} {which}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = folder / f"segmented-{digest}.npy"
    if not path.exists():
        say(f"segmenting {images:,} scenes")
        options = {"seed": SCENES_SEED + 1, "n": images}
        data = open_images("minichurches", data_options=options)
        found = tally(data, segmenter, store=folder / "tallies", batch_size=32)
        size = len(found.vocabulary)
        if found.vocabulary.names != tuple(OBJECTS) or set(found.pixels) != {64.0 * 64}:
            raise ValueError("the segmenter's labels are not those of the scenes")
        save_array(path, found.counts[:, :size].toarray().astype(np.uint16))
    return Source(
        name="segmented",
        classes=tuple(OBJECTS),
        background=True,
        summary="minichurches, segmented by the shipped UPerNet",
        identity=text,
        pool=np.load(path, mmap_mode="r"),
        pixels=64 * 64,
    )


CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "unlabelled",
)


def camvid(labels: Path) -> Source:
    """Street photographs with labels drawn by hand (CamVid), all splits together.

    Raises:
        FileNotFoundError: no label maps below the folder.
        ValueError: label maps of another vocabulary or of different sizes.
    """
    from PIL import Image

    paths = sorted(labels.rglob("*.png"))
    if not paths:
        raise FileNotFoundError(f"no label maps (*.png) below {labels}")
    maps = [np.asarray(Image.open(path)) for path in paths]
    sizes = {found.shape for found in maps}
    if len(sizes) > 1 or any(found.ndim != 2 or found.max() >= len(CAMVID) for found in maps):
        raise ValueError(f"{labels}: not CamVid's label maps (12 classes, one size)")
    counts = np.stack([np.bincount(m.ravel(), minlength=len(CAMVID)) for m in maps])
    digest = hashlib.sha256(counts.tobytes()).hexdigest()[:16]
    return Source(
        name="camvid",
        classes=CAMVID,
        background=False,
        summary="CamVid, labels drawn by hand",
        identity=f"camvid {digest}",
        pool=counts.astype(np.uint32),
        pixels=int(maps[0].size),
    )


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array whole or not at all."""
    with atomic_write(path) as stream:
        np.save(stream, array)
