"""ESPNet and ESPNetv2: layouts read from shapes, closed forms, and accuracy on real photographs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from seeingkit.errors import (
    MissingWeightsError,
    ModelError,
    StateMismatchError,
    UnsafeFileError,
    UsageError,
)
from seeingkit.statistics.accuracy import confusion, mean_iou, pixel_accuracy
from seeingkit.testing import check_segmenter
from seeingkit_adapters.catalog.segmenters import ESPNetOptions, ESPNetV2Options
from seeingkit_adapters.espnet import segmenter as espnet
from seeingkit_adapters.espnet import v2 as espnetv2
from seeingkit_adapters.espnet.labels import CAMVID, CITYSCAPES, VOC, choose_vocabulary
from seeingkit_adapters.espnet.network import ESPBlock, ESPNet, ESPNetLayout, shrink
from seeingkit_adapters.espnet.segmenter import PixelClassifier, Preparation
from seeingkit_adapters.espnet.v2_network import EESP, ESPNetV2, ESPNetV2Layout, rates

UNLABELLED = 11
SMALL_V1 = ESPNetLayout(classes=12, p=1, q=2, widths=(4, 10, 15), joins_photo=True)
V1_LAYOUTS = [
    SMALL_V1,
    ESPNetLayout(classes=12, p=2, q=3, widths=(16, 64, 128), joins_photo=True),
    ESPNetLayout(classes=20, p=2, q=3, widths=(16, 64, 128), joins_photo=False),
]
SMALL_V2 = ESPNetV2Layout(20, (16, 32, 48, 64), (1, 2), 4, (16, 12, 8), 5)
V2_LAYOUTS = [
    SMALL_V2,
    ESPNetV2Layout(20, (16, 32, 64, 128), (3, 7), 4, (64, 48, 32), 10),
    ESPNetV2Layout(21, (32, 64, 128, 256), (3, 7), 4, (64, 48, 32), 10),
    ESPNetV2Layout(20, (32, 128, 256, 512), (3, 7), 4, (64, 48, 32), 10),
]


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with random weights and statistics that keep its activations near one."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is None or not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if key == "running_var" or (key == "weight" and tensor.ndim == 1):
                noise = noise.mul(0.2).exp()
            elif tensor.ndim > 1:
                noise = noise * tensor[0].numel() ** -0.5
            tensor.data = noise * (30.0 if isinstance(module, nn.ConvTranspose2d) else 1.0)
    return network.eval()


def write(network: nn.Module, path: Path) -> Path:
    """The network's state as a file, torch or safetensors by its suffix."""
    state = network.state_dict()
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, str(path))
    else:
        torch.save(state, path)
    return path


def load_v1(path: Path | None, **options: Any) -> PixelClassifier:
    return espnet.load(path, ESPNetOptions(**options))


def load_v2(path: Path | None, **options: Any) -> PixelClassifier:
    return espnetv2.load(path, ESPNetV2Options(**options))


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module", params=["espnet", "espnetv2"])
def small(request: pytest.FixtureRequest, tmp_path_factory: Any) -> PixelClassifier:
    """A small random network of each family."""
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    if request.param == "espnet":
        return load_v1(write(randomised(ESPNet(SMALL_V1)), path), shortest=8)
    return load_v2(write(randomised(ESPNetV2(SMALL_V2)), path), shortest=32)


# ------------------------------------------------------------------------------------ the networks


@settings(deadline=None)  # a busy machine is not a fault
@given(st.integers(1, 4), st.sampled_from([3, 5, 7, 9, 11, 13]))
def test_rates_fall_back_to_one_beyond_the_reach(branches: int, reach: int) -> None:
    found = rates(branches, reach)
    assert found == sorted(found)
    assert len(found) == branches
    assert all(2 * rate + 1 <= reach for rate in found)


def test_rates_of_the_published_levels() -> None:
    assert rates(4, 13) == rates(4, 9) == [1, 2, 3, 4]
    assert rates(4, 7) == [1, 1, 2, 3]


def only_centres(block: nn.Module) -> None:
    """Every convolution adds up its inputs at the centre; norms and activations do nothing."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            centre = module.kernel_size[0] // 2
            module.weight.data.zero_()
            module.weight.data[:, :, centre, centre] = 1
        elif isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
        elif isinstance(module, nn.PReLU):
            module.weight.data.fill_(1)
    block.eval()


def test_branches_of_an_esp_block_are_summed_one_onto_another() -> None:
    block = ESPBlock(3, 6, shortcut=False)
    only_centres(block)
    x = pictures(1, 3, 9, 9)
    total = x.sum(dim=1)
    for channel, times in enumerate([1, 1, 1, 2, 3, 4]):  # rate 1 takes two channels and stays out
        torch.testing.assert_close(block(x)[:, channel], times * total)


def test_branches_of_an_eesp_block_are_summed_and_added_to_the_input() -> None:
    block = EESP(16, 16, branches=4, reach=9)
    only_centres(block)
    x = pictures(1, 16, 9, 9)
    total = x.sum(dim=1, keepdim=True)  # the groups of proj_1x1, joined again by conv_1x1_exp
    times = torch.arange(1, 5).repeat_interleave(4).view(16, 1, 1)
    torch.testing.assert_close(block(x), times * total + x, rtol=1e-5, atol=1e-5)


def test_shrinking_counts_the_zeros_around_the_edge() -> None:
    halved = shrink(torch.ones(1, 1, 6, 8))
    assert halved.shape == (1, 1, 3, 4)
    torch.testing.assert_close(halved[0, 0, 0, :2], torch.tensor([4 / 9, 6 / 9]))
    torch.testing.assert_close(halved[0, 0, 1:, 1:], torch.ones(2, 3))


@pytest.mark.slow
@pytest.mark.parametrize("layout", V1_LAYOUTS, ids=str)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_espnet_of_any_layout_loads(layout: ESPNetLayout, suffix: str, tmp_path: Path) -> None:
    network = randomised(ESPNet(layout))
    segmenter = load_v1(write(network, tmp_path / f"w{suffix}"))
    assert segmenter.network.layout == layout
    images = pictures(1, 3, 24, 40)
    expected = network(segmenter.preparation(images))[:, : layout.classes - 1]
    expected = nn.functional.interpolate(expected, (24, 40), mode="bilinear")
    torch.testing.assert_close(segmenter.logits(images), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("layout", V2_LAYOUTS, ids=str)
def test_espnetv2_of_any_layout_loads(layout: ESPNetV2Layout, tmp_path: Path) -> None:
    network = randomised(ESPNetV2(layout))
    segmenter = load_v2(write(network, tmp_path / "w.pth"), shortest=32)
    assert segmenter.network.layout == layout
    assert segmenter.info.options["s"] == layout.widths[1] / 64
    images = pictures(1, 3, 64, 96)
    labels = len(segmenter.vocabulary)
    expected = network(segmenter.preparation(images))[:, :labels]
    torch.testing.assert_close(segmenter.logits(images), expected, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------- files that do not


Damage = Callable[[dict[str, Tensor]], None]


def _drop(key: str) -> Damage:
    return lambda state: void(state.pop(key))


def void(_: object) -> None:
    return None


def _put(key: str, change: Callable[[Tensor], Tensor]) -> Damage:
    return lambda state: state.update({key: change(state[key])})


def _first(value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[0] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("level3_C.conv.weight"), r"missing keys level3_C\.conv\.weight"),
        (_drop("classifier.weight"), r"missing key classifier\.weight"),
        (_put("encoder.b2.bn.bias", lambda t: t[1:]), r"encoder\.b2\.bn\.bias has shape \(22,\)"),
        (_put("conv.conv.weight", lambda t: t[:, 1:]), r"conv\.conv\.weight joins 6 channels"),
        (_put("br.weight", _first(float("nan"))), r"br\.weight holds NaN"),
        (_put("br.running_var", _first(-1.0)), r"br\.running_var holds a negative variance"),
        (_put("br.weight", lambda t: t.long()), r"br\.weight holds torch\.int64"),
        (lambda s: s.update(extra=torch.ones(1)), r"unexpected keys extra"),
        (lambda s: s.clear(), r"missing key classifier\.weight; no ESPNet with a decoder"),
    ],
)
def test_espnet_weights_that_do_not_fit_are_refused_by_name(
    damage: Damage, message: str, tmp_path: Path
) -> None:
    state = dict(randomised(ESPNet(SMALL_V1)).state_dict())
    damage(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(StateMismatchError, match=message):
        load_v1(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("bu_br_l2.0.weight"), r"missing keys bu_br_l2\.0\.weight"),
        (_drop("base_net.level4_0.act.weight"), r"missing key base_net\.level4_0\.act\.weight"),
        (_put("bu_br_l3.1.weight", lambda t: t[1:]), r"bu_br_l3\.1\.weight has shape \(11,\)"),
        (_put("base_net.level3_0.act.weight", lambda t: t[1:]), r"15 channels do not divide"),
        (_put("bu_br_l3.1.weight", _first(float("inf"))), r"bu_br_l3\.1\.weight holds NaN or Inf"),
    ],
)
def test_espnetv2_weights_that_do_not_fit_are_refused_by_name(
    damage: Damage, message: str, tmp_path: Path
) -> None:
    state = dict(randomised(ESPNetV2(SMALL_V2)).state_dict())
    damage(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(StateMismatchError, match=message):
        load_v2(tmp_path / "w.pth")


def test_replicated_keys_and_missing_batch_counters_are_taken(tmp_path: Path) -> None:
    state = randomised(ESPNet(SMALL_V1)).state_dict()
    bare = {f"module.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save({"state_dict": bare}, tmp_path / "bare.pth")
    torch.save(state, tmp_path / "full.pth")
    images = pictures(1, 3, 32, 32)
    first, second = load_v1(tmp_path / "bare.pth"), load_v1(tmp_path / "full.pth")
    assert torch.equal(first.logits(images), second.logits(images))
    assert first.info.weights_sha256 != second.info.weights_sha256


@pytest.mark.parametrize("load", [load_v1, load_v2])
def test_weights_must_be_named_exist_and_be_tensors(
    load: Callable[..., PixelClassifier], tmp_path: Path
) -> None:
    with pytest.raises(MissingWeightsError, match="give a weights file"):
        load(None)
    with pytest.raises(MissingWeightsError, match="no such weights file"):
        load(tmp_path / "none.pth")
    torch.save(randomised(ESPNet(SMALL_V1)), tmp_path / "pickled.pth")
    with pytest.raises(UnsafeFileError, match="refused"):
        load(tmp_path / "pickled.pth")


def test_loading_leaves_the_random_stream_alone(tmp_path: Path) -> None:
    path = write(randomised(ESPNetV2(SMALL_V2)), tmp_path / "w.pth")
    before = torch.random.get_rng_state()
    load_v2(path)
    assert torch.equal(before, torch.random.get_rng_state())


# --------------------------------------------------------------------------- vocabulary and options


@pytest.mark.parametrize(
    ("outputs", "name", "names", "background"),
    [(12, "camvid", CAMVID, False), (20, "cityscapes", CITYSCAPES, False), (21, "voc", VOC, True)],
)
def test_vocabulary_by_number_of_outputs(
    outputs: int, name: str, names: Sequence[str], background: bool
) -> None:
    found, vocabulary = choose_vocabulary(None, outputs)
    assert found == name
    assert vocabulary.names == tuple(names)
    assert len(set(names)) == len(names) == {"voc": 21}.get(name, outputs - 1)
    assert vocabulary.has_background is background
    assert vocabulary.planes == ("object",)
    assert choose_vocabulary("numbers", outputs)[1].names[-1] == f"class {outputs - 1}"


def test_vocabulary_by_name() -> None:
    assert choose_vocabulary(None, 7)[0] == "numbers"
    assert choose_vocabulary(None, 7)[1].names[0] == "class 0"
    with pytest.raises(UsageError, match="vocabulary voc needs 21 outputs, these weights have 20"):
        choose_vocabulary("voc", 20)


def test_unknown_training_sets_must_be_described(tmp_path: Path) -> None:
    network = randomised(ESPNet(dataclasses.replace(SMALL_V1, classes=6)))
    path = write(network, tmp_path / "w.pth")
    with pytest.raises(UsageError, match="give mean= and std="):
        load_v1(path)
    segmenter = load_v1(path, mean=(100, 110, 120), std=(50, 60, 70))
    assert segmenter.vocabulary.names == tuple(f"class {i}" for i in range(6))
    assert segmenter.info.options["mean"] == [100, 110, 120]
    with pytest.raises(UsageError, match="standard deviations"):
        load_v1(path, mean=(100, 110, 120), std=(50, 0, 70))


def test_size_is_height_by_width_in_multiples(tmp_path: Path) -> None:
    path = write(randomised(ESPNetV2(SMALL_V2)), tmp_path / "w.pth")
    segmenter = load_v2(path, size="64x96")
    assert segmenter.preparation(pictures(1, 3, 50, 50)).shape == (1, 3, 64, 96)
    assert segmenter.segment(pictures(1, 3, 50, 70)).shape == (1, 1, 50, 70)
    with pytest.raises(UsageError, match="size 64x100: both sides must be multiples of 32"):
        load_v2(path, size=(64, 100))
    assert load_v2(path).info.identity() != segmenter.info.identity()


PLAIN = Preparation((0.0,) * 3, (1.0,) * 3, 1.0, False, multiple=32, shortest=384, size=None)


@pytest.mark.parametrize(
    ("height", "width", "grid"),
    [
        (256, 256, (384, 384)),
        (360, 480, (384, 512)),
        (480, 640, (480, 640)),
        (512, 1024, (512, 1024)),
        (100, 400, (384, 1536)),
        (375, 500, (384, 512)),
    ],
)
def test_small_pictures_are_enlarged_and_sides_rounded(
    height: int, width: int, grid: tuple[int, int]
) -> None:
    assert PLAIN.grid(height, width) == grid


@settings(deadline=None)  # a busy machine is not a fault
@given(st.integers(1, 900), st.integers(1, 900))
def test_the_grid_is_the_nearest_multiple(height: int, width: int) -> None:
    rows, columns = dataclasses.replace(PLAIN, shortest=1).grid(height, width)
    for side, found in ((height, rows), (width, columns)):
        assert found >= 32
        assert found % 32 == 0
        assert abs(found - side) <= 16 or found == 32


def test_preparation_by_hand() -> None:
    levels = torch.tensor([0.0, 100.0, 255.0])
    images = (levels.view(1, 3, 1, 1) / 127.5 - 1).expand(1, 3, 8, 8)
    v1 = Preparation((10, 20, 30), (2, 4, 5), 255.0, True, 8, 1, None)
    expected = [(255 - 30) / 5 / 255, (100 - 20) / 4 / 255, (0 - 10) / 2 / 255]
    torch.testing.assert_close(v1(images)[0, :, 3, 3], torch.tensor(expected))
    v2 = Preparation(espnetv2.IMAGENET_MEAN, espnetv2.IMAGENET_STD, 1.0, False, 8, 1, None)
    expected = [-0.485 / 0.229, (100 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(v2(images)[0, :, 3, 3], torch.tensor(expected))


# ------------------------------------------------------------------------ what every segmenter owes


def test_conformance(small: PixelClassifier) -> None:
    check_segmenter(small)


def test_labels_have_the_size_of_the_image(small: PixelClassifier) -> None:
    images = pictures(2, 3, 50, 70)
    labels = small.segment(images)
    assert labels.shape == (2, 1, 50, 70)
    assert labels.dtype == torch.int64
    assert 0 <= int(labels.min()) <= int(labels.max()) < len(small.vocabulary)
    assert labels.unique().numel() > 1
    assert torch.equal(labels[:, 0], small.logits(images).argmax(1))


def test_a_row_depends_on_its_image_only(small: PixelClassifier) -> None:
    images = pictures(3, 3, 64, 64)
    whole = small.score(images, 2)
    assert torch.equal(whole[1:2], small.score(images[1:2], 2))
    assert torch.equal(small.segment(images)[2:], small.segment(images[2:]))


def test_scores_of_all_labels_sum_to_one(small: PixelClassifier) -> None:
    images = pictures(1, 3, 40, 64)
    scores = torch.stack([small.score(images, i) for i in range(len(small.vocabulary))])
    assert bool(((scores >= 0) & (scores <= 1)).all())
    torch.testing.assert_close(scores.sum(dim=0), torch.ones(1, 40, 64), rtol=0, atol=1e-5)
    assert torch.equal(scores.argmax(dim=0), small.segment(images)[:, 0])


def test_going_along_the_gradient_raises_the_score(small: PixelClassifier) -> None:
    images = pictures(1, 3, 64, 64)
    label = int(small.segment(images).flatten().bincount().argmax())
    leaf = images.clone().requires_grad_()
    before = small.score(leaf, label).mean()
    (gradient,) = torch.autograd.grad(before, leaf)
    step = 1e-3 / float(gradient.abs().max())
    after = small.score(images + step * gradient, label).mean()
    assert float(gradient.abs().max()) > 0
    assert bool(after > before)


def test_labels_may_be_used_where_gradients_flow(small: PixelClassifier) -> None:
    images = pictures(1, 3, 32, 32).requires_grad_()
    mask = (small.segment(images)[:, 0] == 1).float()
    (small.score(images, 1) * mask).sum().backward()
    assert images.grad is not None


def test_statistics_count_every_pixel(small: PixelClassifier) -> None:
    counts = small.statistics(pictures(2, 3, 32, 48))
    assert counts.shape == (2, len(small.vocabulary))
    assert counts.sum(dim=1).tolist() == [32 * 48] * 2


def test_no_image_gives_no_label(small: PixelClassifier) -> None:
    assert small.segment(pictures(0, 3, 32, 40)).shape == (0, 1, 32, 40)


def test_what_cannot_be_segmented_is_refused(small: PixelClassifier) -> None:
    with pytest.raises(ModelError, match="takes images"):
        small.segment(pictures(1, 1, 32, 32))
    with pytest.raises(ModelError, match="NaN or Inf"):
        small.segment(torch.full((1, 3, 32, 32), float("nan")))
    with pytest.raises(UsageError, match="no label 99"):
        small.score(pictures(1, 3, 32, 32), 99)


# -------------------------------------------------------------------------------- real photographs


CAMVID_OF_CITYSCAPES = torch.tensor([3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10])
"""For each Cityscapes label, the CamVid label nearest in meaning."""


def photograph(path: Path, side: int | None = None) -> Tensor:
    """(1, 3, H, W) in [-1, 1]; resized to a square by Pillow's bilinear filter if asked."""
    image = Image.open(path).convert("RGB")
    if side:
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    levels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    return levels.float() / 127.5 - 1


def camvid_confusion(
    segmenter: PixelClassifier,
    shared: Path,
    split: str,
    every: int = 1,
    renumber: Tensor | None = None,
) -> Tensor:
    """Confusion matrix over the 11 CamVid labels, unlabelled pixels left out."""
    folder = shared / "real" / "camvid"
    matrix = torch.zeros(11, 11, dtype=torch.int64)
    for path in sorted((folder / "images" / split).glob("*.jpg"))[::every]:
        truth = np.array(Image.open(folder / "labels" / split / f"{path.stem}.png"))
        labels = segmenter.segment(photograph(path))[0, 0]
        labels = labels if renumber is None else renumber[labels]
        matrix += confusion(labels, torch.from_numpy(truth), 11, ignore=UNLABELLED)
    return matrix


@pytest.fixture(scope="module")
def camvid_espnet(shared: Path) -> PixelClassifier:
    """The published CamVid weights."""
    return load_v1(shared / "real/weights/espnet-camvid/espnet_p_2_q_8_camvid.pth")


@pytest.fixture(scope="module")
def city512(shared: Path) -> PixelClassifier:
    """The published Cityscapes 512x256 weights of s = 2.0."""
    return load_v2(shared / "real/weights/espnetv2/espnetv2_s_2.0_city_512x256.pth")


def test_camvid_accuracy_on_a_fifth_of_0001tp(camvid_espnet: PixelClassifier, shared: Path) -> None:
    assert camvid_espnet.info.options["q"] == 8
    assert camvid_espnet.info.parameters == 354517
    matrix = camvid_confusion(camvid_espnet, shared, "test", every=5)
    assert pixel_accuracy(matrix) == pytest.approx(0.866, abs=0.002)
    assert mean_iou(matrix) == pytest.approx(0.585, abs=0.003)


@pytest.mark.slow
def test_camvid_accuracy_on_0001tp(camvid_espnet: PixelClassifier, shared: Path) -> None:
    matrix = camvid_confusion(camvid_espnet, shared, "test")
    assert pixel_accuracy(matrix) == pytest.approx(0.856, abs=0.002)
    assert mean_iou(matrix) == pytest.approx(0.568, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trap", "highest"),
    [({"reverse": False}, 0.55), ({"divisor": 1.0}, 0.25)],
    ids=["RGB order", "not over 255"],
)
def test_channel_order_and_scale_matter(
    trap: dict[str, Any],
    highest: float,
    camvid_espnet: PixelClassifier,
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = dataclasses.replace(camvid_espnet.preparation, **trap)
    monkeypatch.setattr(camvid_espnet, "preparation", wrong)
    accuracy = pixel_accuracy(camvid_confusion(camvid_espnet, shared, "test", every=12))
    assert accuracy < highest  # .86 as trained


@pytest.mark.slow
def test_camvid_accuracy_on_val(camvid_espnet: PixelClassifier, shared: Path) -> None:
    matrix = camvid_confusion(camvid_espnet, shared, "val")
    assert pixel_accuracy(matrix) == pytest.approx(0.931, abs=0.002)
    assert mean_iou(matrix) == pytest.approx(0.681, abs=0.002)


CHURCHES = {  # % of the pixels of 13 photographs and of their reconstructions
    "person": (7.2, 3.6),
    "car": (1.00, 0.04),
    "traffic sign": (0.43, 0.01),
    "pole": (0.13, 0.03),
    "truck": (1.6, 0.0),
    "building": (45.4, 45.7),
    "sky": (20.7, 20.8),
}


def church_shares(segmenter: PixelClassifier, shared: Path, kind: str, side: int | None) -> Tensor:
    """Mean share of each label over the church pictures of one kind, in per cent."""
    folder = shared / "real" / "ganseeing-church-pairs"
    images = torch.cat([photograph(p, side) for p in sorted(folder.rglob(f"*_{kind}.png"))])
    assert len(images) == 13
    counts = segmenter.statistics(images).sum(dim=0)
    shares: Tensor = counts / counts.sum() * 100
    return shares


@pytest.mark.slow
@pytest.mark.parametrize("column", [0, 1], ids=["target", "reconst"])
def test_churches_lose_people_cars_and_signs(
    column: int, city512: PixelClassifier, shared: Path
) -> None:
    shares = church_shares(city512, shared, ("target", "reconst")[column], 384)
    for name, expected in CHURCHES.items():
        share = float(shares[city512.vocabulary.index(name)])
        assert share == pytest.approx(expected[column], abs=0.06), name


@pytest.mark.slow
@pytest.mark.parametrize("column", [0, 1], ids=["target", "reconst"])
def test_churches_enlarged_by_the_segmenter(
    column: int, city512: PixelClassifier, shared: Path
) -> None:
    # Not rounding the enlarged picture to 8 bits moves up to 0.7 % of the pixels to the sky.
    shares = church_shares(city512, shared, ("target", "reconst")[column], None)
    for name, expected in CHURCHES.items():
        share = float(shares[city512.vocabulary.index(name)])
        assert share == pytest.approx(expected[column], abs=0.8), name


@pytest.mark.slow
def test_cityscapes_weights_on_camvid(city512: PixelClassifier, shared: Path) -> None:
    matrix = camvid_confusion(city512, shared, "test", 3, renumber=CAMVID_OF_CITYSCAPES)
    assert pixel_accuracy(matrix) == pytest.approx(0.837, abs=0.005)
    assert mean_iou(matrix) == pytest.approx(0.526, abs=0.005)


@pytest.mark.slow
def test_voc_weights_find_the_same_people_missing(shared: Path) -> None:
    segmenter = load_v2(shared / "real/weights/espnetv2/espnetv2_s_2.0_pascal_384x384.pth")
    person = segmenter.vocabulary.index("person")
    real, drawn = (church_shares(segmenter, shared, kind, None) for kind in ("target", "reconst"))
    assert float(real[person]) == pytest.approx(3.9, abs=0.2)
    assert float(drawn[person]) == pytest.approx(0.47, abs=0.2)
