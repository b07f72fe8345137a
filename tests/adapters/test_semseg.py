"""semantic-segmentation-pytorch pairs: recorded numbers, variants of the format, and refusals."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    ModelError,
    SeeingkitError,
    StateMismatchError,
    UsageError,
)
from seeingkit.testing import check_segmenter
from seeingkit.weights import write_portable
from seeingkit_adapters.catalog.semseg import SemsegOptions
from seeingkit_adapters.resnet import DeepStemResNet, EncoderLayout, fold_norms
from seeingkit_adapters.semseg.hrnet import HRNetLayout, HRNetV2, StageLayout
from seeingkit_adapters.semseg.labels import ADE20K, Preparation
from seeingkit_adapters.semseg.mobilenet import MobileNetLayout, MobileNetV2
from seeingkit_adapters.semseg.network import C1Decoder, PPMDecoder, UPerNetDecoder
from seeingkit_adapters.semseg.segmenter import SemsegSegmenter, load, network_inputs
from tests.helpers.goldens import Golden, agree, golden

CASES = ("resnet18dilated-ppm_deepsup", "resnet50-upernet")
BASIC = EncoderLayout((4, 4, 6), "basic", (4, 6, 8, 8), (1, 2, 2, 2))
BOTTLENECKS = EncoderLayout((4, 4, 6), "bottleneck", (4, 4, 6, 8), (1, 1, 2, 2))
RESNEXT = EncoderLayout(
    (8, 8, 16), "bottleneck", (8, 16, 16, 32), (1, 2, 1, 1), expansion=2, groups=4
)
MOBILE_WIDTHS = (4, 2, 3, 3, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 20, 20, 20, 40)
"""Channels after the stem, then after each of the 17 blocks, which widen 6 times inside."""
MOBILE_HIDDEN = (4, *(6 * width for width in MOBILE_WIDTHS[1:-1]))
MOBILE = MobileNetLayout(
    4,
    tuple(zip(MOBILE_HIDDEN, MOBILE_WIDTHS[1:], strict=True)),
    (False, *(True,) * 16),
)
HIGH = HRNetLayout(
    (8, 8),
    4,
    2,
    4,
    (
        StageLayout(1, (4, 6), (2, 1)),
        StageLayout(2, (4, 6, 8), (1, 2, 1)),
        StageLayout(1, (4, 6, 8, 10), (1, 1, 1, 1)),
    ),
)


def lively(shapes: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights that depend on their key alone, of a size that keeps signals alive."""
    found = {}
    for key, like in shapes.items():
        if key.endswith("num_batches_tracked"):
            continue
        shape = tuple(like.shape)
        values = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
        if len(shape) == 4:
            values = values * 1.4 / np.sqrt(np.prod(shape[1:]))
        elif key.endswith("running_var"):
            values = 0.5 + np.abs(values)
        elif key.endswith("weight"):
            values = 1 + values * 0.1
        else:
            values = values * 0.1
        found[key] = torch.from_numpy(values.astype(np.float32))
    return found


def sync_extras(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with what synchronised batch normalisation leaves behind."""
    found = dict(state)
    for key, value in state.items():
        if key.endswith("running_mean"):
            norm = key.removesuffix("running_mean")
            found[f"{norm}_tmp_running_mean"] = value * 9
            found[f"{norm}_tmp_running_var"] = value * 9
            found[f"{norm}_running_iter"] = torch.ones(1)
            found[f"{norm}num_batches_tracked"] = torch.tensor(5)
    return found


def save_pair(
    folder: Path,
    encoder: nn.Module,
    decoder: nn.Module,
    epoch: int = 20,
    *,
    change: Callable[[dict[str, Tensor]], object] = sync_extras,
    **how: Any,
) -> Path:
    """Both halves with lively weights, as the original saves them."""
    folder.mkdir(exist_ok=True, parents=True)
    for half, module in (("encoder", encoder), ("decoder", decoder)):
        state = change(lively(module.state_dict()))
        torch.save(state, folder / f"{half}_epoch_{epoch}.pth", **how)
    return folder


def c1(encoder: Any, classes: int = 5) -> C1Decoder:
    inputs = encoder.layout.channels[-1]
    return C1Decoder(inputs, max(inputs // 4, 1), classes)


def a_pair(folder: Path, **more: Any) -> Path:
    """A small ResNet with a c1 decoder."""
    encoder = DeepStemResNet(BASIC)
    return save_pair(folder, encoder, c1(encoder), **more)


def images(n: int = 2, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def option(**values: Any) -> SemsegOptions:
    return SemsegOptions.model_validate(values)


# ----------------------------------------------------------------------------------------- golden


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, shared: Path) -> Golden:
    return golden(shared, "semseg", request.param)


@pytest.fixture(scope="module")
def segmenter(case: Golden) -> SemsegSegmenter:
    return load(case.folder, option())


def original_images(case: Golden) -> Tensor:
    mean, std = (
        torch.tensor(values).reshape(1, 3, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return (case.arrays["in.image_normalized"] * std + mean) * 2 - 1


def test_activations_are_the_originals(case: Golden, segmenter: SemsegSegmenter) -> None:
    network, seen = segmenter.network, dict[str, Tensor]()
    names = {key[4:] for key in case.arrays if key.startswith("act.")}
    hooks = []
    for half in (network.encoder, network.decoder):
        for name, module in half.named_modules():
            if name in names:

                def keep(_module: Any, _inputs: Any, out: Tensor, name: str = name) -> None:
                    seen[name] = out.clone()

                hooks.append(module.register_forward_hook(keep))
    features = network.encoder(case.arrays["in.image_normalized"])
    seen |= {f"feature.{k}": x.clone() for k, x in enumerate(features)}
    seen["logits"] = network.decoder(features)
    for hook in hooks:
        hook.remove()
    assert seen.keys() == names
    for name in names:
        agree(seen[name], case.arrays[f"act.{name}"])


def test_scores_and_labels_are_the_originals(case: Golden, segmenter: SemsegSegmenter) -> None:
    x, expected = original_images(case), case.arrays["out.segmentation"]
    agree(network_inputs(x, segmenter.preparation)[0], case.arrays["in.image_normalized"])
    score = segmenter.probabilities(x)[0]
    agree(score, case.arrays["out.score"])
    best = score.topk(2, dim=1).values
    close = best[:, 0] - best[:, 1] <= 1e-4
    assert close.float().mean() < 0.01  # else the next line would say little
    assert bool(((segmenter.segment(x)[:, 0] == expected) | close).all())
    label = int(expected.flatten().mode().values)
    agree(segmenter.score(x, label), case.arrays["out.score"][:, label])


def test_golden_conformance(segmenter: SemsegSegmenter) -> None:
    check_segmenter(segmenter, images(2, 64, 64))


def test_golden_layouts_are_read_from_weights_and_names(
    case: Golden, segmenter: SemsegSegmenter
) -> None:
    dilated = "dilated" in case.case["config"]["encoder"]
    assert segmenter.info.options["dilated"] == ("8" if dilated else "no")
    assert len(segmenter.vocabulary) == case.case["config"]["classes"]
    assert segmenter.vocabulary.names[0] == ("wall" if dilated else "class 0")
    assert not segmenter.vocabulary.has_background


def test_without_the_name_the_decoder_tells_the_dilation(case: Golden, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(case.folder, tmp_path / "model"))
    found = load(folder, option())
    assert torch.equal(found.segment(images(1)), load(case.folder, option()).segment(images(1)))


def test_our_own_file_gives_the_same_images(case: Golden, tmp_path: Path) -> None:
    before = load(case.folder, option())
    tensors, config = before.export()
    file = write_portable(tmp_path / "a.safetensors", tensors, "semseg", config)
    after = load(file, option())
    assert torch.equal(after.probabilities(images(1))[0], before.probabilities(images(1))[0])
    assert after.vocabulary == before.vocabulary
    assert after.info.options == before.info.options


# ------------------------------------------------------------------------------ other architectures

# Logits that the original code (commit 8f27c9b9, BSD-3-Clause), its widths reduced to those above,
# gave for the weights of ``lively`` and an input of RandomState(0) normals, (1, 3, 64, 96): at
# row 1, column 2, and at the last row, last column but one.
RECORDED = {
    "hrnetv2-c1": (
        [5.88836, -6.83588, -3.49494, 1.44108, 3.33759],
        [-3.57002, -13.03536, -9.16693, -4.03061, 21.8558],
    ),
    "mobilenetv2dilated-c1_deepsup": (
        [1.4105, -2.81424, -0.73614, -3.11996, 0.16344],
        [-2.03217, -1.00035, -1.82932, -0.9057, -0.95441],
    ),
    "resnext101-upernet": (
        [-3.21538, 0.5218, -6.32085, 1.20061, 0.59146],
        [0.53984, 0.27149, -2.37934, 6.3877, 3.86727],
    ),
}


def other_pairs() -> dict[str, tuple[nn.Module, nn.Module]]:
    return {
        "hrnetv2-c1": (HRNetV2(HIGH), C1Decoder(28, 7, 5)),
        "mobilenetv2dilated-c1_deepsup": (MobileNetV2(MOBILE), C1Decoder(40, 10, 5)),
        "resnext101-upernet": (DeepStemResNet(RESNEXT), UPerNetDecoder((16, 32, 32, 64), 8, 8, 5)),
    }


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("folder_name", ["by its own name", "model"])
def test_other_encoders_give_the_originals_logits(
    name: str, folder_name: str, tmp_path: Path
) -> None:
    folder = tmp_path / (name if folder_name == "by its own name" else "model")
    found = load(save_pair(folder, *other_pairs()[name]), option())
    x = np.random.RandomState(0).standard_normal((1, 3, 64, 96)).astype(np.float32)
    logits = found.network(torch.from_numpy(x))
    for place, expected in zip(
        (logits[0, :, 1, 2], logits[0, :, -1, -2]), RECORDED[name], strict=True
    ):
        agree(place, torch.tensor(expected))


@pytest.mark.parametrize("name", RECORDED)
def test_other_encoders_conform(name: str, tmp_path: Path) -> None:
    found = load(save_pair(tmp_path / name, *other_pairs()[name]), option())
    check_segmenter(found, images(2, 64, 64))


@pytest.mark.parametrize("layout", [BASIC, BOTTLENECKS, MOBILE], ids=["basic", "deep", "mobile"])
@pytest.mark.parametrize("step", [8, 16])
def test_a_dilated_encoder_is_the_strided_one_seen_densely(layout: Any, step: int) -> None:
    """Holes in the kernels in place of strides: every 32/step-th value of the dense map."""
    kind = MobileNetV2 if isinstance(layout, MobileNetLayout) else DeepStemResNet
    dense_layout = type(layout)(**{**vars(layout), "step": step})
    strided, dense = (kind(x).eval() for x in (layout, dense_layout))
    assert strided.state_dict().keys() == dense.state_dict().keys()
    weights = lively(strided.state_dict())
    for network in (strided, dense):
        network.load_state_dict(weights, strict=False)
    x, every = images(1, 96, 64), 32 // step
    with torch.no_grad():
        expected, found = strided(x)[-1], dense(x)[-1]
    assert found.shape[-2:] == (96 // step, 64 // step)
    torch.testing.assert_close(found[..., ::every, ::every], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decoder", ["c1", "ppm", "upernet"])
@pytest.mark.parametrize("encoder", [BASIC, BOTTLENECKS], ids=["basic", "bottleneck"])
def test_every_decoder_reads_back(decoder: str, encoder: EncoderLayout, tmp_path: Path) -> None:
    first = DeepStemResNet(encoder)
    inputs = encoder.channels
    second: nn.Module = {
        "c1": C1Decoder(inputs[-1], 6, 7),
        "ppm": PPMDecoder(inputs[-1], 5, 6, 7),
        "upernet": UPerNetDecoder(inputs, 5, 6, 7),
    }[decoder]
    found = load(save_pair(tmp_path / f"x-resnet50-{decoder}", first, second), option())
    for module in (first, second):
        module.load_state_dict(lively(module.state_dict()), strict=False)
        module.eval()
    x = network_inputs(images(), Preparation())[0]
    with torch.no_grad():
        expected = second(first(x))
    torch.testing.assert_close(found.network(x), expected, rtol=1e-4, atol=1e-4)
    assert len(found.vocabulary) == 7


# ------------------------------------------------------------------------------------ the two files


def test_the_highest_epoch_of_both_is_taken(tmp_path: Path) -> None:
    folder = a_pair(tmp_path / "model", epoch=3)
    a_pair(folder, epoch=20)
    torch.save({}, folder / "encoder_epoch_100.pth")
    torch.save({}, folder / "unrelated.pth")
    latest = load(folder, option())
    older = load(folder / "decoder_epoch_3.pth", option())
    assert (
        latest.info.weights_sha256
        == load(folder / "encoder_epoch_20.pth", option()).info.weights_sha256
    )
    assert older.vocabulary == latest.vocabulary


@pytest.mark.parametrize(
    "how",
    [
        {"_use_new_zipfile_serialization": False},
        {"pickle_protocol": 4},
        {"change": lambda s: {f"module.{k}": v for k, v in sync_extras(s).items()}},
        {"change": lambda s: {"epoch": 3, "state_dict": s}},
        {"change": dict},
    ],
    ids=["legacy", "protocol 4", "data parallel", "wrapped", "no extras"],
)
def test_containers_and_wrappers(how: dict[str, Any], tmp_path: Path) -> None:
    found = load(a_pair(tmp_path / "a", **how), option())
    plain = load(a_pair(tmp_path / "b"), option())
    assert torch.equal(found.probabilities(images(1))[0], plain.probabilities(images(1))[0])


def test_half_precision_weights_become_single(tmp_path: Path) -> None:
    found = load(
        a_pair(tmp_path / "a", change=lambda s: {k: v.half() for k, v in s.items()}), option()
    )
    assert {p.dtype for p in found.network.parameters()} == {torch.float32}


def test_the_dilation_can_be_told(tmp_path: Path) -> None:
    folder = a_pair(tmp_path / "ade20k-resnet18-c1")
    told = {value: load(folder, option(dilated=value)) for value in (None, False, True, 16, "8")}
    assert [told[v].info.options["dilated"] for v in told] == ["no", "no", "8", "16", "8"]
    sizes = {v: told[v].network(torch.zeros(1, 3, 64, 64)).shape[-1] for v in told}
    assert sizes == {None: 2, False: 2, True: 8, 16: 4, "8": 8}
    older = a_pair(tmp_path / "baseline-resnet50_dilated16-c1_bilinear")
    assert load(older, option()).info.options["dilated"] == "16"


def spoiled(key: str, value: Tensor | None) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def change(state: dict[str, Tensor]) -> dict[str, Tensor]:
        if key in state or value is not None:
            state[key] = value if value is not None else torch.zeros(0)
        if value is None:
            state.pop(key, None)
        return state

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (spoiled("layer2.0.bn1.weight", None), "missing keys layer2.0.bn1.weight"),
        (spoiled("layer3.0.conv1.weight", None), "'layer3.0.conv1.weight' missing"),
        (spoiled("layer2.0.bn1.bias", torch.zeros(9)), "bn1.bias has shape (9,), expected (6,)"),
        (spoiled("bn1.bias", torch.full((4,), float("nan"))), "bn1.bias holds NaN"),
        (spoiled("bn1.running_var", torch.full((4,), -1.0)), "bn1.running_var is negative"),
        (spoiled("cbr.0.weight", None), "keys are unknown"),
        (spoiled("extra.weight", torch.zeros(1)), "unexpected keys extra.weight"),
    ],
)
def test_odd_tensors_are_named(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(StateMismatchError) as caught:
        load(a_pair(tmp_path / "model", change=change), option())
    assert says in str(caught.value)
    assert "epoch_20.pth" in str(caught.value)


def test_halves_that_are_not_a_pair(tmp_path: Path) -> None:
    with pytest.raises(StateMismatchError, match="not a pair"):
        load(save_pair(tmp_path / "a", DeepStemResNet(BASIC), C1Decoder(9, 2, 5)), option())
    upper = UPerNetDecoder((4, 6, 8, 10), 3, 4, 5)
    with pytest.raises(StateMismatchError, match="not a pair"):
        load(save_pair(tmp_path / "b", HRNetV2(HIGH), upper), option())
    high = HRNetV2(HIGH)
    with pytest.raises(StateMismatchError, match="HRNet has no dilation"):
        load(save_pair(tmp_path / "c", high, c1(high)), option(dilated="8"))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="--segmenter-weights"):
        load(None, option())
    with pytest.raises(MissingWeightsError, match="no encoder_epoch_K.pth"):
        load(tmp_path, option())
    folder = a_pair(tmp_path / "model")
    (folder / "decoder_epoch_20.pth").rename(folder / "decoder_epoch_21.pth")
    with pytest.raises(MissingWeightsError, match="no epoch that both"):
        load(folder, option())
    with pytest.raises(MissingWeightsError, match=r"decoder_epoch_20.pth: not there"):
        load(folder / "encoder_epoch_20.pth", option())
    lone = folder / "lone.pth"
    torch.save({"a": torch.zeros(1)}, lone)
    with pytest.raises(StateMismatchError, match="give the folder"):
        load(lone, option())


# ----------------------------------------------------------------------------------------- labels


def test_the_names_of_ade20k() -> None:
    assert len(ADE20K) == len(set(ADE20K)) == 150
    names = {0: "wall", 12: "person", 44: "chest of drawers", 84: "tower", 149: "flag"}
    assert {number: ADE20K[number] for number in names} == names


@pytest.mark.parametrize(
    "text",
    [
        "-\nsky\ntree\ncar\nroad\n",
        '["-", "sky", "tree", "car", "road"]',
        "Idx,Ratio,Name\n1,.5,-\n2,.1,sky;heaven\n3,.1,tree\n4,.1,car;auto\n5,.1,road;route\n",
    ],
    ids=["lines", "JSON", "table"],
)
def test_files_of_names(text: str, tmp_path: Path) -> None:
    folder = a_pair(tmp_path / "model")
    names = tmp_path / "names.txt"
    names.write_text(text)
    found = load(folder, option(labels=str(names)))
    assert found.vocabulary.names == ("-", "sky", "tree", "car", "road")
    assert found.vocabulary.has_background
    plain = load(folder, option())
    assert plain.info.identity() != found.info.identity()
    assert not plain.vocabulary.has_background


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("a\nb\n", StateMismatchError, "2 labels, the network has 5"),
        ("a\nb\nc\nd\na\n", StateMismatchError, "'a' is there twice"),
        ("[1, 2, 3, 4, 5]", CorruptFileError, "JSON list of names"),
        ("[", CorruptFileError, "not valid JSON"),
        ('{"labels": [{"name": "x"}], "categories": []}', CorruptFileError, "labels.0.category"),
    ],
)
def test_odd_files_of_names(
    text: str, error: type[SeeingkitError], says: str, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text(text)
    with pytest.raises(error, match="names.txt") as caught:
        load(a_pair(tmp_path / "model"), option(labels=names))
    assert says in str(caught.value)
    with pytest.raises(UsageError, match="no such file"):
        load(a_pair(tmp_path / "model"), option(labels=tmp_path / "gone"))


GANDISSECT = {
    "labels": [
        {"name": "sky", "category": "object"},
        {"name": "rest", "category": "object", "internal": 1},
        {"name": "house", "category": "object"},
        {"name": "sky", "category": "object"},
        {"name": "roof", "category": "part"},
        {"name": "door", "category": "part"},
    ],
    "categories": [{"name": "object"}, {"name": "part", "mask": "house"}],
    "imageformat": {"byteorder": "BGR", "mean": [0.5, 0.4, 0.3], "stdev": [0.2, 0.3, 0.4]},
    "segsizes": [64, 96],
}


def gandissect_pair(folder: Path, labels: Any = GANDISSECT) -> Path:
    encoder = DeepStemResNet(BASIC)
    save_pair(folder, encoder, c1(encoder, 6))
    # Random features favour one output everywhere; a bias against that shows them all.
    found = load(folder, option()).network(images(2, 64, 64))
    file = folder / "decoder_epoch_20.pth"
    state = torch.load(file, weights_only=True)
    state["conv_last.bias"] -= found.mean((0, 2, 3))
    torch.save(state, file)
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


def test_gandissects_older_networks(tmp_path: Path) -> None:
    """Input, softmax, labels and masks as ``SemanticSegmenter`` has them, spelt out."""
    found = load(gandissect_pair(tmp_path / "baseline-resnet50_dilated8-c1_bilinear"), option())
    assert found.vocabulary.names == ("-", "sky", "house", "roof", "door")
    assert found.vocabulary.planes == ("object", "part")
    assert found.vocabulary.has_background
    x = images(2, 80, 112)
    values = (x.flip(1) + 1) / 2
    values = (values - torch.tensor([0.5, 0.4, 0.3]).reshape(1, 3, 1, 1)) / torch.tensor(
        [0.2, 0.3, 0.4]
    ).reshape(1, 3, 1, 1)
    objects, parts = torch.zeros(2, 4, 80, 112), torch.zeros(2, 2, 80, 112)
    for size in (64, 96):
        small = nn.functional.adaptive_avg_pool2d(values, size)
        logits = nn.functional.interpolate(
            found.network(small), (80, 112), mode="bilinear", align_corners=False
        )
        objects += logits[:, :4].softmax(1)
        parts += logits[:, 4:].softmax(1)
    best = objects.argmax(1)
    expected = torch.stack(
        [
            torch.tensor([1, 0, 2, 1])[best],
            torch.tensor([3, 4])[parts.argmax(1)] * (best == 2),
        ],
        dim=1,
    )
    assert float((found.segment(x) != expected).float().mean()) < 1e-3
    assert len(expected[:, 0].unique()) > 1
    torch.testing.assert_close(found.score(x, 1), (objects[:, 0] + objects[:, 3]) / 2)
    torch.testing.assert_close(found.score(x, 0), objects[:, 1] / 2)
    torch.testing.assert_close(found.score(x, 4), parts[:, 1] / 2)
    check_segmenter(found, images(2, 64, 64))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": GANDISSECT["labels"][:5]}, "5 labels, the network has 6"),
        ({"categories": [{"name": "object"}]}, "category 'part', which is not listed"),
        ({"categories": [{"name": "object"}, {"name": "part", "mask": "tree"}]}, "'tree'"),
        ({"imageformat": {"byteorder": "GBR"}}, "imageformat.byteorder"),
    ],
)
def test_odd_labels_of_gandissect(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(SeeingkitError, match="labels.json") as caught:
        load(gandissect_pair(tmp_path / "model", {**GANDISSECT, **change}), option())
    assert says in str(caught.value)


# ------------------------------------------------------------------------------------ input sizes


def test_sizes_follow_the_originals_rule() -> None:
    preparation = Preparation(sizes=(300, 600), multiple=8)
    shapes = [tuple(x.shape[-2:]) for x in network_inputs(images(1, 256, 640), preparation)]
    # 300: 300 x 750 to multiples of 8; 600: the longer side stops at 1000, so 400 x 1000.
    assert shapes == [(304, 752), (400, 1000)]
    same = network_inputs(images(1, 64, 64), Preparation(sizes=(64,), multiple=32))[0]
    assert torch.equal(same, network_inputs(images(1, 64, 64), Preparation())[0])


def test_several_sizes_are_averaged(tmp_path: Path) -> None:
    folder = a_pair(tmp_path / "model")
    both, small, large = (load(folder, option(sizes=sizes)) for sizes in ("64,96", (64,), 96))
    x = images(1, 64, 64)
    mean = (small.probabilities(x)[0] + large.probabilities(x)[0]) / 2
    torch.testing.assert_close(both.probabilities(x)[0], mean)
    assert float((both.segment(x)[:, 0] != mean.argmax(1)).float().mean()) < 1e-3
    assert both.info.options["sizes"] == [64, 96]
    with pytest.raises(ValueError, match="32 to 8192"):
        option(sizes=(8,))


def test_grid_and_images_that_cannot_be(tmp_path: Path) -> None:
    found = load(a_pair(tmp_path / "model"), option(downsample=4))
    assert found.segment(images(2, 64, 96)).shape == (2, 1, 16, 24)
    assert found.segment(images(2)[:0]).shape == (0, 1, 16, 24)
    assert found.score(images(2)[:0], 0).shape == (0, 16, 24)
    for wrong in (torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 2, 2), torch.zeros(3, 64, 64)):
        with pytest.raises(UsageError):
            found.segment(wrong)
    with pytest.raises(UsageError, match="no label 5"):
        found.score(images(1), 5)
    with pytest.raises(ModelError, match="NaN"):
        found.segment(images(1) * float("nan"))


def test_folding_leaves_the_network_as_it_is() -> None:
    for network in (HRNetV2(HIGH), MobileNetV2(MOBILE), DeepStemResNet(RESNEXT)):
        network.load_state_dict(lively(network.state_dict()), strict=False)
        network.eval().requires_grad_(False)
        before = network(images(1))[-1]
        fold_norms(network)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        torch.testing.assert_close(network(images(1))[-1], before, rtol=1e-4, atol=1e-4)
