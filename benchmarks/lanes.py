"""Inversion of eight photos on a CPU: one lane with all threads, or with one, and two lanes.

Two lanes have half of the threads each (``seeingkit.system.lanes``). Target: faster
than one lane, and the same losses as one lane with a lane's threads.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch
from interleaved import interleave, ratio, show

from seeingkit import load_generator, load_inverter, open_images
from seeingkit.analyses.inversion import photos
from seeingkit.analyses.inversion.photos import invert_source
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.contracts import Generator

PHOTOS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", default="progan:minichurches")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    generator, threads = load_generator(args.gan), torch.get_num_threads()
    assert isinstance(generator, Generator)
    source = open_images("minichurches", n=PHOTOS)
    inverter = load_inverter("layered+r", encoder="none", steps=args.steps)
    prepared = inverter.prepare(generator)
    losses: dict[str, list[float]] = {}

    def run(name: str, threads: int, lanes: int) -> None:
        torch.set_num_threads(threads)
        with (
            tempfile.TemporaryDirectory() as folder,
            patch.object(photos, "lanes_here", lambda: lanes),
        ):
            store = InversionStore(folder)
            found = invert_source(generator, source, inverter, prepared=prepared, store=store)
        losses[name] = [float(one.loss) for one in found.inversions]

    settings = {"one lane": (threads, 1), "one thread": (1, 1), "two lanes": (threads, 2)}
    cases: dict[str, Callable[[], object]] = {
        name: partial(run, name, *setting) for name, setting in settings.items()
    }
    seconds = interleave(cases, args.rounds)
    show(seconds, "images", PHOTOS)
    print(f"two lanes ÷ one lane: {ratio(seconds, 'two lanes', 'one lane'):.2f}")
    if threads == 2:
        print(f"losses as with one thread: {losses['two lanes'] == losses['one thread']}")


if __name__ == "__main__":
    main()
