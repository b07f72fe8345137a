"""``stylegan2`` against what the original codes gave, and as a generator of seeingkit."""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.testing import generator_checks
from seeingkit.weights import read_checkpoint, write_portable
from seeingkit_adapters.catalog.stylegan2 import StyleGAN2Options
from seeingkit_adapters.stylegan2.generator import StyleGAN2, load, recognise
from seeingkit_adapters.stylegan2.noise import rewriting, seeds_of
from seeingkit_adapters.stylegan2.stages import AVERAGED
from tests.helpers.goldens import Golden, agree, golden
from tests.helpers.stylegan2_layouts import config, random_network

PYTORCH = "StyleGAN2 .pkl of NVIDIA's PyTorch code (stylegan2-ada-pytorch or stylegan3)"
TENSORFLOW = "StyleGAN2 .pkl of NVIDIA's TensorFlow code (version {})"
ROSINALITY = "StyleGAN2 of rosinality/stylegan2-pytorch (g_ema)"
CASES = {
    ("stylegan2_ada_pkl", "cond-resnet-r16"): PYTORCH,
    ("stylegan2_ada_pkl", "orig-gray-nonoise-r8"): PYTORCH,
    ("stylegan2_ada_pkl", "uncond-skip-r32"): PYTORCH,
    ("stylegan2_sg3repo_pkl", "uncond-r32"): PYTORCH,
    ("stylegan2_tf_pkl", "config-f-r32"): TENSORFLOW.format(4),
    ("stylegan2_tf_pkl", "labels-resnet-r16"): TENSORFLOW.format(4),
    ("stylegan2ada_tf_pkl", "uncond-r32"): TENSORFLOW.format(5),
    ("stylegan2_rosinality", "converted-r32"): ROSINALITY,
    ("stylegan2_rosinality", "nonoise-legacyfile-r8"): ROSINALITY,
    ("stylegan2_rosinality", "training-r16"): ROSINALITY,
    ("stylegan2_rewriting", "published-layout-r32"): ROSINALITY,
    ("stylegan2_rewriting", "seq-native-r16"): (
        "StyleGAN2 state dict of davidbau/rewriting (SeqStyleGAN2)"
    ),
}


def cases(*keys: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("family", "name"), keys, ids=["/".join(key) for key in keys])


every_case = cases(*CASES)


@functools.cache
def opened(shared: Path, family: str, name: str) -> Golden:
    return golden(shared, family, name)


def loaded(case: Golden, **options: Any) -> StyleGAN2:
    return load(case.file(), StyleGAN2Options(**options))


def latent(case: Golden) -> dict[str, Tensor]:
    """z, and class vectors if there are any."""
    found = {"z": case.arrays["in.z"]}
    for name in ("in.c", "in.labels"):
        if name in case.arrays and case.arrays[name].shape[1]:
            found["c"] = case.arrays[name]
    return found


def drawn(generator: StyleGAN2, entries: dict[str, Tensor]) -> Tensor:
    """The image in the channels that the original gives."""
    return generator(entries)[:, : generator.info.channels]


# ------------------------------------------------------------------------------------------- images


@every_case
def test_layout_is_recognised(shared: Path, family: str, name: str) -> None:
    checkpoint = read_checkpoint(opened(shared, family, name).file())
    assert recognise(checkpoint) == CASES[family, name]


def arguments(case: Golden, key: str) -> dict[str, Any] | None:
    """The options under which an image was recorded; None if it needs more than options."""
    psi = case.case.get("truncation", {}).get("psi")
    cutoff = case.case.get("truncation", {}).get("cutoff")
    held = any(name.startswith("out.image_const") for name in case.arrays)
    match key.removeprefix("out.image"):
        case "_const":
            return {"noise": "const"}
        case "_none":
            return {"noise": "none"}
        case "_trunc":
            return {"truncation": psi, "cutoff": cutoff}
        case "_default_call":
            return {"truncation": 0.5}
        case "_from_ws":
            return {"noise": "const" if held else "none"}
        case part if match := re.fullmatch(r"_trunc\.psi_([\d.]+)\.cutoff_(\w+)", part):
            return {
                "truncation": float(match[1]),
                "cutoff": None if match[2] == "None" else int(match[2]),
            }
    return None


@every_case
def test_images(shared: Path, family: str, name: str) -> None:
    case = opened(shared, family, name)
    compared = 0
    for key, expected in case.arrays.items():
        options = arguments(case, key) if key.startswith("out.image") else None
        if options is None:
            continue
        entries = {"ws": case.arrays["in.ws_mixed"]} if key.endswith("_ws") else latent(case)
        agree(drawn(loaded(case, **options), entries), expected)
        compared += 1
    assert compared >= (0 if family == "stylegan2_rewriting" else 3)


@every_case
def test_default_image_is_one_the_original_gave(shared: Path, family: str, name: str) -> None:
    case = opened(shared, family, name)
    generator = loaded(case)
    keys = ("out.image_const", "out.image_none", "out.image_untruncated")
    key = next(key for key in keys if key in case.arrays)
    if (family, name) == ("stylegan2_rewriting", "published-layout-r32"):
        generator = loaded(case, noise="rewriting")  # the file cannot say so
    assert generator.info.options["truncation"] == 1.0
    rows = 1 if family == "stylegan2_rewriting" else len(case.arrays["in.z"])
    entries = {name: value[:rows] for name, value in latent(case).items()}
    agree(drawn(generator, entries), case.arrays[key][:rows])


@every_case
def test_ws(shared: Path, family: str, name: str) -> None:
    case = opened(shared, family, name)
    generator = loaded(case)
    if "out.ws" in case.arrays:
        agree(generator.advance(generator.begin(latent(case)), "w").x, case.arrays["out.ws"])
    if "out.ws_trunc" in case.arrays:
        psi, cutoff = (case.case["truncation"][name] for name in ("psi", "cutoff"))
        near = loaded(case, truncation=psi, cutoff=cutoff)
        agree(near.advance(near.begin(latent(case)), "w").x, case.arrays["out.ws_trunc"])
    for key in ("out.w_avg", "out.dlatent_avg", "out.latent_avg"):
        if key in case.arrays:
            average = generator.module.mapping.w_avg
            assert average is not None
            assert torch.equal(average, case.arrays[key])


def test_labels_are_one_hot_classes(shared: Path) -> None:
    case = opened(shared, "stylegan2_ada_pkl", "cond-resnet-r16")
    generator, c = loaded(case), case.arrays["in.c"]
    hard = [row for row in range(len(c)) if float(c[row].max()) == 1.0]
    assert 0 < len(hard) < len(c)  # the last one is soft
    entries = {"z": case.arrays["in.z"][hard], "label": c[hard].argmax(dim=1)}
    agree(generator(entries), case.arrays["out.image_const"][hard])


@pytest.mark.parametrize("name", ["converted-r32", "nonoise-legacyfile-r8", "training-r16"])
def test_explicit_noise(shared: Path, name: str) -> None:
    case = opened(shared, "stylegan2_rosinality", name)
    generator = loaded(case)
    entries = latent(case)
    for number, layer in enumerate(generator.module.config.layers):
        maps = case.arrays[f"in.noise_{number}"]
        entries[f"noise_{layer}"] = maps.expand(len(entries["z"]), -1, -1, -1)
    agree(generator(entries), case.arrays["out.image_explicit_noise"])


@pytest.mark.parametrize("name", ["published-layout-r32", "seq-native-r16"])
@pytest.mark.parametrize("key", ["out.image", "out.image_untruncated"])
def test_rewriting_noise_is_that_of_a_place_in_the_batch(shared: Path, name: str, key: str) -> None:
    case = opened(shared, "stylegan2_rewriting", name)
    psi = case.case["config"]["truncation"] if key == "out.image" else 1.0
    generator = loaded(case, noise="rewriting", truncation=psi)
    z, expected = case.arrays["in.z"], case.arrays[key]
    agree(generator({"z": z[:1]}), expected[:1])
    alone = generator({"z": z})  # every sample as the original draws it on its own
    agree(alone[:1], expected[:1])
    assert float((alone[1:] - expected[1:]).abs().max()) > 0.1
    entries = {"z": z}
    for layer in generator.module.config.layers:
        side = generator.module.config.side(layer)
        entries[f"noise_{layer}"] = torch.cat([rewriting(side, row) for row in range(len(z))])
    agree(generator(entries), expected)


# -------------------------------------------------------------------------------------- activations


class Recorded:
    """What the original's modules gave for the first sample, found at our boundaries."""

    def __init__(self, case: Golden, generator: StyleGAN2) -> None:
        self.generator = generator
        self.shape = generator.module.config
        first = {name: value[:1] for name, value in latent(case).items()}
        self.states: dict[str, State] = {}
        with torch.no_grad():
            state = generator.begin(first)
            for boundary in generator.boundaries:
                state = generator.advance(state, boundary.name)
                self.states[boundary.name] = state
            self.w = generator.module.mapping(first["z"], first.get("c"))
        self.ws = self.states["w"].x

    def image(self, r: int) -> Tensor:
        """The image so far, after the ToRGB of one resolution."""
        if r == self.shape.resolution:
            return self.states["image"].x[:, : self.shape.img_channels]
        return self.states[f"r{2 * r}.conv0"].carry["rgb"]

    def colours(self, r: int) -> Tensor:
        """The output of a ToRGB on its own."""
        number = 2 * (r.bit_length() - 3) + 1
        torgb = self.generator.module.synthesis.block(r).torgb
        assert torgb is not None
        found: Tensor = torgb(self.states[f"r{r}.conv1"].x, self.ws[:, number])
        return found

    def conv(self, r: int, number: int) -> Tensor:
        """The output of a convolution, without the residual sum after it."""
        x = self.states[f"r{r}.conv{number}"].x
        before = self.states.get(f"r{r}.conv0")
        if number and before is not None and "shortcut" in before.carry:
            return x - before.carry["shortcut"]
        return x

    def pytorch(self, r: int, part: str) -> Tensor:
        match part:
            case "x":
                return self.states[f"r{r}.conv1"].x
            case "img":
                return self.image(r)
            case "torgb":
                return self.colours(r)
        return self.conv(r, int(part.removeprefix("conv")))

    def find(self, key: str) -> Tensor:
        layers = self.shape.layers
        if match := re.fullmatch(r"synthesis\.b(\d+)\.(\w+)", key):
            return self.pytorch(int(match[1]), match[2])
        if match := re.fullmatch(r"noise(\d+)", key):
            return self.generator.module.synthesis.layer(layers[int(match[1])]).noise_const[
                None, None
            ]
        if match := re.fullmatch(r"to_rgb(?:s\.)?(\d+)(\.output)?", key):
            level = int(match[1]) + (1 if key.startswith("to_rgbs") else -1)
            return self.image(4 << level)
        if match := re.fullmatch(r"layer(\d+)\.fmap", key):
            return self.states[layers[int(match[1]) - 2]].x
        if match := re.fullmatch(r"convs\.(\d+)", key):
            return self.states[layers[int(match[1]) + 1]].x
        others = {
            "conv1": lambda: self.states["r4.conv1"].x,
            "input": lambda: self.generator.module.synthesis.block(4).const[None],
            "4x4/Const": lambda: self.generator.module.synthesis.block(4).const[None],
            "style": lambda: self.w,
            "style.latent": lambda: self.w,
            "latents.latent": lambda: self.ws,
            "dlatents_in": lambda: self.ws,
        }
        return others[key]()


@every_case
def test_activations(shared: Path, family: str, name: str) -> None:
    case = opened(shared, family, name)
    options: dict[str, Any] = {}
    if family == "stylegan2_rewriting":
        options = {"noise": "rewriting", "truncation": case.case["config"]["truncation"]}
    recorded = Recorded(case, loaded(case, **options))
    keys = [key for key in case.arrays if key.startswith("act.")]
    if "act.4x4/Const" in case.arrays:
        keys = [
            key for key in keys if not re.fullmatch(r"act\.(\d+x\d+/(?!Const).*|images_out)", key)
        ]
    assert len(keys) >= 7
    for key in keys:
        found = recorded.find(key.removeprefix("act."))
        agree(found.detach(), case.arrays[key])


@cases(*(key for key in CASES if "tf" in key[0]))
def test_first_tensorflow_activation_up_to_its_noise(shared: Path, family: str, name: str) -> None:
    """Each activation of a TensorFlow graph was recorded with noise of its own, drawn anew.

    So the first layer's is ours plus one map, the same for every channel before the leaky ReLU,
    and what comes later shows in the images only, whose noise was the stored one.
    """
    case = opened(shared, family, name)
    generator = loaded(case, noise="none")
    first = {name: value[:1] for name, value in latent(case).items()}
    ours = generator.advance(generator.begin(first), "r4.conv1").x
    theirs = case.arrays["act.4x4/Conv"]
    before = [torch.where(x > 0, x, x / 0.2) / math.sqrt(2) for x in (theirs, ours)]
    noise = before[0] - before[1]
    strength = generator.module.synthesis.layer("r4.conv1").noise_strength
    assert float(noise.std()) > 0.3 * abs(float(strength))  # it is there
    agree(noise - noise.mean(dim=1, keepdim=True), torch.zeros_like(noise))


# -------------------------------------------------------------------------------- as our generators


CHECKED = (
    ("stylegan2_ada_pkl", "cond-resnet-r16"),
    ("stylegan2_ada_pkl", "orig-gray-nonoise-r8"),
    ("stylegan2_tf_pkl", "labels-resnet-r16"),
    ("stylegan2_rosinality", "training-r16"),
    ("stylegan2_rewriting", "seq-native-r16"),
)


@pytest.mark.parametrize(
    "check",
    [check for _, check in generator_checks()],
    ids=[name for name, _ in generator_checks()],
)
@cases(*CHECKED)
def test_conformance(shared: Path, family: str, name: str, check: Any) -> None:
    check(conforming(opened(shared, family, name)))


@functools.cache
def _conforming(path: Path, noise: str | None) -> StyleGAN2:
    return load(path, StyleGAN2Options(noise=noise, truncation=0.7, cutoff=3))  # type: ignore[arg-type]


def conforming(case: Golden) -> StyleGAN2:
    per_sample = case.file().parent.name == "training-r16"
    return _conforming(case.file(), "per-sample" if per_sample else None)


def small(**options: Any) -> StyleGAN2:
    changes = options.pop("config", {})
    return StyleGAN2(random_network(config(**changes)), StyleGAN2Options(**options))


def test_boundaries_are_canonical() -> None:
    generator = small()
    names = [b.name for b in generator.boundaries]
    inner = ["r4.conv1", "r8.conv0", "r8.conv1", "r16.conv0", "r16.conv1"]
    assert names == ["input", "w", *inner, "image"]
    assert generator.boundary("r8").name == "r8.conv1"
    assert generator.boundary("w").shape == (6, 5)
    for alias in ("synthesis.b8.conv0", "8x8/Conv0_up", "convs.0", "layer3"):
        assert generator.boundary(alias).name == "r8.conv0"
    assert generator.default_cut == "r4.conv1"
    residual = small(config={"architecture": "resnet"})
    assert residual.boundary("synthesis.b8").name == "r8.conv1"
    assert "synthesis.b8.conv1" not in residual.boundary("r8").aliases


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("noise", ["const", "none", "rewriting"])
def test_stages_are_the_networks_forward(architecture: str, noise: Any) -> None:
    generator = small(config={"architecture": architecture, "c_dim": 3}, noise=noise)
    entries = generator.latents([0, 1, 2], labels=[2, 0, 1])
    module = generator.module
    maps: Any = noise
    if noise == "rewriting":
        maps = {name: rewriting(module.config.side(name)) for name in module.config.layers}
    c = torch.nn.functional.one_hot(entries["label"], 3).float()
    with torch.no_grad():
        expected = module(entries["z"], c, maps)
    torch.testing.assert_close(generator(entries), expected, rtol=0, atol=1e-4)


def test_carry_is_what_is_still_needed() -> None:
    generator = small(noise="per-sample", config={"architecture": "skip"})
    entries = dict(generator.latents([0, 1]))
    entries["noise_r8.conv1"] = torch.zeros(2, 1, 8, 8)
    state = generator.begin(entries)
    assert set(state.carry) == {"noise_seed", "noise_r8.conv1"}
    at = {b.name: set(generator.advance(state, b.name).carry) for b in generator.boundaries}
    assert at["w"] == {"noise_seed", "noise_r8.conv1"}
    assert at["r4.conv1"] == {"noise_seed", "noise_r8.conv1", "ws"}
    assert at["r8.conv0"] == {"noise_seed", "noise_r8.conv1", "ws", "rgb"}
    assert at["r8.conv1"] == at["r16.conv1"] == {"noise_seed", "ws", "rgb"}
    assert at["image"] == {"ws"}
    residual = small(config={"architecture": "resnet"})
    state = residual.begin(residual.latents([0]))
    assert set(residual.advance(state, "r8.conv0").carry) == {"ws", "shortcut"}
    assert set(residual.advance(state, "r8.conv1").carry) == {"ws"}


def test_per_sample_noise_is_of_the_sample() -> None:
    generator, still = small(noise="per-sample"), small(noise="none")
    entries = generator.latents([3, 4])
    images = generator(entries)
    swapped = generator({"z": entries["z"].flip(0)})
    torch.testing.assert_close(swapped.flip(0), images, rtol=0, atol=1e-4)
    assert float((images - still(entries)).abs().max()) > 1e-3
    assert not torch.equal(seeds_of(entries["z"])[0], seeds_of(entries["z"])[1])
    # the noise stays while z is searched: it belongs to the state, not to the present z
    state = generator.begin(entries)
    moved = state.with_x(entries["z"] + 0.1)
    assert torch.equal(moved.carry["noise_seed"], state.carry["noise_seed"])


def test_ws_skip_mapping_and_truncation() -> None:
    generator = small(truncation=0.3, noise="per-sample")
    ws = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(1))
    state = generator.begin({"ws": ws})
    assert torch.equal(generator.advance(state, "w").x, ws)
    whole = generator({"ws": ws})
    torch.testing.assert_close(generator({"ws": ws[1:]}), whole[1:], rtol=0, atol=1e-4)
    z = generator.latents([0, 1])["z"]
    near = generator.advance(generator.begin({"z": z}), "w").x
    torch.testing.assert_close(
        generator({"ws": near, "z": z}), generator({"z": z}), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("labels", [0, 3])
def test_average_is_estimated_where_a_file_has_none(labels: int) -> None:
    changes = {"stored_average": False, "c_dim": labels}
    plain = small(config=changes)
    assert "average" not in plain.info.options
    assert plain.module.mapping.w_avg is None
    near = small(config=changes, truncation=0.5)
    assert near.info.options["average"] == f"estimated from {AVERAGED} latents"
    assert small(config=changes, truncation=0.5, cutoff=0).module.mapping.w_avg is None
    assert small(truncation=0.5).info.options["average"] == "file"
    average = near.module.mapping.w_avg
    assert average is not None
    z = plain.latents(range(400), seed=9, labels=[i % 3 for i in range(400)] if labels else None)
    w = plain.advance(plain.begin(z), "w").x[:, 0]
    spread = w.std(dim=0) / math.sqrt(400)
    assert bool(((w.mean(dim=0) - average).abs() < 5 * spread).all())
    truncated = near.advance(near.begin(z), "w").x[:, 0]
    torch.testing.assert_close(truncated, average + 0.5 * (w - average))
    assert near.export()[0].keys() == plain.export()[0].keys()


def test_cutoff_truncates_the_first_layers_only() -> None:
    plain = small()
    entries = plain.latents([0, 1])
    w = plain.advance(plain.begin(entries), "w").x
    for cutoff in (0, 2, 6, 99):
        near = small(truncation=0.25, cutoff=cutoff)
        found = near.advance(near.begin(entries), "w").x
        average = near.module.mapping.w_avg
        assert torch.equal(found[:, cutoff:], w[:, cutoff:])
        torch.testing.assert_close(found[:, :cutoff], (average + 0.25 * (w - average))[:, :cutoff])


def test_noise_of_files_without_maps() -> None:
    changes = {"stored_noise": False}
    assert small(config=changes).info.options["noise"] == "none"
    assert small(config={"implied_noise": "rewriting"}).info.options["noise"] == "rewriting"
    with pytest.raises(UsageError, match="no noise maps"):
        small(config=changes, noise="const")
    # a network without noise draws the same image under every policy
    silent = [small(config={"use_noise": False}, noise=n) for n in ("const", "per-sample", None)]
    images = [generator(generator.latents([0])) for generator in silent]
    assert {generator.info.options["noise"] for generator in silent} == {"none"}
    assert torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "give z"),
        ({"z": torch.zeros(2, 5)}, r"z has shape \(2, 5\), expected \(N, 6\)"),
        ({"z": torch.zeros(6)}, "z has shape"),
        ({"z": torch.zeros(2, 6)}, "either label"),
        (
            {"z": torch.zeros(2, 6), "label": torch.tensor([0, 3])},
            "numbers from 0 to 2",
        ),
        (
            {"z": torch.zeros(2, 6), "label": torch.tensor([0, -1])},
            "numbers from 0 to 2",
        ),
        ({"z": torch.zeros(2, 6), "label": torch.tensor([0])}, "label is"),
        ({"z": torch.zeros(2, 6), "label": torch.tensor([0.0, 1.0])}, "label is torch.float32"),
        ({"z": torch.zeros(2, 6), "c": torch.zeros(2, 4)}, "c has shape"),
        ({"z": torch.zeros(2, 6), "c": torch.zeros(2, 3), "label": torch.zeros(2)}, "either"),
        ({"ws": torch.zeros(2, 5, 5)}, "ws has shape"),
        ({"z": torch.zeros(3, 6), "ws": torch.zeros(2, 6, 5)}, "ws has shape"),
        ({"ws": torch.zeros(2, 6, 5), "noise_r8.conv0": torch.zeros(2, 1, 4, 4)}, "noise_r8"),
        ({"ws": torch.zeros(2, 6, 5), "noise_r4.conv0": torch.zeros(2, 1, 4, 4)}, "unknown latent"),
        ({"ws": torch.zeros(2, 6, 5), "noise": torch.zeros(2, 1, 4, 4)}, "unknown latent"),
    ],
)
def test_wrong_latents_are_refused(entries: dict[str, Tensor], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small(config={"c_dim": 3}).begin(entries)


def test_noise_entries_need_noise() -> None:
    generator = small(config={"use_noise": False})
    with pytest.raises(UsageError, match="unknown latent"):
        generator.begin({"z": torch.zeros(1, 6), "noise_r4.conv1": torch.zeros(1, 1, 4, 4)})


def test_class_names(tmp_path: Path) -> None:
    assert small(config={"c_dim": 3}).info.class_names == ("0", "1", "2")
    names = tmp_path / "names.json"
    names.write_text(json.dumps(["cat", "dog", "owl"]))
    generator = small(config={"c_dim": 3}, classes=str(names))
    assert generator.info.class_names == ("cat", "dog", "owl")
    with pytest.raises(UsageError, match="unconditional"):
        small(classes=str(names))


def test_grey_is_three_equal_channels(shared: Path) -> None:
    generator = loaded(opened(shared, "stylegan2_ada_pkl", "orig-gray-nonoise-r8"))
    assert generator.info.channels == 1
    images = generator(generator.latents([0, 1]))
    assert images.shape == (2, 3, 8, 8)
    assert torch.equal(images[:, :1].expand_as(images), images)


@every_case
def test_converted_to_safetensors(shared: Path, tmp_path: Path, family: str, name: str) -> None:
    case = opened(shared, family, name)
    generator = loaded(case)
    tensors, settings = generator.export()
    path = write_portable(tmp_path / "model.safetensors", tensors, "stylegan2", settings)
    again = load(path, StyleGAN2Options())
    assert recognise(read_checkpoint(path)) == "seeingkit safetensors"
    placed = {"key": generator.info.options.get("key")}  # there is one network in the new file
    assert {**again.info.options, **placed} == {**generator.info.options, **placed}
    assert torch.equal(again(latent(case)), generator(latent(case)))


def test_weights_are_needed() -> None:
    with pytest.raises(MissingWeightsError, match="--weights"):
        load(None, StyleGAN2Options())
