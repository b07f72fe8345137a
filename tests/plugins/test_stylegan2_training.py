"""The recipe of the shipped StyleGAN2: its schedule, its networks, and what is published."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seeingkit.weights import read_checkpoint
from seeingkit_adapters.catalog.stylegan2 import StyleGAN2Options
from seeingkit_adapters.stylegan2.generator import load
from seeingkit_plugins import minichurches
from seeingkit_plugins.minichurches.training.pictures import picture_cache
from seeingkit_plugins.minichurches.training.stylegan2 import main, publish
from seeingkit_plugins.minichurches.training.stylegan2_networks import (
    GrowingStyleGAN2,
    ResidualDiscriminator,
)
from seeingkit_plugins.minichurches.training.stylegan2_run import Plan, Run

SHIPPED = Path(minichurches.__file__).parent / "weights" / "stylegan2-minichurches-64.safetensors"
PLAN = Plan(
    latent=6,
    mapping=2,
    sizes=(8, 6, 4),
    start=4,
    phases=(0.016, 0.016),
    fade=0.016,
    images=0.08,
    pictures=40,
    batch=8,
    r1_every=2,
)


def noise(seed: int, index: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, index)).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack([noise(0, i, 16) for i in range(40)])


def train(run: Run, pictures: np.ndarray, steps: int) -> list[dict[str, float]]:
    return [run.step(torch.from_numpy(pictures[run.batch_indices()])) for _ in range(steps)]


def stirred(config_of: Plan, *, half: bool = False) -> GrowingStyleGAN2:
    """A network none of whose parameters is at a special value."""
    torch.manual_seed(3)
    generator = GrowingStyleGAN2(config_of.config(), half=half)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return generator


def test_schedule_starts_above_4_and_fades_each_resolution_in() -> None:
    plan = Plan(sizes=(4, 4, 4), start=8, phases=(10,), fade=5, images=30)
    assert plan.stage(0) == plan.stage(9_999) == (8, 1.0)
    assert plan.stage(10_000) == (16, 0.0)
    assert plan.stage(12_500) == (16, 0.5)
    assert plan.stage(15_000) == plan.stage(10**6) == (16, 1.0)
    assert Plan().stage(10**6) == (64, 1.0) == (Plan().resolutions[-1], 1.0)


def test_learning_rate_falls_with_the_images() -> None:
    plan = Plan(images=100, batch=10, rate=1.0, decay=0.5, floor=0.1)
    rates = [plan.rate_at(images) for images in (0, 50_000, 75_000, 100_000)]
    assert rates == pytest.approx([1.0, 1.0, 0.55, 0.1])


def test_plans_may_differ_in_length_only_until_a_rate_falls() -> None:
    plan = Plan(images=100, batch=10, decay=0.5)
    longer = replace(plan, images=200)
    assert plan.same_until(plan, 90_000)
    assert plan.same_until(longer, 50_000) and longer.same_until(plan, 50_000)
    assert not plan.same_until(longer, 50_010) and not longer.same_until(plan, 50_010)
    assert not plan.same_until(replace(plan, seed=1), 10)


def test_pictures_come_once_an_epoch_in_another_order() -> None:
    run = Run(replace(PLAN, pictures=24))
    orders = []
    for _ in range(2):
        seen = []
        for _ in range(3):
            seen.append(run.batch_indices())
            run.images += 8
        assert sorted(np.concatenate(seen)) == list(range(24))
        orders.append([tuple(part) for part in seen])
    assert orders[0] != orders[1]


def test_full_size_images_are_those_of_the_adapters_network() -> None:
    generator = stirred(PLAN)
    z = torch.randn(3, 6)
    with torch.no_grad():
        mine = generator(generator.map(z), 16)
        theirs = generator.network(z, noise="const")
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_noise_is_drawn_anew_and_scaled_by_its_strength() -> None:
    generator = stirred(PLAN)
    w = generator.map(torch.randn(2, 6))

    def drawn(seed: int) -> torch.Tensor:
        return generator(w, 16, noise=torch.Generator().manual_seed(seed))

    with torch.no_grad():
        assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.zero_()
        torch.testing.assert_close(drawn(1), drawn(2))


def test_a_new_resolution_fades_in_over_the_upsampled_image() -> None:
    """Linear in alpha: the middle of the fade is the mean of its ends."""
    generator = stirred(PLAN)
    w = generator.map(torch.randn(2, 6))
    with torch.no_grad():
        none, some, whole = (generator(w, 16, alpha) for alpha in (0.0, 0.25, 1.0))
        coarse = generator(w, 8)
    torch.testing.assert_close(some, 0.75 * none + 0.25 * whole)
    # An upsampled image holds its mean but at the border, where the filter reaches beyond it.
    inner = F.avg_pool2d(none, 2)[..., 1:-1, 1:-1]
    kernel = torch.outer(*[torch.tensor([1.0, 6.0, 1.0]) / 8] * 2).expand(3, 1, 3, 3)
    torch.testing.assert_close(inner, F.conv2d(coarse, kernel, groups=3))


def test_half_precision_stays_near() -> None:
    plan = replace(PLAN, sizes=(16, 16, 16))
    w = stirred(plan).map(torch.randn(4, 6))
    with torch.no_grad():
        exact, rough = (stirred(plan, half=half)(w, 16) for half in (False, True))
    assert rough.dtype == torch.float32
    assert (rough - exact).std() < 0.02 * exact.std()


def test_discriminator_keeps_variance_and_sees_the_spread_of_a_batch() -> None:
    torch.manual_seed(0)
    wide = ResidualDiscriminator((1, 64, 64))
    x = torch.randn(32, 64, 8, 8)
    y = wide.blocks[0](x).detach()
    assert y.shape == (32, 64, 4, 4)
    # Box filtering takes noise down by the side of the box; the two branches are averaged.
    assert 0.1 < float(y.square().mean()) < 1.0
    one = torch.randn(1, 3, 8, 8)
    same = wide(one.expand(4, -1, -1, -1))
    torch.testing.assert_close(same, same[:1].expand(4))
    mixed = wide(torch.cat([one, torch.randn(3, 3, 8, 8)]))
    assert abs((mixed[0] - same[0]).item()) > 1e-4


def test_steps_have_finite_losses_and_change_every_weight(pictures: np.ndarray) -> None:
    run = Run(PLAN)
    before = {k: v.clone() for k, v in run.generator.named_parameters()}
    scores = {k: v.clone() for k, v in run.discriminator.named_parameters()}
    losses = train(run, pictures, 8)
    assert run.plan.stage(run.images)[0] == 16
    assert all(math.isfinite(value) for line in losses for value in line.values())
    assert ["r1" in line for line in losses] == [True, False] * 4
    for name, parameter in run.generator.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    for name, parameter in run.discriminator.named_parameters():
        assert not torch.equal(parameter, scores[name]), name


def test_first_weights_and_steps_follow_from_the_seed(pictures: np.ndarray) -> None:
    one, same, other = Run(PLAN), Run(PLAN), Run(replace(PLAN, seed=1))
    const = "network.synthesis.b4.const"
    assert torch.equal(one.generator.get_parameter(const), same.generator.get_parameter(const))
    assert not torch.equal(one.generator.get_parameter(const), other.generator.get_parameter(const))
    torch.manual_seed(99)  # whatever else draws numbers in between does not matter
    assert train(one, pictures, 2) == train(same, pictures, 2)


def test_a_resumed_run_is_an_uninterrupted_one(pictures: np.ndarray, tmp_path: Path) -> None:
    whole, first = Run(PLAN), Run(PLAN)
    expected = train(whole, pictures, 10)
    found = train(first, pictures, 4)
    torch.save(first.state(), tmp_path / "state.pt")
    second = Run(PLAN)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert found + train(second, pictures, 6) == expected
    for a, b in zip(whole._networks, second._networks, strict=True):
        for key, value in a.state_dict().items():
            assert torch.equal(value, b.state_dict()[key]), key
    with pytest.raises(ValueError, match="another plan"):
        Run(replace(PLAN, rate=1e-4)).restore(first.state())


@pytest.mark.slow
def test_mean_w_is_tracked(pictures: np.ndarray) -> None:
    run = Run(replace(PLAN, images=4, rate=1e-5, ema_half_life=200))
    train(run, pictures, 100)
    mapping = run.average.network.mapping
    with torch.no_grad():
        w = mapping(torch.randn(4000, 6))
    error = (mapping.w_avg - w.mean(0)).norm() / w.std(0).norm()
    assert error < 0.2 and mapping.w_avg.norm() > 0


@pytest.mark.slow
def test_training_moves_generated_colour_to_the_data() -> None:
    """Against one flat colour, a minute network must learn that colour."""
    plan = Plan(
        latent=4,
        mapping=1,
        sizes=(8, 8),
        start=8,
        phases=(),
        images=100,
        rate=5e-3,
        pictures=16,
        ema_half_life=200,
    )
    run = Run(plan)
    flat = np.broadcast_to(np.array([230, 40, 90], np.uint8), (16, 8, 8, 3)).copy()
    target = torch.from_numpy(flat[0, 0, 0] / 127.5 - 1).float()
    before = (run.samples(32).mean((0, 2, 3)) - target).abs().max()
    train(run, flat, 120)
    after = (run.samples(32).mean((0, 2, 3)) - target).abs().max()
    assert after < 0.15 < before


def test_command_trains_publishes_and_the_adapter_reads_it(tmp_path: Path) -> None:
    folder, to = tmp_path / "run", tmp_path / "published"
    folder.mkdir()
    picture_cache(folder / "scenes.npy", 32, seed=0, size=16, render=noise)
    options = "--images 0.08 --phases 0.016 --fade 0.016 --start 8 --sizes 8 6 4"
    options += " --latent 6 --pictures 32 --batch 8"
    command = ["--out", str(folder), *options.split()]
    main(command)
    main([*command, "--resume"])  # nothing is left to do
    publish(folder, to)
    generator = load(to / "stylegan2-minichurches-64.safetensors", StyleGAN2Options())
    assert generator.info.resolution == 16 and generator.info.licence == "MIT"

    state = torch.load(folder / "state.pt", weights_only=True)
    run = Run(Plan(**state["plan"]))
    run.restore(state)
    for parameter in run.average.network.state_dict().values():
        parameter.copy_(parameter.half())
    z = torch.randn(3, 6)
    with torch.no_grad():
        expected = run.average(run.average.map(z), 16)
        found = generator({"z": z})
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert generator.module.mapping.w_avg.abs().max() > 0

    lines = (to / "stylegan2-minichurches-64.log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["images"] == 80
    assert (folder / "samples.png").exists()


def test_shipped_file_says_how_it_was_made() -> None:
    metadata = read_checkpoint(SHIPPED).metadata
    made = json.loads(metadata["plan"])
    plan = Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in made.items()})
    assert plan == Plan(), "the defaults of the command are the shipped network's"
    assert metadata["images_seen"] == str(plan.total)
    assert metadata["training_seed"] == "0" and metadata["licence"] == "MIT"
    assert metadata["trained_on"] == "minichurches scenes, seed 0, indices 0-39999"
    log = SHIPPED.with_suffix(".log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["images"] == plan.total
    assert SHIPPED.stat().st_size < 4 * 2**20


def test_shipped_network_draws_varied_pictures_and_its_average_w_is_their_mean() -> None:
    generator = load(SHIPPED, StyleGAN2Options())
    mapping = generator.module.mapping
    assert mapping.w_avg is not None
    with torch.no_grad():
        images = generator(generator.latents(range(32)))
        w = mapping(torch.randn(4000, 128, generator=torch.Generator().manual_seed(0)))
    assert images.std(dim=0).mean() > 0.2  # not one picture again and again
    assert (mapping.w_avg - w.mean(0)).norm() < 0.1 * w.std(0).norm()
