"""The six methods on generators whose best inversion is known, and what they refuse."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from seeingkit.analyses.inversion import invert, load_inverter
from seeingkit.analyses.inversion.catalog import DEFAULT_METHOD, METHODS
from seeingkit.analyses.inversion.encoders.files import TrainedEncoder, encoder_path
from seeingkit.analyses.inversion.encoders.training import train_encoder
from seeingkit.analyses.inversion.methods import LayerInverter
from seeingkit.analyses.inversion.objectives import psnr
from seeingkit.analyses.inversion.presets import PRESETS
from seeingkit.analyses.inversion.rows import Schedule
from seeingkit.contracts import Inversion, Prepared, State
from seeingkit.errors import (
    MissingWeightsError,
    ModelError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
)
from seeingkit.models.staged import StagedAdapter
from tests.helpers.inversion_toys import (
    EXACT,
    NUMBERS,
    RECIPE,
    SIDE,
    SIZE,
    Mirror,
    blocks,
    changed,
    conditional_generator,
    exchange_features,
    fragile_generator,
    inverter,
    linear_generator,
    medians,
    noise,
    styled_generator,
    tensors_of,
    tiny_progan,
)

SHORT = changed(EXACT, latent=Schedule(8, 0.1), residual=Schedule(8, 0.1))
TRAINED = replace(RECIPE, layer_steps=2, image_steps=2, tune_steps=2, batch=4)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))


def latents(n: int, seed: int = 3) -> Tensor:
    """(n, 12) within the range of the toys' pictures."""
    draw = np.random.RandomState(seed).uniform(-1, 1, (n, NUMBERS))
    return torch.from_numpy(draw.astype(np.float32))


def encode(generator: StagedAdapter, kind: Any, cut: str) -> Path:
    """Put an encoder, hardly trained, where the methods look for one."""
    path = encoder_path(generator, kind, cut, TRAINED.key())
    train_encoder(generator, kind, cut, TRAINED, path=path)
    return path


def same(a: Inversion, b: Inversion, *, settings: bool = True) -> None:
    """Equal to the last bit."""
    assert len(a) == len(b) and (a.method, a.cut) == (b.method, b.cut)
    for name in ("images", "reconstruction", "initial", "loss", "psnr", "steps", "converged"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert (a.z is None) == (b.z is None)
    if a.z is not None and b.z is not None:
        assert torch.equal(a.z, b.z)
    assert (a.perceptual is None) == (b.perceptual is None)
    if a.perceptual is not None and b.perceptual is not None:
        assert torch.equal(a.perceptual, b.perceptual)
    assert torch.equal(a.state.x, b.state.x) and a.failed == b.failed
    assert all(torch.equal(x, y) for x, y in zip(a.history, b.history, strict=True))
    for (steps, pictures), (others, again) in zip(a.frames, b.frames, strict=True):
        assert steps == others and torch.equal(pictures, again)


def row_of(inversion: Inversion, k: int) -> Inversion:
    """One row of an inversion of several."""

    def part(value: Tensor | None) -> Any:
        return None if value is None else value[k : k + 1]

    names = ("images", "reconstruction", "z", "initial", "loss", "psnr", "perceptual", "steps")
    return replace(
        inversion,
        **{name: part(getattr(inversion, name)) for name in (*names, "converged")},
        state=inversion.state[k],
        failed={0: inversion.failed[k]} if k in inversion.failed else {},
        frames=inversion.frames[k : k + 1],
        history=inversion.history[k : k + 1],
    )


# ------------------------------------------------------------------------------- known optima


@pytest.mark.slow
@pytest.mark.parametrize("residuals", ["before", "all"])
def test_r_reaches_the_medians_of_the_blocks(residuals: str) -> None:
    """Where each number fills nine pixels, L1 is least at their median."""
    generator, images = linear_generator(), noise(4)
    found = inverter("layered+r", residuals=residuals).invert(
        generator, images, init={"z": latents(4)}
    )
    best = medians(images)
    torch.testing.assert_close(found.state.x, best, atol=3e-3, rtol=0)
    torch.testing.assert_close(found.reconstruction, blocks(best), atol=3e-3, rtol=0)
    least = (images - blocks(best)).abs().flatten(1).mean(1)
    torch.testing.assert_close(found.loss, least.double(), atol=1e-3, rtol=0)
    assert bool((found.loss >= least.double() - 1e-7).all())
    torch.testing.assert_close(found.psnr, psnr(found.reconstruction, images))
    assert (found.method, found.cut, found.state.at) == ("layered+r", "b", "b")
    torch.testing.assert_close(found.initial, generator({"z": latents(4)}))
    assert found.z is not None and torch.equal(found.z, latents(4))  # where it began


def test_z_finds_the_latent_of_an_own_image() -> None:
    generator, z = linear_generator(), latents(3)
    images = generator({"z": z})
    found = inverter("z").invert(generator, images, seed=5)
    assert found.z is not None
    torch.testing.assert_close(found.z, z, atol=5e-3, rtol=0)
    torch.testing.assert_close(found.reconstruction, images, atol=3e-3, rtol=0)
    assert bool((found.psnr > 50).all()) and found.cut == "b"
    torch.testing.assert_close(
        found.state.x, generator.advance(generator.begin({"z": found.z}), "b").x
    )


def test_z_cannot_reach_what_is_not_in_the_range() -> None:
    """z of any photo: the map from z to blocks is onto, so the medians again."""
    generator, images = linear_generator(), noise(3, seed=8)
    found = inverter("z").invert(generator, images)
    least = (images - blocks(medians(images))).abs().flatten(1).mean(1).double()
    torch.testing.assert_close(found.loss, least, atol=2e-3, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("residuals", "share"), [("before", 0.25), ("all", 0.2)])
def test_the_price_of_residuals_before_the_cut_and_at_it(residuals: str, share: float) -> None:
    """b = 2 (a + δ_a) + δ_b must move by v: v²/4 with δ_a alone, v²/5 with both."""
    generator, z = linear_generator(), latents(2)
    start = generator.advance(generator.begin({"z": z}), "b").x
    v = torch.linspace(-0.3, 0.3, NUMBERS).reshape(1, 3, SIDE, SIDE).expand_as(start)
    images = blocks(start + v)
    weight = 0.01  # so small that the kink of the L1 loss holds the image where it should be
    found = inverter("layered+r", residuals=residuals, residual_weight=weight).invert(
        generator, images, init={"z": z}
    )
    torch.testing.assert_close(found.reconstruction, images, atol=3e-3, rtol=0)
    price = weight * share * float(v[0].square().mean())
    far = (images - found.reconstruction).abs().flatten(1).mean(1)
    assert (found.loss - far).tolist() == pytest.approx([price, price], rel=0.05)


def test_before_a_cut_at_the_first_layer_there_is_only_the_cut_itself() -> None:
    generator, images = linear_generator(), noise(2)
    found = inverter("layered+r", cut="a", residuals="before").invert(
        generator, images, init={"z": latents(2)}
    )
    torch.testing.assert_close(found.state.x, medians(images) / 2, atol=3e-3, rtol=0)
    assert found.cut == "a"


def test_the_weight_of_the_residuals_by_brute_force() -> None:
    """One number at a time: least of mean |x - a - δ| + λ δ², found by a search over δ."""
    generator, images = linear_generator(), noise(2, seed=4)
    weight = 0.5
    start = torch.full((2, 3, SIDE, SIDE), 0.9)
    found = inverter("layered+r", residual_weight=weight, residuals="all").invert(
        generator, images, init=State("b", start)
    )
    tiles = images.unflatten(3, (SIDE, 3)).unflatten(2, (SIDE, 3)).transpose(3, 4).flatten(4)
    for got, pixels in zip(found.state.x.flatten(), tiles.flatten(0, 3).numpy(), strict=True):
        best = minimize_scalar(
            lambda d, p=pixels: np.abs(p - 0.9 - d).mean() + weight * d * d,
            bounds=(-3, 3),
            method="bounded",
            options={"xatol": 1e-6},
        )
        assert float(got) == pytest.approx(0.9 + best.x, abs=5e-3)
    torch.testing.assert_close(found.initial, torch.full_like(images, 0.9))
    assert found.z is None


def test_penalties_in_units_of_the_layer() -> None:
    """With ``scaled`` δ counts in standard deviations of x, and so does the rate."""
    generator = linear_generator()
    images = noise(1)
    init = State("b", torch.zeros(1, 3, SIDE, SIDE))
    units = []
    for scaled in (False, True):
        one = changed(EXACT, scaled=scaled, residual=Schedule(1, 0.1))
        method = inverter("layered+r", one)
        moved = method.invert(generator, images, init=init).state.x
        torch.testing.assert_close(moved.abs(), moved.abs().max().expand_as(moved))
        units.append(float(moved.abs().max()))
    # x at b is 0.4 times a standard normal vector turned round
    assert units[0] == pytest.approx(0.1, rel=1e-3)
    assert units[1] == pytest.approx(0.1 * 0.4, rel=0.1)


@pytest.mark.slow
def test_a_free_latent_costs_nothing() -> None:
    """The residuals alone pay v²/5 for what a free z explains without a price."""
    generator, z = linear_generator(), latents(2)
    images = generator({"z": z})
    v = generator.advance(generator.begin({"z": z}), "b").x
    start = {"z": torch.zeros(2, NUMBERS)}
    weight = 0.01

    def loss(free: bool) -> Tensor:
        options: dict[str, object] = {"residual_weight": weight, "residuals": "all"}
        chosen = inverter("layered+r", free_latent=free, **options)
        found = chosen.invert(generator, images, init=start)
        torch.testing.assert_close(found.reconstruction, images, atol=0.01, rtol=0)
        far = (images - found.reconstruction).abs().flatten(1).mean(1)
        return found.loss - far

    price = weight * v.square().flatten(1).mean(1).double() / 5
    torch.testing.assert_close(loss(False), price, rtol=0.05, atol=0)
    assert bool((loss(True) < 0.8 * price).all())


def test_perceptual_features_join_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange_features(monkeypatch, Mirror())
    generator, images = linear_generator(), noise(2)
    still = changed(EXACT, residual=Schedule(0, 0.1), perceptual_weight=1.0)
    init = State("b", torch.zeros(2, 3, SIDE, SIDE))

    def loss(preset: Any = still, **options: object) -> Inversion:
        return inverter("layered+r", preset, **options).invert(generator, images, init=init)

    pixel = images.abs().flatten(1).mean(1)
    red = images[:, 0].abs().flatten(1).mean(1)
    perceptual = (pixel + 3 * red) / 2
    found = loss(perceptual_weight=2.0)
    torch.testing.assert_close(found.loss, (pixel + 2 * perceptual).double())
    assert found.perceptual is not None
    torch.testing.assert_close(found.perceptual, perceptual)
    torch.testing.assert_close(loss().loss, (pixel + perceptual).double())
    none = loss(perceptual_weight=0.0)
    torch.testing.assert_close(none.loss, pixel.double())
    assert none.perceptual is not None  # judged by them all the same
    relative = loss(changed(still, relative_features=True), perceptual_weight=1.0)
    torch.testing.assert_close(relative.loss, (pixel + 1.0).double())  # zero is all of it away


# ------------------------------------------------------------------------------------ the carry


@pytest.mark.slow
def test_the_carry_stays_unless_it_is_named() -> None:
    generator = styled_generator()
    z = torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.0, 0.0, 0.0]])
    photo = generator({"z": torch.tensor([[0.2, -0.1, 0.1, 0.3, -0.4, 0.2, 0.1]])})
    tied = inverter("layered+r").invert(generator, photo, init={"z": z})
    assert torch.equal(tied.state.carry["style"], torch.zeros(1, 3))
    flat = photo - tied.reconstruction
    assert float(flat.abs().max()) > 0.1  # greys cannot show the colours
    freed = inverter("layered+r", carry=("style",)).invert(generator, photo, init={"z": z})
    torch.testing.assert_close(freed.reconstruction, photo, atol=3e-3, rtol=0)
    style = freed.state.carry["style"]
    torch.testing.assert_close(
        style - style.mean(), torch.tensor([[-0.4, 0.2, 0.1]]) + 0.1 / 3, atol=5e-3, rtol=0
    )
    assert freed.state.carry["number"].tolist() == [0]
    # What is handed back is what makes the picture.
    torch.testing.assert_close(generator.advance(freed.state).x, freed.reconstruction)


@pytest.mark.slow
def test_what_belongs_to_r_is_optimised_unasked() -> None:
    generator = styled_generator()
    photo = generator({"z": torch.tensor([[0.2, -0.1, 0.1, 0.3, -0.4, 0.2, 0.1]])})
    init = {"z": torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.0, 0.0, 0.0]])}
    asked = inverter("layered+r", carry=("style",)).invert(generator, photo, init=init)
    generator.inverted_with = ("style", "of another boundary")
    unasked = inverter("layered+r").invert(generator, photo, init=init)
    assert torch.equal(unasked.reconstruction, asked.reconstruction)
    none = inverter("layered+r", carry=()).invert(generator, photo, init=init)
    assert torch.equal(none.state.carry["style"], torch.zeros(1, 3))


def test_a_carry_that_does_not_exist_lists_those_that_do() -> None:
    init = {"z": torch.zeros(1, 7)}
    for name in ("styles", "number"):  # one is not there, the other counts
        with pytest.raises(UsageError, match=f"'{name}' at r; there are: style$"):
            inverter("layered+r", carry=(name,)).invert(styled_generator(), noise(1), init=init)
    with pytest.raises(UsageError, match="there are: none"):
        inverter("layered+r", carry=("style",)).invert(
            linear_generator(), noise(1), init={"z": latents(1)}
        )


# --------------------------------------------------------------------------------- where it starts


def test_it_starts_from_the_average_state_without_an_encoder() -> None:
    generator = linear_generator()
    still = changed(EXACT, residual=Schedule(0, 0.1))
    for encoder in ("none", "found"):
        found = inverter("layered+r", still, encoder=encoder).invert(generator, noise(3))
        assert torch.equal(found.initial[0], found.initial[2]) and found.z is None
        # of 64 samples of standard deviation 0.4, the mean is within 5 x 0.4 / 8
        assert float(found.state.x.abs().max()) < 0.25
        assert float(found.state.x.abs().max()) > 0
        torch.testing.assert_close(blocks(found.state.x), found.initial)


def test_found_says_when_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        inverter("layered+r", SHORT, encoder="found").invert(linear_generator(), noise(1))
    assert "no layered encoder of blocks at b is available" in caplog.text


def test_a_state_may_be_the_start() -> None:
    generator = linear_generator()
    still = changed(EXACT, residual=Schedule(0, 0.1))
    given = generator.advance(generator.begin({"z": latents(3)}), "b")
    found = inverter("layered+r", still).invert(generator, noise(3), init=given)
    assert torch.equal(found.state.x, given.x)
    early = generator.advance(generator.begin({"z": latents(3)}), "a")
    with pytest.raises(UsageError, match="'a'.*the cut is b"):
        inverter("layered+r", still).invert(generator, noise(3), init=early)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["z", "encoder+z", "layered"])
def test_a_state_is_no_start_for_methods_that_look_for_z(method: str) -> None:
    generator = linear_generator()
    for kind in ("direct", "layered"):
        encode(generator, kind, "b")
    given = generator.advance(generator.begin({"z": latents(2)}), "b")
    chosen = inverter(method, changed(SHORT, recipe=TRAINED), encoder="found")
    with pytest.raises(UsageError, match="init"):
        chosen.invert(generator, noise(2), init=given)


@pytest.mark.parametrize(
    "init",
    [
        {"z": latents(2)},
        {"z": latents(4)},
        {"noise": latents(3)},
        {"z": torch.zeros(3, 5)},
        State("b", torch.zeros(2, 3, SIDE, SIDE)),
        State("b", torch.zeros(4, 3, SIDE, SIDE)),
        State("b", torch.zeros(3, 2, SIDE, SIDE)),
    ],
)
def test_starts_that_do_not_fit_are_refused(init: Any) -> None:
    with pytest.raises(UsageError):
        inverter("layered+r", SHORT).invert(linear_generator(), noise(3), init=init)


def test_random_starts_depend_on_picture_and_seed_alone() -> None:
    generator, images = linear_generator(), noise(4)
    still = inverter("z", changed(EXACT, latent=Schedule(0, 0.1)))
    first = still.invert(generator, images).z
    assert first is not None
    again = still.invert(generator, images[[2, 0]]).z
    assert again is not None and torch.equal(again, first[[2, 0]])
    other = still.invert(generator, images, seed=1).z
    assert other is not None and not torch.equal(other, first)
    assert len({tuple(row.tolist()) for row in torch.cat([first, other])}) == 8
    assert 0.5 < float(first.std()) < 1.5


# ------------------------------------------------------------------------------------- encoders


@pytest.mark.slow
def test_encoders_are_found_in_the_cache_and_by_path(tmp_path: Path) -> None:
    generator, images = linear_generator(), noise(2)
    paths = {kind: encode(generator, kind, "b") for kind in ("direct", "layered")}
    preset = changed(SHORT, recipe=TRAINED)
    for method in METHODS[1:]:
        kind = "direct" if method.startswith("encoder") else "layered"
        found = inverter(method, preset, encoder="found")
        prepared = found.prepare(generator)
        inversion = found.invert(generator, images, prepared=prepared)
        encoder = prepared.encoder
        assert isinstance(encoder, TrainedEncoder) and encoder.path == paths[kind]
        named = inverter(method, preset, encoder=str(paths[kind]))
        same(named.invert(generator, images), inversion)
        assert prepared.settings["encoder"] == encoder.sha256
        z, _ = encoder.estimate(images)
        torch.testing.assert_close(inversion.initial, generator({"z": z}))
        if "+" not in method:
            assert inversion.z is not None and inversion.steps.tolist() == [0, 0]
            torch.testing.assert_close(inversion.z, z)
            torch.testing.assert_close(inversion.reconstruction, inversion.initial)
        else:
            assert inversion.steps.tolist() == [8, 8]
            assert bool((inversion.history[0][-1] < inversion.history[0][0]).item())
        wrong = paths["layered" if kind == "direct" else "direct"]
        with pytest.raises(UsageError, match=f"needs a {kind} one"):
            inverter(method, preset, encoder=str(wrong)).prepare(generator)
    with pytest.raises(MissingWeightsError, match="nowhere"):
        inverter("layered", preset, encoder=str(tmp_path / "nowhere")).prepare(generator)


def test_auto_trains_once_and_train_anew(caplog: pytest.LogCaptureFixture) -> None:
    generator = linear_generator()
    preset = changed(SHORT, recipe=TRAINED)
    path = encoder_path(generator, "layered", "b", TRAINED.key())
    with caplog.at_level(logging.WARNING):
        inverter("layered+r", preset, encoder="auto").prepare(generator)
    assert path.is_file() and "training a layered encoder of blocks" in caplog.text
    caplog.clear()
    written = path.stat().st_mtime_ns
    inverter("layered", preset, encoder="auto").prepare(generator)
    assert not caplog.text and path.stat().st_mtime_ns == written
    inverter("layered", preset, encoder="train").prepare(generator)
    assert "training" in caplog.text and path.stat().st_mtime_ns > written
    written = path.stat().st_mtime_ns
    inverter("layered+z", preset, encoder="train").prepare(generator)
    assert path.stat().st_mtime_ns == written  # anew means once, not for each method


def test_an_encoder_of_another_generator_is_refused() -> None:
    path = encode(linear_generator(), "layered", "b")
    other = linear_generator(weights_sha256="f" * 64)
    with pytest.raises(StateMismatchError, match="trained for generator"):
        inverter("layered+r", SHORT, encoder=str(path)).invert(other, noise(1))


@pytest.mark.parametrize("method", ["encoder", "encoder+z", "layered", "layered+z"])
def test_methods_that_are_encoders_need_one(method: str) -> None:
    generator = linear_generator()
    with pytest.raises(UsageError, match="leaves nothing"):
        inverter(method, encoder="none").prepare(generator)
    chosen = inverter(method, encoder="found")
    for _ in range(2):  # the second time is no different
        with pytest.raises(UsageError, match="--encoder train"):
            chosen.invert(generator, noise(1))


def test_a_sweep_of_cuts_needs_one_encoder_only() -> None:
    generator = tiny_progan()
    assert generator.default_cut == "r4.conv1"
    encode(generator, "layered", "r4.conv1")
    preset = changed(SHORT, recipe=TRAINED)
    for cut in ("r4.conv0", "r8.conv0"):
        prepared = inverter("layered+r", preset, encoder="found", cut=cut).prepare(generator)
        assert prepared.encoder is not None and prepared.encoder.cut == "r4.conv1"
        assert (prepared.cut, prepared.start) == (cut, "encoder")
    with pytest.raises(UsageError, match="r8.conv0"):
        inverter("layered", preset, encoder="found", cut="r8.conv0").prepare(generator)


# -------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("cut", ["input", "z", "image"])
def test_cuts_that_leave_nothing(cut: str) -> None:
    with pytest.raises(UsageError, match="cut at one of: a, b$"):
        inverter("layered+r", cut=cut).invert(linear_generator(), noise(1))


def test_a_cut_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(UnknownNameError) as caught:
        inverter("layered+r", cut="r8").invert(linear_generator(), noise(1))
    for name in ("'r8'", "a", "b", "image"):
        assert name in str(caught.value)
    chosen = inverter("layered+r", SHORT, cut="layer2")  # an alias
    assert chosen.invert(linear_generator(), noise(1)).cut == "b"


@pytest.mark.parametrize(
    "shape", [(2, 3, 6, 5), (2, 3, 12, 12), (2, 1, 6, 6), (3, 6, 6), (0, 3, 6, 6)]
)
def test_images_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="3, 6, 6"):
        inverter("layered+r", SHORT).invert(linear_generator(), torch.zeros(shape))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_images_that_are_not_numbers(bad: float) -> None:
    images = noise(3)
    images[1, 2, 0, 5] = bad
    with pytest.raises(UsageError, match="NaN or Inf"):
        inverter("layered+r", SHORT).invert(linear_generator(), images)


@pytest.mark.parametrize("labels", [None, [1], [0, 1, 1], [0, 2], [0, -1]])
def test_conditional_generators_need_a_label_for_each(labels: Sequence[int] | None) -> None:
    chosen = inverter("z", SHORT)
    with pytest.raises(UsageError, match="label"):
        chosen.invert(conditional_generator(), noise(2), labels=labels)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing(batch_size: int) -> None:
    with pytest.raises(UsageError, match="batch"):
        inverter("layered+r", SHORT).invert(linear_generator(), noise(2), batch_size=batch_size)


def test_unknown_methods_and_options() -> None:
    with pytest.raises(UnknownNameError, match=r"layered\+r"):
        load_inverter("layered+rr")
    for name, value in {"colour": 1, "steps": -1, "rate": 0.0, "preset": "slow"}.items():
        with pytest.raises(UsageError, match=name):
            load_inverter("layered+r", **{name: value})


# ----------------------------------------------------------------------------------- conditional


@pytest.mark.slow
@pytest.mark.parametrize("method", ["z", "layered+r"])
def test_labels_reach_the_generator(method: str) -> None:
    generator = conditional_generator()
    z, labels = latents(3), [1, 0, 1]
    images = generator({"z": z, "label": torch.tensor(labels)})
    found = inverter(method).invert(generator, images, labels=labels, init={"z": z + 0.1})
    assert found.state.carry["shift"].tolist() == [1, 0, 1]
    torch.testing.assert_close(found.reconstruction, images, atol=5e-3, rtol=0)
    own = generator.advance(generator.begin({"z": z, "label": torch.tensor(labels)}), "b").x
    torch.testing.assert_close(found.state.x, own, atol=5e-3, rtol=0)


def test_the_average_start_is_of_the_class_that_was_given() -> None:
    generator = conditional_generator()
    found = inverter("layered+r", SHORT).invert(generator, noise(3), labels=[1, 0, 1])
    assert found.state.carry["shift"].tolist() == [1, 0, 1]


# -------------------------------------------------------------------- the same alone and together


def assert_untouched(generator: StagedAdapter, before: Any) -> None:
    """No tensor of the generator changed, and none has a gradient."""
    for name, tensor in generator.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for parameter in generator.module.parameters():
        assert parameter.grad is None and not parameter.requires_grad
    assert not generator.module.training


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_an_image_alone_is_what_it_is_among_eight(method: str) -> None:
    generator = tiny_progan()
    before = tensors_of(generator)
    for kind in ("direct", "layered"):
        encode(generator, kind, "r4.conv1")
    preset = changed(
        EXACT,
        latent=Schedule(12, 0.1, cosine=True),
        residual=Schedule(12, 0.1, cosine=True),
        recipe=TRAINED,
        scaled=True,
        residual_weight=0.01,
        residuals="all",
    )
    images = noise(8, size=16)
    state = torch.get_rng_state()
    chosen = inverter(method, preset, encoder="found", frames=4)
    whole = chosen.invert(generator, images, batch_size=8)
    assert len(whole) == 8 and not whole.failed
    for k in (0, 5):
        alone = inverter(method, preset, encoder="found", frames=4).invert(generator, images[[k]])
        same(alone, row_of(whole, k))
    same(chosen.invert(generator, images, batch_size=3), whole)
    back = chosen.invert(generator, images.flip(0))
    for k in range(8):
        same(row_of(back, 7 - k), row_of(whole, k))
    assert torch.equal(torch.get_rng_state(), state)
    assert_untouched(generator, before)
    tensors = (whole.reconstruction, whole.state.x, whole.initial, whole.z)
    assert not any(t is not None and t.requires_grad for t in tensors)


def test_free_latents_and_the_average_start_alone_and_together() -> None:
    generator, images = tiny_progan(), noise(5, size=16)
    preset = changed(EXACT, residual=Schedule(10, 0.1), scaled=True, free_latent=True, settle=0.4)
    z = generator.latents(range(5))["z"]
    for init in ({"z": z}, None):
        chosen = inverter("layered+r", preset)
        whole = chosen.invert(generator, images, init=init)
        for k in (0, 4):
            one = {"z": z[[k]]} if init else None
            same(chosen.invert(generator, images[[k]], init=one), row_of(whole, k))


def test_a_row_that_fails_is_named_and_the_others_go_on() -> None:
    """Row 1 starts where the generator gives NaN; row 3 gets there on its way."""
    generator, images = fragile_generator(limit=5.0), noise(5)
    z = latents(5)
    z[1, 0] = 6.0
    z[3, 0] = 4.9
    far = torch.zeros(NUMBERS)
    far[0] = 50.0
    images[3] = (
        generator.module.two * 0.2 * 0
        + blocks(  # a picture that pulls z[0] upwards
            2 * (generator.module.matrix @ far).reshape(1, 3, SIDE, SIDE)
        )[0]
    )
    told: dict[int, Inversion] = {}
    chosen = inverter("z", changed(EXACT, latent=Schedule(30, 0.1)))
    found = chosen.invert(generator, images, init={"z": z}, done=told.__setitem__)
    assert sorted(found.failed) == [1, 3] and sorted(told) == [0, 1, 2, 3, 4]
    assert found.failed[1] == "NaN or Inf at step 0 of the optimisation"
    assert found.steps[1] == 0 and 0 < found.steps[3] < 30
    assert bool(torch.isnan(found.reconstruction[[1, 3]]).all())
    assert told[1].failed and not told[0].failed
    fine = [0, 2, 4]
    assert bool(torch.isfinite(found.reconstruction[fine]).all())
    rest = chosen.invert(generator, images[fine], init={"z": z[fine]})
    for k, row in enumerate(fine):
        same(row_of(rest, k), row_of(found, row))
        same(told[row], row_of(found, row))
    records = found.to_dict()["inversions"]
    assert "failed" in records[1] and "psnr" not in records[1]
    assert records[0]["psnr"] == float(found.psnr[0])


def test_a_gradient_of_nan_leaves_no_reconstruction_behind() -> None:
    """The picture itself is fine, the way downhill is not."""
    generator = linear_generator()

    def paint(b: Tensor, carry: Any) -> Any:
        return blocks(b) + 0 * torch.sqrt(0 * b.flatten(1).sum(1))[:, None, None, None], carry

    generator.stages = (*generator.stages[:2], paint)
    found = inverter("z", SHORT).invert(generator, noise(2))
    assert sorted(found.failed) == [0, 1]
    assert bool(torch.isnan(found.reconstruction).all())
    assert bool(torch.isnan(found.psnr).all())


def test_a_generator_that_fails_for_some_latents_is_still_measured() -> None:
    """About one in six of the samples that scales and average come from is NaN."""
    generator, images = fragile_generator(limit=1.0), noise(2)
    preset = changed(EXACT, scaled=True)
    found = inverter("layered+r", preset).invert(generator, images)
    assert not found.failed
    torch.testing.assert_close(found.state.x, medians(images), atol=5e-3, rtol=0)


def test_a_generator_of_nothing_but_nan_is_named() -> None:
    generator = fragile_generator(limit=-100.0)
    preset = changed(EXACT, residual=Schedule(5, 0.1), scaled=True)
    with pytest.raises(ModelError, match="fragile.*NaN"):
        inverter("layered+r", preset).invert(generator, noise(2))


# ----------------------------------------------------------------------------- schedule, settings


def test_the_papers_schedule() -> None:
    chosen = load_inverter("layered+r", preset="paper")
    assert isinstance(chosen, LayerInverter)
    schedule = chosen.preset.residual
    assert (schedule.steps, schedule.rate, schedule.decay) == (3000, 0.01, 0.5)
    assert schedule.milestones == (800, 1200, 1800)
    counts = torch.tensor([0.0, 799, 800, 1199, 1200, 1799, 1800, 2999]).double()
    rates = schedule.rates(counts, torch.zeros(8).double())
    assert (rates / 0.01).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert schedule.patience is None and not schedule.cosine
    preset = PRESETS["paper"]
    assert (preset.residuals, preset.residual_weight, preset.scaled) == ("before", 1.0, False)
    assert (preset.perceptual_weight, preset.relative_features) == (1.0, False)
    assert not preset.free_latent and preset.recipe.name == "paper"


def test_marks_follow_the_number_of_steps() -> None:
    def schedule(**options: object) -> Schedule:
        chosen = load_inverter("layered+r", preset="paper", **options)
        assert isinstance(chosen, LayerInverter)
        return chosen.preset.residual

    assert schedule(steps=300).milestones == (80, 120, 180)
    assert schedule(steps=6000).milestones == (1600, 2400, 3600)
    assert schedule(steps=300).rate == 0.01 and schedule(rate=0.5).rate == 0.5
    assert schedule(steps=0).steps == 0 and schedule(rate=0.5).steps == 3000


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_method_has_a_schedule(method: str, preset: str) -> None:
    chosen = load_inverter(method, preset=preset)
    assert isinstance(chosen, LayerInverter) and chosen.name == method
    for schedule in (chosen.preset.latent, chosen.preset.residual):
        assert schedule.steps > 0 and schedule.rate > 0
    assert DEFAULT_METHOD in METHODS


def test_settings_name_everything_that_changes_the_result() -> None:
    generator = linear_generator()

    def settings(method: str = "layered+r", **options: object) -> str:
        given = {"perceptual": "none", "encoder": "none", **options}
        prepared = load_inverter(method, **given).prepare(generator)
        return repr(sorted(prepared.settings.items(), key=str))

    changes: list[dict[str, object]] = [
        {},
        {"preset": "paper"},
        {"cut": "a"},
        {"steps": 7},
        {"rate": 0.3},
        {"residuals": "before"},
        {"residual_weight": 0.7},
        {"carry": ("style",)},
        {"perceptual_weight": 0.9},
    ]
    assert len({settings(**change) for change in changes}) == len(changes)
    assert settings("z") != settings()
    # The default cut by name or alias is the default cut; pictures on the way change nothing.
    assert settings(frames=3) == settings()
    assert settings(cut="b") == settings(cut="layer2") == settings()


def test_settings_follow_the_numbers_of_the_preset() -> None:
    generator = linear_generator()
    base = inverter("layered+r", EXACT).prepare(generator).settings
    for change in (
        {"residual": Schedule(500, 0.1, cosine=True)},
        {"scaled": True},
        {"residual_weight": 0.3},
        {"residuals": "all"},
        {"free_latent": True},
        {"latent_rate": 0.5},
        {"settle": 0.25},
        {"perceptual_weight": 0.25},
        {"relative_features": True},
    ):
        other = inverter("layered+r", changed(EXACT, **change)).prepare(generator)
        assert other.settings != base, change


# ---------------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize(("frames", "steps"), [(0, ()), (1, (8,)), (2, (0, 8)), (5, (0, 2, 4, 8))])
def test_frames_crowd_towards_the_beginning(frames: int, steps: tuple[int, ...]) -> None:
    """Steps (k / (n - 1))² of the way, rounded: 0, 0.5 → 0, 2, 4.5 → 4, 8."""
    generator = linear_generator()
    found = inverter("layered+r", SHORT, frames=frames).invert(generator, noise(2))
    for k, (kept, pictures) in enumerate(found.frames):
        assert kept == steps
        assert pictures.shape == (len(steps), 3, SIZE, SIZE)
        if steps:
            assert torch.equal(pictures[-1], found.reconstruction[k])
        if frames > 1:
            assert torch.equal(pictures[0], found.initial[k])


def test_shapes_and_types() -> None:
    found = inverter("layered+r", SHORT).invert(linear_generator(), noise(3).double())
    assert found.images.dtype == found.reconstruction.dtype == torch.float32
    assert found.reconstruction.shape == found.initial.shape == (3, 3, SIZE, SIZE)
    assert found.loss.dtype == found.psnr.dtype == torch.float64
    assert found.steps.dtype == torch.int64 and found.converged.dtype == torch.bool
    assert [len(h) for h in found.history] == [9, 9, 9] and found.perceptual is None
    for k in range(3):
        assert float(found.history[k][-1]) == pytest.approx(float(found.loss[k]))


def test_records_and_html() -> None:
    found = inverter("layered+r", SHORT).invert(linear_generator(), noise(2))
    failed = replace(found, failed={1: "NaN or Inf at step 0 of the optimisation"})
    first, second = failed.to_dict()["inversions"]
    assert first == {
        "method": "layered+r",
        "cut": "b",
        "psnr": float(found.psnr[0]),
        "loss": float(found.loss[0]),
        "steps": 8,
        "converged": bool(found.converged[0]),
        "perceptual": None,
    }
    assert second == {"method": "layered+r", "cut": "b", "failed": failed.failed[1]}
    html = failed._repr_html_()
    assert "layered+r at b" in html and f"{float(found.psnr[0]):.1f} dB" in html
    assert "NaN or Inf at step 0" in html and html.count("<tr>") == 3


def test_join() -> None:
    generator, images = linear_generator(), noise(4)
    chosen = inverter("layered+r", SHORT)
    whole = chosen.invert(generator, images)
    parts = [chosen.invert(generator, images[k : k + 2]) for k in (0, 2)]
    same(Inversion.join(parts), whole)
    failing = Inversion.join(
        [replace(parts[0], failed={1: "x"}), replace(parts[1], failed={0: "y"})]
    )
    assert failing.failed == {1: "x", 2: "y"}
    other = inverter("z", SHORT).invert(generator, images)
    shallow = inverter("layered+r", SHORT, cut="a").invert(generator, images)
    for wrong in ([whole, other], [whole, shallow], []):
        with pytest.raises(ModelError, match="joined"):
            Inversion.join(wrong)


def test_the_one_call() -> None:
    generator, images = linear_generator(), noise(2)
    told: list[int] = []
    found = invert(
        generator,
        images,
        encoder="none",
        perceptual="none",
        preset="paper",
        steps=6,
        batch_size=1,
        done=lambda row, _: told.append(row),
    )
    assert (found.method, found.cut) == (DEFAULT_METHOD, "b")
    assert found.steps.tolist() == [6, 6] and told == [0, 1]
    with pytest.raises(UsageError, match="colour"):
        invert(generator, images, colour=1)


def test_one_inverter_serves_several_generators() -> None:
    images = noise(2)
    chosen = inverter("layered+r", SHORT)
    first = chosen.invert(linear_generator(), images)
    fragile = chosen.invert(fragile_generator(), images)
    torch.testing.assert_close(first.reconstruction, fragile.reconstruction)
    assert chosen.invert(styled_generator(), images).cut == "r"
    same(chosen.invert(linear_generator(), images), first)


# ---------------------------------------------------------------------------------------- prepared


def test_prepared_once_or_each_time_gives_the_same_bits() -> None:
    generator, images = tiny_progan(), noise(3, size=16)
    encode(generator, "layered", "r4.conv1")
    chosen = inverter("layered+r", changed(SHORT, recipe=TRAINED), encoder="found")
    prepared = chosen.prepare(generator)
    alone = chosen.invert(generator, images[:1])  # prepares itself, and leaves nothing behind
    whole = chosen.invert(generator, images, prepared=prepared)
    same(row_of(whole, 0), alone)
    same(chosen.invert(generator, images, prepared=prepared), whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "encoder", "start"),
    [
        ("z", "none", "random"),
        ("layered+r", "none", "average"),
        ("layered+r", "found", "encoder"),
        ("encoder", "found", "encoder"),
    ],
)
def test_prepared_says_where_inversion_starts(method: str, encoder: str, start: str) -> None:
    generator = linear_generator()
    for kind in ("direct", "layered"):
        encode(generator, kind, "b")
    preset = changed(SHORT, recipe=TRAINED)
    prepared = inverter(method, preset, encoder=encoder).prepare(generator)
    assert isinstance(prepared, Prepared)
    assert (prepared.start, prepared.cut, prepared.features) == (start, "b", None)
    assert (prepared.encoder is not None) == (start == "encoder")
    sha256 = prepared.encoder.sha256 if prepared.encoder else None
    assert prepared.settings["encoder"] == sha256
    json.dumps(dict(prepared.settings))  # raises unless it is plain data


def test_prepared_is_frozen_and_holds_the_spread_of_x() -> None:
    generator = linear_generator()
    prepared = inverter("layered+r").prepare(generator)
    with pytest.raises(FrozenInstanceError):
        prepared.cut = "a"  # type: ignore[misc]
    # a = 0.2 M z with M orthogonal, b = 2 a; 64 samples of 12 numbers: within 5 / sqrt(2 x 768)
    assert list(prepared.scales) == ["input", "a", "b"]
    for name, sigma in (("input", 1.0), ("a", 0.2), ("b", 0.4)):
        assert prepared.scales[name] == pytest.approx(sigma, rel=0.13)
    mean = prepared.averages()
    assert mean.x.shape == (1, 3, SIDE, SIDE) and prepared.averages() is mean


def test_prepared_for_another_generator_or_method_is_refused() -> None:
    generator, images = linear_generator(), noise(1)
    chosen = inverter("layered+r", SHORT)
    prepared = chosen.prepare(linear_generator())  # an equal one, but its own network
    with pytest.raises(UsageError, match="prepared for another generator than this blocks"):
        chosen.invert(generator, images, prepared=prepared)
    for wrong in (inverter("z", SHORT).prepare(generator), Prepared("b", {})):
        with pytest.raises(UsageError, match=r"prepared by another method than layered\+r"):
            chosen.invert(generator, images, prepared=wrong)
