"""Encoders that came with a generator: used without training, and for their own generator alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seeingkit.analyses.inversion import load_inverter
from seeingkit.analyses.inversion.differences import paper_differences
from seeingkit.analyses.inversion.encoders.files import TrainedEncoder
from seeingkit.analyses.inversion.encoders.given import LEVEL, cautions_of, relation, round_trip
from seeingkit.contracts import EncoderInfo, LatentSpec, ModelEncoder, OwnEncoder, Posterior
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.models.encoders import load_encoder
from seeingkit.models.staged import StagedAdapter
from seeingkit.specs import EncoderOptions, EncoderSpec
from seeingkit.testing import check_encoder, check_inverter
from seeingkit.weights import Checkpoint, read_state_dict
from tests.helpers.inversion_toys import (
    EXACT,
    NUMBERS,
    RECIPE,
    SIZE,
    changed,
    conditional_generator,
    inverter,
    linear_generator,
    medians,
    noise,
)
from tests.helpers.plugins import register_here

SPREAD = 0.5


class Inverse(ModelEncoder):
    """z of the images of ``linear_generator``: exact, and said to be uncertain by ``SPREAD``."""

    def __init__(self, matrix: Tensor, info: EncoderInfo) -> None:
        self.matrix, self.info = matrix, info

    def posterior(self, inputs: Tensor) -> Posterior:
        a = medians(inputs).flatten(1) / 2
        mean = (a[:, None, :] * self.matrix).sum(2)
        return Posterior(mean, torch.full_like(mean, SPREAD))


def load_inverse(weights: Path | None, options: EncoderOptions) -> Inverse:
    assert weights is not None
    file = read_state_dict(weights)
    info = EncoderInfo(
        family="inverse",
        generators=("blocks", "conditional"),
        weights_sha256=file.sha256,
        size=SIZE,
        latent=LatentSpec(shape=(NUMBERS,)),
        stochastic=True,
        draw=options.draw,
        seed=options.seed,
    )
    return Inverse(file.tensors["inverse.matrix"], info)


def recognise_inverse(checkpoint: Checkpoint) -> str | None:
    return "inverse" if "inverse.matrix" in checkpoint.content else None


SPEC = EncoderSpec(
    name="inverse",
    summary="the exact inverse",
    target=f"{__name__}:load_inverse",
    recognise=f"{__name__}:recognise_inverse",
    options=EncoderOptions,
)


@pytest.fixture
def generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StagedAdapter:
    """``linear_generator`` with the encoder that came with it."""
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    register_here(monkeypatch, SPEC)
    made = linear_generator()
    path = tmp_path / "inverse.pth"
    inverse = made.module.matrix.detach().T / 0.04  # of 0.2 times an orthogonal matrix
    torch.save({"inverse.matrix": inverse.clone()}, path)
    made.own_encoder = OwnEncoder("inverse", path)
    return made


def images_of(generator: StagedAdapter, rows: int = 3) -> tuple[Tensor, Tensor]:
    z = generator.latents(range(rows), seed=4)["z"]
    return z, generator({"z": z})


@pytest.mark.parametrize("method", ["encoder", "encoder+z", "layered+r"])
@pytest.mark.parametrize("encoder", ["auto", "found"])
def test_it_is_the_start_without_training(
    generator: StagedAdapter, method: str, encoder: str
) -> None:
    z, images = images_of(generator)
    quick = changed(EXACT, latent=EXACT.latent.adapted(3), residual=EXACT.residual.adapted(3))
    one = inverter(method, quick, encoder=encoder)
    prepared = one.prepare(generator)
    assert isinstance(prepared.encoder, Inverse) and prepared.start == "encoder"
    found = one.invert(generator, images, prepared=prepared)
    torch.testing.assert_close(found.initial, images, atol=1e-5, rtol=0)
    if method == "encoder":
        assert found.z is not None
        torch.testing.assert_close(found.z, z, atol=1e-4, rtol=0)


def test_the_file_can_be_named(generator: StagedAdapter, tmp_path: Path) -> None:
    _, images = images_of(generator)
    generator.own_encoder = None
    one = inverter("layered+r", encoder=str(tmp_path / "inverse.pth"))
    prepared = one.prepare(generator)
    assert isinstance(prepared.encoder, Inverse)
    found = one.invert(generator, images, prepared=prepared)
    torch.testing.assert_close(found.initial, images, atol=1e-5, rtol=0)
    with pytest.raises(UsageError, match="a direct encoder, method layered needs a layered one"):
        inverter("layered", encoder=str(tmp_path / "inverse.pth")).prepare(generator)
    with pytest.raises(MissingWeightsError, match="no such encoder file"):
        inverter("encoder", encoder="gone.pth").prepare(generator)


@pytest.mark.parametrize("options", [{"encoder": "train"}, {"encoder_steps": 5}])
def test_who_asks_for_a_training_gets_one(
    generator: StagedAdapter, options: dict[str, Any]
) -> None:
    few = changed(EXACT, recipe=RECIPE.shortened(5))
    one = inverter("encoder", few, **{"encoder": "auto", **options})
    assert isinstance(one.prepare(generator).encoder, TrainedEncoder)


def test_methods_that_need_every_layer_do_not_take_it(generator: StagedAdapter) -> None:
    with pytest.raises(UsageError, match="there is no layered encoder"):
        inverter("layered", encoder="found").prepare(generator)
    assert inverter("layered+r", encoder="none").prepare(generator).start == "average"
    assert inverter("z", encoder="found").prepare(generator).start == "random"


# ---------------------------------------------------------------------------------- identity, draws


def test_its_identity_is_part_of_the_inversions(generator: StagedAdapter, tmp_path: Path) -> None:
    def settings(**options: Any) -> Any:
        return inverter("encoder", encoder="found", **options).prepare(generator).settings

    first = settings()
    assert first["encoder"]["family"] == "inverse" and first["encoder"]["draw"] == "mean"
    assert first["encoder"]["code"]  # changed code is another encoder
    assert settings() == first
    assert settings(encoder_options={"draw": "sample"}) != first
    torch.save({"inverse.matrix": torch.eye(NUMBERS)}, tmp_path / "inverse.pth")
    assert settings()["encoder"]["weights_sha256"] != first["encoder"]["weights_sha256"]


def test_a_draw_has_the_spread_of_the_distribution(generator: StagedAdapter) -> None:
    z, images = images_of(generator, 200)
    options = {"encoder_options": {"draw": "sample", "seed": 5}}
    one = inverter("encoder", encoder="found", **options)
    found = one.prepare(generator).encoder
    assert isinstance(found, ModelEncoder)
    noise = (found.estimate(images)[0] - z) / SPREAD
    assert abs(float(noise.mean())) < 0.1 and abs(float(noise.std()) - 1) < 0.1
    with pytest.raises(UsageError, match="there is no option 'drw'"):
        inverter("encoder", encoder="found", encoder_options={"drw": 1}).prepare(generator)


def test_the_method_passes_the_kit(generator: StagedAdapter) -> None:
    few = changed(EXACT, latent=EXACT.latent.adapted(2), residual=EXACT.residual.adapted(2))
    check_inverter(inverter("layered+r", few, encoder="found"), generator)
    check_encoder(load_encoder(generator=generator), noise(3))


# -------------------------------------------------------------------------------- whose it is


def test_an_encoder_of_another_generator_is_refused(
    generator: StagedAdapter, tmp_path: Path
) -> None:
    path = tmp_path / "inverse.pth"
    other = linear_generator()
    other.info = other.info.model_copy(update={"family": "stranger"})
    with pytest.raises(StateMismatchError, match="an encoder of blocks or conditional, and"):
        inverter("encoder", encoder=str(path)).prepare(other)
    short = linear_generator()
    short.info = short.info.model_copy(update={"latent": (LatentSpec(shape=(3,)),)})
    with pytest.raises(StateMismatchError, match=r"a latent of shape \(12,\), and blocks takes"):
        load_encoder(weights=path, generator=short)


def test_options_for_an_encoder_that_is_not_there_are_refused() -> None:
    options = {"encoder_options": {"draw": "sample"}}
    with pytest.raises(UsageError, match="for an encoder that came with the generator"):
        inverter("encoder", encoder="found", **options).prepare(linear_generator())


def test_assumptions_and_strangers_are_said(generator: StagedAdapter, tmp_path: Path) -> None:
    """Nothing in the files says whose it is; the generator's own samples do."""
    said = inverter("encoder", encoder="found").prepare(generator).warnings
    assert len(said) == 1 and "no file says so" in said[0] and "(its mean)" in said[0]
    shuffled = torch.randn(NUMBERS, NUMBERS, generator=torch.Generator().manual_seed(9))
    torch.save({"inverse.matrix": shuffled}, tmp_path / "inverse.pth")
    encoder = load_encoder(generator=generator)
    z, estimates = round_trip(encoder, generator)
    assert (len(cautions_of(encoder, generator)) == 2) == (relation(z, estimates) > LEVEL)
    stranger = Inverse(torch.zeros(NUMBERS, NUMBERS), encoder.info)
    assert "cannot be told from those of another generator's" in cautions_of(stranger, generator)[1]


def test_a_conditional_generator_is_asked_with_labels(
    generator: StagedAdapter, tmp_path: Path
) -> None:
    conditional = conditional_generator()
    conditional.own_encoder = generator.own_encoder
    one = inverter("encoder", encoder="found")
    images = noise(2)
    first = one.invert(conditional, images, labels=[0, 0])
    second = one.invert(conditional, images, labels=[1, 1])
    assert torch.equal(first.z, second.z)  # type: ignore[arg-type]
    torch.testing.assert_close(second.reconstruction - first.reconstruction, torch.ones(2, 3, 6, 6))


def test_preset_paper_names_it(generator: StagedAdapter) -> None:
    one = load_inverter("layered+r", encoder="found", preset="paper", perceptual="none")
    found = paper_differences([one.prepare(generator)], [generator.default_cut])
    assert any("the encoder that came with the generator" in text for text in found)


# ------------------------------------------------------------------------------------- the p-value


def test_unrelated_encoders_pass_as_related_in_one_of_a_hundred() -> None:
    """Null: estimates of any scale, correlation and mean, that know nothing of z."""
    stream, low, runs = np.random.RandomState(0), 0, 1500
    for k in range(runs):
        z = stream.randn(16, 4)
        mixed = stream.randn(16, 4) @ stream.randn(4, 4) * 10.0 ** stream.randint(-3, 4, 4)
        estimates = mixed + stream.randn(4) * 100 if k % 2 else np.abs(mixed) ** 3
        low += relation(z, estimates) <= 0.05
    # 0.05 of 1,500 with three standard deviations of a binomial
    assert low <= 75 + 3 * (75 * 0.95) ** 0.5


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_weak_relation_is_seen(share: float) -> None:
    stream = np.random.RandomState(1)
    z = stream.randn(64, 20)
    assert relation(z, share * z + stream.randn(64, 20)) <= LEVEL
    assert relation(z, -z) > 0.9  # its negative is no estimate
    assert relation(z[:1], z[:1]) == 1.0 == relation(z, np.zeros_like(z))
