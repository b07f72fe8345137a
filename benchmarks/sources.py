"""Tally images per second from tar shards and Parquet ÷ from a folder of the same files.

Each round lists the source, hashes it and counts it, from an empty cache: all that a first run does
but for the segmenter, which here takes next to no time. Then the same for a drawn tenth, whose
pictures are asked for in random order.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from interleaved import interleave, ratio, show
from PIL import Image
from torch import Tensor

from seeingkit import open_images, tally
from seeingkit.contracts import Label, Segmenter, SegmenterInfo, Vocabulary


class Halves(Segmenter):
    """Dark or bright, by the red channel."""

    def __init__(self) -> None:
        self.vocabulary = Vocabulary(tuple(map(Label, ("-", "dark", "bright"))))
        self.info = SegmenterInfo(family="halves")

    def segment(self, images: Tensor) -> Tensor:
        return 1 + (images[:, :1] > 0).long()

    def score(self, images: Tensor, label: int) -> Tensor:
        return images[:, 0] * (2 * label - 3)


def lay(root: Path, n: int, size: int) -> dict[str, Path]:
    """The same JPEGs as a folder, as shards of 1,000, and as Parquet in row groups of 100."""
    places = {name: root / name for name in ("folder", "tar", "parquet")}
    for place in places.values():
        place.mkdir()
    random = np.random.default_rng(0)
    for start in range(0, n, 1000):
        rows = []
        with tarfile.open(places["tar"] / f"{start // 1000:05d}.tar", "w") as archive:
            for k in range(start, min(n, start + 1000)):
                pixels = random.integers(0, 256, (size // 8, size // 8, 3), np.uint8)
                stream = io.BytesIO()
                Image.fromarray(pixels).resize((size, size)).save(stream, "JPEG", quality=90)
                name, data = f"{k:06d}.jpg", stream.getvalue()
                (places["folder"] / name).write_bytes(data)
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
                rows.append({"bytes": data, "path": name})
        table = pa.table({"image": rows})
        pq.write_table(
            table, places["parquet"] / f"{start // 1000:05d}.parquet", row_group_size=100
        )
    return places


def count(place: Path, n: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEEINGKIT_CACHE"] = folder
        source = open_images(place, preset="native", n=n)
        tally(source, Halves(), store=folder)
        source.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        places = lay(Path(root), args.n, args.size)
        for n, what in ((None, "all, in order"), (args.n // 10, "a drawn tenth")):
            cases = {name: partial(count, place, n) for name, place in places.items()}
            seconds = interleave(cases, args.rounds)
            print(f"{what}:")
            show(seconds, "images", n or args.n)
            for name in ("tar", "parquet"):
                print(f"{name} ÷ folder: {1 / ratio(seconds, 'folder', name):.2f}")


if __name__ == "__main__":
    main()
