"""``AutoStaged``: exact at every cut, on networks of every build, with the skipped work skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.contracts import GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import ModelError, UnknownNameError, UsageError
from seeingkit.models.autostaged import AutoStaged
from seeingkit.testing import Check, generator_checks


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are tiny; more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------------- networks


def dcgan(z: int = 6, sizes: Sequence[int] = (8, 8, 4), inplace: bool = True) -> nn.Sequential:
    """Transposed convolutions, batch norm and ReLU up to 4·2^len(sizes[1:])·2 pixels."""
    layers: list[nn.Module] = []
    before = z
    for i, size in enumerate(sizes):
        layers.append(nn.ConvTranspose2d(before, size, 4, min(i, 1) + 1, min(i, 1), bias=False))
        layers += [nn.BatchNorm2d(size), nn.ReLU(inplace)]
        before = size
    network = nn.Sequential(*layers, nn.ConvTranspose2d(before, 3, 4, 2, 1), nn.Tanh())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: not the identity
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


class SkipNet(nn.Module):
    """A U-Net without pooling: early maps are used again late, with functional glue between."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(5, 4 * 16)
        self.down1 = nn.Conv2d(4, 6, 3, padding=1)
        self.down2 = nn.Conv2d(6, 6, 3, padding=1)
        self.bottom = nn.Conv2d(6, 6, 3, padding=1)
        self.up2 = nn.Conv2d(12, 6, 3, padding=1)
        self.up1 = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.lift(z).reshape(-1, 4, 4, 4)
        a = F.relu(self.down1(x), inplace=True)
        b = F.leaky_relu(self.down2(a), 0.2)
        c = F.interpolate(self.bottom(b) * z.mean(1)[:, None, None, None], scale_factor=2)
        d = self.up2(torch.cat([F.interpolate(b, scale_factor=2), c], 1))
        return self.up1(torch.cat([F.interpolate(a, scale_factor=2), d.clamp(-1, 1)], 1))


class Style(nn.Module):
    """StyleGAN's plan: mapping network, constant input, w at every block, an image branch."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.affine = nn.Linear(7, 4)
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.torgb = nn.Conv2d(4, 3, 1)
            self.register_buffer("noise", torch.randn(1, 1, 4, 4))

        def forward(self, x: Tensor, image: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor]:
            x = self.conv(x * (1 + self.affine(w))[:, :, None, None])
            x = F.leaky_relu_(x + self.noise.repeat(1, 1, *(s // 4 for s in x.shape[2:])), 0.2)
            rgb = self.torgb(x)
            return x, rgb if image is None else rgb + F.interpolate(image, scale_factor=2)

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.randn(1, 4, 4, 4))

        def forward(self) -> Tensor:
            return self.value

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(5, 7), nn.LeakyReLU(0.2, inplace=True))
        self.embed = nn.Embedding(classes, 7) if classes else None
        self.constant = self.Constant()
        self.b4, self.b8, self.b16 = self.Block(), self.Block(), self.Block()

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        w = self.mapping(F.normalize(z))
        if self.embed is not None:
            w = w + self.embed(label)
        w = w.lerp(torch.ones(7), 0.3)
        x, image = self.b4(self.constant().expand(len(z), -1, -1, -1), None, w)
        x, image = self.b8(F.interpolate(x, scale_factor=2), image, w)
        x, image = self.b16(F.interpolate(x, scale_factor=2), image, w)
        return image


class Twice(nn.Module):
    """One module called twice before the cut and once after."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.lift, self.mid = nn.Linear(5, 4 * 16), nn.Conv2d(4, 4, 1)
        self.out = nn.Conv2d(4, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.lift(z).view(-1, 4, 4, 4)
        first = self.shared(x)
        second = self.shared(torch.sin(first))
        middle = self.mid(second)
        return self.out(self.shared(middle) + first * second)


class Dicts(nn.Module):
    """Submodules that give a dict with nested tuples, constants, None and a batch-free tensor."""

    class Encode(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 48), nn.Linear(5, 48)

        def forward(self, z: Tensor) -> dict[str, object]:
            return {"pair": (self.a(z), self.b(z)), "scale": 0.5, "none": None, "unused": z * 2}

    class Grid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
            return self.conv(torch.ones(1, 4, 4)), x * 3, len(x)  # only the second is batch-first

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.grid = self.Encode(), self.Grid()
        self.mid, self.out = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        parts = self.encode(z)
        left, right = parts["pair"]
        grid, left, n = self.grid(left)
        x = self.mid(left.view(n, 3, 4, 4) * parts["scale"])
        return self.out(x + grid) * right.view(-1, 3, 4, 4)


class Alias(nn.Module):
    """An in-place ReLU whose input is used again afterwards, so that it is the ReLU's output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.mid, self.out = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        y = self.conv(z.view(-1, 3, 4, 4))
        x = self.relu(y)
        return self.out(self.mid(x) + y)


def residual_pair(module: nn.Module, latent: Latent) -> Tensor:
    """A way to call: two latents, scaled by the user's own code."""
    image: Tensor = module(latent["z"] + 0.5 * latent["v"])
    return image * 0.5


def networks() -> dict[str, AutoStaged]:
    """A staged generator of every build, seeded."""
    torch.manual_seed(3)
    style = {"w": "mapping", "r4": "b4.conv", "style8": "b8.affine", "r8": "b8.conv"}
    return {
        "dcgan": AutoStaged(dcgan(), {f"r{i}": str(i) for i in (1, 2, 3, 5, 8)}, latent=(6, 1, 1)),
        "skip": AutoStaged(
            SkipNet(), {n: n for n in ("up2", "bottom", "down1", "lift", "down2")}, latent=5
        ),
        "style": AutoStaged(Style(), style, latent=5),
        "conditional": AutoStaged(Style(3), style, latent=5, class_names=("a", "b", "c")),
        "twice": AutoStaged(Twice(), {"mid": "mid", "lift": "lift"}, latent=[5]),
        "dicts": AutoStaged(Dicts(), {"mid": "mid", "a": "encode.a"}, latent=5),
        "alias": AutoStaged(Alias(), {"mid": "mid"}, latent=48),
        "two latents": AutoStaged(
            dcgan(),
            {"r4": "2"},
            latent=[LatentSpec(name="z", shape=(6, 1, 1)), LatentSpec(name="v", shape=(6, 1, 1))],
            call=residual_pair,
        ),
    }


NETWORKS = networks()


def latents(generator: AutoStaged, n: int = 3, seed: int = 7) -> Latent:
    names = generator.info.class_names
    return generator.latents(
        range(n), seed=seed, labels=[i % 2 for i in range(n)] if names else None
    )


def plain(generator: AutoStaged, latent: Latent) -> Tensor:
    """The network called as its author would."""
    with torch.no_grad():
        if "v" in latent:
            return residual_pair(generator.module, latent)
        image: Tensor = generator.module(*latent.values())
        return image


@pytest.fixture(params=list(NETWORKS))
def generator(request: pytest.FixtureRequest) -> AutoStaged:
    return NETWORKS[request.param]


# ---------------------------------------------------------------------------------------- exact


def test_every_cut_is_exact(generator: AutoStaged) -> None:
    latent = latents(generator)
    want = plain(generator, latent)
    assert torch.equal(generator(latent), want)
    with torch.no_grad():
        start = generator.begin(latent)
        for i, first in enumerate(generator.boundaries):
            state = generator.advance(start, first.name)
            assert tuple(state.x.shape) == (3, *first.shape)
            assert torch.equal(generator.advance(state).x, want)
            for second in generator.boundaries[i:]:
                later = generator.advance(state, second.name)
                direct = generator.advance(start, second.name)
                assert torch.equal(later.x, direct.x)
                assert later.carry.keys() == direct.carry.keys()
                assert all(torch.equal(later.carry[k], direct.carry[k]) for k in later.carry)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 5), seed=st.integers(0, 2**31), name=st.sampled_from(list(NETWORKS)))
def test_exact_at_any_batch_size(n: int, seed: int, name: str) -> None:
    generator = NETWORKS[name]
    latent = latents(generator, n, seed)
    want = plain(generator, latent)
    for boundary in generator.boundaries:
        state = generator.advance(generator.begin(latent), boundary.name)
        assert torch.equal(generator.advance(state).x, want)
        assert all(len(value) == n for value in state.carry.values())


def test_changed_x_reaches_the_image(generator: AutoStaged) -> None:
    latent = latents(generator)
    for boundary in generator.boundaries:
        state = generator.advance(generator.begin(latent), boundary.name)
        other = generator.advance(state.with_x(state.x + 0.5)).x
        assert float((other - plain(generator, latent)).abs().max()) > 1e-4
        assert torch.equal(generator.advance(state).x, plain(generator, latent))


def test_order_is_the_order_of_the_pass() -> None:
    assert [b.name for b in NETWORKS["skip"].boundaries] == [
        "input",
        "lift",
        "down1",
        "down2",
        "bottom",
        "up2",
        "image",
    ]
    assert [b.index for b in NETWORKS["skip"].boundaries] == list(range(7))
    style = NETWORKS["style"]
    assert [b.kind for b in style.boundaries] == [
        "latent",
        "latent",
        "feature",
        "latent",
        "feature",
        "image",
    ]
    assert style.boundary("b8.conv") is style.boundary("r8")
    assert style.boundary("r8").extent == (8, 8)


# ---------------------------------------------------------------------------------------- carry


def test_carry_holds_what_is_live_and_nothing_else() -> None:
    def carried(name: str, at: str) -> set[str]:
        generator = NETWORKS[name]
        return set(generator.advance(generator.begin(latents(generator)), at).carry)

    assert carried("dcgan", "r5") == set()
    assert carried("two latents", "r4") == set()
    assert carried("skip", "lift") == {"z"}  # z scales the bottom
    assert carried("skip", "down2") == {"z", "down1:0"}
    assert carried("skip", "bottom") == {"z", "down1:0", "down2:0"}
    assert carried("skip", "up2") == {"down1:0"}
    assert carried("twice", "mid") == {"shared:0", "shared:1"}
    assert carried("dicts", "mid") == {"encode:0['pair'][1]"}  # the batch-free grid runs again
    assert carried("style", "w") == set()
    assert carried("style", "r4") == {"mapping:0"}
    # Before r8: the first block's image, and w for the last block; style8 is used up.
    assert carried("style", "r8") == {"mapping:0", "b4:0[1]"}
    assert carried("style", "style8") == {"mapping:0", "b4:0[0]", "b4:0[1]"}
    assert carried("conditional", "w") == {"label"}
    assert carried("conditional", "r8") == {"mapping:0", "embed:0", "b4:0[1]"}
    assert carried("alias", "mid") == {"conv:0"}


def test_gated_value_without_gradient_is_carried() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.unused = nn.Linear(4, 48), nn.Linear(4, 48)
            self.mid = nn.Linear(4, 48)

        def forward(self, z: Tensor) -> Tensor:
            gate, _ = self.gate(z), self.unused(z)
            return (self.mid(z) * (gate > 0)).view(-1, 3, 4, 4)  # no gradient to the gate

    generator = AutoStaged(Gate(), {"mid": "mid"}, latent=4)
    state = generator.advance(generator.begin(latents(generator)), "mid")
    assert set(state.carry) == {"gate:0"}
    assert torch.equal(generator.advance(state).x, plain(generator, latents(generator)))


def test_dead_value_written_in_place() -> None:
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.mid = nn.Linear(4, 48), nn.Linear(48, 48)

        def forward(self, z: Tensor) -> Tensor:
            return self.mid(F.relu_(self.first(z))).view(-1, 3, 4, 4).tanh()

    generator = AutoStaged(Dead(), {"mid": "mid"}, latent=4)
    state = generator.advance(generator.begin(latents(generator)), "mid")
    assert not state.carry
    assert torch.equal(generator.advance(state).x, plain(generator, latents(generator)))


def test_rows_and_cat(generator: AutoStaged) -> None:
    latent = latents(generator, 4)
    want = plain(generator, latent)
    for boundary in generator.boundaries:
        state = generator.advance(generator.begin(latent), boundary.name)
        parts = State.cat([state[2:], state[[1]], state[0]])
        # a matrix product may round by the row's place
        torch.testing.assert_close(
            generator.advance(parts).x, want[[2, 3, 1, 0]], rtol=0, atol=1e-6
        )
        torch.testing.assert_close(generator.advance(state[1]).x, want[1:2], rtol=0, atol=1e-5)


# ------------------------------------------------------------------------------------- skipping


def test_skipped_work_is_skipped() -> None:
    torch.manual_seed(0)
    network, calls = SkipNet(), Counter[str]()
    for name, module in network.named_children():
        real = module._conv_forward if isinstance(module, nn.Conv2d) else None
        if real is not None:

            def counted(*args: Tensor, real=real, name=name) -> Tensor:
                calls[name] += 1
                return real(*args)

            module._conv_forward = counted
    generator = AutoStaged(network, {"bottom": "bottom", "up2": "up2"}, latent=5)
    start = generator.begin(latents(generator))
    calls.clear()
    state = generator.advance(start, "bottom")
    assert calls == {"down1": 1, "down2": 1, "bottom": 1}  # and stopped there
    calls.clear()
    state = generator.advance(state, "up2")
    assert calls == {"up2": 1}
    calls.clear()
    generator.advance(state)
    assert calls == {"up1": 1}


# ------------------------------------------------------------------------------------ gradients


def test_gradients_reach_x_and_the_latent(generator: AutoStaged) -> None:
    latent = {
        k: v.clone().requires_grad_() if v.is_floating_point() else v
        for k, v in latents(generator).items()
    }
    if "v" in latent:
        plainly = residual_pair(generator.module, latent)
    else:
        plainly = generator.module(*latent.values())
    (want,) = torch.autograd.grad(plainly.square().sum(), latent["z"])
    for boundary in generator.boundaries:
        state = generator.advance(generator.begin(latent), boundary.name)
        image = generator.advance(state).x
        at_x, at_z = torch.autograd.grad(image.square().sum(), [state.x, latent["z"]])
        assert float(at_x.abs().max()) > 0
        torch.testing.assert_close(at_z, want, rtol=1e-4, atol=1e-6)  # x and carry together


def test_replaced_parameters_get_gradients_and_take_effect() -> None:
    generator = NETWORKS["style"]
    state = generator.advance(generator.begin(latents(generator)), "r4")
    name = "b16.conv.weight"
    own = generator.module.get_parameter(name)
    before = own.clone()
    weight = (own.detach() * 1.5).requires_grad_()
    image = generator.advance(state, params={name: weight}).x
    (gradient,) = torch.autograd.grad(image.sum(), weight)
    assert float(gradient.abs().max()) > 0
    with torch.no_grad():
        own.mul_(1.5)
        want = plain(generator, latents(generator))
        own.copy_(before)
    assert torch.equal(image, want)
    assert torch.equal(generator.advance(state).x, plain(generator, latents(generator)))
    with pytest.raises(UnknownNameError, match=r"parameter.*b16\.conv\.weight"):
        generator.advance(state, params={"b16.conv.wieght": weight})


def test_parameters_before_the_cut_have_no_effect_after_it() -> None:
    generator = NETWORKS["style"]
    state = generator.advance(generator.begin(latents(generator)), "r8")
    change = {"b4.conv.weight": torch.zeros(4, 4, 3, 3)}
    assert torch.equal(generator.advance(state, params=change).x, generator.advance(state).x)


def test_construction_freezes_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(11)
    network = Style()
    before = torch.get_rng_state()
    generator = AutoStaged(network, {"w": "mapping"}, latent=5)
    assert torch.equal(before, torch.get_rng_state())
    assert not any(m.training for m in network.modules())
    assert not any(p.requires_grad for p in network.parameters())
    assert generator.info.resolution == 16
    assert generator.info.parameters == sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        network.b4.conv.bias[0] += 1
    other = AutoStaged(network, {"w": "mapping"}, latent=5)
    assert other.info.weights_sha256 != generator.info.weights_sha256


def test_layers_that_torch_fuses_without_gradients() -> None:
    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Linear(6, 4 * 12)
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(12, 2, 8, batch_first=True) for _ in range(2)
            )

        def forward(self, z: Tensor) -> Tensor:
            x = self.tokens(z).view(-1, 4, 12)
            for layer in self.layers:
                x = layer(x)
            return x.view(-1, 2, 2, 3, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, 4, 4)

    generator = AutoStaged(Transformer(), {"first": "layers.0", "tokens": "tokens"}, latent=6)
    assert generator.boundary("first").kind == "latent"
    latent = latents(generator)
    for name in ("tokens", "first"):
        state = generator.advance(generator.begin(latent), name)
        with torch.no_grad():
            assert torch.equal(generator.advance(state).x, plain(generator, latent))
        x = state.x.clone().requires_grad_()
        image = generator.advance(state.with_x(x)).x
        torch.testing.assert_close(image, plain(generator, latent), rtol=0, atol=1e-5)
        assert float(torch.autograd.grad(image.square().sum(), x)[0].abs().max()) > 0


# ------------------------------------------------------------------------------------ resilience


def test_state_is_not_touched(generator: AutoStaged) -> None:
    for boundary in generator.boundaries:
        state = generator.advance(generator.begin(latents(generator)), boundary.name)
        kept = State(state.at, state.x.clone(), {k: v.clone() for k, v in state.carry.items()})
        generator.advance(state)
        assert torch.equal(kept.x, state.x)
        assert all(torch.equal(kept.carry[k], state.carry[k]) for k in kept.carry)


def test_forwards_are_put_back_whatever_happens() -> None:
    network = Style()
    generator = AutoStaged(network, {"w": "mapping", "r8": "b8.conv"}, latent=5)
    latent = latents(generator)
    want = plain(generator, latent)

    def clean() -> bool:
        return not any("forward" in m.__dict__ or m._forward_hooks for m in network.modules())

    assert clean()
    state = generator.advance(generator.begin(latent), "r8")
    assert clean()

    def broken(*_: object) -> Tensor:
        raise KeyboardInterrupt

    network.b16.torgb._conv_forward = broken
    with pytest.raises(KeyboardInterrupt):
        generator.advance(state, params={"b8.torgb.bias": torch.zeros(3)})
    del network.b16.torgb._conv_forward
    assert clean()
    assert torch.equal(generator.advance(state).x, want)


def test_a_forward_of_ones_own_and_hooks_survive() -> None:
    network = dcgan()
    network[3].forward = lambda x, real=network[3].forward: real(x) * 2
    own = network[3].__dict__["forward"]
    seen = []
    network[3].register_forward_hook(lambda m, a, out: seen.append(1) or out + 1)
    generator = AutoStaged(network, {"r4": "2", "r8": "5"}, latent=(6, 1, 1))
    latent = latents(generator)
    for name in ("r4", "r8"):
        state = generator.advance(generator.begin(latent), name)
        assert torch.equal(generator.advance(state).x, plain(generator, latent))
    assert network[3].__dict__["forward"] is own and seen


def test_forward_that_catches_everything_is_still_left() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 48), nn.Linear(48, 48)

        def forward(self, z: Tensor) -> Tensor:
            try:
                x = self.first(z)
            except Exception:
                x = torch.zeros(len(z), 48)
            return self.second(x).view(-1, 3, 4, 4)

    generator = AutoStaged(Careless(), {"first": "first"}, latent=4)
    state = generator.advance(generator.begin(latents(generator)), "first")
    assert float(state.x.abs().max()) > 0


# ---------------------------------------------------------------------------------------- errors


class Noisy(nn.Module):
    def __init__(self, stage: bool) -> None:
        super().__init__()
        self.lift, self.noise = nn.Linear(4, 48), nn.Dropout()
        self.noise.forward = lambda x: x + torch.rand_like(x)  # type: ignore[method-assign]
        self.stage = stage

    def forward(self, z: Tensor) -> Tensor:
        x = self.lift(z)
        x = self.noise(x) if self.stage else x + 0.01 * torch.randn_like(x)
        return x.view(-1, 3, 4, 4)


class Wayward(nn.Module):
    """Calls what its input says."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.a, self.b = nn.Linear(4, 48), nn.Linear(48, 48), nn.Linear(48, 48)

    def forward(self, z: Tensor) -> Tensor:
        x = self.lift(z)
        x = self.a(x) if z.abs().max() < 50 else self.b(x)
        return x.view(-1, 3, 4, 4)


class Secretive(nn.Module):
    """Keeps a value on itself instead of giving it back."""

    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lift = nn.Linear(4, 48)

        def forward(self, z: Tensor) -> Tensor:
            self.kept = z[:, :1]
            return self.lift(z)

    def __init__(self) -> None:
        super().__init__()
        self.keeper, self.mid = self.Keeper(), nn.Linear(48, 48)

    def forward(self, z: Tensor) -> Tensor:
        return (self.mid(self.keeper(z)) * self.keeper.kept).view(-1, 3, 4, 4)


class Plain(nn.Module):
    """One linear layer, and a way to make the output wrong."""

    def __init__(self, shape: tuple[int, ...] = (3, 4, 4), grad: bool = True) -> None:
        super().__init__()
        self.lift, self.aside, self.shape = nn.Linear(4, 48), nn.Linear(4, 2), shape
        self.grad = grad
        self.never = nn.ModuleList([nn.Linear(1, 1)])

    def forward(self, z: Tensor) -> Tensor:
        self.aside(z)
        with torch.set_grad_enabled(self.grad and torch.is_grad_enabled()):
            return self.lift(z).view(-1, *self.shape)


@pytest.mark.parametrize(
    ("network", "path", "message"),
    [
        (Twice(), "shared", r"'shared' \(Conv2d\) is called 3 times"),
        (Plain(), "never.0", r"'never\.0' \(Linear\) is never called"),
        (Dicts(), "encode", r"does not give one tensor but .*\['pair'\]\[0\]"),
        (Style(), "constant", r"gives \(1, 4, 4, 4\) for 2 latents.*not the batch"),
        (Noisy(True), "lift", r"output of 'noise' changes from call to call; make its noise"),
        (Noisy(False), "lift", r"output of 'the network' changes from call to call"),
        (Plain((1, 4, 12)), "lift", r"\(2, 1, 4, 12\), expected \(2, 3, R, R\); convert it in"),
        (Plain((48,)), "lift", r"\(2, 48\), expected"),
        (Plain(), "aside", r"no gradient leads from the image back to 'aside'"),
        (Plain(grad=False), "lift", r"no gradient leads .* gradients off in forward"),
        (Secretive(), "mid", r"going on from 'mid' gives another image .* \(an attribute"),
    ],
)
def test_networks_that_cannot_be_staged_are_refused(
    network: nn.Module, path: str, message: str
) -> None:
    size = 4 if isinstance(network, (Plain, Noisy, Secretive)) else 5
    with pytest.raises(ModelError, match=message) as caught:
        AutoStaged(network, {"x": path}, latent=size)
    assert "\n" not in str(caught.value)
    assert not any("forward" in m.__dict__ for m in network.modules() if type(m) is nn.Linear)


def test_images_of_another_type_are_refused() -> None:
    with pytest.raises(ModelError, match=r"torch.float16 .* expected finite float32"):
        AutoStaged(Plain(), {}, latent=4, call=lambda network, z: network(z["z"]).half())


def test_a_pass_that_makes_other_calls_is_refused() -> None:
    generator = AutoStaged(Wayward(), {"a": "a"}, latent=4)
    with pytest.raises(ModelError, match=r"calls a Linear where it called 'a'"):
        generator.advance(generator.begin({"z": torch.full((2, 4), 99.0)}), "a")
    with torch.no_grad():
        generator.module.lift.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="48 NaN or Inf|96 NaN or Inf"):
        AutoStaged(generator.module, {"a": "a"}, latent=4)


def test_names_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"module named 'b8\.cnov'; did you mean 'b8\.conv'"):
        AutoStaged(Style(), {"r8": "b8.cnov"}, latent=5)
    for stages, message in (
        ({"image": "mapping"}, "'image' is taken"),
        ({"a": "b4.conv", "b": "b4.conv"}, "are one module"),
        ({"b8.conv": "b4.conv", "x": "b8.conv"}, "taken"),
    ):
        with pytest.raises(UsageError, match=message):
            AutoStaged(Style(), stages, latent=5)
    with pytest.raises(UsageError, match="give latent="):
        AutoStaged(Style(), {"w": "mapping"})
    info = GeneratorInfo(family="toy", resolution=32, latent=(LatentSpec(shape=(5,)),))
    with pytest.raises(UsageError, match="part of info"):
        AutoStaged(Style(), {"w": "mapping"}, info=info, latent=5)
    with pytest.raises(ModelError, match="16 pixels wide, info says 32"):
        AutoStaged(Style(), {"w": "mapping"}, info=info)


def test_states_that_do_not_belong_are_refused() -> None:
    generator = NETWORKS["conditional"]
    state = generator.advance(generator.begin(latents(generator)), "r4")
    with pytest.raises(UsageError, match="cannot go back from boundary 'r4' to 'w'"):
        generator.advance(state, "w")
    with pytest.raises(UsageError, match=r"rows of shape \(4, 4\), expected \(4, 4, 4\)"):
        generator.advance(state.with_x(state.x[..., 0]))
    with pytest.raises(UsageError, match="lacks 'embed:0'; start from begin"):
        generator.advance(State("r4", state.x))
    with pytest.raises(UsageError, match="differ in rows"):
        generator.advance(state.with_x(state.x[:1]))
    with pytest.raises(UnknownNameError, match="there are|did you mean"):
        generator.advance(state, "r64")
    with pytest.raises(UsageError, match="needs a latent 'label'"):
        generator.begin({"z": torch.zeros(1, 5)})
    with pytest.raises(UsageError, match="takes no latent 'label'"):
        NETWORKS["style"].begin({"z": torch.zeros(1, 5), "label": torch.zeros(1).long()})
    with pytest.raises(UsageError, match=r"rows of shape \(6,\), expected \(5,\)"):
        NETWORKS["style"].begin({"z": torch.zeros(1, 6)})


def test_options_are_part_of_the_identity() -> None:
    def identity(**options: Mapping[str, object]) -> object:
        torch.manual_seed(0)
        return AutoStaged(dcgan(), {}, latent=(6, 1, 1), **options).info.identity()

    assert identity() == identity()
    assert identity(options={"truncation": 0.5}) != identity()
    assert identity(call=lambda m, z: m(z["z"] * 2)) != identity()


# ------------------------------------------------------------------------------- the real network


@pytest.fixture(scope="module")
def digiface(shared: Path) -> AutoStaged:
    """The DCGAN of faces in ``shared/real`` (3.58 M parameters, 64x64)."""
    path = shared / "real" / "weights" / "dcgan-digiface64" / "weights.tar"
    if not path.is_file():
        pytest.skip(f"{path.name} of dcgan-digiface64 is not there")

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for i, (a, b) in enumerate(pairwise((100, 512, 256, 128, 64))):
                layers.append(nn.ConvTranspose2d(a, b, 4, 1 + (i > 0), int(i > 0), bias=False))
                layers += [nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
            self.main = nn.Sequential(*layers)

        def forward(self, z: Tensor) -> Tensor:
            image: Tensor = self.main(z)
            return image

    network = Network()
    state = torch.load(path, map_location="cpu", weights_only=True)["netG_state_dict"]
    network.load_state_dict(state)
    stages = {f"r{4 * 2**i}": f"main.{3 * i + 2}" for i in range(4)}
    return AutoStaged(network, stages, latent=(100, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", [pytest.param(check, id=name) for name, check in generator_checks()]
)
def test_real_dcgan_conforms(digiface: AutoStaged, check: Check[AutoStaged]) -> None:
    check(digiface)


def test_real_dcgan_is_exact(digiface: AutoStaged) -> None:
    latent = digiface.latents(range(4), seed=5)
    with torch.no_grad():
        want = digiface.module(latent["z"])
        for boundary in digiface.boundaries:
            state = digiface.advance(digiface.begin(latent), boundary.name)
            assert not state.carry
            assert float((digiface.advance(state).x - want).abs().max()) == 0.0
    assert [b.shape for b in digiface.boundaries[1:-1]] == [
        (512, 4, 4),
        (256, 8, 8),
        (128, 16, 16),
        (64, 32, 32),
    ]
    assert float(want.std()) > 0.1
