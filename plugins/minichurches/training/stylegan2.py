"""Trains the shipped StyleGAN2 on one CPU core, then publishes it.

    python -m seeingkit_plugins.minichurches.training.stylegan2 --out RUN
    python -m seeingkit_plugins.minichurches.training.stylegan2 --out RUN --publish FOLDER

Guarantees that the same options give the same network whatever the machine's speed and however
often the run was stopped and resumed (to the bit on one machine with one build of torch), that it
is trained on the same pictures as the ProGAN, and that the published file names its training data.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from seeingkit.weights import write_portable

from . import TRAIN_SEED
from .pictures import picture_cache
from .session import Recorder, command_line, plan_of, publish_log, read_state, write_plan
from .stylegan2_run import Plan, Run

PUBLISHED = "stylegan2-minichurches-64.safetensors"
_LOG_IMAGES = 1000


def train(run: Run, pictures: np.ndarray, out: Path, *, every: float) -> None:
    """Train to the end of the plan, with a checkpoint every ``every`` minutes.

    Writes the files of a run (see ``session``) into ``out``.
    """
    began = time.monotonic() - run.seconds
    recorder = Recorder(run, out)
    while run.images < run.plan.total:
        seen = run.images
        recorder.add(run.step(torch.from_numpy(pictures[run.batch_indices()])))
        run.seconds = time.monotonic() - began
        done = run.images >= run.plan.total
        if done or recorder.images_since_log >= _LOG_IMAGES:
            recorder.log(*run.plan.stage(seen), run.plan.rate_at(seen))
        if done or recorder.minutes_since_save >= every:
            recorder.save()


def publish(folder: Path, to: Path) -> None:
    """Write the averaged generator of a run, in half precision, and its log, thinned."""
    state = read_state(folder)
    run = Run(Plan(**state["plan"]))
    run.restore(state)
    plan = run.plan
    to.mkdir(parents=True, exist_ok=True)
    path = write_portable(
        to / PUBLISHED,
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
    path.chmod(0o644)  # safetensors makes files private
    publish_log(folder, path)


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    defaults = Plan()
    parser = command_line("Train the minichurches StyleGAN2.", defaults)
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
    parser.add_argument("--start", type=int, default=defaults.start, help="first resolution")
    parser.add_argument("--latent", type=int, default=defaults.latent)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if args.publish:
        publish(args.out, args.publish)
        return
    plan = plan_of(args, Plan)
    if plan.start << len(plan.phases) != plan.resolutions[-1]:
        parser.error("--phases takes one number per resolution from --start on but the last")
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    cache = args.cache or args.out / "scenes.npy"
    size = plan.resolutions[-1]
    pictures = picture_cache(cache, plan.pictures, seed=TRAIN_SEED, size=size)
    run = Run(plan)
    if args.resume:
        run.restore(read_state(args.out))
    write_plan(args.out, plan)
    train(run, pictures, args.out, every=args.checkpoint_minutes)


if __name__ == "__main__":
    main()
