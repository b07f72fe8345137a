"""Rates on a device, each a ratio of two cases timed in turn.

* A tally ÷ the bare segmenter, which segments images that lie on the device already.
* A tally by UPerNet of published widths (336 objects) against the loop of 2019: all heads, softmax
  at full size, batches of 10, float32 (what ``fsd.py`` and ``segmenter.py`` of the paper's code
  do). The weights are random; the speed is the same.
* The same in bfloat16, on a GPU.
* ``analyze`` of a second generator, whose data set was analysed before, ÷ generating and segmenting
  its images and nothing else.
* Inversion, all photos at once against one at a time by ``torch.optim.Adam``.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from interleaved import interleave, ratio
from inversion import alone
from torch import Tensor

from seeingkit import (
    Tally,
    analyze,
    load_generator,
    load_inverter,
    load_segmenter,
    open_images,
    tally,
)
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.analyses.inversion.prepared import LayerPrepared
from seeingkit.contracts import Generator, ImageSource, Segmenter
from seeingkit.images.preprocess import quantise, to_tensor
from seeingkit.models.computing import Computing, TunedSegmenter
from seeingkit_adapters.logits import mean_probabilities
from seeingkit_adapters.resnet import DeepStemResNet, EncoderLayout
from seeingkit_adapters.upernet.labels import Hierarchy
from seeingkit_adapters.upernet.network import DecoderLayout, UPerDecoder, UPerNet
from seeingkit_adapters.upernet.segmenter import UPerNetSegmenter, prepare

RESNET50 = EncoderLayout((64, 64, 128), "bottleneck", (64, 128, 256, 512), (3, 4, 6, 3))
FULL336 = "golden/upernet_upp/full336-syncbn-legacyfile-multiscale"


def rates(
    device: str, quick: bool, shared: Path, second: int | None = None
) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, by name; ``second``: images of the second analysis."""
    n, batch, rounds = (2, 2, 1) if quick else (128, 32, 3) if "cuda" in device else (16, 8, 3)
    folder = shared / "real/camvid/images"
    preset = "paper@64" if quick else "paper"

    def photos() -> ImageSource:
        if folder.is_dir() and not quick:
            return open_images(str(folder), preset=preset, n=n)
        return scenes(preset, n)

    def scenes(preset: str, n: int) -> ImageSource:
        return open_images("minichurches", preset=preset, n=n)

    def churches() -> Segmenter:
        options = {"segsizes": (64,)} if quick else {}
        return load_segmenter("upernet:minichurches", device=device, **options)

    def bare(load: Callable[[], Segmenter]) -> dict[str, Any]:
        return tally_against_bare(load(), photos(), batch, rounds)

    def espnetv2() -> Segmenter:
        weights = next((shared / "real/weights/espnetv2").rglob("*2.0*city*.pth"))
        return load_segmenter("espnetv2", weights=weights, device=device)

    def full() -> UPerNetSegmenter:
        return upernet336(shared, device, small=quick)

    # Of this small network enough images that seconds are measured, at their own size.
    own = scenes("paper@64" if quick else "native", n if quick or "cuda" in device else 96)
    found = {
        "tally ÷ bare, minichurches": lambda: tally_against_bare(churches(), own, batch, rounds)
    }
    if not quick and (shared / "real/weights/espnetv2").is_dir():
        found["tally ÷ bare, espnetv2"] = lambda: bare(espnetv2)
    if (shared / FULL336).is_dir():
        if not quick:
            found["tally ÷ bare, upernet-336"] = lambda: bare(full)
        found["tally ÷ loop of 2019, upernet-336"] = lambda: tally_against_2019(
            full(), photos(), batch, rounds
        )
        if "cuda" in device:  # without such instructions bfloat16 is slower
            found["tally in bf16 ÷ loop of 2019, upernet-336"] = lambda: tally_against_2019(
                full(), photos(), batch, rounds, Computing(precision="bf16")
            )
    found["second analysis ÷ generating and segmenting"] = lambda: second_analysis(
        device, quick, second
    )
    found["inversion, batched ÷ one at a time"] = lambda: inversion(device, quick, rounds)
    return found


def upernet336(shared: Path, device: str, small: bool = False) -> UPerNetSegmenter:
    """A UPerNet with 336 object labels, of published widths and random weights, or a narrow one."""
    narrow = load_segmenter("upernet", weights=shared / FULL336, segsizes=(64,), downsample=1)
    assert isinstance(narrow, UPerNetSegmenter)
    if small:
        return narrow.to(device)
    torch.manual_seed(0)
    labels: Hierarchy = narrow.hierarchy
    decoder = DecoderLayout((256, 512, 1024, 2048), 512, 512, labels.classes)
    network = UPerNet(DeepStemResNet(RESNET50), UPerDecoder(decoder))
    return UPerNetSegmenter(network.requires_grad_(False), labels, segsizes=(256,)).to(device)


def tally_against_bare(
    segmenter: Segmenter, source: ImageSource, batch: int, rounds: int
) -> dict[str, Any]:
    """A tally, with reading, counting and files, against ``segment`` on images that are there."""
    images = source.read(range(len(source))).to(segmenter.device)

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                segmenter.segment(images[start : start + batch])
        wait(images)

    cases = {"bare": bare, "tally": lambda: tallied(source, segmenter, batch)}
    seconds = interleave(cases, rounds)
    return {"ratio": ratio(seconds, "tally", "bare"), **per_second(seconds, len(source))}


def tally_against_2019(
    segmenter: UPerNetSegmenter,
    source: ImageSource,
    batch: int,
    rounds: int,
    computing: Computing | None = None,
) -> dict[str, Any]:
    """A tally, in some precision, against the loop of 2019 in float32, from the same files."""
    counts: dict[str, np.ndarray] = {}
    tuned = segmenter if computing is None else TunedSegmenter(segmenter, computing)

    def ours() -> None:
        found = tallied(source, tuned, batch)
        counts["tally"] = np.asarray(found.counts.todense())

    def theirs() -> None:
        counts["2019"] = loop_of_2019(segmenter, source)

    seconds = interleave({"2019": theirs, "tally": ours}, rounds)
    moved = np.abs(counts["tally"] - counts["2019"]).sum() / 2 / counts["2019"].sum()
    return {
        "ratio": ratio(seconds, "tally", "2019"),
        **per_second(seconds, len(source)),
        "pixels_differ": float(moved),
    }


def loop_of_2019(segmenter: UPerNetSegmenter, source: ImageSource) -> np.ndarray:
    """Pixels of each object label: every head, softmax at full size, batches of 10, one by one."""
    objects, rows = len(segmenter.vocabulary), []
    for start in range(0, len(source), 10):
        images = source.read(range(start, min(start + 10, len(source)))).to(segmenter.device)
        grid, total = images.shape[-2:], dict[str, list[Tensor]]()
        with torch.no_grad():
            for size in segmenter.segsizes:
                heads = segmenter.network(prepare(images, size), ("object", "part", "material"))
                for head, logits in heads.items():
                    parts = [logits]
                    if head == "part":
                        parts = [logits[:, group.channels] for group in segmenter.hierarchy.groups]
                    maps = [mean_probabilities([part], grid) for part in parts]
                    known = total.get(head)
                    total[head] = (
                        maps if known is None else [a + b for a, b in zip(known, maps, strict=True)]
                    )
        labels = total["object"][0].argmax(1)
        total["material"][0].argmax(1)
        for part in total["part"]:
            part.argmax(1)
        rows += [torch.bincount(row.flatten(), minlength=objects).cpu() for row in labels]
    return torch.stack(rows).numpy()


def second_analysis(device: str, quick: bool, wanted: int | None = None) -> dict[str, Any]:
    """``analyze`` of a generator where another was analysed, with its report, without inversion.

    One round on a CPU, where it takes minutes, and no warming up: the first analysis was that.
    """
    n, rounds = (8, 1) if quick else (10_000, 2) if "cuda" in device else (1_000, 1)
    n = wanted or n
    first, second = "stylegan2:minichurches", "progan:minichurches"
    settings: dict[str, Any] = {"data": "minichurches", "n": n, "device": device}
    settings["inversion"] = InversionConfig()
    generator = load_generator(second, device=device)
    segmenter = load_segmenter("upernet:minichurches", device=device)

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, n, 16):
                latent = generator.latents(range(start, min(start + 16, n)))
                sent = {name: value.to(device) for name, value in latent.items()}
                images = generator(sent)
                segmenter.segment(to_tensor(quantise(images)).to(device))
        wait(images)

    with tempfile.TemporaryDirectory() as work:
        analyze(first, store=f"{work}/store", out=f"{work}/first", **settings)

        def whole() -> None:
            with tempfile.TemporaryDirectory() as copy:
                shutil.copytree(f"{work}/store", f"{copy}/store")
                analyze(second, store=f"{copy}/store", out=f"{copy}/second", **settings)

        seconds: dict[str, list[float]] = {"bare": [], "analyze": []}
        for _ in range(rounds):
            for name, case in (("bare", bare), ("analyze", whole)):
                started = time.perf_counter()
                case()
                seconds[name].append(time.perf_counter() - started)
    return {"ratio": ratio(seconds, "analyze", "bare"), "images": n, "seconds": seconds}


def inversion(device: str, quick: bool, rounds: int) -> dict[str, Any]:
    """All photos at once against one at a time, the same objective and number of steps."""
    n, steps = (2, 3) if quick else (64, 60) if "cuda" in device else (8, 30)
    generator = load_generator("progan:minichurches", device=device)
    assert isinstance(generator, Generator)
    size = generator.info.resolution
    photos = open_images("minichurches", preset="paper", resolution=size).read(range(n)).to(device)
    inverter = load_inverter("layered+r", encoder="none", perceptual="none", steps=steps, frames=0)
    prepared = inverter.prepare(generator)
    assert isinstance(prepared, LayerPrepared)
    few, losses = photos[: max(1, n // 8)], dict[str, Tensor]()  # those one by one: an eighth

    def batched() -> None:
        losses["batched"] = inverter.invert(
            generator, photos, prepared=prepared, batch_size=n
        ).loss[: len(few)]

    def one_by_one() -> None:
        losses["alone"] = torch.stack([alone(prepared, photo[None], steps) for photo in few])

    seconds = interleave({"batched": batched, "alone": one_by_one}, rounds)
    share = n / len(few)
    return {
        "ratio": share * ratio(seconds, "batched", "alone"),
        "images_an_hour": {
            "batched": 3600 * n / statistics.median(seconds["batched"]),
            "alone": 3600 * len(few) / statistics.median(seconds["alone"]),
        },
        "loss": {name: float(loss.cpu().mean()) for name, loss in losses.items()},
        "steps": steps,
    }


def tallied(source: ImageSource, segmenter: Segmenter, batch: int) -> Tally:
    """A tally into a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return tally(source, segmenter, store=folder, batch_size=batch)


def per_second(seconds: Mapping[str, list[float]], n: int) -> dict[str, Any]:
    """Images a second of each case, by the median."""
    return {"images_a_second": {k: n / statistics.median(v) for k, v in seconds.items()}}


def wait(images: Tensor) -> None:
    """Until the device has done all that it was told."""
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
