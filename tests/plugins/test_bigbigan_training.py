"""The recipe of a small BigBiGAN: its losses, its ablations, and the file that it publishes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seeingkit
from seeingkit.contracts import Generator
from seeingkit.models.encoders import load_encoder
from seeingkit_plugins.minichurches.training.bigbigan import (
    Plan,
    Run,
    critic_loss,
    main,
    pair_loss,
    used,
)
from seeingkit_plugins.minichurches.training.bigbigan_networks import Scores

SMALL = {"pre": (8, 8), "post": (6,), "piece": 2, "width": 4, "stages": 2, "hidden": 8}
PLAN = Plan(**SMALL, critic=(4, 6), batch=4, critic_steps=1)  # type: ignore[arg-type]
FLOATS = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(rows: int = 8, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)


def stepped(plan: Plan, steps: int = 2) -> Run:
    run = Run(plan)
    for _ in range(steps):
        run.train_step(pictures())
    return run


@settings(deadline=None, max_examples=40)
@given(real=FLOATS, fake=FLOATS)
def test_losses_are_those_of_the_paper(real: list[float], fake: list[float]) -> None:
    """Written out, number by number."""
    hinge = sum(max(0.0, 1 - s) for s in real) / len(real)
    hinge += sum(max(0.0, 1 + s) for s in fake) / len(fake)
    pair = sum(real) / len(real) - sum(fake) / len(fake)
    one, other = torch.tensor(real), torch.tensor(fake)
    assert float(critic_loss(one, other)) == pytest.approx(hinge, abs=1e-5)
    assert float(pair_loss(one, other)) == pytest.approx(pair, abs=1e-5)


@pytest.mark.parametrize(
    ("x", "z", "sums"), [(1, 1, 66.0), (0, 1, 55.0), (1, 0, 44.0), (0, 0, 33.0)]
)
def test_ablations_leave_scores_out(x: int, z: int, sums: float) -> None:
    scores = Scores(*(torch.full((11,), float(k)) for k in (1, 2, 3)))
    found = used(scores, Plan(x=bool(x), z=bool(z)))
    assert float(found.sum()) == sums and len(found) == 11 * (1 + x + z)


def test_without_unaries_their_heads_learn_nothing() -> None:
    plan = Plan(**{**vars(PLAN), "x": False, "z": False})
    run = stepped(plan, steps=1)
    assert run.critic.score_x.layer.weight_orig.grad is None
    assert run.critic.score_xz.layer.weight_orig.grad is not None


def test_a_deterministic_encoder_gives_its_mean() -> None:
    images = torch.zeros(2, 3, 32, 32)
    for deterministic in (True, False):
        run = Run(Plan(**{**vars(PLAN), "deterministic": deterministic}))
        run.encoder.eval()
        assert torch.equal(run.encode(images), run.encode(images)) == deterministic
    stochastic, plain = stepped(PLAN, 1), stepped(Plan(**{**vars(PLAN), "deterministic": True}), 1)
    rows = stochastic.generator.z_dim
    last = [run.encoder.linear_dist_params.weight.grad for run in (stochastic, plain)]
    assert all(grad is not None for grad in last)
    assert float(last[0][rows:].abs().max()) > 0 == float(last[1][rows:].abs().max())  # type: ignore[index]


def test_critic_and_pair_pull_at_opposite_ends() -> None:
    """Without a rate of the one the other's update leaves it alone."""
    for still, moved, rates in (
        ("critic", "generator", {"critic_rate": 0.0}),
        ("generator", "critic", {"rate": 0.0}),
    ):
        run = Run(replace(PLAN, **rates))
        before = {n: copy.deepcopy(getattr(run, n)) for n in (still, moved)}
        run.train_step(pictures())
        alike = {
            name: all(
                torch.equal(a, b)
                for a, b in zip(getattr(run, name).parameters(), network.parameters(), strict=True)
            )
            for name, network in before.items()
        }
        assert alike == {still: True, moved: False}
        assert all(value.requires_grad for value in run.critic.parameters())


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=4, critic_steps=2)
    whole, first = stepped(plan, 4), stepped(plan, 2)
    first.save(tmp_path / "state.pt")
    torch.manual_seed(99)
    second = Run(plan)
    second.resume(tmp_path / "state.pt")
    for _ in range(2):
        second.train_step(pictures())
    assert all(torch.equal(v, second.published()[k]) for k, v in whole.published().items())


def test_averages_lag_behind_the_networks() -> None:
    run = Run(replace(PLAN, keep=0.5))
    before = run.generator.conv.layer.weight_orig.detach().clone()
    run.train_step(pictures())
    now = run.generator.conv.layer.weight_orig.detach()
    assert not torch.equal(before, now)
    half = run.average["generator"].conv.layer.weight_orig
    torch.testing.assert_close(half, (before + now) / 2)
    assert torch.equal(
        run.average["generator"].conv.layer.weight_u, run.generator.conv.layer.weight_u
    )


def test_a_run_of_another_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    stepped(PLAN).save(tmp_path / "state.pt")
    (tmp_path / "plan.json").write_text("{}", encoding="utf-8")
    words = "--pictures 8 --batch 4 --pre 8 8 --post 6 --piece 2 --critic 4 6 --width 4 --hidden 8"
    with pytest.raises(SystemExit, match="another plan"):
        main(["--out", str(tmp_path), *words.split(), "--stages", "2"])


@pytest.mark.slow
def test_a_run_is_a_function_of_its_seed() -> None:
    first, again, other = stepped(PLAN), stepped(PLAN), stepped(Plan(**{**vars(PLAN), "seed": 1}))
    assert all(torch.equal(value, again.published()[k]) for k, value in first.published().items())
    assert not torch.equal(*(r.published()["generator.bn.running_mean"] for r in (first, other)))


def test_what_is_published_is_what_was_trained(tmp_path: Path) -> None:
    """The family reads the run's file, and draws and encodes as the run does."""
    run = stepped(PLAN, steps=3)
    torch.save(run.published(), tmp_path / "checkpoint.pth")
    generator = seeingkit.load_generator(weights=tmp_path / "checkpoint.pth")
    assert isinstance(generator, Generator) and generator.info.family == "bigbigan"
    encoder = load_encoder(generator=generator)
    z = generator.latents([0, 1, 2])["z"]
    made, found_by = run.average.eval().values()
    with torch.no_grad():
        images = made(z)
        torch.testing.assert_close(generator({"z": z}), images, atol=1e-5, rtol=0)
        mean, std = found_by(images)
    found = encoder.encode(images)
    torch.testing.assert_close(found.mean, mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.std, std, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_command_writes_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "scenes.npy", pictures(8, 64))
    np.save(tmp_path / "held.npy", pictures(64, 64))
    words = "--steps 2 --pictures 8 --batch 4 --pre 8 8 --post 6 --piece 2"
    words += " --critic 4 6 --width 4 --hidden 8 --no-z --deterministic"
    main(["--out", str(tmp_path), *words.split()])
    line = json.loads(capsys.readouterr().out)
    assert (
        line["images"] == 16
        and {"critic", "pair", "psnr", "pixel_correlation", "z_correlation"} <= line.keys()
    )
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert (plan["x"], plan["z"], plan["deterministic"]) == (True, False, True)
    assert {"log.jsonl", "samples.png", "checkpoint.pth", "state.pt"} <= {
        p.name for p in tmp_path.iterdir()
    }
    main(["--out", str(tmp_path), *words.split(), "--publish", str(tmp_path / "shipped")])
    generator = seeingkit.load_generator(
        weights=tmp_path / "shipped" / "bigbigan-minichurches-32.safetensors"
    )
    whole = seeingkit.load_generator(weights=tmp_path / "checkpoint.pth")
    assert isinstance(generator, Generator) and isinstance(whole, Generator)
    latents = generator.latents([0])
    torch.testing.assert_close(generator(latents), whole(latents), atol=0.02, rtol=0)
    assert load_encoder(generator=generator).info.family == "bigbigan"
