"""ProGAN: equal to the original on its recorded activations, in every layout its files come in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    StateMismatchError,
    UnsafeFileError,
    UsageError,
)
from seeingkit.models.loading import load_generator
from seeingkit_adapters.catalog.progan import ProGANOptions
from seeingkit_adapters.progan.ablation import VARIANTS, Variant, ablation_network
from seeingkit_adapters.progan.generator import ProGAN, load
from seeingkit_adapters.progan.network import (
    equalised_scale,
    layer_shapes,
    network,
    pixel_norm,
    resolutions,
)
from seeingkit_adapters.truncation import cut_off

SIZES = (7, 6, 5, 4)
GOLDEN = (
    "ablation-equallr-r128",
    "ablation-simple-r128",
    "features-r32",
    "legacyfile-r16",
    "plain-r32",
    "wrapped-r8",
)
GOLDEN_VARIANT: dict[str, Variant] = {"ablation-equallr-r128": "equallr"}


def options(**values: Any) -> ProGANOptions:
    return ProGANOptions(**values)


def seeded(sizes: tuple[int, ...] = SIZES, variant: Variant = "progan") -> dict[str, Tensor]:
    """A tiny network's tensors under the plain layout's names."""
    torch.manual_seed(len(sizes))
    module = network(sizes) if variant == "progan" else ablation_network(sizes, variant)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    for key, value in state.items():
        if value.is_floating_point():
            state[key] = torch.randn_like(value) * 0.3 + (1.5 if "running_var" in key else 0.0)
            if "running_var" in key:
                state[key] = state[key].abs() + 0.1
    return state


def old_names(state: dict[str, Tensor], *, scales: bool = False) -> dict[str, Tensor]:
    """The same tensors in the old numbering, with the scales that old files carry."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        layer, _, rest = key.partition(".")
        if layer.startswith("output"):
            renamed[f"output.{rest}"] = value
        else:
            renamed[f"features.{int(layer[5:]) - 1}.{rest}"] = value
        if scales and rest == "conv.weight":
            name = "output" if layer.startswith("output") else f"features.{int(layer[5:]) - 1}"
            renamed[f"{name}.wscale.scale"] = torch.tensor(
                [equalised_scale(value.shape[1], value.shape[2], rgb=name == "output")]
            )
    return renamed


def save_zip(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path)


def save_wrapped(state: dict[str, Tensor], path: Path) -> None:
    torch.save({"state_dict": state}, path)


def save_legacy(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def save_old(state: dict[str, Tensor], path: Path) -> None:
    torch.save(old_names(state, scales=True), path)


LAYOUTS: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "zip": save_zip,
    "wrapped": save_wrapped,
    "legacy": save_legacy,
    "old": save_old,
    "old-without-scales": lambda state, path: torch.save(old_names(state), path),
    "safetensors": lambda state, path: save_file(state, path),
}


def saved(state: dict[str, Tensor], path: Path) -> Path:
    save_zip(state, path)
    return path


def images(generator: ProGAN, z: Tensor) -> Tensor:
    return generator({"z": z})


# ------------------------------------------------------------------------------ closed-form answers


def test_pixel_norm_leaves_unit_mean_square() -> None:
    x = torch.randn(3, 5, 2, 2) * 40
    torch.testing.assert_close(pixel_norm(x).square().mean(1), torch.ones(3, 2, 2))
    assert pixel_norm(torch.zeros(1, 4, 1, 1)).abs().max() == 0  # the epsilon keeps it finite


def test_one_block_by_hand(tmp_path: Path) -> None:
    """One channel: pixel norm gives sign(z), and every later value follows on paper."""
    state = {key: torch.ones_like(value) for key, value in network((1, 1)).state_dict().items()}
    for key in state:
        if key.endswith("wscale.b"):
            state[key].zero_()
    generator = load(saved(state, tmp_path / "one.pth"), options(clamp=False))
    first = generator.advance(generator.begin({"z": torch.tensor([[3.0]])}), "layer1").x
    torch.testing.assert_close(first, torch.full((1, 1, 4, 4), math.sqrt(2) / 4))
    second = generator.advance(generator.begin({"z": torch.tensor([[-3.0]])}), "layer1").x
    torch.testing.assert_close(second, torch.full((1, 1, 4, 4), -0.2 * math.sqrt(2) / 4))
    # layer2 sees ones again: 4, 6 or 9 neighbours; the RGB block normalises that back to ones
    both = generator.advance(generator.begin({"z": torch.tensor([[3.0]])}), "r4").x[0, 0]
    counts = torch.tensor([2.0, 3.0, 3.0, 2.0])
    torch.testing.assert_close(both, torch.outer(counts, counts) * math.sqrt(2) / 3)
    torch.testing.assert_close(images(generator, torch.ones(1, 1)), torch.ones(1, 3, 4, 4))


@given(
    latent=st.integers(1, 6),
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    old=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_sizes_are_inferred_from_any_file(
    tmp_path_factory: pytest.TempPathFactory, latent: int, widths: list[int], old: bool
) -> None:
    sizes = (latent, *widths)
    path = tmp_path_factory.mktemp("sizes") / "g.pth"
    state = seeded(sizes)
    (save_old if old else save_zip)(state, path)
    generator = load(path, options())
    assert generator.info.resolution == 2 ** len(sizes) == resolutions(sizes)[-1]
    assert generator.info.latent[0].shape == (latent,)
    assert generator.info.parameters == sum(value.numel() for value in state.values())
    assert generator({"z": torch.ones(1, latent)}).shape == (1, 3, 2 ** len(sizes), 2 ** len(sizes))
    assert len(layer_shapes(sizes)) == len(generator.boundaries) - 2


# -------------------------------------------------------------------------------------- the layouts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip(layout: str, tmp_path: Path) -> None:
    state = seeded()
    path = tmp_path / "g.weights"
    LAYOUTS[layout](state, path)
    generator = load(path, options())
    loaded = generator.module.state_dict()
    assert loaded.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(loaded[key], value), key
    assert generator.info.weights_sha256 is not None
    expected = {"clamp": True, "variant": "progan", "latents": "seeds"}
    place = {"key": "state_dict"} if layout == "wrapped" else {}
    assert generator.info.options == expected | place


def test_half_precision_file_computes_in_single(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in seeded().items()}
    save_file(state, tmp_path / "g.safetensors", {"licence": "MIT"})
    generator = load(tmp_path / "g.safetensors", options())
    assert all(value.dtype == torch.float32 for value in generator.module.state_dict().values())
    assert images(generator, torch.ones(1, 7)).dtype == torch.float32
    assert generator.info.licence == "MIT"


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "progan"])
def test_ablations_round_trip(variant: Variant, tmp_path: Path) -> None:
    state = seeded(variant=variant)
    path = saved(old_names(state), tmp_path / "g.pth")
    generator = load(path, options(variant=variant))
    assert generator.info.options["variant"] == variant
    for key, value in generator.module.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert images(generator, torch.randn(2, 7)).shape == (2, 3, 16, 16)


def test_keys_tell_two_ablations(tmp_path: Path) -> None:
    for variant in ("simple", "minibatch_disc"):
        path = saved(old_names(seeded(variant=variant)), tmp_path / f"{variant}.pth")
        assert load(path, options()).info.options["variant"] == variant
        with pytest.raises(UsageError, match=rf"{variant}\.pth: variant=equallr does not fit"):
            load(path, options(variant="equallr"))


def test_equal_keys_need_the_option_or_the_published_name(tmp_path: Path) -> None:
    state = old_names(seeded(variant="equallr"))
    with pytest.raises(StateMismatchError, match=r"g\.pth.*give the option variant=equallr"):
        load(saved(state, tmp_path / "g.pth"), options())
    z = torch.randn(1, 7)
    made = {}
    for name, variant in (
        ("equalized-learning-rate-88ed833d.pth", "equallr"),
        ("pixelwise-normalization-4da7e9ce.pth", "pixelwisenorm"),
    ):
        generator = load(saved(state, tmp_path / name), options(clamp=False))
        assert generator.info.options["variant"] == variant
        made[variant] = images(generator, z)
        asked = load(saved(state, tmp_path / "g.pth"), options(clamp=False, variant=variant))
        assert torch.equal(images(asked, z), made[variant])
    assert not torch.allclose(made["equallr"], made["pixelwisenorm"], atol=1e-2)
    ignored = load(saved(state, tmp_path / "g.pth"), options(clamp=False, variant="progan"))
    assert not torch.allclose(images(ignored, z), made["pixelwisenorm"], atol=1e-2)


def test_pixelwisenorm_with_untrained_scales_is_progan(tmp_path: Path) -> None:
    state = old_names(seeded(), scales=True)
    path = saved(state, tmp_path / "g.pth")
    one = load(path, options(clamp=False))
    other = load(path, options(clamp=False, variant="pixelwisenorm"))
    assert one.info.options["variant"] == "progan"
    z = torch.randn(2, 7)
    torch.testing.assert_close(images(one, z), images(other, z))


# --------------------------------------------------------------------------- boundaries and options


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ProGAN:
    return load(saved(seeded(), tmp_path_factory.mktemp("g") / "g.pth"), options(clamp=False))


def test_boundaries_are_named_by_meaning(tiny: ProGAN) -> None:
    names = "input r4.conv0 r4.conv1 r8.conv0 r8.conv1 r16.conv0 r16.conv1 image"
    assert " ".join(b.name for b in tiny.boundaries) == names
    assert tiny.boundary("r8").name == tiny.boundary("layer4").name == "r8.conv1"
    assert tiny.boundary("features.0").name == "r4.conv0"
    state = tiny.begin({"z": torch.randn(2, 7)})
    for boundary in tiny.boundaries:
        assert tiny.advance(state, boundary.name).x.shape == (2, *boundary.shape)


def test_boundaries_compose_exactly(tiny: ProGAN) -> None:
    state = tiny.begin({"z": torch.randn(3, 7)})
    whole = tiny.advance(state).x
    for boundary in tiny.boundaries:
        assert torch.equal(tiny.advance(tiny.advance(state, boundary.name)).x, whole)


def test_r_and_parameters_take_gradients(tiny: ProGAN) -> None:
    state = tiny.advance(tiny.begin({"z": torch.randn(2, 7)}), "r8")
    x = state.x.clone().requires_grad_(True)
    weight = dict(tiny.module.named_parameters())["layer5.conv.weight"].clone()
    weight.requires_grad_(True)
    before = tiny.advance(state).x
    image = tiny.advance(state.with_x(x), params={"layer5.conv.weight": weight}).x
    image.square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert weight.grad is not None and weight.grad.abs().sum() > 0
    changed = tiny.advance(state, params={"layer5.conv.weight": weight.detach() * -1}).x
    assert not torch.allclose(changed, before)
    assert torch.equal(tiny.advance(state).x, before)  # nothing was left behind


def test_clamp_is_the_only_difference(tmp_path: Path) -> None:
    state = seeded()
    state["output_16x16.wscale.b"] = torch.tensor([2.0, -2.0, 0.0])
    path = saved(state, tmp_path / "g.pth")
    z = torch.randn(2, 7)
    raw = images(load(path, options(clamp=False)), z)
    assert raw.abs().max() > 1
    assert torch.equal(images(load(path, options()), z), raw.clamp(-1, 1))


def test_latents_follow_the_option(tmp_path: Path) -> None:
    path = saved(seeded(), tmp_path / "g.pth")
    ours = load(path, options()).latents([0, 5], seed=3)["z"]
    expected = np.random.RandomState(8).randn(7).astype(np.float32)
    assert np.array_equal(ours[1].numpy(), expected)
    paper = load(path, options(latents="sequence")).latents([5, 0], seed=3)["z"]
    rows = np.random.RandomState(3).standard_normal((6, 7)).astype(np.float32)
    assert np.array_equal(paper.numpy(), rows[[5, 0]])


def test_wrong_latent_is_named(tiny: ProGAN) -> None:
    with pytest.raises(UsageError, match=r"z has shape \(2, 9\), expected \(N, 7\)"):
        images(tiny, torch.zeros(2, 9))


# ------------------------------------------------------------------------------------ refused files


def _without(key: str) -> Callable[[dict[str, Tensor]], None]:
    def change(state: dict[str, Tensor]) -> None:
        del state[key]

    return change


def _with(key: str, value: Tensor) -> Callable[[dict[str, Tensor]], None]:
    def change(state: dict[str, Tensor]) -> None:
        state[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("layer3.conv.weight"), r"missing key layer3\.conv\.weight"),
        (_without("layer4.wscale.b"), r"missing keys layer4\.wscale\.b"),
        (_without("output_16x16.wscale.b"), r"missing keys output_16x16\.wscale\.b"),
        (_with("layer4.wscale.b", torch.zeros(9)), r"layer4\.wscale\.b.*\(9,\), expected \(5,\)"),
        (_with("layer7.conv.weight", torch.zeros(2, 4, 3, 3)), r"missing keys .*layer8"),
        (_with("mystery", torch.zeros(1)), r"unexpected keys mystery"),
        (_with("layer1.conv.weight", torch.zeros(6)), r"layer1\.conv\.weight has shape \(6,\)"),
        (_with("layer2.wscale.b", torch.full((6,), math.inf)), r"layer2\.wscale\.b holds NaN"),
        (_with("layer2.wscale.b", torch.ones(6, dtype=torch.int64)), r"layer2\.wscale\.b is torch"),
        (_without("layer1.conv.weight"), r"not a ProGAN generator"),
    ],
)
def test_misfits_are_refused_by_key(
    change: Callable[[dict[str, Tensor]], None], message: str, tmp_path: Path
) -> None:
    state = seeded()
    change(state)
    with pytest.raises(StateMismatchError, match=rf"g\.pth: .*{message}|g\.pth: {message}"):
        load(saved(state, tmp_path / "g.pth"), options())


def test_misfits_keep_the_files_own_key(tmp_path: Path) -> None:
    state = old_names(seeded(), scales=True)
    state["features.3.conv.weight"] = torch.zeros(5, 2, 3, 3)
    with pytest.raises(
        StateMismatchError, match=r"features\.3\.conv\.weight has shape .*expected \(5, 5, 3, 3\)"
    ):
        load(saved(state, tmp_path / "g.pth"), options(variant="progan"))
    state = old_names(seeded(), scales=True)
    state["output.wscale.scale"] = torch.zeros(2)
    with pytest.raises(StateMismatchError, match=r"output\.wscale\.scale has shape \(2,\)"):
        load(saved(state, tmp_path / "g.pth"), options())


def test_absurd_widths_allocate_nothing(tmp_path: Path) -> None:
    """A small file that implies a layer of 9 * 10^10 numbers is refused by shape."""
    state = seeded()
    state["layer1.conv.weight"] = torch.zeros(100_000, 1, 1, 1)
    with pytest.raises(StateMismatchError, match=r"layer1\.conv\.weight has shape"):
        load(saved(state, tmp_path / "g.pth"), options())


def test_no_weights() -> None:
    with pytest.raises(MissingWeightsError, match="progan needs weights"):
        load(None, options())


# ------------------------------------------------------------------------------ golden and hostile


def close(found: Tensor, expected: np.ndarray, name: str) -> None:
    error = float(np.abs(found.numpy() - expected).max())
    assert error <= 1e-4 * max(1.0, float(np.abs(expected).max())), f"{name}: off by {error:.2e}"


@pytest.mark.parametrize("case", GOLDEN)
def test_equal_to_the_original(case: str, shared: Path) -> None:
    folder = shared / "golden" / "progan_pth" / case
    expected = np.load(folder / "expected.npz")
    config = json.loads((folder / "case.json").read_text())["config"]
    path = folder / "checkpoint.pth"
    generator = load(path, options(variant=GOLDEN_VARIANT.get(case)))
    assert generator.info.resolution == config["resolution"]
    assert generator.info.latent[0].shape == (config["latent_dim"],)
    state = generator.begin({"z": torch.from_numpy(expected["in.z"])})
    close(generator.advance(state).x, expected["out.image"], "image")
    activations = [name for name in expected.files if name.startswith("act.")]
    assert len(activations) >= 4
    for name in activations:
        close(generator.advance(state, name.removeprefix("act.")).x, expected[name], name)
    if "out.image_unclamped" in expected.files:
        raw = load(path, options(clamp=False))
        close(raw.advance(state).x, expected["out.image_unclamped"], "unclamped")


def test_golden_cases_are_all_tested(shared: Path) -> None:
    folders = {p.name for p in (shared / "golden" / "progan_pth").iterdir() if p.is_dir()}
    assert folders == set(GOLDEN)


def test_equallr_file_without_hint_is_refused(shared: Path) -> None:
    path = shared / "golden" / "progan_pth" / "ablation-equallr-r128" / "checkpoint.pth"
    with pytest.raises(StateMismatchError, match="variant=equallr or variant=pixelwisenorm"):
        load(path, options())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("02-torch-zip-evil.pth", UnsafeFileError, "exec"),
        ("04-truncated-zip.pth", CorruptFileError, "truncated"),
        ("05-truncated-legacy.pth", CorruptFileError, "truncated"),
        (
            "06-wrong-shape.pth",
            StateMismatchError,
            r"layer4\.conv\.weight has shape \(8, 5, 3, 3\), expected \(8, 8, 3, 3\)",
        ),
        ("07-nan-weight.pth", StateMismatchError, r"layer2\.conv\.weight holds NaN"),
        ("08-zip-bomb.pth", UnsafeFileError, "compressed"),
    ],
)
def test_hostile_files_are_refused(
    name: str,
    error: type[Exception],
    message: str,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = tmp_path / "pwned"
    monkeypatch.setenv("SEEINGKIT_PWNED", str(marker))
    with pytest.raises(error, match=rf"{name}: .*{message}"):
        load(shared / "golden" / "hostile" / name, options())
    assert not marker.exists()


def test_truncation_cuts_z_off_and_leaves_images_of_others_alone() -> None:
    plain = load_generator("progan:minichurches")
    cut = load_generator("progan:minichurches", truncation=0.5)
    latents = [model.latents([0, 7], seed=3) for model in (plain, cut)]
    assert torch.equal(latents[1]["z"], cut_off(latents[0]["z"], 0.5))
    assert float(latents[1]["z"].abs().max()) <= 0.5 < float(latents[0]["z"].abs().max())
    assert torch.equal(plain(latents[0]), cut(latents[0]))  # the networks are the same
    assert plain.info.identity() != cut.info.identity()
