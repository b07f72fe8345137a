"""Trains the shipped reader of digits, on one CPU core.

    python -m seeingkit_plugins.digits.training.classifier --export \
        plugins/digits/weights/reader.safetensors

It sees the 7,500 digits of ``train``, moved by up to two pixels and with noise. Its table of
confusion, true digit by digit read, is counted on the 2,500 of ``unseen`` and stored in the file.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.system.writing import atomic_write, write_text

from ..network import CLASSES, SIDE, DigitNetwork
from ..pictures import Split, digits, framed

BATCH, RATE = 64, 2e-3


def pictures(split: Split) -> tuple[Tensor, Tensor]:
    """Pictures (N, 1, 32, 32) in [-1, 1], and their digits (N,)."""
    chosen = digits(split)
    images = torch.from_numpy(framed(chosen.pixels, SIDE)).float() / 127.5 - 1
    return images[:, None], torch.from_numpy(chosen.digits.copy())


def moved(images: Tensor, random: torch.Generator) -> Tensor:
    """Pictures moved by up to two pixels, with noise of up to a tenth of the range."""
    found = []
    for image in images:
        down, right = torch.randint(-2, 3, (2,), generator=random).tolist()
        found.append(image.roll((down, right), (1, 2)))
    level = torch.rand(len(images), 1, 1, 1, generator=random) * 0.2
    noise = torch.randn(images.shape, generator=random)
    return (torch.stack(found) + level * noise).clamp(-1, 1)


def train(epochs: int, seed: int = 0) -> tuple[DigitNetwork, list[dict[str, float]]]:
    """A trained network and its log."""
    torch.manual_seed(seed)
    network, (images, labels) = DigitNetwork(), pictures("train")
    steps = epochs * len(images) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    log, total, began = [], 0.0, time.monotonic()
    for step in range(steps):
        random = torch.Generator().manual_seed(seed * 2**32 + step)
        chosen = torch.randint(len(images), (BATCH,), generator=random)
        loss = F.cross_entropy(network(moved(images[chosen], random)), labels[chosen])
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += float(loss.detach())
        if (step + 1) % 200 == 0:
            minutes = round((time.monotonic() - began) / 60, 2)
            log.append({"step": step + 1, "minutes": minutes, "loss": round(total / 200, 4)})
            total = 0.0
    return network.eval(), log


@torch.no_grad()
def confusion(network: DigitNetwork) -> Tensor:
    """Digits of ``unseen`` by true digit (rows) and digit read (columns): (10, 10) int64."""
    images, labels = pictures("unseen")
    read = torch.cat([network(part).argmax(1) for part in images.split(500)])
    return torch.bincount(labels * CLASSES + read, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--export", type=Path, required=True, help="its log goes beside it")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, log = train(arguments.epochs)
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(tensors)  # rounded, as it will be read
    tensors["confusion"] = table = confusion(network)
    about = {"epochs": arguments.epochs, "batch": BATCH, "rate": RATE, "torch": torch.__version__}
    metadata = {"licence": "MIT", "family": "digits", "training": json.dumps(about)}
    with atomic_write(arguments.export) as stream:
        stream.write(safetensors.torch.save(tensors, metadata))
    right = round(float(table.diag().sum() / table.sum()), 4)
    records = [{"event": "start", **about}, *log, {"event": "unseen", "right": right}]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    write_text(arguments.export.with_suffix(".log.jsonl"), lines)


if __name__ == "__main__":
    main()
