"""The recipe of the shipped ProGAN: its schedule, its networks, and stopping and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seeingkit_adapters.catalog.progan import ProGANOptions
from seeingkit_adapters.progan.generator import load
from seeingkit_plugins.minichurches.training.growing import (
    EqualConv,
    GrowingDiscriminator,
    GrowingGenerator,
)
from seeingkit_plugins.minichurches.training.pictures import at_resolution, batches, picture_cache
from seeingkit_plugins.minichurches.training.progan import main, publish
from seeingkit_plugins.minichurches.training.progressive import Plan, Run
from seeingkit_plugins.minichurches.training.session import Recorder

SIZES = (6, 8, 6, 4)
PLAN = Plan(sizes=SIZES, phases=(0.016, 0.016), fade=0.016, pictures=64, batch=8, r1_every=2)


def noise(seed: int, index: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, index)).integers(0, 256, (size, size, 3), dtype=np.uint8)


def _images(log: Path) -> list[int]:
    return [json.loads(line)["images"] for line in log.read_text().splitlines()]


def test_schedule_fades_each_resolution_in() -> None:
    plan = Plan(phases=(10, 20), fade=5)
    assert plan.stage(0) == (4, 1.0)
    assert plan.stage(9_999) == (4, 1.0)
    assert plan.stage(10_000) == (8, 0.0)
    assert plan.stage(15_000) == (8, 0.5)
    assert plan.stage(20_000) == (8, 1.0)
    assert plan.stage(30_000) == (16, 0.0)
    assert plan.stage(32_500) == (16, 0.5)
    assert plan.stage(10**7) == (16, 1.0)


def test_learning_rate_falls_at_the_end() -> None:
    run = Run(Plan(sizes=SIZES, phases=(1, 1), rate=1.0, decay=0.5, floor=0.1))
    assert [run.rate(p) for p in (0.0, 0.5, 0.75, 1.0, 2.0)] == pytest.approx(
        [1.0, 1.0, 0.55, 0.1, 0.1]
    )


def test_halving_convolution_is_convolution_then_average() -> None:
    conv = EqualConv(3, 5, 3, 1, halve=True)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(2, 3, 8, 8)
    full = F.conv2d(x, conv.weight * conv.scale, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), F.leaky_relu(F.avg_pool2d(full, 2), 0.2))


def test_fading_is_a_blend_of_both_outputs() -> None:
    generator = GrowingGenerator(SIZES)
    z = torch.randn(2, 6)
    coarse, fine = generator(z, 8), generator(z, 16)
    blend = generator(z, 16, 0.25)
    torch.testing.assert_close(blend, 0.75 * F.interpolate(coarse, scale_factor=2.0) + 0.25 * fine)


def test_discriminator_sees_the_spread_of_a_batch() -> None:
    """Equal images have no spread; the score of one depends on the others of its group."""
    torch.manual_seed(0)
    discriminator = GrowingDiscriminator(SIZES)
    one = torch.randn(1, 3, 16, 16)
    same = discriminator(one.expand(4, -1, -1, -1))
    torch.testing.assert_close(same, same[:1].expand(4))
    mixed = discriminator(torch.cat([one, torch.randn(3, 3, 16, 16)]))
    assert abs((mixed[0] - same[0]).item()) > 1e-4


def test_pictures_are_boxed_down_and_faded() -> None:
    pictures = torch.from_numpy(np.stack([noise(0, i, 8) for i in range(2)]))
    full = at_resolution(pictures, 8)
    assert full.dtype == torch.float32
    assert torch.equal(((full + 1) * 127.5).round().byte().permute(0, 2, 3, 1), pictures)
    torch.testing.assert_close(at_resolution(pictures, 4), F.avg_pool2d(full, 2))
    torch.testing.assert_close(
        F.avg_pool2d(at_resolution(pictures, 8, 0.3), 2), at_resolution(pictures, 4)
    )


def test_cache_is_made_once_and_read_in_random_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.npy"
    cache = picture_cache(path, 12, seed=5, size=8, render=noise)
    assert all(np.array_equal(cache[i], noise(5, i, 8)) for i in range(12))
    stamp = path.stat().st_mtime_ns
    again = picture_cache(path, 12, seed=5, size=8, render=noise)
    assert path.stat().st_mtime_ns == stamp and np.array_equal(again, cache)
    stream = batches(cache, 4, np.random.default_rng(0))
    epoch = torch.cat([next(stream) for _ in range(3)])
    assert {bytes(p.numpy().tobytes()) for p in epoch} == {p.tobytes() for p in cache}


def test_a_restored_run_takes_the_same_steps(tmp_path: Path) -> None:
    pictures = torch.from_numpy(np.stack([noise(0, i, 16) for i in range(8)]))
    run = Run(PLAN)
    for _ in range(5):
        run.step(pictures, 1e-3)
    torch.save(run.state(), tmp_path / "state.pt")
    other = Run(PLAN)
    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    results = []
    for each in (run, other):
        torch.manual_seed(1)
        results.append([each.step(pictures, 1e-3) for _ in range(2)])
    assert results[0] == results[1]
    assert run.plan.stage(run.images)[0] == 16
    for a, b in zip(run.average.parameters(), other.average.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_training_moves_generated_colour_to_the_data() -> None:
    """Against one flat colour, a minute network must learn that colour."""
    torch.manual_seed(0)
    run = Run(Plan(sizes=(4, 8, 8), phases=(0.0,), fade=0.001, batch=16, ema_half_life=200))
    flat = torch.tensor([230, 40, 90], dtype=torch.uint8).expand(16, 8, 8, 3)
    target = flat[0, 0, 0] / 127.5 - 1
    before = (run.samples(32).mean((0, 2, 3)) - target).abs().max()
    for _ in range(120):
        run.step(flat, 5e-3)
    after = (run.samples(32).mean((0, 2, 3)) - target).abs().max()
    assert after < 0.15 < before


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    recorder = Recorder(Run(PLAN), tmp_path)
    recorder.add({"d": 1.0, "g": 3.0})
    recorder.log(4, 1.0, 1e-3)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert (line["d"], line["g"], line["images"], line["images_per_s"]) == (1.0, 3.0, 0, 0.0)
    with pytest.raises(SystemExit, match="g loss is nan after 0 images: diverged"):
        recorder.add({"d": 1.0, "g": float("nan")})


def test_command_trains_publishes_and_the_adapter_reads_it(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "published"
    run.mkdir()
    picture_cache(run / "scenes.npy", 32, seed=0, size=16, render=noise)
    options = "--workers 1 --max-minutes 0.01 --batch 8 --pictures 32 --sizes 6 8 6 4"
    options += " --images 0.01 0.01 --fade 0.01"
    command = ["--out", str(run), *options.split()]
    main(command)
    seen = _images(run / "log.jsonl")
    main([*command, "--resume"])  # nothing is left to do
    assert _images(run / "log.jsonl") == [*seen, seen[-1]]
    made = json.loads((run / "plan.json").read_text())
    assert made["sizes"] == [6, 8, 6, 4] and made["phases"] == [0.01, 0.01]
    assert made["batch"] == 8 and made["minutes"] == 0.01
    main(["--out", str(run), "--publish", str(folder)])
    generator = load(folder / "progan-minichurches-64.safetensors", ProGANOptions(clamp=False))
    assert generator.info.resolution == 16 and generator.info.licence == "MIT"
    exact = load(run / "progan.safetensors", ProGANOptions(clamp=False))
    for key, value in exact.module.state_dict().items():
        assert torch.equal(generator.module.state_dict()[key], value.half().float()), key
    assert _images(folder / "progan-minichurches-64.log.jsonl")[-1] > 0
    assert (run / "samples.png").exists()


def test_published_log_forgets_what_was_done_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    network = GrowingGenerator((2, 2))
    from safetensors.torch import save_file

    save_file(network.published(), run / "progan.safetensors", {"family": "progan"})
    seen = [*range(0, 1000, 10), *range(500, 5000, 10)]
    (run / "log.jsonl").write_text("".join(json.dumps({"images": i}) + "\n" for i in seen))
    publish(run, tmp_path)
    kept = _images(tmp_path / "progan-minichurches-64.log.jsonl")
    assert kept == sorted(set(kept)) and kept[-1] == 4990 and 200 <= len(kept) <= 300
