"""Every wrapper that people's files have around a network, for every family that reads such files.

Each file holds, beside the network, a discriminator and other weights of the same network where the
wrapper has a place for them, so that reading the wrong ones shows in the images.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from seeingkit.contracts import Sampler
from seeingkit.errors import StateMismatchError, UsageError, WeightsError
from seeingkit.models.conversion import convert_file
from seeingkit.models.inspection import inspect_file
from seeingkit.models.loading import load_generator, load_segmenter
from seeingkit.models.recognition import recognise
from seeingkit.models.registry import registry
from seeingkit_adapters.espnet.network import ESPNet
from seeingkit_adapters.espnet.v2_network import ESPNetV2
from tests.adapters.test_dcgan import examples, randomised
from tests.adapters.test_espnet import SMALL_V1, SMALL_V2
from tests.adapters.test_progan import old_names, seeded
from tests.adapters.test_sagan import small as sagan
from tests.adapters.test_stylegan1 import rosinality
from tests.helpers import biggan_by_hand as biggan
from tests.helpers import gan_zoo_files
from tests.helpers import resnet_gans_by_hand as residual
from tests.helpers.stylegan2_layouts import (
    config,
    kernel,
    random_network,
    rewriting_state,
    rosinality_state,
)

State = dict[str, Tensor]


def prefixed(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in state.items()}


def nvidia_state(**changes: Any) -> State:
    """The state dict of stylegan2-ada-pytorch: our names are its own, but for the filters."""
    made = random_network(config(**changes))
    state = {key: value.clone() for key, value in made.state_dict().items()}
    for key in [key for key in state if key.endswith("affine.weight") and "torgb" not in key]:
        state[key.replace("affine.weight", "resample_filter")] = kernel((1.0, 3.0, 3.0, 1.0))
    return state


def _stack(*layers: nn.Module) -> State:
    return prefixed(randomised(nn.Sequential(*layers)).state_dict(), "main.")


MADE: dict[str, tuple[str, Callable[[], State], dict[str, Any]]] = {
    "progan": ("progan", lambda: seeded((4, 3, 3)), {}),
    "progan, old": ("progan", lambda: old_names(seeded((4, 3, 3)), scales=True), {}),
    "biggan": ("biggan", lambda: biggan.state(biggan.Recipe(32, 2, shared_dim=0, chunk=0)), {}),
    "stylegan1": ("stylegan1", lambda: rosinality((3, 2)), {"step": 1}),
    "stylegan2": (
        "stylegan2",
        lambda: rosinality_state(random_network(config(stored_average=False))),
        {},
    ),
    "rewriting": (
        "stylegan2",
        lambda: rewriting_state(random_network(config()), seq=True, scalar=True),
        {},
    ),
    "nvidia": ("stylegan2", nvidia_state, {}),
    "dcgan": ("dcgan", lambda: prefixed(examples(6, (8, 4), 3).state_dict(), "main."), {}),
    "resnet-gan": (
        "resnet-gan",
        lambda: residual.state(
            residual.Recipe("StudioGAN", (4, 3), 4, classes=2, chunk=3, shared=2, spectral="stored")
        ),
        {},
    ),
    "sagan": ("sagan", lambda: sagan(width=8), {}),
    "PGAN": ("progan", lambda: gan_zoo_files.pgan_state((4, 3, 2)), {"final": "none"}),
    "mlp-gan": ("mlp-gan", lambda: _stack(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 64)), {}),
}
"""(family, the tensors of a small network under the layout's own names, options) of each layout."""

CRITIC = _stack(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 4))
OPTIMISER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}}

WRAPPERS: dict[str, Callable[[State, State], Any]] = {
    "DataParallel": lambda g, _: prefixed(g, "module."),
    "DataParallel twice": lambda g, _: prefixed(g, "module.module."),
    "compiled": lambda g, _: prefixed(g, "_orig_mod."),
    "compiled, then parallel": lambda g, _: prefixed(g, "module._orig_mod."),
    "parallel, then compiled": lambda g, _: {"state_dict": prefixed(g, "_orig_mod.module.")},
    "first part compiled": lambda g, _: {
        key if key.partition(".")[0] != next(iter(g)).partition(".")[0] else _compiled(key): value
        for key, value in g.items()
    },
    "averaged": lambda g, _: {"n_averaged": torch.tensor(9), **prefixed(g, "module.")},
    "averaged beside": lambda g, other: {
        "model": other,
        "averaged": {"n_averaged": torch.tensor(9), **prefixed(g, "module.module.")},
    },
    "ema_pytorch": lambda g, other: {
        "initted": torch.tensor(True),
        "step": torch.tensor(9),
        **prefixed(other, "online_model."),
        **prefixed(g, "ema_model."),
    },
    "averaged and not": lambda g, other: {"model": other, "model_ema": prefixed(g, "module.")},
    "average of a module": lambda g, other: {
        "state_dict": {
            **prefixed(other, "generator."),
            **prefixed(g, "generator_ema.module."),
            "generator_ema.n_averaged": torch.tensor(3),
            **prefixed(CRITIC, "discriminator."),
        }
    },
    "average of a callback": lambda g, other: {
        "state_dict": prefixed(other, "netG."),
        "callbacks": {"EMA": {"ema_state_dict": prefixed(g, "netG.")}},
    },
    "list": lambda g, _: [prefixed(g, "module."), CRITIC],
    "optimisers": lambda g, _: {"epoch": 3, "netG": g, "optG": OPTIMISER, "args": ["x", 1]},
    "nested": lambda g, _: {"networks": {"generator": {"state_dict": prefixed(g, "module.")}}},
    "double": lambda g, _: {k: v.double() if v.is_floating_point() else v for k, v in g.items()},
    **{
        f"Lightning, {name}": lambda g, _, name=name: {
            "state_dict": {**prefixed(g, f"{name}."), **prefixed(CRITIC, "netD.")},
            "pytorch-lightning_version": "2.4.0",
        }
        for name in ("generator", "netG", "G", "gen", "model.generator", "generator._orig_mod")
    },
    **{
        f"key {name}": lambda g, _, name=name: {name: g, "D": CRITIC, "iteration": 7}
        for name in (
            *("state_dict", "model_state_dict", "netG_state_dict", "generator_state_dict"),
            *("g_ema", "G_ema", "params_ema", "params", "netG", "generator", "model", "G"),
        )
    },
    **{
        f"{average} beside {trained}": lambda g, other, average=average, trained=trained: {
            trained: prefixed(other, "module."),
            "D": CRITIC,
            average: g,
        }
        for trained, average in (
            *(("g", "g_ema"), ("G", "G_ema"), ("params", "params_ema"), ("netG", "netG_ema")),
            *(("generator", "g_running"), ("netG", "avgG"), ("state_dict", "ema")),
        )
    },
}


def _compiled(key: str) -> str:
    first, _, rest = key.partition(".")
    return f"{first}._orig_mod.{rest}"


def images(generator: Sampler) -> Tensor:
    labels = [0, 1] if generator.info.class_names else None
    return generator(generator.latents([0, 1], labels=labels))


Bare = Callable[[str], tuple[State, State, Tensor]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """Of a layout: tensors, other tensors of the same network, and the images of the bare file."""
    path = tmp_path_factory.mktemp("bare") / "g.pth"

    @functools.cache
    def made(layout: str) -> tuple[State, State, Tensor]:
        family, make, options = MADE[layout]
        state = make()
        other = dict(state)
        for key, value in state.items():
            fixed = any(word in key for word in ("kernel", "filter", "blur", "conv1.2", "flip"))
            if value.is_floating_point() and value.ndim > 1 and not fixed:
                other[key] = value * 1.5
        torch.save(state, path)
        return state, other, images(load_generator(family, weights=path, **options))

    return made


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("layout", MADE)
def test_draws_what_the_bare_file_draws(
    layout: str, wrapper: str, tmp_path: Path, bare: Bare
) -> None:
    family, _, options = MADE[layout]
    state, other, expected = bare(layout)
    path = tmp_path / "g.pth"
    torch.save(WRAPPERS[wrapper](state, other), path)
    assert recognise(path, registry()).spec.name == family
    assert torch.equal(images(load_generator(family, weights=path, **options)), expected)


@pytest.mark.parametrize("layout", MADE)
def test_safetensors_and_half_precision(layout: str, tmp_path: Path, bare: Bare) -> None:
    family, _, options = MADE[layout]
    state, _, expected = bare(layout)
    flat = {key: value.contiguous().clone() for key, value in state.items()}
    safetensors.torch.save_file(prefixed(flat, "module."), tmp_path / "g.safetensors")
    generator = load_generator("auto", weights=tmp_path / "g.safetensors", **options)
    assert torch.equal(images(generator), expected)
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    torch.save({"g_ema": half}, tmp_path / "half.pth")
    torch.save(
        {k: v.float() if v.is_floating_point() else v for k, v in half.items()}, tmp_path / "f"
    )
    found = images(load_generator(family, weights=tmp_path / "half.pth", **options))
    assert torch.equal(found, images(load_generator(family, weights=tmp_path / "f", **options)))


@pytest.mark.parametrize("layout", MADE)
def test_a_choice_is_said_recorded_and_the_users(
    layout: str,
    tmp_path: Path,
    bare: Bare,
    caplog: pytest.LogCaptureFixture,
) -> None:
    family, _, options = MADE[layout]
    state, other, expected = bare(layout)
    path = tmp_path / "g.pth"
    torch.save({"g": other, "g_ema": state}, path)
    generator = load_generator(family, weights=path, **options)
    assert "running average of the weights (g_ema); key= chooses another (g)" in caplog.text
    assert generator.info.options["key"] == "g_ema"
    trained = load_generator(family, weights=path, key="g", **options)
    assert trained.info.options["key"] == "g"
    assert not torch.equal(images(trained), expected)
    with pytest.raises(UsageError, match=r"key=nothing: no such network; .* fit: .*g.*g_ema"):
        load_generator(family, weights=path, key="nothing", **options)
    torch.save({"A": other, "B": state}, path)
    with pytest.raises(UsageError, match=r"more than one .* \(A, B\); choose one with key="):
        load_generator(family, weights=path, **options)
    found = images(load_generator(family, weights=path, key="B", **options))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("layout", [name for name in MADE if name not in ("dcgan", "mlp-gan")])
def test_a_part_of_another_network_is_read_on_demand_only(
    layout: str, tmp_path: Path, bare: Bare
) -> None:
    """A generator in a larger one's file, as a triplane network holds a StyleGAN2."""
    options = MADE[layout][2]
    state, _, expected = bare(layout)
    whole = {**prefixed(state, "backbone."), "renderer.weight": torch.ones(2, 2)}
    torch.save(whole, tmp_path / "g.pth")
    with pytest.raises(UsageError, match=r"only as part of another network \(backbone\)"):
        load_generator("auto", weights=tmp_path / "g.pth", **options)
    found = load_generator("auto", weights=tmp_path / "g.pth", key="backbone", **options)
    assert torch.equal(images(found), expected)


@pytest.mark.parametrize("layout", MADE)
def test_wrapped_files_are_inspected_and_converted(layout: str, tmp_path: Path, bare: Bare) -> None:
    family, _, options = MADE[layout]
    state, _, expected = bare(layout)
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {**prefixed(state, "netG."), **prefixed(CRITIC, "netD.")}}, path)
    found = inspect_file(path)
    assert [claim["family"] for claim in found["families"]] == [family]
    if not options:
        assert (found["loads"], found["network"]) == ("yes", "state_dict.netG")
    convert_file(path, tmp_path / "g.safetensors", options=options)
    assert torch.equal(images(load_generator("auto", weights=tmp_path / "g.safetensors")), expected)


# ----------------------------------------------------------------------------- files of others


@pytest.mark.parametrize(
    "asked",
    [
        *("progan", "biggan", "stylegan1", "stylegan2", "stylegan3", "dcgan", "mlp-gan"),
        *("resnet-gan", "sagan"),
    ],
)
@pytest.mark.parametrize("layout", MADE)
def test_a_file_of_another_family_says_which_reads_it(
    layout: str, asked: str, tmp_path: Path, bare: Bare
) -> None:
    family = MADE[layout][0]
    state, _, _ = bare(layout)
    path = tmp_path / "g.pth"
    torch.save({"netG": prefixed(state, "module."), "netD": CRITIC}, path)
    if asked == family:
        return
    with pytest.raises(StateMismatchError, match=rf"is read by {family} \(.*\), not by {asked}$"):
        load_generator(asked, weights=path)


SEGMENTERS = ("upernet", "espnet", "espnetv2", "semseg", "transformers")


@pytest.mark.parametrize("segmenter", SEGMENTERS)
@pytest.mark.parametrize("layout", ["dcgan", "progan", "nvidia"])
def test_a_generator_given_as_segmenter_is_named(
    segmenter: str, layout: str, tmp_path: Path, bare: Bare
) -> None:
    torch.save(bare(layout)[0], tmp_path / "g.pth")
    with pytest.raises(WeightsError, match=f"is read by {MADE[layout][0]} .*not by {segmenter}"):
        load_segmenter(segmenter, weights=tmp_path / "g.pth")


@pytest.mark.parametrize("wrapper", ["DataParallel", "compiled", "key model", "averaged and not"])
def test_segmenters_unwrap_and_are_named(wrapper: str, tmp_path: Path) -> None:
    networks = {
        "espnet": ESPNet(SMALL_V1).state_dict(),
        "espnetv2": ESPNetV2(SMALL_V2).state_dict(),
    }
    for family, state in networks.items():
        path = tmp_path / f"{family}.pth"
        torch.save(WRAPPERS[wrapper](dict(state), {k: v + 1 for k, v in state.items()}), path)
        for asked in ("progan", "dcgan"):
            with pytest.raises(StateMismatchError, match=f"is read by the segmenter {family} "):
                load_generator(asked, weights=path)
        with pytest.raises(StateMismatchError, match=f"no family reads .* the segmenter {family} "):
            load_generator("auto", weights=path)
        found = load_segmenter(family, weights=path)
        own = found.network.state_dict()
        assert all(torch.equal(own[key], value) for key, value in state.items())
    with pytest.raises(StateMismatchError, match="segmenter espnetv2 .*, not by espnet$"):
        load_segmenter("espnet", weights=tmp_path / "espnetv2.pth")


# ------------------------------------------------------------------------------ what is not read


@pytest.mark.parametrize(
    ("layout", "missing", "message"),
    [
        (
            "progan",
            "layer1.wscale.b",
            r"nearest is progan: 9 of 9 .*, but layer1\.wscale\.b is",
        ),
        ("biggan", "linear.weight", r"nearest is biggan: .* linear\.weight is missing"),
        (
            "stylegan1",
            "generator.progression.0.conv1.input",
            r"is stylegan1: .*conv1\.input",
        ),
        (
            "stylegan2",
            "conv1.conv.modulation.weight",
            r"is stylegan2: .*modulation\.weight",
        ),
        (
            "nvidia",
            "synthesis.b4.const",
            r"is stylegan2: .*but synthesis\.b4\.const is",
        ),
        ("resnet-gan", "conv2d5.bias", r"is resnet-gan: .* in StudioGAN, but conv2d5\.bias is"),
        ("sagan", "last.0.weight", r"nearest is sagan: .* but last\.0\.weight is missing"),
        ("PGAN", "formatLayer.module.weight", r"nearest is progan: .* but formatLayer\.mod"),
        ("dcgan", "main.1.running_mean", "nearest is dcgan: .*main.1 is no whole batch norm"),
    ],
)
def test_inner_keys_and_the_nearest_family_are_named(
    layout: str,
    missing: str,
    message: str,
    tmp_path: Path,
    bare: Bare,
) -> None:
    state = dict(bare(layout)[0])
    del state[missing]
    path = tmp_path / "g.pth"
    torch.save({"epoch": 3, "netG": prefixed(state, "module.")}, path)
    keys = rf"no family reads this torch zip file with keys netG\.{next(iter(state))}, netG\."
    with pytest.raises(StateMismatchError, match=keys) as refused:
        load_generator("auto", weights=path)
    assert re.search(message, str(refused.value))
    assert str(refused.value).partition("; ")[2] in inspect_file(path)["loads"]


def test_a_state_dict_of_stylegan3_asks_for_the_pickle(tmp_path: Path) -> None:
    names = ("mapping.fc0.weight", "synthesis.input.weight", "synthesis.L0_36_8.weight")
    torch.save({"G_ema": dict.fromkeys(names, torch.ones(2, 2))}, tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"nearest is stylegan3: .* give the \.pkl"):
        load_generator("auto", weights=tmp_path / "g.pth")


def test_absurdly_many_networks(tmp_path: Path) -> None:
    one = {"layer1.conv.weight": torch.ones(1, 1, 4, 4), "layer1.wscale.b": torch.ones(1)}
    torch.save({str(k): dict(one) for k in range(70)}, tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"g\.pth: the file holds more than 64 networks"):
        load_generator("progan", weights=tmp_path / "g.pth")
    many = {f"p{k}.{key}": value for k in range(2000) for key, value in one.items()}
    torch.save(many, tmp_path / "flat.pth")
    with pytest.raises(StateMismatchError, match="more than 64 networks"):
        load_generator("auto", weights=tmp_path / "flat.pth")


PARTS = ("weight_orig", "bias", "weight")


def rgba(state: State, *names: str) -> State:
    """The same network with a fourth colour channel."""
    found = dict(state)
    for name in names:
        axis = found[name].shape.index(3)
        more = found[name].narrow(axis, 0, 1)
        found[name] = torch.cat([found[name], more], dim=axis)
    return found


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("progan", ("output_8x8.conv.weight", "output_8x8.wscale.b")),
        ("progan, old", ("output.conv.weight", "output.wscale.b")),
        ("biggan", ("output_layer.2.weight", "output_layer.2.bias", "output_layer.2.u0")),
        (
            "stylegan1",
            tuple(
                f"generator.to_rgb.{i}.conv.{p}" for i in (0, 1) for p in ("weight_orig", "bias")
            ),
        ),
        ("stylegan2", ("to_rgb1.conv.weight", "to_rgb1.bias")),
        (
            "nvidia",
            tuple(f"synthesis.b{r}.torgb.{p}" for r in (4, 8, 16) for p in ("weight", "bias")),
        ),
    ],
)
def test_images_with_an_alpha_channel_are_refused(
    layout: str, names: tuple[str, ...], tmp_path: Path, bare: Bare
) -> None:
    family, _, options = MADE[layout]
    torch.save(rgba(bare(layout)[0], *names), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"of 4 channels \(RGBA\) are not"):
        load_generator(family, weights=tmp_path / "g.pth", **options)


@pytest.mark.parametrize("layout", ["stylegan2", "nvidia"])
def test_images_that_are_not_square_are_refused(layout: str, tmp_path: Path, bare: Bare) -> None:
    state = dict(bare(layout)[0])
    name = "input.input" if layout == "stylegan2" else "synthesis.b4.const"
    state[name] = state[name][..., :2].clone()
    torch.save({"g_ema": state}, tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"not square .* 16 pixels high and 8 wide"):
        load_generator("auto", weights=tmp_path / "g.pth")


# --------------------------------------------------------------------------------- reported files

CASES = {
    "pg": ("progan_pth/features-r32/checkpoint.pth", {}),
    "bg": ("biggan_ajbrock/unshared-r32/G_ema.pth", {}),
    "sg1": ("stylegan1_rosinality/bare-step3/checkpoint.model", {"step": 3}),
}


@pytest.mark.parametrize("kind", CASES)
def test_reported_wrappers(shared: Path, kind: str) -> None:
    source, options = CASES[kind]
    expected = images(load_generator("auto", weights=shared / "golden" / source, **options))
    files = sorted((shared / "cases" / "s09-progan-biggan-wrappers").glob(f"{kind}_*"))
    assert files
    for path in files:
        found = images(load_generator("auto", weights=path, **options))
        if "half" in path.name:  # its weights have 11 bits
            assert float((found - expected).abs().max()) < 0.05
        else:
            assert torch.equal(found, expected), path


def test_reported_state_dicts(shared: Path) -> None:
    for path in sorted((shared / "cases" / "s01-ada-state-dict").glob("*.pt*")):
        found = inspect_file(path)
        assert (found["loads"], found["families"][0]["family"]) == ("yes", "stylegan2"), path
    decoder = inspect_file(shared / "cases" / "s06-psp" / "psp.pt")
    assert (decoder["loads"], decoder["network"]) == ("yes", "state_dict.decoder")
    for path in sorted((shared / "cases" / "s03-nonsquare").glob("*.p*")):
        assert "not square are not supported" in inspect_file(path)["loads"], path
