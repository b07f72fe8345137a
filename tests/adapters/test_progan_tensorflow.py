"""ProGAN pickles of TensorFlow and Theano: equal to the original and to a second implementation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.testing import check_generator
from seeingkit.weights import read_checkpoint, write_portable
from seeingkit_adapters.catalog.progan import ProGANOptions
from seeingkit_adapters.progan.generator import load, recognise
from seeingkit_adapters.progan.network import pixel_norm
from seeingkit_adapters.progan.theano import theano_network
from tests.helpers.goldens import agree, golden
from tests.helpers.tensorflow_pickle_writer import Record, network, write

Variables = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def options(**values: Any) -> ProGANOptions:
    return ProGANOptions(**values)


def variables(
    widths: tuple[int, ...] = (5, 4, 3), *, inputs: int = 6, fused: bool = True, image: int = 3
) -> Variables:
    """Random variables of G_paper in the file's own shapes, one width for each resolution."""
    rng = np.random.RandomState(sum(widths) + inputs)

    def normal(*shape: int) -> np.ndarray:
        return rng.randn(*shape).astype(np.float32)

    found: Variables = {"lod": np.float32(0.0)}
    below = inputs
    for i, c in enumerate(widths):
        r = 4 << i
        if r == 4:
            found |= {"4x4/Dense/weight": normal(inputs, 16 * c), "4x4/Dense/bias": normal(c)}
        else:
            name = f"{r}x{r}/Conv0_up" if fused else f"{r}x{r}/Conv0"
            shape = (3, 3, c, below) if fused else (3, 3, below, c)
            found |= {f"{name}/weight": normal(*shape), f"{name}/bias": normal(c)}
        second = "4x4/Conv" if r == 4 else f"{r}x{r}/Conv1"
        found |= {f"{second}/weight": normal(3, 3, c, c), f"{second}/bias": normal(c)}
        lod = len(widths) - 1 - i
        found |= {f"ToRGB_lod{lod}/weight": normal(1, 1, c, image)}
        found |= {f"ToRGB_lod{lod}/bias": normal(image)}
        below = c
    return found


def reference(values: Variables, combo: Tensor, **kwargs: Any) -> Tensor:
    """G_paper step by step on (N, latent + labels), growing every resolution's RGB (linear)."""
    v = {name: torch.as_tensor(value) for name, value in values.items()}
    leak = 0.2 if kwargs.get("use_leakyrelu", True) else 0.0

    def normalised(x: Tensor) -> Tensor:
        mean = (x**2).mean(1, keepdim=True)
        return x / torch.sqrt(mean + kwargs.get("pixelnorm_epsilon", 1e-8))

    def scaled(weight: Tensor, gain: float, fan_in: int) -> Tensor:
        return weight * (gain / math.sqrt(fan_in) if kwargs.get("use_wscale", True) else 1.0)

    def finished(x: Tensor, bias: Tensor) -> Tensor:
        x = F.leaky_relu(x + bias.view(1, -1, 1, 1), leak)
        return normalised(x) if kwargs.get("use_pixelnorm", True) else x

    def convolved(x: Tensor, name: str) -> Tensor:
        weight = scaled(v[f"{name}/weight"], math.sqrt(2), 9 * x.shape[1])
        return finished(F.conv2d(x, weight.permute(3, 2, 0, 1), padding=1), v[f"{name}/bias"])

    def doubled(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = normalised(combo) if kwargs.get("normalize_latents", True) else combo
    x = x @ scaled(v["4x4/Dense/weight"], math.sqrt(2) / 4, x.shape[1])
    x = finished(x.view(len(x), -1, 4, 4), v["4x4/Dense/bias"])
    x = convolved(x, "4x4/Conv")
    levels = sum(name.startswith("ToRGB") for name in v) // 2
    image = None
    for i in range(levels):
        r, lod = 4 << i, levels - 1 - i
        if i and f"{r}x{r}/Conv0/weight" in v:
            x = convolved(doubled(x), f"{r}x{r}/Conv0")
        elif i:
            weight = scaled(v[f"{r}x{r}/Conv0_up/weight"], math.sqrt(2), 9 * x.shape[1])
            k = F.pad(weight.permute(3, 2, 0, 1), (1, 1, 1, 1))  # (in, out, k, k)
            k = k[..., 1:, 1:] + k[..., 1:, :-1] + k[..., :-1, 1:] + k[..., :-1, :-1]
            x = F.conv_transpose2d(x, k, stride=2, padding=1)
            x = finished(x, v[f"{r}x{r}/Conv0_up/bias"])
        x = convolved(x, f"{r}x{r}/Conv1") if i else x
        rgb = scaled(v[f"ToRGB_lod{lod}/weight"], 1.0, x.shape[1]).permute(3, 2, 0, 1)
        fresh = F.conv2d(x, rgb, v[f"ToRGB_lod{lod}/bias"])
        mixed = min(max(float(v["lod"]) - lod, 0.0), 1.0)
        image = fresh if image is None else fresh + (doubled(image) - fresh) * mixed
    assert image is not None
    return image.expand(-1, 3, -1, -1)


def saved(path: Path, values: Variables, **kwargs: Any) -> Path:
    return write(path, "tfutil", network(2, "G_paper", values, kwargs))


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fused": ({}, {}),
    "unfused": ({"fused": False}, {"fused_scale": False}),
    "r4": ({"widths": (3,)}, {"resolution": 4}),
    "r64": ({"widths": (4, 4, 3, 3, 2)}, {"latent_size": 6}),
    "grey": ({"image": 1}, {"num_channels": 1}),
    "raw latents": ({}, {"normalize_latents": False}),
    "no norm": ({}, {"use_pixelnorm": False}),
    "another epsilon": ({}, {"pixelnorm_epsilon": 1e-2}),
    "relu": ({"widths": (16, 16, 12)}, {"use_leakyrelu": False}),  # few channels may all be 0
    "unscaled": ({}, {"use_wscale": False}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_equal_a_second_implementation(variant: str, tmp_path: Path) -> None:
    sizes, kwargs = VARIANTS[variant]
    values = variables(**sizes)
    path = saved(tmp_path / "network.pkl", values, **kwargs)
    assert recognise(read_checkpoint(path)) == "tkarras TensorFlow pickle"
    generator = load(path, options())
    z = torch.randn(3, 6)
    expected = reference(values, z, **kwargs)
    agree(generator({"z": z}), expected)
    clamped = load(path, options(clamp=True))
    agree(clamped({"z": z}), expected.clamp(-1, 1))
    assert generator.info.options["clamp"] is False  # the original leaves its output as it is
    assert generator.info.channels == sizes.get("image", 3)


@pytest.mark.parametrize("lod", [0.0, 0.25, 1.0, 1.5, 2.0])
def test_growing_networks_draw_as_they_did(lod: float, tmp_path: Path) -> None:
    values = variables() | {"lod": np.float32(lod)}
    path = saved(tmp_path / "network.pkl", values)
    generator = load(path, options())
    z = torch.randn(2, 6)
    agree(generator({"z": z}), reference(values, z))
    assert generator.info.resolution == 16
    if lod == 1.5:
        check_generator(generator)
    tensors, config = generator.export()
    ours = write_portable(tmp_path / "g.safetensors", tensors, "progan", config)
    again = load(ours, options())
    assert torch.equal(again({"z": z}), generator({"z": z}))
    assert again.info.options == generator.info.options


@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_labels_are_part_of_the_input(protocol: int, tmp_path: Path) -> None:
    values = variables(inputs=9)
    path = tmp_path / "weights"
    record = network(2, "G_paper", values, {"label_size": 4, "latent_size": None})
    write(path, "tfutil", record, protocol=protocol, shape="list")
    generator = load(path, options())
    assert generator.info.class_names == ("0", "1", "2", "3")
    assert generator.info.latent[0].shape == (5,)
    latent = generator.latents([0, 1, 2], labels=[3, 0, 1])
    c = F.one_hot(latent["label"], 4).float()
    agree(generator(latent), reference(values, torch.cat([latent["z"], c], 1)))
    assert torch.equal(generator({"z": latent["z"], "c": c}), generator(latent))
    for change, message in (
        ({"label": torch.tensor([0, 1, 4])}, "labels are whole numbers from 0 to 3"),
        ({"label": torch.zeros(3)}, "label is torch.float32 .* expected whole numbers"),
        ({"label": torch.zeros(2, dtype=torch.int64)}, r"shape \(2,\), expected .* shape \(3,\)"),
        ({"c": torch.zeros(3, 5)}, r"c has shape \(3, 5\) .* expected \(3, 4\)"),
    ):
        with pytest.raises(UsageError, match=message):
            generator({**latent, **change})
    with pytest.raises(UsageError, match="is conditional: give either label"):
        generator({"z": latent["z"]})


# ------------------------------------------------------------------------------------------ Theano


def theano(values: Variables, *, wscale: bool = True, **spec: Any) -> Record:
    """The state that the Theano code pickled, of the same (unfused) network.

    Kernels are mirrored and out-first, each scale lies in the file beside a weight that it
    multiplies, and RGB outputs come last, from the full resolution down.
    """
    levels = sum(name.startswith("ToRGB") for name in values) // 2
    names = [name.removesuffix("/weight") for name in values if name.endswith("/weight")]
    names = [name for name in names if "ToRGB" not in name]
    params: list[Any] = []
    for name in [*names, *(f"ToRGB_lod{lod}" for lod in range(levels))]:
        weight = values[f"{name}/weight"]
        gain = 1.0 if "ToRGB" in name else math.sqrt(2) / (4 if "Dense" in name else 1)
        effective = weight * (gain / math.sqrt(np.prod(weight.shape[:-1])))
        if "ToRGB" in name:
            weight, effective = weight[0, 0], effective[0, 0]
        elif "Dense" in name:
            weight, effective = (
                w.reshape(len(w), -1, 4, 4).transpose(1, 0, 2, 3) for w in (weight, effective)
            )
        else:
            weight, effective = (
                w[::-1, ::-1].transpose(3, 2, 0, 1).copy() for w in (weight, effective)
            )
        if wscale:  # any split of the product into weight and scale will do
            params += [(effective / 0.37).astype(np.float32), np.float32(0.37)]
        else:
            params += [effective.astype(np.float32)]
        params += [values[f"{name}/bias"]]
    return Record(
        {
            "build_func_spec": {
                "func": "G_paper",
                "num_channels": 3,
                "resolution": 2 << levels,
                "use_wscale": wscale,
                "tanh_at_end": None,
                **spec,
            },
            "param_values": params,
            "toplevel_params": {"cur_lod": np.float32(values["lod"])},
        }
    )


@pytest.mark.parametrize("func", ["G_paper", "G_progressive_8"])
@pytest.mark.parametrize("wscale", [True, False])
def test_theano_files(func: str, wscale: bool, tmp_path: Path) -> None:
    values = variables(fused=False)
    record = theano(values, wscale=wscale, func=func)
    path = write(tmp_path / "network.pkl", "network", record, protocol=2)
    assert recognise(read_checkpoint(path)) == "tkarras Theano pickle"
    generator = load(path, options())
    z = torch.randn(2, 6)
    agree(generator({"z": z}), reference(values, z))
    values["lod"] = np.float32(0.5)
    growing = write(tmp_path / "growing.pkl", "network", theano(values), protocol=2)
    agree(load(growing, options())({"z": z}), reference(values, z))


def test_scaled_weights_of_theano_files_are_not_kept(tmp_path: Path) -> None:
    values = variables(fused=False)
    path = write(tmp_path / "network.pkl", "network", theano(values), protocol=2)
    found = theano_network(read_checkpoint(path)).variables
    assert found.keys() == values.keys()
    for name in (name for name in found if name.endswith("/weight")):
        first, second = found[name], found[name]
        assert not np.shares_memory(first, second)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, values[name], rtol=1e-5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"label_size": 3}, "built with label_size=3, expected 0"),
        ({"use_batchnorm": True}, "built with use_batchnorm=True"),
        ({"tanh_at_end": 1.0}, "built with tanh_at_end=1.0, expected None"),
        ({"resolution": 48}, "resolution=48, expected a power of two"),
        ({"resolution": 32}, r"param_values has 27 entries; G_paper \(with wscale\) of 32 pixels"),
        ({"use_wscale": False}, r"param_values has 27 entries; G_paper \(without wscale\)"),
    ],
)
def test_theano_files_that_do_not_fit(spec: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    write(path, "network", theano(variables(fused=False), **spec), protocol=2)
    with pytest.raises(StateMismatchError, match=rf"network\.pkl: .*{message}"):
        load(path, options())


def test_theano_arrays_in_another_order(tmp_path: Path) -> None:
    record = theano(variables(fused=False))
    values = record.state["param_values"]
    values[0], values[2] = values[2], values[0]
    path = write(tmp_path / "network.pkl", "network", record)
    with pytest.raises(StateMismatchError, match=r"param_values of 4x4/Dense have shapes \(5,\)"):
        load(path, options())
    record.state["build_func_spec"]["func"] = "D_paper"
    other = write(tmp_path / "other.pkl", "network", record)
    assert recognise(read_checkpoint(other)) is None


# ------------------------------------------------------------------------------------------ misfits


def _changed(values: Variables, name: str, value: Any) -> Variables:
    return {k: v for k, v in {**values, name: value}.items() if v is not None}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "8x8/Conv1/bias",
            np.zeros(9, np.float32),
            r"8x8/Conv0_up/weight has shape .*\(3, 3, 9, 5\)",
        ),
        ("8x8/Conv0_up/bias", None, "missing keys 8x8/Conv0_up/bias"),
        ("8x8/Conv1/weight", None, r"layers at \[16\] pixels"),
        ("ToRGB_lod1/weight", None, "missing keys ToRGB_lod1/weight"),
        ("mystery", np.zeros(1, np.float32), "unexpected keys mystery"),
        ("4x4/Dense/weight", np.zeros(5, np.float32), r"4x4/Dense/weight has shape \(5,\)"),
        ("16x16/Conv1/bias", np.full(3, np.inf, np.float32), "16x16/Conv1/bias holds NaN or Inf"),
        ("lod", np.float32(3.5), "variable 'lod' is 3.5, which 16 pixels cannot be halved by"),
        ("lod", np.float32(-1), "variable 'lod' is -1"),
        (
            "ToRGB_lod0/bias",
            np.zeros(2, np.float32),
            r"weight has shape \(1, 1, 5, 3\), expected \(1, 1, 5, 2\)",
        ),
        ("ToRGB_lod0/bias", "text", "variable 'ToRGB_lod0/bias' of Gs is a str"),
    ],
)
def test_misfits_are_refused_by_name(name: str, value: Any, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "network.pkl", _changed(variables(), name, value))
    with pytest.raises(StateMismatchError, match=rf"network\.pkl: .*{message}|pkl: {message}"):
        load(path, options())


def test_settings_that_contradict_the_arrays(tmp_path: Path) -> None:
    for kwargs, message in (
        ({"latent_size": 7}, "takes 6 numbers, but .* latent_size=7 and label_size=0"),
        ({"label_size": 6}, "takes 6 numbers, but .* label_size=6"),
        ({"label_size": "many"}, "label_size='many', expected a number"),
        ({"use_pixelnorm": 3}, "use_pixelnorm=3, expected True or False"),
    ):
        path = saved(tmp_path / "network.pkl", variables(), **kwargs)
        with pytest.raises(StateMismatchError, match=message):
            load(path, options())
    with pytest.raises(UsageError, match="variant=simple does not fit"):
        load(saved(tmp_path / "network.pkl", variables()), options(variant="simple"))


def test_other_networks_are_not_claimed(tmp_path: Path) -> None:
    path = write(tmp_path / "network.pkl", "tfutil", network(2, "D_paper", variables(), {}))
    assert recognise(read_checkpoint(path)) is None
    style = network(3, "G_style", variables(), {}, {})
    path = write(tmp_path / "style.pkl", "dnnlib.tflib.network", style)
    assert recognise(read_checkpoint(path)) is None
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "vgg.pth")
    assert recognise(read_checkpoint(tmp_path / "vgg.pth")) is None


# ------------------------------------------------------------------------------------------ golden


@pytest.mark.parametrize("name", ["r32", "labels-unfused-r16"])
def test_equal_to_the_original(name: str, shared: Path) -> None:
    case = golden(shared, "progan_tf_pkl", name)
    arrays = case.arrays
    generator = load(case.file(), options())
    assert generator.info.resolution == case.case["config"]["resolution"]
    labels = arrays["in.labels"]
    latent = {"z": arrays["in.z"]} | ({"label": labels.argmax(1)} if labels.shape[1] else {})
    agree(generator(latent), arrays["out.image"])
    agree(generator(latent)[:1], arrays["act.images_out"])
    combo = torch.cat([arrays["in.z"], labels], 1)
    agree(pixel_norm(combo)[:1], arrays["act.4x4/PixelNorm"])
    state = generator.begin(latent)
    for key in ("act.8x8/Upscale2D", "act.16x16/Upscale2D"):
        if key in arrays:  # unfused: what the next layer sees after norm and enlarging
            below = generator.advance(state, f"r{arrays[key].shape[-1] // 2}").x[:1]
            agree(F.interpolate(pixel_norm(below), scale_factor=2.0), arrays[key])
    check_generator(generator)


def test_shipped_layouts_are_recognised(tmp_path: Path, shared: Path) -> None:
    for name, layout in (
        ("plain-r32", "ganseeing .pth"),
        ("wrapped-r8", "ganseeing .pth"),
        ("features-r32", "ganseeing .pth, old numbering"),
        ("ablation-simple-r128", "ganseeing .pth, old numbering"),
    ):
        case = golden(shared, "progan_pth", name)
        assert recognise(read_checkpoint(case.file())) == layout
        generator = load(case.file(), options())
        tensors, config = generator.export()
        ours = write_portable(tmp_path / f"{name}.safetensors", tensors, "progan", config)
        latent = generator.latents([0, 1])
        assert torch.equal(load(ours, options())(latent), generator(latent))
