"""Trains the shipped ProGAN on two CPU cores, then publishes it.

    python -m seeingkit_plugins.minichurches.training.progan --out RUN --seed 0 --max-minutes 80
    python -m seeingkit_plugins.minichurches.training.progan --out RUN --publish FOLDER

Guarantees that a run can be stopped and resumed at its last checkpoint, that it ends at the given
time with its learning rate decayed, and that the published file says what it was trained on. The
clock sets the end and the learning rate, so two runs differ with the speed of their machines.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch.multiprocessing.spawn import spawn

from seeingkit_adapters.progan.network import resolutions

from . import TRAIN_SEED
from .logs import thinned
from .pictures import batches, picture_cache, save_sheet
from .progressive import Plan, Run

PUBLISHED = "progan-minichurches-64"


def _minutes_until(clock: str) -> float:
    hour, minute = map(int, clock.split(":"))
    now = datetime.now()
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then <= now:
        then += timedelta(days=1)
    return (then - now).total_seconds() / 60


def train(run: Run, pictures: np.ndarray, out: Path, *, minutes: float, every: float) -> None:
    """Train until ``minutes`` of training in all, with a checkpoint every ``every`` minutes.

    Writes into ``out``: ``state.pt``, ``samples-NNNNNNN.png``, ``samples.png``,
    ``progan.safetensors`` and ``log.jsonl``.
    """
    end = minutes * 60
    stream = batches(pictures, run.plan.batch, np.random.default_rng((run.plan.seed, run.images)))
    torch.manual_seed(run.plan.seed + run.images + run.rank)
    sums: dict[str, list[float]] = {}
    began = time.monotonic() - run.seconds
    logged, logged_images, saved = run.seconds, run.images, run.seconds
    while True:
        run.seconds = run.agree(time.monotonic() - began)
        done = run.seconds >= end
        if run.rank == 0 and (done or run.seconds - logged >= 10):
            resolution, alpha = run.plan.stage(run.images)
            line = {
                "images": run.images,
                "resolution": resolution,
                "alpha": round(alpha, 3),
                **{key: round(float(np.mean(v)), 4) for key, v in sums.items()},
                "rate": round(run.rate(run.seconds / end), 6),
                "images_per_s": round(
                    (run.images - logged_images) / max(run.seconds - logged, 1e-9), 1
                ),
                "seconds": round(run.seconds, 1),
            }
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)
            logged, logged_images, sums = run.seconds, run.images, {}
        if run.rank == 0 and (done or run.seconds - saved >= every * 60):
            saved = run.seconds
            torch.save(run.state(), out / "state.tmp")
            (out / "state.tmp").replace(out / "state.pt")
            run.export(out / "progan.safetensors")
            for name in ("samples.png", f"samples-{run.images:07d}.png"):
                save_sheet(run.samples(), out / name)
        if done:
            return
        for key, value in run.step(
            next(stream)[run.rank :: run.workers], run.rate(run.seconds / end)
        ).items():
            if not np.isfinite(value):
                raise SystemExit(f"{key} loss is {value} after {run.images} images: diverged")
            sums.setdefault(key, []).append(value)


def publish(run: Path, folder: Path) -> None:
    """Copy a run's averaged generator, in half precision, and its log, thinned, into a folder."""
    with safe_open(str(run / "progan.safetensors"), framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key).half() for key in file.keys()}  # noqa: SIM118
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{PUBLISHED}.tmp"
    save_file(tensors, temporary, metadata)
    temporary.chmod(0o644)
    temporary.replace(folder / f"{PUBLISHED}.safetensors")
    (folder / f"{PUBLISHED}.log.jsonl").write_text(thinned(run / "log.jsonl"))


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description="Train the minichurches ProGAN.")
    defaults = Plan()
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-minutes", type=float, default=80, help="training time in all")
    parser.add_argument("--stop-at", help="HH:MM, instead of --max-minutes")
    parser.add_argument("--sizes", type=int, nargs="+", default=defaults.sizes)
    parser.add_argument(
        "--images",
        type=float,
        nargs="+",
        default=defaults.phases,
        help="thousands of images at each resolution but the last",
    )
    parser.add_argument("--fade", type=float, default=defaults.fade)
    parser.add_argument("--pictures", type=int, default=defaults.pictures)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--r1", type=float, default=defaults.r1)
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    parser.add_argument("--cache", type=Path, help="rendered scenes; default OUT/scenes.npy")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--resume", action="store_true", help="continue from OUT/state.pt")
    parser.add_argument("--publish", type=Path, help="train nothing; copy OUT's result to a folder")
    args = parser.parse_args(argv)
    if args.publish:
        publish(args.out, args.publish)
        return
    if len(args.images) != len(args.sizes) - 2:
        parser.error("--images takes one number per resolution but the last (sizes less two)")

    if args.batch % args.workers:
        parser.error("--batch must be a multiple of --workers")

    args.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        sizes=tuple(args.sizes),
        phases=tuple(args.images),
        fade=args.fade,
        seed=args.seed,
        pictures=args.pictures,
        batch=args.batch,
        rate=args.rate,
        r1=args.r1,
    )
    cache = args.cache or args.out / "scenes.npy"
    picture_cache(cache, plan.pictures, seed=TRAIN_SEED, size=resolutions(plan.sizes)[-1])
    meeting = args.out / "meeting"
    meeting.unlink(missing_ok=True)
    if args.workers == 1:
        _work(0, plan, args, cache, meeting)
    else:
        spawn(_work, (plan, args, cache, meeting), nprocs=args.workers)


def _work(rank: int, plan: Plan, args: argparse.Namespace, cache: Path, meeting: Path) -> None:
    if args.workers > 1:
        torch.set_num_threads(1)
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting.absolute()}", rank=rank, world_size=args.workers
        )
    run = Run(plan, rank, args.workers)
    if args.resume:
        run.restore(torch.load(args.out / "state.pt", weights_only=True))
    minutes: float = args.max_minutes
    if args.stop_at:
        minutes = run.seconds / 60 + _minutes_until(args.stop_at)
    minutes = run.agree(minutes)
    if rank == 0:
        made_with = asdict(plan) | {"minutes": minutes, "workers": args.workers}
        (args.out / "plan.json").write_text(json.dumps(made_with, indent=1))
    train(
        run,
        np.load(cache, mmap_mode="r"),
        args.out,
        minutes=minutes,
        every=args.checkpoint_minutes,
    )


if __name__ == "__main__":
    main()
