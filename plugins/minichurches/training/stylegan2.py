"""Trains the shipped StyleGAN2 on one CPU core, then publishes it.

    python -m seeingkit_plugins.minichurches.training.stylegan2 --out RUN
    python -m seeingkit_plugins.minichurches.training.stylegan2 --out RUN --publish FOLDER

Guarantees that the same options give the same network whatever the machine's speed and however
often the run was stopped and resumed (to the bit on one machine with one build of torch), that it
learns from the pictures that the ProGAN learned from, and that the published file says what it was
trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from . import TRAIN_SEED
from .logs import thinned
from .pictures import picture_cache, save_sheet
from .stylegan2_run import Plan, Run

PUBLISHED = "stylegan2-minichurches-64"
_LOG_IMAGES = 1000


def train(run: Run, pictures: np.ndarray, out: Path, *, every: float) -> None:
    """Train to the end of the plan, with a checkpoint every ``every`` minutes.

    Writes into ``out``: ``state.pt``, ``samples-NNNNNNN.png``, ``samples.png``, ``log.jsonl``.
    """
    sums: dict[str, list[float]] = {}
    began = time.monotonic() - run.seconds
    logged, logged_images, saved = run.seconds, run.images, run.seconds
    while run.images < run.plan.total:
        resolution, alpha = run.plan.stage(run.images)
        rate = run.plan.rate_at(run.images)
        indices = run.batch_indices()
        for key, value in run.step(torch.from_numpy(pictures[indices])).items():
            if not np.isfinite(value):
                raise SystemExit(f"{key} loss is {value} after {run.images} images: diverged")
            sums.setdefault(key, []).append(value)
        run.seconds = time.monotonic() - began
        done = run.images >= run.plan.total
        if done or run.images - logged_images >= _LOG_IMAGES:
            line = {
                "images": run.images,
                "resolution": resolution,
                "alpha": round(alpha, 3),
                **{key: round(float(np.mean(v)), 4) for key, v in sums.items()},
                "rate": round(rate, 6),
                "images_per_s": round((run.images - logged_images) / (run.seconds - logged), 1),
                "seconds": round(run.seconds, 1),
            }
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)
            logged, logged_images, sums = run.seconds, run.images, {}
        if done or run.seconds - saved >= every * 60:
            saved = run.seconds
            torch.save(run.state(), out / "state.tmp")
            (out / "state.tmp").replace(out / "state.pt")
            for name in ("samples.png", f"samples-{run.images:07d}.png"):
                save_sheet(run.samples(), out / name)


def publish(folder: Path, to: Path) -> None:
    """Write the averaged generator of a run, in half precision, and its log, thinned."""
    from seeingkit.weights import write_portable

    state = torch.load(folder / "state.pt", weights_only=True)
    run = Run(Plan(**state["plan"]))
    run.restore(state)
    plan = run.plan
    to.mkdir(parents=True, exist_ok=True)
    temporary = to / f".{PUBLISHED}.tmp"
    write_portable(
        temporary,
        {name: tensor.half() for name, tensor in run.published().items()},
        "stylegan2",
        plan.config().model_dump(mode="json"),
        training_seed=str(plan.seed),
        trained_on=f"minichurches scenes, seed {TRAIN_SEED}, indices 0-{plan.pictures - 1}",
        images_seen=str(run.images),
        plan=json.dumps(asdict(plan)),
        minutes=f"{run.seconds / 60:.1f}",
        machine="CPU, 1 thread",
        licence="MIT",
    )
    temporary.chmod(0o644)
    temporary.replace(to / f"{PUBLISHED}.safetensors")
    (to / f"{PUBLISHED}.log.jsonl").write_text(thinned(folder / "log.jsonl"))


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description="Train the minichurches StyleGAN2.")
    defaults = Plan()
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--images", type=float, default=defaults.images, help="thousands of images in all"
    )
    parser.add_argument(
        "--phases",
        type=float,
        nargs="+",
        default=defaults.phases,
        help="thousands of images at each resolution from 16x16 on but the last",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=defaults.sizes)
    parser.add_argument("--start", type=int, default=defaults.start, help="first resolution")
    parser.add_argument("--fade", type=float, default=defaults.fade)
    parser.add_argument("--latent", type=int, default=defaults.latent)
    parser.add_argument("--pictures", type=int, default=defaults.pictures)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--r1", type=float, default=defaults.r1)
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    parser.add_argument("--cache", type=Path, help="rendered scenes; default OUT/scenes.npy")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="continue from OUT/state.pt")
    parser.add_argument("--publish", type=Path, help="train nothing; copy OUT's result to a folder")
    args = parser.parse_args(argv)
    if args.publish:
        publish(args.out, args.publish)
        return
    plan = Plan(
        latent=args.latent,
        sizes=tuple(args.sizes),
        start=args.start,
        phases=tuple(args.phases),
        fade=args.fade,
        images=args.images,
        pictures=args.pictures,
        batch=args.batch,
        rate=args.rate,
        r1=args.r1,
        seed=args.seed,
    )
    if args.start << len(plan.phases) != plan.resolutions[-1]:
        parser.error("--phases takes one number per resolution from --start on but the last")
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = picture_cache(
        args.cache or args.out / "scenes.npy",
        plan.pictures,
        seed=TRAIN_SEED,
        size=plan.resolutions[-1],
    )
    run = Run(plan)
    if args.resume:
        run.restore(torch.load(args.out / "state.pt", weights_only=True))
    (args.out / "plan.json").write_text(json.dumps(asdict(plan), indent=1))
    train(run, pictures, args.out, every=args.checkpoint_minutes)


if __name__ == "__main__":
    main()
