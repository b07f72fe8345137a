"""BigGAN networks of other sizes and kinds, against images computed plainly from their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError, WeightsError
from seeingkit.testing import check_generator
from seeingkit.weights import write_portable
from seeingkit_adapters.biggan.generator import BigGAN, load
from seeingkit_adapters.catalog.biggan import BigGANOptions
from tests.helpers.biggan_by_hand import Recipe, image, layers, state
from tests.helpers.goldens import agree

RECIPES = {
    "plain-128-two-attentions": Recipe(128, 4, (32, 64)),
    "plain-256": Recipe(256, 1, (16,)),
    "plain-512": Recipe(512, 1, (8, 32), chunk=2),
    "plain-32-not-hierarchical": Recipe(32, 4, (32,), chunk=0),
    "plain-64-unshared-attention": Recipe(64, 4, (32, 8), shared_dim=0, classes=6),
    "plain-64-bn-eps": Recipe(64, 2, bn_eps=0.05),
    "mybn-averages": Recipe(32, 2, statistics="mybn"),
    "mybn-sums": Recipe(32, 2, (8,), statistics="mybn", counter=5.0),
    "cross-replica": Recipe(32, 2, (8,), statistics="cross_replica"),
    "no-spectral-norm": Recipe(64, 2, spectral=False),
    "no-spectral-norm-unshared": Recipe(32, 2, spectral=False, shared_dim=0),
    "deep-32": Recipe(32, 4, (16, 32), deep=True),
    "deep-32-three-a-stage": Recipe(32, 4, deep=True, depth=3, chunk=0),
    "deep-64": Recipe(64, 4, (8,), deep=True),
    "deep-128-mybn": Recipe(128, 4, deep=True, statistics="mybn", counter=3.0),
    "deep-256-cross-replica": Recipe(256, 4, (64,), deep=True, statistics="cross_replica"),
    "deep-64-nested": Recipe(64, 4, (8, 32), deep=True, nested=True),
    "deep-64-nested-three-a-stage": Recipe(64, 4, deep=True, nested=True, depth=3, spectral=False),
}


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save(tensors, path)
    return path


def opened(path: Path, **options: Any) -> BigGAN:
    return load(path, BigGANOptions(**options))


def batch(recipe: Recipe, rows: int = 2) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(9)
    z = torch.randn(rows, recipe.z_dim, generator=made)
    return z, torch.arange(rows) % recipe.classes


@pytest.mark.parametrize("name", RECIPES)
def test_images_are_what_the_description_says(tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    tensors = state(recipe)
    generator = opened(saved(tmp_path / "G_ema.pth", tensors), bn_eps=recipe.bn_eps)
    z, label = batch(recipe)
    expected = image(recipe, tensors, z, label)
    assert float(expected.std()) > 0.02 and float((expected.abs() < 0.99).float().mean()) > 0.5
    agree(generator({"z": z, "label": label}), expected)
    assert generator.info.resolution == recipe.resolution
    assert generator.info.latent[0].shape == (recipe.z_dim,)
    assert len(generator.info.class_names) == recipe.classes
    for layer in layers(recipe):
        assert generator.boundary(layer.name).shape[0] == layer.after


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deep-32", "plain-64-unshared-attention", "cross-replica"])
def test_conformance_and_conversion(tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    generator = opened(saved(tmp_path / "G_ema.pth", state(recipe)))
    check_generator(generator)
    tensors, config = generator.export()
    again = opened(write_portable(tmp_path / "g.safetensors", tensors, "biggan", config))
    z, label = batch(recipe)
    assert torch.equal(again({"z": z, "label": label}), generator({"z": z, "label": label}))


def test_soft_classes_mix_what_labels_choose(tmp_path: Path) -> None:
    for name in ("deep-32", "no-spectral-norm-unshared", "plain-32-not-hierarchical"):
        recipe = RECIPES[name]
        generator = opened(saved(tmp_path / "G_ema.pth", state(recipe)))
        z, label = batch(recipe, 3)
        hard = torch.nn.functional.one_hot(label, recipe.classes).float()
        agree(generator({"z": z, "c": hard}), generator({"z": z, "label": label}))
        mixed = generator({"z": z, "c": hard.roll(1, 1) * 0.5 + hard * 0.5})
        assert not torch.allclose(mixed, generator({"z": z, "c": hard}), atol=1e-2)


def test_gains_of_cross_replica_files_are_added_or_multiplied(tmp_path: Path) -> None:
    recipe = RECIPES["cross-replica"]
    tensors = state(recipe)
    path = saved(tmp_path / "G_ema.pth", tensors)
    assert opened(path).info.options["cross_replica_gain"] == "added"
    renamed = {}
    for key, value in tensors.items():
        if not key.endswith("num_batches_tracked"):
            renamed[key.replace("bn.running_", "stored_")] = value
    multiplied = saved(tmp_path / "plain.pth", renamed)
    z, label = batch(recipe)
    latent = {"z": z, "label": label}
    found = opened(path, cross_replica_gain="multiplied")(latent)
    assert torch.equal(found, opened(multiplied)(latent))
    assert not torch.allclose(found, opened(path)(latent), atol=1e-2)


def test_standing_statistics_are_divided_when_counted_or_asked(tmp_path: Path) -> None:
    sums, averages = RECIPES["mybn-sums"], RECIPES["mybn-averages"]
    path = saved(tmp_path / "G_ema.pth", state(sums))
    z, label = batch(sums)
    latent = {"z": z, "label": label}
    assert torch.equal(opened(path, standing=True)(latent), opened(path)(latent))
    assert not torch.allclose(opened(path, standing=False)(latent), opened(path)(latent), atol=1e-2)
    uncounted = saved(tmp_path / "averages.pth", state(averages))
    with pytest.raises(StateMismatchError, match="accumulation_counter is 0; sums cannot"):
        opened(uncounted, standing=True)


def test_half_precision_and_logs_are_read(tmp_path: Path) -> None:
    recipe = RECIPES["deep-32"]
    tensors = {k: v.half() for k, v in state(recipe).items()}
    without_logs = {k: v for k, v in tensors.items() if not k.endswith("sv0")}
    further = {**tensors, "linear.u1": torch.ones(1, 256), "linear.sv1": torch.ones(1)}
    z, label = batch(recipe)
    expected = image(recipe, tensors, z, label)
    for content in (tensors, without_logs, further):
        path = saved(tmp_path / "G_ema.pth", content)
        agree(opened(path)({"z": z, "label": label}), expected)


# ------------------------------------------------------------------------------------- bad files

Change = Callable[[dict[str, Tensor]], object]


def without(*keys: str) -> Change:
    return lambda t: [t.pop(key) for key in keys]


def instead(key: str, value: Tensor) -> Change:
    return lambda t: t.update({key: value})


def without_block(start: str) -> Change:
    return lambda t: [t.pop(key) for key in list(t) if key.startswith(start)]


BAD: list[tuple[str, Change, str]] = [
    ("plain-64-bn-eps", without("blocks.1.0.bn1.stored_mean"), r"missing keys blocks\.1\.0\.bn1"),
    ("plain-64-bn-eps", without("linear.u0"), r"missing keys linear\.u0"),
    ("plain-64-bn-eps", without("linear.bias"), r"missing keys linear\.bias"),
    ("plain-64-bn-eps", without_block("blocks.2."), r"missing key blocks\.2\.0\.conv1\.weight"),
    ("plain-64-bn-eps", without_block("blocks.3."), r"these do not fit|takes|shape"),
    ("plain-64-bn-eps", instead("blocks.1.0.extra", torch.ones(1)), r"unexpected keys blocks"),
    ("plain-64-bn-eps", instead("other.u0", torch.ones(1)), r"unexpected keys other\.u0"),
    ("plain-64-bn-eps", instead("linear.weight", torch.ones(512, 4)), r"linear\.weight takes 4"),
    ("plain-64-bn-eps", instead("linear.weight", torch.ones(500, 3)), r"linear\.weight gives 500"),
    ("plain-64-bn-eps", instead("linear.weight", torch.ones(512)), r"linear\.weight has shape"),
    ("plain-64-bn-eps", instead("linear.weight", torch.zeros(512, 3)), r"linear\.weight has spec"),
    ("plain-64-bn-eps", instead("linear.bias", torch.ones(3)), r"linear\.bias has shape \(3,\)"),
    ("plain-64-bn-eps", instead("linear.u0", torch.ones(1, 3)), r"linear\.u0 has shape \(1, 3\)"),
    ("plain-64-bn-eps", instead("linear.u0", torch.full((1, 512), torch.nan)), r"linear\.u0 hold"),
    ("plain-64-bn-eps", instead("shared.weight", torch.ones(4, 9)), r"shared\.weight gives 9"),
    (
        "plain-64-bn-eps",
        instead("blocks.0.0.bn1.stored_var", -torch.ones(32)),
        r"blocks\.0\.0\.bn1\.stored_var holds negative",
    ),
    (
        "plain-64-bn-eps",
        instead("blocks.2.0.conv1.weight", torch.ones(8, 7, 3, 3)),
        r"blocks\.2\.0 takes 7 channels, 16 come",
    ),
    (
        "plain-64-bn-eps",
        instead("blocks.2.0.conv2.bias", torch.ones(8, dtype=torch.int64)),
        "not floating point",
    ),
    ("deep-64", without("shared.weight"), r"missing key shared\.weight, which BigGAN-deep has"),
    ("deep-64", without_block("blocks.7."), "no whole number of stages"),
    ("deep-32", without("blocks.3.0.conv4.weight"), "several kinds"),
    ("plain-32-not-hierarchical", without("blocks.2.1.theta.weight"), r"blocks\.2\.1\.conv1"),
    ("mybn-sums", without("blocks.0.0.bn1.bn.accumulation_counter"), "accumulation_counter"),
    (
        "mybn-sums",
        instead("blocks.0.0.bn1.bn.accumulation_counter", torch.tensor([-1.0])),
        "accumulation_counter is -1",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change", "reason"), BAD)
def test_bad_files_are_refused_by_key(
    tmp_path: Path, name: str, change: Change, reason: str
) -> None:
    tensors = state(RECIPES[name])
    opened(saved(tmp_path / "G_ema.pth", tensors))
    change(tensors)
    path = saved(tmp_path / "G_ema.pth", tensors)
    with pytest.raises(WeightsError, match=reason) as caught:
        opened(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_absurd_block_numbers_end_at_once(tmp_path: Path) -> None:
    tensors = state(RECIPES["deep-32"])
    for key in ("blocks.999999999999.0.conv1.weight", "blocks.0.999999999999.conv1.weight"):
        path = saved(tmp_path / "G_ema.pth", {**tensors, key: torch.ones(4, 4, 1, 1)})
        with pytest.raises(StateMismatchError, match="missing key blocks"):
            opened(path)
