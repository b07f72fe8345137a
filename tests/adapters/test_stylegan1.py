"""StyleGAN v1: equal to both originals on recorded activations, and to a second implementation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.testing import check_generator
from seeingkit.weights import read_checkpoint, write_portable
from seeingkit_adapters.catalog.stylegan1 import StyleGAN1Options
from seeingkit_adapters.stylegan1.generator import MEAN_SAMPLES, StyleGAN1, load, recognise
from seeingkit_adapters.stylegan1.network import upsampled_convolution
from seeingkit_adapters.stylegan2.noise import per_sample
from tests.helpers.goldens import agree, golden
from tests.helpers.tensorflow_pickle_writer import Record, network, write

Variables = dict[str, np.ndarray]
MODULE = "dnnlib.tflib.network"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def options(**values: Any) -> StyleGAN1Options:
    return StyleGAN1Options(**values)


# ------------------------------------------------------------- the TensorFlow layout, written anew


def variables(
    side: int = 16,
    *,
    widths: tuple[int, ...] = (5, 4, 3, 3, 2, 2),
    latent: int = 6,
    mapping: tuple[int, ...] = (7, 4),
    labels: int = 0,
    image: int = 3,
) -> tuple[Variables, Variables, Variables]:
    """Random variables of Gs, its mapping and its synthesis, in the file's own shapes."""
    rng = np.random.RandomState(side + latent + labels)

    def normal(*shape: int) -> np.ndarray:
        return rng.randn(*shape).astype(np.float32)

    w = mapping[-1]
    whole = {"lod": np.float32(0.0), "dlatent_avg": normal(w) * 0.3}
    maps: Variables = {}
    if labels:
        maps["LabelConcat/weight"] = normal(labels, latent)
    inputs = latent * (2 if labels else 1)
    for i, outputs in enumerate(mapping):
        maps |= {f"Dense{i}/weight": normal(inputs, outputs) * 100}
        maps |= {f"Dense{i}/bias": normal(outputs) * 10}
        inputs = outputs
    synthesis: Variables = {"lod": np.float32(0.0)}
    sides = [4 << i for i in range(int(math.log2(side)) - 1)]
    below = 0
    for i, (r, c) in enumerate(zip(sides, widths, strict=False)):
        names = ("4x4/Const", "4x4/Conv") if r == 4 else (f"{r}x{r}/Conv0_up", f"{r}x{r}/Conv1")
        for half, name in enumerate(names):
            if r == 4 and not half:
                synthesis[f"{name}/const"] = normal(1, c, 4, 4)
            else:
                synthesis[f"{name}/weight"] = normal(3, 3, c if half else below, c)
            synthesis |= {f"{name}/Noise/weight": normal(c), f"{name}/bias": normal(c)}
            synthesis |= {f"{name}/StyleMod/weight": normal(w, 2 * c)}
            synthesis |= {f"{name}/StyleMod/bias": normal(2 * c)}
            synthesis[f"noise{2 * i + half}"] = normal(1, 1, r, r)
        lod = len(sides) - 1 - i
        synthesis |= {f"ToRGB_lod{lod}/weight": normal(1, 1, c, image)}
        synthesis |= {f"ToRGB_lod{lod}/bias": normal(image)}
        below = c
    return whole, maps, synthesis


def record(
    parts: tuple[Variables, Variables, Variables], version: int = 3, **kwargs: Any
) -> Record:
    whole, maps, synthesis = parts
    components = {
        "synthesis": network(version, "G_synthesis", synthesis, kwargs, {}),
        "mapping": network(version, "G_mapping", maps, kwargs, {}),
    }
    return network(version, "G_style", whole, kwargs, components)


# Long: the layers share the small functions inside, as in the original.
def reference(
    parts: tuple[Variables, Variables, Variables], z: Tensor, labels: Tensor | None, **kwargs: Any
) -> Tensor:
    """G_style step by step, growing every resolution's RGB as the original's linear structure."""
    whole, maps, synthesis = ({k: torch.as_tensor(v) for k, v in part.items()} for part in parts)
    scaled = kwargs.get("use_wscale", True)

    def weight(value: Tensor, gain: float = math.sqrt(2), rate: float = 1.0) -> Tensor:
        fan_in = value.shape[:-1].numel()
        return value * (gain / math.sqrt(fan_in) * rate if scaled else rate)

    def normalised(x: Tensor) -> Tensor:
        return x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)

    rate = kwargs.get("mapping_lrmul", 0.01)
    x = z if labels is None else torch.cat([z, labels @ maps["LabelConcat/weight"]], 1)
    x = normalised(x) if kwargs.get("normalize_latents", True) else x
    leak = {"lrelu": 0.2, "relu": 0.0}
    for i in range(sum(name.endswith("bias") for name in maps)):
        x = x @ weight(maps[f"Dense{i}/weight"], rate=rate) + maps[f"Dense{i}/bias"] * rate
        x = F.leaky_relu(x, leak[kwargs.get("mapping_nonlinearity", "lrelu")])
    w = x

    def finished(x: Tensor, name: str, number: int) -> Tensor:
        if kwargs.get("use_noise", True):
            noise = synthesis[f"noise{number}"] * synthesis[f"{name}/Noise/weight"].view(
                1, -1, 1, 1
            )
            x = x + noise
        x = x + synthesis[f"{name}/bias"].view(1, -1, 1, 1)
        x = F.leaky_relu(x, leak[kwargs.get("nonlinearity", "lrelu")])
        x = normalised(x) if kwargs.get("use_pixel_norm", False) else x
        if kwargs.get("use_instance_norm", True):
            x = F.instance_norm(x, eps=1e-8)
        style = w @ weight(synthesis[f"{name}/StyleMod/weight"], 1.0)
        style = (style + synthesis[f"{name}/StyleMod/bias"]).view(len(x), 2, -1, 1, 1)
        return x * (style[:, 0] + 1) + style[:, 1]

    def convolved(x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), padding=1)

    def doubled(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def upsampled(x: Tensor, kernel: Tensor, r: int) -> Tensor:
        fused = kwargs.get("fused_scale", "auto")
        if (r >= 128) if fused == "auto" else fused:
            k = F.pad(kernel.permute(2, 3, 0, 1), (1, 1, 1, 1))
            k = k[..., 1:, 1:] + k[..., 1:, :-1] + k[..., :-1, 1:] + k[..., :-1, :-1]
            x = F.conv_transpose2d(x, k, stride=2, padding=1)
        else:
            x = convolved(doubled(x), kernel)
        taps = kwargs.get("blur_filter", [1, 2, 1])
        if not taps:
            return x
        line = torch.tensor(taps, dtype=torch.float32) / sum(taps)
        blur = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
        return F.conv2d(x, blur, padding=len(taps) // 2, groups=x.shape[1])

    sides = sorted({int(name.split("x")[0]) for name in synthesis if name[0].isdigit()})
    lod = float(whole["lod"])
    x = finished(synthesis["4x4/Const/const"].expand(len(z), -1, -1, -1), "4x4/Const", 0)
    image = None
    for i, r in enumerate(sides):
        if r > 4:
            kernel = weight(synthesis[f"{r}x{r}/Conv0_up/weight"])
            x = finished(upsampled(x, kernel, r), f"{r}x{r}/Conv0_up", 2 * i)
        name = "4x4/Conv" if r == 4 else f"{r}x{r}/Conv1"
        x = finished(convolved(x, weight(synthesis[f"{name}/weight"])), name, 2 * i + 1)
        level = len(sides) - 1 - i
        if f"ToRGB_lod{level}/weight" not in synthesis:
            continue
        rgb = weight(synthesis[f"ToRGB_lod{level}/weight"], 1.0).permute(3, 2, 0, 1)
        fresh = F.conv2d(x, rgb, synthesis[f"ToRGB_lod{level}/bias"])
        mixed = min(max(lod - level, 0.0), 1.0)
        image = fresh if image is None else fresh + (doubled(image) - fresh) * mixed
    assert image is not None
    return image.expand(-1, 3, -1, -1)


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "r4": ({"side": 4}, {}),
    "labels": ({"labels": 3, "mapping": (6, 5, 4)}, {"label_size": 3, "resolution": 16}),
    "r128 from fused": ({"side": 128, "widths": (3, 2, 2, 2, 2, 2)}, {}),
    "all fused": ({}, {"fused_scale": True}),
    "never fused": ({"side": 128, "widths": (2, 2, 2, 2, 2, 2)}, {"fused_scale": False}),
    "grey": ({"image": 1}, {"num_channels": 1}),
    "relu": ({}, {"nonlinearity": "relu", "mapping_nonlinearity": "relu"}),
    "no blur": ({}, {"blur_filter": None}),
    "uneven blur": ({}, {"blur_filter": [1, 3, 5]}),
    "five taps": ({}, {"blur_filter": (1, 4, 6, 4, 1)}),
    "unscaled": ({}, {"use_wscale": False}),
    "pixel norm": ({}, {"use_pixel_norm": True, "use_instance_norm": False}),
    "raw latents": ({}, {"normalize_latents": False, "mapping_lrmul": 0.1}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_tensorflow_variants_equal_a_second_implementation(variant: str, tmp_path: Path) -> None:
    sizes, kwargs = VARIANTS[variant]
    parts = variables(**sizes)
    path = write(tmp_path / "network.pkl", MODULE, record(parts, **kwargs))
    generator = load(path, options())
    latent = generator.latents(range(3), labels=[0, 2, 1] if generator.info.class_names else None)
    labels = F.one_hot(latent["label"], 3).float() if "label" in latent else None
    agree(generator(latent), reference(parts, latent["z"], labels, **kwargs))
    assert generator.info.channels == sizes.get("image", 3)


@pytest.mark.parametrize("lod", [0.0, 0.25, 1.0, 1.75, 2.0])
def test_growing_networks_draw_as_they_did(lod: float, tmp_path: Path) -> None:
    parts = variables()
    parts[0]["lod"] = np.float32(lod)
    generator = load(write(tmp_path / "network.pkl", MODULE, record(parts)), options())
    z = torch.randn(2, 6)
    agree(generator({"z": z}), reference(parts, z, None))
    reached = 16 // 2 ** math.floor(lod)
    assert generator.boundaries[-2].extent == (reached, reached)
    assert generator.info.resolution == 16
    if lod == 1.75:  # both blended and enlarged
        check_generator(generator)


def test_fixed_structure_has_one_rgb(tmp_path: Path) -> None:
    parts = variables()
    for lod in (1, 2):
        del parts[2][f"ToRGB_lod{lod}/weight"], parts[2][f"ToRGB_lod{lod}/bias"]
    path = write(tmp_path / "network.pkl", MODULE, record(parts, structure="fixed"))
    z = torch.randn(2, 6)
    agree(load(path, options())({"z": z}), reference(parts, z, None))
    with pytest.raises(StateMismatchError, match=r"missing keys synthesis/ToRGB_lod1/bias"):
        load(write(tmp_path / "auto.pkl", MODULE, record(parts)), options())


def test_networks_without_noise(tmp_path: Path) -> None:
    parts = variables()
    for name in [name for name in parts[2] if "oise" in name]:
        del parts[2][name]
    path = write(tmp_path / "network.pkl", MODULE, record(parts, use_noise=False))
    generator = load(path, options())
    z = torch.randn(2, 6)
    agree(generator({"z": z}), reference(parts, z, None, use_noise=False))
    assert generator.info.options["noise"] == "none"
    with pytest.raises(UsageError, match="has no noise inputs"):
        load(path, options(noise="per-sample"))


@pytest.mark.parametrize(
    ("protocol", "shape"),
    [(2, "tuple"), (3, "tuple"), (4, "list"), (5, "tuple"), (4, "mapping"), (4, "alone")],
)
def test_ways_to_pickle(protocol: int, shape: str, tmp_path: Path) -> None:
    parts, path = variables(side=8), tmp_path / "weights"
    write(path, MODULE, record(parts, version=4), protocol=protocol, shape=shape)
    assert recognise(read_checkpoint(path)) == "NVlabs TensorFlow pickle"
    z = torch.randn(1, 6)
    agree(load(path, options())({"z": z}), reference(parts, z, None))


# ------------------------------------------------------------------ the rosinality layout, anew


def rosinality(
    widths: tuple[int, ...] = (4, 3, 3, 2), *, fused: int = 3, w: int = 5, depth: int = 3
) -> dict[str, Tensor]:
    """Random tensors under the original's names; blocks from ``fused`` on are fused ones."""
    torch.manual_seed(len(widths))
    state: dict[str, Tensor] = {}
    for i in range(depth):
        state[f"style.{2 * i + 1}.linear.weight_orig"] = torch.randn(w, w)
        state[f"style.{2 * i + 1}.linear.bias"] = torch.randn(w)
    blur = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    for i, c in enumerate(widths):
        block, below = f"generator.progression.{i}", widths[max(i - 1, 0)]
        if i == 0:
            state[f"{block}.conv1.input"] = torch.randn(1, c, 4, 4)
        else:
            first = f"{block}.conv1.0" if i >= fused else f"{block}.conv1.1.conv"
            shape = (below, c, 3, 3) if i >= fused else (c, below, 3, 3)
            state[f"{first}.weight" if i >= fused else f"{first}.weight_orig"] = torch.randn(shape)
            state[f"{first}.bias"] = torch.randn(c)
            last = f"{block}.conv1.{1 if i >= fused else 2}"
            state[f"{last}.weight"] = blur.expand(c, 1, 3, 3).clone()
            state[f"{last}.weight_flip"] = blur.expand(c, 1, 3, 3).clone()
        state[f"{block}.conv2.conv.weight_orig"] = torch.randn(c, c, 3, 3)
        state[f"{block}.conv2.conv.bias"] = torch.randn(c)
        for k in (1, 2):
            state[f"{block}.noise{k}.weight_orig"] = torch.randn(1, c, 1, 1)
            state[f"{block}.adain{k}.style.linear.weight_orig"] = torch.randn(2 * c, w)
            state[f"{block}.adain{k}.style.linear.bias"] = torch.randn(2 * c)
        state[f"generator.to_rgb.{i}.conv.weight_orig"] = torch.randn(3, c, 1, 1)
        state[f"generator.to_rgb.{i}.conv.bias"] = torch.randn(3)
    return state


SAVES = {
    "bare": lambda state, path: torch.save(state, path),
    "legacy": lambda s, path: torch.save(s, path, _use_new_zipfile_serialization=False),
    "training": lambda state, path: torch.save(
        {"generator": {k: v + 1 for k, v in state.items()}, "g_running": state, "g_optimizer": {}},
        path,
    ),
    "parallel": lambda state, path: torch.save({f"module.{k}": v for k, v in state.items()}, path),
    "no blurs": lambda state, path: torch.save(
        {k: v for k, v in state.items() if not k.endswith(("conv1.2.weight", "weight_flip"))}, path
    ),
}


@pytest.mark.parametrize("save", SAVES)
def test_rosinality_saves(save: str, tmp_path: Path) -> None:
    state = rosinality()
    torch.save(state, tmp_path / "bare.model")
    SAVES[save](state, tmp_path / "g.model")
    assert recognise(read_checkpoint(tmp_path / "g.model")) == "rosinality .model"
    found = load(tmp_path / "g.model", options(step=3))
    expected = load(tmp_path / "bare.model", options(resolution=32))
    latent = found.latents([0, 1])
    assert torch.equal(found(latent), expected(latent))
    assert found.info.options["resolution"] == 32 and found.info.options["noise"] == "none"


def test_a_rosinality_layer_by_hand(tmp_path: Path) -> None:
    """One channel, one number in w: 4x4 is the instance norm of the constant, times the style."""
    state = rosinality((1, 1), w=1, depth=1)
    state = {key: torch.ones_like(value) for key, value in state.items()} | {
        key: value for key, value in state.items() if "conv1.2" in key
    }
    state["generator.progression.0.conv1.input"] = torch.arange(-7.5, 8.5).reshape(1, 1, 4, 4)
    torch.save(state, tmp_path / "g.model")
    generator = load(tmp_path / "g.model", options(step=1, noise="none"))
    begun = generator.begin({"z": torch.tensor([[3.0]])})
    w = math.sqrt(2) + 1  # pixel norm makes 1 of z; weight sqrt(2 / 1), bias 1
    torch.testing.assert_close(generator.advance(begun, "w").x, torch.full((1, 4, 1), w))
    x = F.leaky_relu(torch.arange(-7.5, 8.5), 0.2)
    x = (x - x.mean()) / torch.sqrt(x.var(correction=0) + 1e-5)
    style = math.sqrt(2) * w + 1  # gamma and beta alike
    first = generator.advance(begun, "r4.conv0").x
    torch.testing.assert_close(first, (x * style + style).reshape(1, 1, 4, 4))


def test_rosinality_needs_the_resolution(tmp_path: Path) -> None:
    torch.save(rosinality(), tmp_path / "g.model")
    path = tmp_path / "g.model"
    with pytest.raises(
        UsageError, match=r"g\.model: .*option step or resolution.*: 0 \(4\), 1 \(8"
    ):
        load(path, options())
    with pytest.raises(UsageError, match="no layers for 64 pixels; steps .* 3 \\(32\\)"):
        load(path, options(step=4))
    with pytest.raises(UsageError, match="step=2 means 16 pixels, resolution=32"):
        load(path, options(step=2, resolution=32))
    with pytest.raises(UsageError, match="noise=const: the file holds no noise maps"):
        load(path, options(step=2, noise="const"))


def test_the_mean_is_estimated_where_there_is_none(tmp_path: Path) -> None:
    torch.save(rosinality(), tmp_path / "g.model")
    generator = load(tmp_path / "g.model", options(step=1, truncation=0.0))
    z = np.random.RandomState(0).standard_normal((MEAN_SAMPLES, 5)).astype(np.float32)
    plain = load(tmp_path / "g.model", options(step=1))
    ws = plain.advance(plain.begin({"z": torch.from_numpy(z)}), "w").x[:, 0]
    found = generator.advance(generator.begin({"z": torch.randn(2, 5)}), "w").x
    torch.testing.assert_close(found, ws.mean(0).expand(2, 4, 5))


# ------------------------------------------------------------------------------------- what counts


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = variables(labels=3)
    return write(tmp_path_factory.mktemp("g") / "network.pkl", MODULE, record(parts, label_size=3))


def drawn(path: Path, **values: Any) -> tuple[StyleGAN1, dict[str, Tensor]]:
    generator = load(path, options(**values))
    return generator, dict(generator.latents([4, 9, 2], labels=[0, 1, 2]))


@pytest.mark.parametrize("noise", ["const", "none", "per-sample"])
def test_conformance(noise: str, plain: Path) -> None:
    check_generator(drawn(plain, noise=noise, truncation=0.7, cutoff=3)[0])


def test_boundaries_are_named_by_meaning(plain: Path) -> None:
    generator, _ = drawn(plain)
    names = "input w r4.conv0 r4.conv1 r8.conv0 r8.conv1 r16.conv0 r16.conv1 image"
    assert " ".join(b.name for b in generator.boundaries) == names
    assert generator.boundary("r8").name == generator.boundary("8x8/Conv1").name == "r8.conv1"
    assert generator.boundary("4x4/Const").name == "r4.conv0"


def test_truncation_leads_to_the_mean(plain: Path) -> None:
    whole, latent = drawn(plain)
    ws = whole.advance(whole.begin(latent), "w").x
    half, _ = drawn(plain, truncation=0.5, cutoff=2)
    mean = half.module.state_dict()["mean_style"]
    found = half.advance(half.begin(latent), "w").x
    torch.testing.assert_close(found[:, :2], (ws[:, :2] + mean) / 2)
    assert torch.equal(found[:, 2:], ws[:, 2:])
    none, _ = drawn(plain, truncation=0.0)
    assert torch.equal(none.advance(none.begin(latent), "w").x, mean.expand(3, 6, 4))
    for off in (0, None):  # None as in the original's call
        same, _ = drawn(plain, truncation=0.0, cutoff=off)
        assert torch.equal(same.advance(same.begin(latent), "w").x, ws)


def test_noise_belongs_to_the_sample(plain: Path) -> None:
    generator, latent = drawn(plain, noise="per-sample")
    whole = generator(latent)
    order = torch.tensor([2, 0, 1])
    shuffled = generator({name: value[order] for name, value in latent.items()})
    torch.testing.assert_close(shuffled, whole[order], atol=1e-5, rtol=1e-5)
    # same z, other label: same noise; other z: other noise
    twice = {"z": latent["z"][[0, 0, 1]], "label": torch.tensor([0, 1, 0])}
    seeds = generator.begin(twice).carry["noise_seed"]
    assert seeds[0] == seeds[1] != seeds[2]
    given = {
        f"noise_r{r}.conv{k}": per_sample(generator.begin(latent).carry["noise_seed"], 2 * i + k, r)
        for i, r in enumerate((4, 8, 16))
        for k in (0, 1)
    }
    assert torch.equal(drawn(plain, noise="none")[0]({**latent, **given}), whole)
    values = torch.cat([value.flatten() for value in given.values()])
    assert abs(float(values.mean())) < 0.1 and abs(float(values.std()) - 1) < 0.1


def test_rosinality_noise_is_one_map_a_resolution(tmp_path: Path) -> None:
    torch.save(rosinality(), tmp_path / "g.model")
    generator = load(tmp_path / "g.model", options(noise="per-sample", step=2))
    latent = dict(generator.latents([0, 1]))
    seeds = generator.begin(latent).carry["noise_seed"]
    given = {f"noise_r{4 << i}": per_sample(seeds, 2 * i, 4 << i) for i in range(3)}
    assert torch.equal(generator({**latent, **given}), generator(latent))
    assert not torch.equal(
        generator({**latent, "noise_r8": given["noise_r8"] * 2}), generator(latent)
    )
    with pytest.raises(UsageError, match="no latent 'noise_r8.conv0'"):
        generator({**latent, "noise_r8.conv0": given["noise_r8"]})


def test_given_noise_is_used(plain: Path) -> None:
    const, latent = drawn(plain)
    none, _ = drawn(plain, noise="none")
    stored = {
        f"noise_{name.split('.')[1].replace('_', '.')}": value.expand(3, 1, -1, -1)
        for name, value in const.module.state_dict().items()
        if name.endswith(".noise")
    }
    assert len(stored) == 6
    assert torch.equal(none({**latent, **stored}), const(latent))
    assert not torch.equal(none(latent), const(latent))
    both = torch.randn(3, 1, 8, 8)
    one_name = none({**latent, "noise_r8": both})
    two_names = none({**latent, "noise_r8.conv0": both, "noise_r8.conv1": both})
    assert torch.equal(one_name, two_names) and not torch.equal(one_name, none(latent))


def test_ws_and_class_vectors_replace_z_and_label(plain: Path) -> None:
    generator, latent = drawn(plain)
    ws = generator.advance(generator.begin(latent), "w").x
    assert torch.equal(generator({"ws": ws}), generator(latent))
    c = F.one_hot(latent["label"], 3).float()
    assert torch.equal(generator({"z": latent["z"], "c": c}), generator(latent))
    blend = generator({"z": latent["z"], "c": torch.full((3, 3), 1 / 3)})
    assert not torch.equal(blend, generator(latent))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": torch.zeros(3, 5)}, r"z has shape \(3, 5\), expected \(N, 6\)"),
        ({"label": torch.tensor([0, 1, 3])}, "labels are whole numbers from 0 to 2"),
        ({"label": torch.zeros(3)}, "label is torch.float32 .* whole numbers"),
        ({"label": torch.zeros(2, dtype=torch.int64)}, "label has 2 rows, others have 3"),
        ({"c": torch.zeros(3, 4)}, r"c has shape \(3, 4\), expected \(N, 3\)"),
        ({"ws": torch.zeros(3, 4)}, r"ws has shape \(3, 4\), expected \(N, 6, 4\)"),
        ({"noise_r9": torch.zeros(3, 1, 9, 9)}, "no latent 'noise_r9' here; there are: z, label"),
        ({"noise_r8": torch.zeros(3, 8, 8)}, r"noise_r8 has shape .* expected \(N, 1, 8, 8\)"),
    ],
)
def test_wrong_latents_are_named(change: dict[str, Tensor], message: str, plain: Path) -> None:
    generator, latent = drawn(plain)
    with pytest.raises(UsageError, match=message):
        generator({**latent, **change})


def test_missing_latents_are_named(plain: Path) -> None:
    generator, latent = drawn(plain)
    with pytest.raises(UsageError, match="give either label"):
        generator({"z": latent["z"]})
    with pytest.raises(UsageError, match="'z' is missing"):
        generator({"label": latent["label"]})


def test_class_names_from_a_file(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\nowl\n", encoding="utf-8")
    names = drawn(plain, classes=str(tmp_path / "names.txt"))[0].info.class_names
    assert names == ("cat", "dog", "owl")


@given(
    inputs=st.integers(1, 4), outputs=st.integers(1, 4), h=st.integers(1, 6), w=st.integers(1, 6)
)
@settings(max_examples=25, deadline=None)
def test_upsampled_convolution_is_the_two_steps(inputs: int, outputs: int, h: int, w: int) -> None:
    x, weight = torch.randn(2, inputs, h, w), torch.randn(outputs, inputs, 3, 3)
    bias = torch.randn(outputs)
    two = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, bias, padding=1)
    torch.testing.assert_close(upsampled_convolution(x, weight, bias), two, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------- our format, refused files


@pytest.mark.parametrize("layout", ["tensorflow", "growing", "rosinality"])
def test_round_trip_through_our_format(layout: str, tmp_path: Path) -> None:
    path, values = tmp_path / "g.weights", {"truncation": 0.6}
    if layout == "rosinality":
        torch.save(rosinality(), path)
        values |= {"step": 2, "alpha": 0.5}
    else:
        parts = variables()
        parts[0]["lod"] = np.float32(0.5 if layout == "growing" else 0.0)
        write(path, MODULE, record(parts))
    generator = load(path, options(**values))
    tensors, config = generator.export()
    ours = write_portable(tmp_path / "g.safetensors", tensors, "stylegan1", config)
    latent = generator.latents([0, 1])
    again = load(ours, options(truncation=0.6))
    assert torch.equal(again(latent), generator(latent))
    assert torch.equal(load(ours, options(**values))(latent), generator(latent))
    assert again.info.options == generator.info.options
    with pytest.raises(UsageError, match="resolution is 16 in this file, not 8"):
        load(ours, options(step=1))
    with pytest.raises(StateMismatchError, match=r"mapping\.0: input should be .* \(found"):
        load(
            write_portable(tmp_path / "odd", tensors, "stylegan1", {**config, "mapping": [-1]}),
            options(),
        )


def _set(part: int, name: str, value: Any) -> Any:
    def change(parts: tuple[Variables, Variables, Variables]) -> None:
        if value is None:
            del parts[part][name]
        else:
            parts[part][name] = value

    return change


ODD = np.zeros(9, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(2, "8x8/Conv1/weight", None), "missing keys synthesis/8x8/Conv1/weight"),
        (_set(2, "8x8/Conv0_up/bias", ODD), r"synthesis/8x8/Conv0_up/bias has shape \(9,\), exp"),
        (_set(2, "noise3", None), "missing keys synthesis/noise3"),
        (_set(2, "mystery", ODD), "unexpected keys synthesis/mystery"),
        (_set(1, "Dense1/bias", None), "has no variable 'Dense1/bias'"),
        (
            _set(1, "Dense0/weight", np.zeros((6, 8), np.float32)),
            r"mapping/Dense0/weight has shape",
        ),
        (_set(0, "dlatent_avg", None), "missing keys dlatent_avg"),
        (_set(0, "dlatent_avg", np.full(4, np.nan, np.float32)), "dlatent_avg holds NaN"),
        (_set(0, "lod", np.float32(7)), "variable 'lod' is 7"),
        (_set(2, "8x8/Conv1/bias", None), r"layers at \[16\] pixels"),
        (_set(2, "ToRGB_lod0/bias", np.zeros(4, np.float32)), "image_channels: "),
        (_set(2, "8x8/Conv1/bias", "text"), "'8x8/Conv1/bias' of Gs.synthesis is a str"),
    ],
)
def test_misfits_are_refused_by_name(change: Any, message: str, tmp_path: Path) -> None:
    parts = variables()
    change(parts)
    path = write(tmp_path / "network.pkl", MODULE, record(parts))
    with pytest.raises(StateMismatchError, match=rf"network\.pkl: .*{message}|pkl: {message}"):
        load(path, options())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"use_styles": False}, "Gs.synthesis was built with use_styles=False, expected True"),
        ({"const_input_layer": False}, "const_input_layer=False"),
        ({"nonlinearity": "swish"}, "nonlinearity='swish', expected 'lrelu' or 'relu'"),
        ({"fused_scale": "maybe"}, "fused_scale='maybe'"),
        ({"blur_filter": [1, -1]}, "blur_filter="),
        ({"mapping_lrmul": "low"}, "mapping_lrmul='low', expected a number"),
    ],
)
def test_odd_settings_are_refused_by_name(
    kwargs: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "network.pkl", MODULE, record(variables(), **kwargs))
    with pytest.raises(StateMismatchError, match=message):
        load(path, options())


def test_rosinality_misfits_are_refused_by_key(tmp_path: Path) -> None:
    for key, value, message in (
        ("generator.progression.2.conv2.conv.bias", None, "missing keys generator.progression.2"),
        ("generator.to_rgb.1.conv.bias", torch.zeros(4), r"to_rgb\.1\.conv\.bias has shape \(4,\)"),
        ("style.3.linear.bias", torch.full((5,), math.inf), r"style\.3\.linear\.bias holds NaN"),
        ("mystery", torch.zeros(1), "unexpected keys mystery"),
        ("generator.progression.1.conv1.2.weight", torch.ones(3, 1, 3, 3), "is not the blur"),
    ):
        state = rosinality()
        if value is None:
            del state[key]
        else:
            state[key] = value
        torch.save(state, tmp_path / "g.model")
        with pytest.raises(StateMismatchError, match=rf"g\.model: .*{message}|model: {message}"):
            load(tmp_path / "g.model", options(step=2))


def test_other_files_are_not_claimed(tmp_path: Path) -> None:
    parts = variables()
    other = record(parts, version=4)
    other.state["build_func_name"] = "G_main"
    path = write(tmp_path / "network.pkl", MODULE, other)
    assert recognise(read_checkpoint(path)) is None
    with pytest.raises(StateMismatchError, match=r"network\.pkl: not a StyleGAN \(v1\)"):
        load(path, options())
    torch.save({"main.0.weight": torch.zeros(1)}, tmp_path / "g.pth")
    assert recognise(read_checkpoint(tmp_path / "g.pth")) is None
    with pytest.raises(MissingWeightsError, match="stylegan1 needs weights"):
        load(None, options())


def test_options_that_contradict_the_file(plain: Path) -> None:
    with pytest.raises(UsageError, match="resolution is 16 in this file, not 32"):
        load(plain, options(step=3))
    with pytest.raises(UsageError, match=r"alpha is 1\.0 in this file, not 0\.5"):
        load(plain, options(alpha=0.5))
    assert load(plain, options(step=2, resolution=16)).info.resolution == 16


# ------------------------------------------------------------------------------------------ golden


@pytest.mark.parametrize("name", ["r32", "fused-labels-r128"])
def test_equal_to_nvidia(name: str, shared: Path) -> None:
    case = golden(shared, "stylegan_tf_pkl", name)
    arrays = case.arrays
    latent = {"z": arrays["in.z"]}
    if arrays["in.labels"].shape[1]:
        latent["label"] = arrays["in.labels"].argmax(1)
    generator = load(case.file(), options())
    assert generator.info.resolution == case.case["config"]["resolution"]
    agree(generator(latent), arrays["out.image_const"])
    state = generator.begin(latent)
    agree(generator.advance(state, "w").x, arrays["out.ws"])
    agree(generator.module.state_dict()["mean_style"], arrays["out.dlatent_avg"])
    agree(generator({"ws": arrays["in.ws_mixed"]}), arrays["out.image_from_ws"])
    called = load(case.file(), options(truncation=0.7, cutoff=8))
    agree(called(latent), arrays["out.image_default_call"])
    for psi, cutoff in case.case["truncations"]:
        truncated = load(case.file(), options(truncation=psi, cutoff=cutoff))
        agree(truncated(latent), arrays[f"out.image_trunc.psi_{psi}.cutoff_{cutoff}"])
    layers = [key for key in arrays if key.startswith("act.") and "x" in key and "/" in key]
    assert len(layers) == 2 * math.log2(generator.info.resolution) - 2
    for key in layers:
        found = generator.advance(state, key.removeprefix("act.")).x
        agree(found[:1], arrays[key])
    for number in range(len(layers)):
        layer = generator.boundaries[2 + number].name.replace(".", "_")
        noise = generator.module.state_dict()[f"layers.{layer}.noise"]
        agree(noise[None, None], arrays[f"act.noise{number}"])


@pytest.mark.parametrize("name", ["bare-step3", "training-step5-fused"])
def test_equal_to_rosinality(name: str, shared: Path) -> None:
    case = golden(shared, "stylegan1_rosinality", name)
    arrays, step = case.arrays, case.case["config"]["step"]
    z = arrays["in.z"]

    def latent(upto: int) -> dict[str, Tensor]:
        maps = {f"noise_r{4 << i}": arrays[f"in.noise_{i}"] for i in range(upto + 1)}
        return {"z": z, **{key: value.expand(len(z), 1, -1, -1) for key, value in maps.items()}}

    generator = load(case.file(), options(step=step))
    state = generator.begin(latent(step))
    agree(generator.advance(state).x, arrays["out.image_explicit_noise"])
    agree(generator.advance(state, "w").x[:, 0], arrays["out.w"])
    for i in range(step + 1):
        key = f"generator.progression.{i}"
        agree(generator.advance(state, key).x[:1], arrays[f"act.{key}"])
    quiet = load(case.file(), options(resolution=4 << step, noise="none"))
    agree(quiet({"z": z}), arrays["out.image_none"])
    blended = load(case.file(), options(step=step, alpha=0.4))
    agree(blended(latent(step)), arrays["out.image_alpha_0.4"])
    previous = load(case.file(), options(step=step - 1))
    agree(previous(latent(step - 1)), arrays["out.image_previous_step"])
    truncated = load(case.file(), options(step=step, truncation=0.7))
    given = {**latent(step), "mean_style": arrays["in.mean_style"].expand(len(z), -1)}
    agree(truncated(given), arrays["out.image_trunc_0.7"])
    assert "mean_style" not in truncated.advance(truncated.begin(given), "w").carry
