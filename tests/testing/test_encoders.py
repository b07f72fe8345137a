"""The checks of encoders pass what is right, and each of them fails on what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seeingkit.contracts import (
    EncoderInfo,
    Generator,
    LatentSpec,
    ModelEncoder,
    Posterior,
)
from seeingkit.errors import UsageError
from seeingkit.testing import check_encoder, checks_for, encoder_checks, failures

INFO = EncoderInfo(
    family="toy",
    generators=("toy",),
    size=8,
    channels=1,
    value_range=(0.0, 1.0),
    latent=LatentSpec(shape=(4,)),
    stochastic=True,
)


class Network(nn.Module):
    """Mean and log deviation of four numbers, from 8 x 8 greys."""

    def __init__(self) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(2)
        self.norm = nn.BatchNorm1d(64)
        self.linear = nn.Linear(64, 8)
        self.linear.weight.data = torch.randn(8, 64, generator=source) * 0.2
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(self.norm(x.flatten(1)))
        return found


class Toy(ModelEncoder):
    """What the broken variants below break."""

    def __init__(self, **info: Any) -> None:
        self.info, self.network = INFO.model_copy(update=info), Network()

    def posterior(self, inputs: Tensor) -> Posterior:
        mean, spread = self.network(inputs).chunk(2, dim=1)
        return Posterior(mean, spread.exp() if self.info.stochastic else None)


class SetOptions(Toy):
    def __init__(self) -> None:
        super().__init__(options={"heads": {1, 2}})


class Layered(Toy):
    kind = "layered"


class NoRange(Toy):
    def __init__(self) -> None:
        super().__init__(value_range=(1.0, 0.0))


class OtherSize(Toy):
    """Hands the images on as they come."""

    def inputs(self, images: Tensor) -> Tensor:
        return (images.mean(1, keepdim=True) + 1) / 2

    def posterior(self, inputs: Tensor) -> Posterior:
        return super().posterior(nn.functional.adaptive_avg_pool2d(inputs, 8))


class OtherRange(Toy):
    """Declared 0 to 1, given -1 to 1: the commonest mistake there is."""

    def inputs(self, images: Tensor) -> Tensor:
        return 2 * super().inputs(images) - 1


class OtherGrey(Toy):
    """The mean of the colours."""

    def inputs(self, images: Tensor) -> Tensor:
        return super().inputs(images.mean(1, keepdim=True).expand(-1, 3, -1, -1))


class Bypass(Toy):
    """Shows its network other images than it says."""

    def encode(self, images: Tensor) -> Posterior:
        return self.posterior(1 - self.inputs(images))


class TooShort(Toy):
    def posterior(self, inputs: Tensor) -> Posterior:
        mean, std = super().posterior(inputs)
        assert std is not None
        return Posterior(mean[:, :3], std[:, :3])


class Both(Toy):
    """Gives mean and deviations as its estimate."""

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        found = self.encode(images)
        return found.mean, found.std


class NotFinite(Toy):
    """A deviation of 0 / 0 for flat images."""

    def posterior(self, inputs: Tensor) -> Posterior:
        mean, std = super().posterior(inputs)
        level = inputs.flatten(1)
        assert std is not None
        return Posterior(mean, std * (level.std(1) / level.std(1))[:, None])


class Undeclared(Toy):
    """Says that it gives a value, and gives a distribution."""

    def posterior(self, inputs: Tensor) -> Posterior:
        mean, spread = self.network(inputs).chunk(2, dim=1)
        return Posterior(mean, spread.exp())

    def __init__(self) -> None:
        super().__init__(stochastic=False)


class LogDeviation(Toy):
    """Forgets the exponential."""

    def posterior(self, inputs: Tensor) -> Posterior:
        return Posterior(*self.network(inputs).chunk(2, dim=1))


class SampleByDefault(Toy):
    """The commonest second mistake: a draw, here the same every time."""

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        found = self.encode(images)
        assert found.std is not None
        return found.mean + found.std, None


class NeverSamples(Toy):
    def __init__(self) -> None:
        super().__init__(draw="sample")

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.encode(images).mean, None


class OneDraw(NeverSamples):
    """All images share one draw."""

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        found = self.encode(images)
        assert found.std is not None
        return found.mean + 0.5 * found.std, None


class Random(Toy):
    def posterior(self, inputs: Tensor) -> Posterior:
        mean, std = super().posterior(inputs)
        return Posterior(mean + 1e-2 * torch.randn_like(mean), std)


class Spends(Toy):
    """Draws a random number of the process and throws it away."""

    def posterior(self, inputs: Tensor) -> Posterior:
        torch.rand(1)
        return super().posterior(inputs)


class BatchMean(Toy):
    def posterior(self, inputs: Tensor) -> Posterior:
        return super().posterior(inputs - inputs.mean(0))


class Constant(Toy):
    def posterior(self, inputs: Tensor) -> Posterior:
        mean, std = super().posterior(inputs)
        assert std is not None
        return Posterior(torch.zeros_like(mean), torch.ones_like(std))


class Training(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.network.norm.train()


class Open(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.network.requires_grad_(True)


class Paints(Toy):
    def inputs(self, images: Tensor) -> Tensor:
        found = super().inputs(images)
        images.clamp_(-0.1, 0.1)
        return found


class Copies(Toy):
    def to(self, device: str | torch.device) -> Copies:
        return Copies()


class Everybodys(Toy):
    def belongs_to(self, generator: Generator) -> bool | None:
        return True


BROKEN: list[tuple[str, type[ModelEncoder], str]] = [
    ("identity_is_json", SetOptions, "cannot be written as JSON"),
    ("declaration_is_possible", Layered, "kind is 'layered'"),
    ("declaration_is_possible", NoRange, "value_range goes from 1 to 0"),
    ("network_sees_what_is_declared", OtherSize, "of (3, 3, 64, 64) the network sees"),
    ("network_sees_what_is_declared", OtherRange, "black, grey and white as the network sees"),
    ("network_sees_what_is_declared", OtherGrey, "images of its own size: differs"),
    ("network_sees_what_is_declared", Bypass, "of other images than inputs(): differs"),
    ("latents_have_their_form", TooShort, "declared float32 (3, 4)"),
    ("latents_have_their_form", Both, "there is an x at a cut"),
    ("latents_finite", NotFinite, "deviations of flat images are not finite"),
    ("spread_as_declared", Undeclared, "declared stochastic: False"),
    ("spread_as_declared", LogDeviation, "a deviation is not above 0"),
    ("mean_unless_asked", SampleByDefault, "estimates, against the means: differs"),
    ("mean_unless_asked", NeverSamples, "the estimates are the means"),
    ("mean_unless_asked", OneDraw, "different images are given the same draw"),
    ("latents_repeat", Random, "latents of the same images: differs"),
    ("latents_repeat", Spends, "it draws the process's numbers"),
    ("batch_invariance", BatchMean, "latent of image 0 alone: differs"),
    ("latents_tell_apart", Constant, "different images have the same latent"),
    ("network_is_settled", Training, "norm in training mode"),
    ("network_is_settled", Open, "ask for a gradient"),
    ("images_untouched", Paints, "images after a call: differs"),
    ("moving_keeps_latents", Copies, "to() returned something else"),
    ("other_generators_are_refused", Everybodys, "it says that it belongs to a stranger"),
]


@pytest.mark.parametrize("info", [{}, {"draw": "sample", "seed": 5}, {"stochastic": False}])
def test_a_right_encoder_passes(info: dict[str, Any]) -> None:
    check_encoder(Toy(**info))
    assert failures(Toy(**info)) == {}


def test_checks_are_found_by_the_contract() -> None:
    assert [name for name, _ in checks_for(Toy())] == [name for name, _ in encoder_checks()]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN)
def test_each_check_can_fail(name: str, broken: type[ModelEncoder], message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(encoder_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: toy: ") and message in text and "\n" not in text


def test_every_check_has_a_broken_variant() -> None:
    assert {name for name, _ in encoder_checks()} == {name for name, _, _ in BROKEN}


def test_a_draw_follows_from_image_and_seed_alone() -> None:
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first = Toy(draw="sample", seed=1)
    together, other = first.estimate(images)[0], Toy(draw="sample", seed=2).estimate(images)[0]
    alone = torch.cat([first.estimate(images[[k]])[0] for k in range(3)])
    torch.testing.assert_close(alone, together)
    assert not torch.equal(other, together)
    assert Toy(draw="sample").identity() != Toy().identity() != Toy(seed=1).identity()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 8, 8),
        torch.zeros(2, 3, 8, 6),
        torch.zeros(3, 8, 8),
        torch.zeros(0, 3, 8, 8),
    ],
)
def test_images_of_another_form_are_refused(images: Tensor) -> None:
    with pytest.raises(UsageError, match=r"expected float \(N, 3, H, H\)"):
        Toy().estimate(images)
