"""The loops of tally and inversion on a pretended device: nothing is read or sent but the batches
themselves, and results are the CPU's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seeingkit import load_generator, load_inverter, load_segmenter, open_images, tally
from seeingkit.analyses.inversion import job
from seeingkit.contracts import Generator, ImageSource, Inversion, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.models.autostaged import AutoStaged
from seeingkit.models.registry import find_preset
from seeingkit.tallies import readahead
from seeingkit.testing.pretended import PretendedDevice, pretended_device

N, BATCH = 4, 2
PRESET = find_preset("paper@64")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedDevice]:
    """The pretended device, also in the thread that reads ahead."""
    with pretended_device() as found:

        class Pretending(ThreadPoolExecutor):
            def __init__(self, workers: int, **how: Any) -> None:
                super().__init__(workers)
                self.pretence = found.active()
                self.submit(self.pretence.__enter__).result()

            def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
                self.submit(self.pretence.__exit__, None, None, None).result()
                super().shutdown(wait, cancel_futures=cancel_futures)

        monkeypatch.setattr(readahead, "ThreadPoolExecutor", Pretending)
        yield found


def segmenter() -> Segmenter:
    return load_segmenter("upernet:minichurches", segsizes=(64,))


def photos() -> ImageSource:
    return open_images("minichurches", n=N, preset="paper@64")


def test_a_tally_of_photos_sends_and_reads_each_batch_once(
    tmp_path: Path, device: PretendedDevice
) -> None:
    wanted = tally(photos(), segmenter(), store=tmp_path / "cpu", batch_size=BATCH)
    there = segmenter().to("cuda")
    for again in range(2):  # constants are sent once
        device.transfers.clear()
        found = tally(photos(), there, store=tmp_path / str(again), batch_size=BATCH)
    assert device.unnamed() == [] and device.named("read") == N // BATCH
    assert (found.counts != wanted.counts).nnz == 0


def test_a_tally_of_a_generator_reads_each_batch_of_pictures_once_more(
    tmp_path: Path, device: PretendedDevice
) -> None:
    def source(generator: Any) -> SamplerSource:
        return SamplerSource(generator, N, batch=BATCH, preset=PRESET)

    generator, annotator = load_generator("progan:minichurches"), segmenter()
    wanted = tally(source(generator), annotator, store=tmp_path / "cpu", batch_size=BATCH)
    there = source(generator.to("cuda"))
    annotator.to("cuda")
    for again in range(2):
        device.transfers.clear()
        found = tally(there, annotator, store=tmp_path / str(again), batch_size=BATCH)
    assert device.unnamed() == []
    values = 0 if there.range.images >= 16 else N // BATCH  # the first images are looked at
    assert device.named("read") == 2 * (N // BATCH) + values
    assert (found.counts != wanted.counts).nnz == 0


# -------------------------------------------------------------------------------------- inversion


def painter() -> AutoStaged:
    """A generator of 16 pixels."""
    torch.manual_seed(0)
    layers = [
        *(nn.ConvTranspose2d(6, 8, 4), nn.BatchNorm2d(8), nn.LeakyReLU(0.2)),
        *(nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh()),
    ]
    return AutoStaged(nn.Sequential(*layers), {"r4": "2", "r8": "4"}, latent=(6, 1, 1))


def inverted(generator: Generator, images: Tensor, method: str, steps: int) -> Inversion:
    inverter = load_inverter(method, encoder="none", perceptual="none", steps=steps, frames=3)
    return inverter.invert(generator, images, batch_size=4, prepared=inverter.prepare(generator))


@pytest.mark.parametrize("method", ["z", "layered+r"])
def test_inversion_on_a_device_is_that_of_the_cpu(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "LOOK", 7)
    generator = painter()
    images = generator(generator.latents(range(5), seed=9)).clamp(-1, 1)
    wanted = inverted(generator, images, method, 12)
    with pretended_device():
        generator.to("cuda")
        found = inverted(generator, images, method, 12)
        generator.to("cpu")
    assert found.reconstruction.device.type == "cpu"
    torch.testing.assert_close(found.reconstruction, wanted.reconstruction, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-4, atol=0)
    assert found.steps.tolist() == wanted.steps.tolist()
    assert [len(row) for row in found.history] == [len(row) for row in wanted.history]
    assert [steps for steps, _ in found.frames] == [steps for steps, _ in wanted.frames]


@pytest.mark.parametrize("method", ["z", "layered+r"])
def test_steps_of_an_inversion_cost_nothing_but_looks(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "LOOK", 5)
    generator = painter()
    images = generator(generator.latents(range(4), seed=9)).clamp(-1, 1)
    counted = []
    with pretended_device() as device:
        generator.to("cuda")
        for steps in (3, 18):
            device.transfers.clear()
            inverted(generator, images, method, steps)
            counted.append((len(device.unnamed()), device.named("read")))
        generator.to("cpu")
    (few, first), (many, last) = counted
    assert few == many  # photos enter and leave; no step reads or sends anything by itself
    assert last - first == 3
