"""Sites: found in any generator, and right in those that ship and in files of every family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit import AutoStaged, load_generator
from seeingkit.contracts import RewritableGenerator, Site, State
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.models.sites import LinearMap
from seeingkit.testing import check_sites, site_checks
from tests.testing.test_conformance import Toy, unconditional

SHIPPED = ["progan:minichurches", "stylegan2:minichurches"]
FILES = [
    ("stylegan1", "stylegan_tf_pkl/fused-labels-r128/network.pkl", 16),
    ("stylegan1", "stylegan1_rosinality/training-step5-fused/checkpoint.model", 17),
    ("stylegan3", "stylegan3_pkl/t-r32/network.pkl", 15),
    ("biggan", "biggan_ajbrock/hier-shared-r64/G_ema.pth", 18),
    ("dcgan", "dcgan/examples-r64/netG.pth", 5),
    ("progan", "progan_pth/ablation-simple-r128/checkpoint.pth", 13),
    ("progan", "progan_tf_pkl/labels-unfused-r16/network.pkl", 7),
]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_generators_pass(name: str) -> None:
    generator = cast("RewritableGenerator", load_generator(name))
    check_sites(generator)
    assert [site.name for site in generator.sites()][-1] in ("image", "r64.conv1")
    assert all(site.elementwise and site.unit == 1 for site in generator.sites())


@pytest.mark.parametrize(("family", "file", "count"), FILES, ids=lambda x: str(x).partition("/")[0])
def test_files_of_every_family_pass(shared: Path, family: str, file: str, count: int) -> None:
    options = {"step": 5} if "rosinality" in file else {}
    loaded = load_generator(family, weights=shared / "golden" / file, **options)
    generator = cast("RewritableGenerator", loaded)
    assert len(generator.sites()) == count
    check_sites(generator)


def test_stylegan2_demodulates_and_grows() -> None:
    generator = cast("RewritableGenerator", load_generator("stylegan2:minichurches"))
    site = generator.site("r16.conv0")
    assert (site.nonlinear, site.keys, site.values) == (True, (8, 8), (16, 16))
    assert (site.before, site.weight) == ("r8.conv1", "synthesis.b16.conv0.weight")
    plain = cast("RewritableGenerator", load_generator("progan:minichurches"))
    assert not plain.site("layer6").nonlinear and plain.site("layer6").name == "r16.conv1"


def test_any_module_has_sites() -> None:
    generator = unconditional()
    check_sites(generator)
    first, *others = generator.sites()
    assert (first.name, first.weight, first.layout) == ("r4", "0.weight", "transposed")
    assert [(site.name, site.layout) for site in others] == [
        ("r8.conv", "transposed"),
        ("image", "convolution"),
    ]


class Scaled(nn.Conv2d):
    """A class of its own: its output is not that of its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * 3, self.bias)


class Odd(nn.Module):
    """Layers that are no sites, and a fully connected one that is."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(4, 8 * 16)
        self.scaled = Scaled(8, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.twice = nn.Conv2d(8, 8, 1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1))
        self.fixed = nn.Conv2d(1, 8, 1)
        self.paint = nn.Conv2d(8, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.lift(z).reshape(-1, 8, 4, 4)
        x = self.normed(self.twice(self.twice(self.grouped(self.scaled(x)))))
        x = x + self.fixed(torch.ones(len(z), 1, 4, 4))
        return torch.tanh(self.paint(x))


def test_layers_that_do_other_things_are_no_sites() -> None:
    torch.manual_seed(0)
    sites = AutoStaged(Odd(), {"r4": "lift"}, latent=(4,)).sites()
    assert [(site.name, site.shape, site.layout) for site in sites] == [
        ("r4", (128, 4, 1, 1), "dense"),
        ("image", (3, 8, 1, 1), "convolution"),
    ]


class Shared(nn.Module):
    """Layers in place, called by name, and with a weight of another's."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.ConvTranspose2d(4, 8, 4)
        self.named = nn.Conv2d(8, 8, 3, padding=1)
        self.one = nn.Conv2d(8, 8, 1)
        self.other = nn.Conv2d(8, 8, 1)
        self.other.weight = self.one.weight
        self.sized = nn.ConvTranspose2d(8, 3, 2, 2)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu_(self.lift(z))
        x = F.leaky_relu_(self.named(input=x))
        x = self.other(self.one(x))
        return torch.tanh(self.sized(x, output_size=[8, 8]))


def test_layers_in_place_by_name_and_with_shared_weights() -> None:
    torch.manual_seed(0)
    generator = AutoStaged(Shared(), {"r4": "lift", "r4.other": "other"}, latent=(4, 1, 1))
    check_sites(generator)
    assert [site.name for site in generator.sites()] == ["r4", "r4.other"]
    with torch.no_grad():
        generator.module.named.weight.mul_(3)
    check_sites(generator)


def test_a_value_that_cannot_be_reached_gives_the_nearest() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.ConvTranspose2d(4, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 5))
    generator = AutoStaged(network, {"r4": "1"}, latent=(4, 1, 1))
    site, state = generator.site("r4"), generator.begin(generator.latents([0, 1]))
    value = generator.advance(state, "r4").x
    wanted = torch.where(value > 0, value, 0.5)  # all above 0
    linear, slope = generator.unfinish(state, site, wanted)
    assert torch.allclose(generator.finish(state, site, linear).x, wanted, atol=1e-5)
    assert bool((slope == 1).all())
    linear, slope = generator.unfinish(state, site, wanted - 10)
    assert float(generator.finish(state, site, linear).x.abs().max()) == 0
    assert not bool(slope.any())


def test_kernels_and_stored_weights() -> None:
    for layout, stored in (("convolution", (5, 3, 2, 2)), ("transposed", (3, 5, 2, 2))):
        site = Site("a", "b", "a", "w", (5, 3, 2, 2), layout)  # type: ignore[arg-type]
        weight = torch.randn(stored)
        assert site.stored_shape == stored and site.kernel(weight).shape == (5, 3, 2, 2)
        assert torch.equal(site.stored(site.kernel(weight)), weight)
    dense = Site("a", "b", "a", "w", (5, 3, 1, 1), "dense")
    assert dense.stored(dense.kernel(torch.ones(5, 3))).shape == (5, 3)
    with pytest.raises(UsageError, match=r"w has shape \(5, 3\), given is \(3, 5\)"):
        dense.kernel(torch.ones(3, 5))
    with pytest.raises(UsageError, match="a kernel of 'a' has shape"):
        dense.stored(torch.ones(5, 3))


def test_wrong_states_and_shapes_are_refused() -> None:
    generator = unconditional()
    state, site = generator.begin(generator.latents([0])), generator.site("r8.conv")
    with pytest.raises(UsageError, match=r"site 'r8.conv' begins at 'r4', not at 'input'"):
        generator.keys(state, site)
    with pytest.raises(UsageError, match=r"'0.weight' has shape \(6, 8, 4, 4\), given is \(1,\)"):
        generator.advance(state, params={"0.weight": torch.ones(1)})
    with pytest.raises(UnknownNameError, match="no site named 'r9'; did you mean 'r4'"):
        generator.site("r9")


# ------------------------------------------------------------------------------- wrong generators


class LinearToy(Toy):
    """The conformance toy with one linear map of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.module.map = LinearMap(lambda x, w, b: F.conv2d(x, w, b, padding=1), "paint.weight")
        network = self.module

        def second(x: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
            x = network.extra(x) * (1 + carry["style"][:, :, None, None])
            return network.map(F.interpolate(x, scale_factor=2), network.paint.weight), {}

        self.stages = (self.stages[0], second)


class TwoNames(Toy):
    def sites(self) -> tuple[Site, ...]:
        return super().sites() * 2


class FarApart(Toy):
    def sites(self) -> tuple[Site, ...]:
        from dataclasses import replace

        return tuple(replace(site, before="input", after="image") for site in super().sites())


class Forgets(Toy):
    def finish(
        self, state: State, site: Site, linear: Tensor, weight: Tensor | None = None
    ) -> State:
        found = super().finish(state, site, linear, weight)
        return found.with_x(found.x * 1.01)


class Shifted(Toy):
    def linear(self, keys: Tensor, site: Site, weight: Tensor) -> Tensor:
        return super().linear(keys, site, weight) + 1


class Squared(Toy):
    def linear(self, keys: Tensor, site: Site, weight: Tensor) -> Tensor:
        own = self.weight(site)
        return super().linear(keys, site, weight * weight / own)


class Deaf(Toy):
    def finish(
        self, state: State, site: Site, linear: Tensor, weight: Tensor | None = None
    ) -> State:
        plain = super().linear(self.keys(state, site), site, self.weight(site))
        return super().finish(state, site, plain, None)


class Guesses(Toy):
    def unfinish(self, state: State, site: Site, value: Tensor) -> tuple[Tensor, Tensor]:
        linear, slope = super().unfinish(state, site, value)
        return linear + 0.1, slope


BROKEN = [
    ("site_order", TwoNames, "two sites are named image, r4"),
    ("site_order", FarApart, "'input' and 'image' are no neighbours"),
    ("finished_equals_advance", Forgets, "x after finish(): differs by"),
    ("linear_in_both", Shifted, "of a sum of keys: differs by"),
    ("linear_in_both", Squared, "of a sum of weights: differs by"),
    ("params_are_the_weight", Deaf, "x with another weight: differs by"),
    ("unfinish_inverts", Guesses, "x after unfinish() and finish(): differs by"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN)
def test_each_check_of_sites_can_fail(
    name: str, broken: Callable[[], RewritableGenerator], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(site_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: toy: ") and message in text and "\n" not in text


def test_every_check_of_sites_has_a_broken_variant_and_the_toys_pass() -> None:
    assert {name for name, _ in site_checks()} == {name for name, _, _ in BROKEN}
    check_sites(Toy())
    toy = LinearToy()
    check_sites(toy)
    assert toy.site("image").weight == "paint.weight"
