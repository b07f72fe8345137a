"""Trains the two encoders of the embedded ProGAN: layered and direct, about equal in cost.

python -m seeingkit_plugins.minichurches.training.encoders layered|direct [--threads 1]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from seeingkit.analyses.inversion.encoders.files import Kind
from seeingkit.analyses.inversion.encoders.recipes import FAST
from seeingkit.analyses.inversion.encoders.training import train_encoder
from seeingkit.contracts import Generator
from seeingkit.models.loading import load_generator

from .ship import WEIGHTS

# The losses of the paper's code. Layered: e_1, e_2, e_f, then the whole. Direct: one stage whose
# steps cost as much as those of the whole, and as many of them as take the same time altogether.
RECIPE = replace(
    FAST,
    name="minichurches",
    loss="cosine",
    layer_steps=2500,
    image_steps=4000,
    tune_steps=5500,
    bfloat16=True,
)
DIRECT = replace(RECIPE, image_steps=0, tune_steps=7000, image_rate=2e-3)


def main() -> None:
    """Train one encoder and write it among the shipped weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("layered", "direct"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = load_generator("progan:minichurches")
    assert isinstance(generator, Generator)
    kind = cast("Kind", arguments.kind)
    recipe = RECIPE if kind == "layered" else DIRECT
    path = arguments.out / f"{kind}-progan-minichurches-64.full.safetensors"
    encoder = train_encoder(
        generator,
        kind,
        generator.default_cut,
        recipe,
        path=path,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    encoder.save(arguments.out / f"{kind}-progan-minichurches-64.safetensors", half=True)
    path.unlink()


if __name__ == "__main__":
    main()
