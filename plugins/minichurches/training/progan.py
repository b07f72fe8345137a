"""Trains the shipped ProGAN on two CPU cores, then publishes it.

    python -m seeingkit_plugins.minichurches.training.progan --out RUN --seed 0 --max-minutes 80
    python -m seeingkit_plugins.minichurches.training.progan --out RUN --publish FOLDER

Guarantees that a run can be stopped and resumed at its last checkpoint, that it ends at the given
time with its learning rate decayed, and that the published file names its training data. The clock
sets the end and the learning rate, so two runs differ with the speed of their machines.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from seeingkit.system.writing import atomic_write
from seeingkit_adapters.progan.network import resolutions

from . import TRAIN_SEED
from .pictures import batches, picture_cache
from .progressive import Plan, Run
from .session import Recorder, command_line, plan_of, publish_log, read_state, write_plan

NETWORK = "progan.safetensors"
PUBLISHED = "progan-minichurches-64.safetensors"


def _minutes_until(clock: str) -> float:
    hour, minute = map(int, clock.split(":"))
    now = datetime.now()
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then <= now:
        then += timedelta(days=1)
    return (then - now).total_seconds() / 60


def train(
    run: Run,
    pictures: np.ndarray,
    out: Path,
    *,
    minutes: float,
    every: float,
    watch: Callable[[Run], None] | None = None,
) -> None:
    """Train until ``minutes`` of training in all, with a checkpoint every ``every`` minutes.

    Writes the files of a run (see ``session``) and ``progan.safetensors`` into ``out``.

    Args:
        run: of this process.
        pictures: (N, H, W, 3) uint8.
        out: the run's folder.
        minutes: of training in all.
        every: minutes from one checkpoint to the next.
        watch: called after each step, such as to check what the generator draws by now
            (``docs/monitor.md``).
    """
    end = minutes * 60
    stream = batches(pictures, run.plan.batch, np.random.default_rng((run.plan.seed, run.images)))
    torch.manual_seed(run.plan.seed + run.images + run.rank)
    began = time.monotonic() - run.seconds
    recorder = Recorder(run, out)
    while True:
        run.seconds = run.agree(time.monotonic() - began)
        done = run.seconds >= end
        rate = run.rate(run.seconds / end)
        if run.rank == 0 and (done or recorder.seconds_since_log >= 10):
            recorder.log(*run.plan.stage(run.images), rate)
        if run.rank == 0 and (done or recorder.minutes_since_save >= every):
            recorder.save()
            run.export(out / NETWORK)
        if done:
            return
        recorder.add(run.step(next(stream)[run.rank :: run.workers], rate))
        if watch is not None:
            watch(run)


def publish(run: Path, folder: Path) -> None:
    """Copy a run's averaged generator, in half precision, and its log, thinned, into a folder."""
    with safetensors.safe_open(str(run / NETWORK), framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key).half() for key in file.keys()}  # noqa: SIM118
    with atomic_write(folder / PUBLISHED) as stream:
        stream.write(safetensors.torch.save(tensors, metadata))
    publish_log(run, folder / PUBLISHED)


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    defaults = Plan()
    parser = command_line("Train the minichurches ProGAN.", defaults)
    parser.add_argument("--max-minutes", type=float, default=80, help="training time in all")
    parser.add_argument("--stop-at", help="HH:MM, instead of --max-minutes")
    parser.add_argument(
        "--images",
        dest="phases",
        metavar="IMAGES",
        type=float,
        nargs="+",
        default=defaults.phases,
        help="thousands of images at each resolution but the last",
    )
    parser.add_argument(
        "--no-half",
        dest="half",
        action="store_false",
        help="compute in float32: faster on processors without bfloat16",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    args = parser.parse_args(argv)
    if args.publish:
        publish(args.out, args.publish)
        return
    plan = plan_of(args, Plan)
    if len(plan.phases) != len(plan.sizes) - 2:
        parser.error("--images takes one number per resolution but the last (sizes less two)")
    if plan.batch % args.workers:
        parser.error("--batch must be a multiple of --workers")
    args.out.mkdir(parents=True, exist_ok=True)
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
        run.restore(read_state(args.out))
    minutes: float = args.max_minutes
    if args.stop_at:
        minutes = run.seconds / 60 + _minutes_until(args.stop_at)
    minutes = run.agree(minutes)
    if rank == 0:
        write_plan(args.out, plan, minutes=minutes, workers=args.workers)
    pictures = np.load(cache, mmap_mode="r")
    train(run, pictures, args.out, minutes=minutes, every=args.checkpoint_minutes)
    if args.workers > 1:
        dist.barrier()  # a process that ends while another still writes may abort on its way out
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
