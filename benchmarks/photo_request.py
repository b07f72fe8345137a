"""A request of photos: "trees grow on towers", object and contexts from embedded photos.

Writes the photos and ``request.json`` into a folder: the largest tree, and the six photos with the
most tower, by the segmenter's labels. Then::

    python -m benchmarks.photo_request photos
    seeingkit rewrite photos/request.json --gan progan:minichurches --site r16.conv1 \\
        -n 0 --out photos/towers.safetensors
    seeingkit assess photos/towers.safetensors --gan progan:minichurches --data minichurches
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.rewriting import BATCH, CONTEXTS, FROM, LOOKED_AT, TO
from seeingkit import load_segmenter, open_images
from seeingkit.analyses.rewriting.plan import request_record
from seeingkit.analyses.rewriting.regions import PhotoRegion, Request
from seeingkit.images.preprocess import quantise


def region(folder: Path, photos: Tensor, maps: Tensor, row: int, label: int) -> PhotoRegion:
    """The places of a class in a photo, which is written to the folder."""
    name = f"photo{row}.png"
    Image.fromarray(quantise(photos[[row]])[0].numpy()).save(folder / name)
    return PhotoRegion(0, ((maps[row] == label) * 255).to(torch.uint8).numpy(), name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    segmenter = load_segmenter("upernet:minichurches")
    photos = open_images("minichurches", n=LOOKED_AT).read(list(range(LOOKED_AT)))
    maps = torch.cat([segmenter.label_maps(some)[:, 0] for some in photos.split(BATCH)])
    tree, tower = (segmenter.vocabulary.index(name) for name in (TO, FROM))
    top = maps[:, : maps.shape[1] * 2 // 3]  # towers stand there, as in benchmarks.rewriting
    most = (top == tower).sum((1, 2)).argsort(descending=True)[:CONTEXTS].tolist()
    largest = int((maps == tree).sum((1, 2)).argmax())
    contexts = tuple(region(given.folder, photos, maps, row, tower) for row in most)
    copied = region(given.folder, photos, maps, largest, tree)
    text = json.dumps(request_record(Request(copied, contexts[0], contexts)))
    (given.folder / "request.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
