"""Trains the shipped segmenter of the church world: a narrow UPerNet, on one CPU core.

    python -m seeingkit_plugins.minichurches.training.upernet --out RUN \
        --export plugins/minichurches/weights/upernet-minichurches-64.safetensors

Guarantees that training scenes are never seen in validation (other seed), that a run stopped at any
time continues at its last checkpoint with the same scenes and augmentation (and with the same
learning rate if the plan is the same; the log records both plans), and that the numbers written
beside the exported file are measured on that file, read back through the adapter.

Every training picture is rendered once and seen once; picture k of a run is scene k of
``TRAIN_SEED``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.system.writing import atomic_write, write_text
from seeingkit_adapters.catalog.segmenters import UPerNetOptions
from seeingkit_adapters.resnet import DeepStemResNet, EncoderLayout
from seeingkit_adapters.upernet.labels import Hierarchy, read_hierarchy
from seeingkit_adapters.upernet.network import DecoderLayout, UPerDecoder, UPerNet
from seeingkit_adapters.upernet.segmenter import load, prepare
from seeingkit_plugins.minichurches.scenes import (
    OBJECT_PARTS,
    OBJECTS,
    PARTS,
    RENDERER_VERSION,
)

from . import HELDOUT_SEED, TRAIN_SEED
from .labelled import augment, class_weights, evaluate, labels_text, scenes, smear

SEGSIZE = 256  # the finest pyramid level is then 64 x 64: one logit for each pixel
ENCODER = EncoderLayout((8, 16, 16), "basic", (32, 48, 64, 96), (1, 2, 2, 2))
POOLED, WIDTH = 32, 48
IGNORED = -100
PART_WEIGHT = 0.5


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    Attributes:
        images: training scenes in all.
        batch: scenes in one step.
        rate: peak learning rate (AdamW).
        decay: weight decay.
        warmup: share of the steps over which the learning rate rises.
        balance: a class of pixel share f weighs f ** -balance in the loss; 0 is plain counting.
        smear: share of the scenes that are smeared over (see ``labelled.smear``).
        seed: of the initial weights and the augmentation.
    """

    images: int = 48_000
    batch: int = 16
    rate: float = 4e-3
    decay: float = 0.01
    warmup: float = 0.15
    balance: float = 0.1
    smear: float = 0.5
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.images // self.batch

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a linear rise, then half a cosine down to almost nothing."""
        progress = (step + 1) / self.steps
        if progress < self.warmup:
            return self.rate * progress / self.warmup
        fall = (progress - self.warmup) / (1 - self.warmup)
        return self.rate * max(0.5 * (1 + math.cos(math.pi * fall)), 1e-3)


def new_network(hierarchy: Hierarchy) -> UPerNet:
    """An untrained network with an object and a part head."""
    classes = {head: hierarchy.classes[head] for head in ("object", "part")}
    decoder = UPerDecoder(DecoderLayout(ENCODER.channels, POOLED, WIDTH, classes))
    network = UPerNet(DeepStemResNet(ENCODER), decoder)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class Objective:
    """Cross-entropy of objects, and of parts within their owners."""

    def __init__(self, hierarchy: Hierarchy, balance: float) -> None:
        self.groups = hierarchy.groups
        self.object_weights, part_weights = class_weights(balance)
        self.tables, self.part_weights = [], []
        for group in self.groups:
            names = ["-", *OBJECT_PARTS[OBJECTS[group.owner]]]
            table = torch.full((len(PARTS),), IGNORED)
            numbers = torch.tensor([PARTS.index(name) for name in names])
            table[numbers] = torch.arange(len(names))
            self.tables.append(table)
            self.part_weights.append(part_weights[numbers].clamp(min=0.1))

    def __call__(self, logits: dict[str, Tensor], objects: Tensor, parts: Tensor) -> Tensor:
        """Mean loss over the pixels (object 0, "-", is left out), as a scalar."""
        target = objects.masked_fill(objects == 0, IGNORED)
        loss = F.cross_entropy(
            logits["object"].float(), target, self.object_weights, ignore_index=IGNORED
        )
        part_logits = logits["part"].float()
        total, pixels = part_logits.new_zeros(()), 0
        for group, table, weight in zip(self.groups, self.tables, self.part_weights, strict=True):
            owned = objects == group.owner
            if bool(owned.any()):
                chosen = part_logits[:, group.channels].permute(0, 2, 3, 1)[owned]
                target = table[parts[owned]]
                total = total + F.cross_entropy(
                    chosen, target, weight, ignore_index=IGNORED, reduction="sum"
                )
                pixels += len(target)
        return loss + PART_WEIGHT * total / max(pixels, 1)


class Run:
    """Network, optimiser and counters of one training run."""

    def __init__(self, plan: Plan, out: Path, command: str) -> None:
        self.plan, self.out, self.command = plan, out, command
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(plan.seed)
        self.hierarchy = read_hierarchy(labels_text(), Path("labels.json"))
        self.network = new_network(self.hierarchy)
        self.objective = Objective(self.hierarchy, plan.balance)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=plan.rate, weight_decay=plan.decay
        )
        self.step, self.seconds = 0, 0.0
        if self.checkpoint.exists():
            self._resume()
        else:
            parameters = sum(p.numel() for p in self.network.parameters())
            self.log(
                {
                    "event": "start",
                    "command": command,
                    "plan": asdict(plan),
                    "encoder": asdict(ENCODER),
                    "pooled": POOLED,
                    "width": WIDTH,
                    "parameters": parameters,
                    "renderer_version": RENDERER_VERSION,
                    "train_seed": TRAIN_SEED,
                    "heldout_seed": HELDOUT_SEED,
                    "threads": torch.get_num_threads(),
                    "torch": torch.__version__,
                }
            )

    @property
    def checkpoint(self) -> Path:
        """The file from which the run is resumed."""
        return self.out / "checkpoint.pt"

    @property
    def log_path(self) -> Path:
        """The log: one JSON object a line."""
        return self.out / "log.jsonl"

    def log(self, record: dict[str, Any]) -> None:
        """Append one record."""
        with self.log_path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True)
        for name in ("batch", "seed"):  # they decide which scenes come next
            if saved["plan"][name] != getattr(self.plan, name):
                raise SystemExit(f"{self.checkpoint}: made with another {name}; use another --out")
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.seconds = saved["step"], saved["seconds"]
        record = {"event": "resume", "step": self.step, "command": self.command}
        self.log(record | {"plan": asdict(self.plan)})

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "plan": asdict(self.plan),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        with atomic_write(self.checkpoint) as stream:
            torch.save(state, stream)

    def train(self, every: int = 250) -> None:
        """Do the remaining steps; log and save each ``every`` steps."""
        self.network.train()
        started, losses = time.monotonic() - self.seconds, []
        while self.step < self.plan.steps:
            losses.append(self._one_step())
            self.step += 1
            if self.step % every == 0 or self.step == self.plan.steps:
                self.seconds = time.monotonic() - started
                record = {
                    "step": self.step,
                    "images": self.step * self.plan.batch,
                    "minutes": round(self.seconds / 60, 2),
                    "loss": round(float(np.mean(losses)), 4),
                    "rate": round(self.plan.rate_at(self.step - 1), 6),
                }
                self.log(record)
                self.save()
                losses = []

    def _one_step(self) -> float:
        first = self.step * self.plan.batch
        images, objects, parts = scenes(TRAIN_SEED, range(first, first + self.plan.batch))
        generator = torch.Generator().manual_seed(self.plan.seed * 2**32 + first)
        images, objects = smear(images, objects, self.plan.smear, generator)
        images = augment(images, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(prepare(images, SEGSIZE), ("object", "part"))
        loss = self.objective(logits, objects, parts)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        self.optimiser.step()
        return float(loss.detach())

    def export(self, path: Path) -> None:
        """Write the safetensors file: convolutions as float16, normalisations as float32."""
        tensors = {
            key: (value.half() if value.ndim == 4 else value.float()).contiguous()
            for key, value in self.network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        made = {
            **asdict(self.plan),
            "scenes_seed": TRAIN_SEED,
            "renderer_version": RENDERER_VERSION,
            "minutes": round(self.seconds / 60, 1),
        }
        metadata = {
            "labels": labels_text(),
            "preprocessing": json.dumps({"segsizes": [SEGSIZE]}),
            "family": "upernet",
            "licence": "MIT",
            "training": json.dumps(made),
        }
        with atomic_write(path) as stream:
            stream.write(safetensors.torch.save(tensors, metadata))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--export", type=Path, help="safetensors file; its log goes beside it")
    parser.add_argument("--images", type=int, default=Plan.images)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--heldout", type=int, default=1000, help="validation scenes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    command = (
        f"python -m {__spec__.name} --out RUN --images {arguments.images} --seed {arguments.seed}"
        f" --threads {arguments.threads} --heldout {arguments.heldout}"
    )
    run = Run(Plan(images=arguments.images, seed=arguments.seed), arguments.out, command)
    run.train()
    target = arguments.export or arguments.out / "upernet.safetensors"
    run.export(target)
    segmenter = load(target, UPerNetOptions(planes="all"))
    for sigma in (0.0, 1.0):
        record = {"event": "heldout", "file": target.name, "bytes": target.stat().st_size}
        record |= {"minutes": round(run.seconds / 60, 1), "seed": arguments.seed}
        run.log(record | evaluate(segmenter, arguments.heldout, sigma=sigma))
    if arguments.export:
        write_text(target.with_suffix(".log.jsonl"), run.log_path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
