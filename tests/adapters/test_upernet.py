"""UPerNet against the original's recorded numbers, and its promises one by one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    ModelError,
    StateMismatchError,
    UsageError,
)
from seeingkit_adapters import logits as logits_of
from seeingkit_adapters.catalog.segmenters import UPerNetOptions
from seeingkit_adapters.resnet import DeepStemResNet, EncoderLayout, fold_norms, read_layout
from seeingkit_adapters.upernet import network as upernet_network
from seeingkit_adapters.upernet import segmenter as upernet
from seeingkit_adapters.upernet.labels import read_hierarchy
from seeingkit_adapters.upernet.network import DecoderLayout, UPerDecoder, UPerNet
from seeingkit_adapters.upernet.segmenter import UPerNetSegmenter, load

CASES = (
    "full336-syncbn-legacyfile-multiscale",
    "r256-ds4",
    "small-resnet50-upernet",
)
SMALL = "small-resnet50-upernet"
TINY = EncoderLayout((4, 4, 6), "basic", (4, 6, 8, 8), (1, 2, 1, 1))
LABELS = {
    "object": ["-", "sky", "house", "door"],
    "object_part": {"house": ["-", "door", "roof"], "sky": ["-", "cloud"]},
}


class Golden:
    """One recorded case and the segmenter loaded from its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = json.loads((folder / "case.json").read_text())["config"]
        with np.load(folder / "expected.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name]) for name in arrays}
        self.image = self.arrays["in.image"]
        self.segmenter = load(folder, self.options("all"))

    def options(self, planes: str) -> UPerNetOptions:
        return UPerNetOptions.model_validate(
            {
                "segsizes": self.config["segsizes"],
                "downsample": self.config["downsample"],
                "planes": planes,
            }
        )


@pytest.fixture(scope="module", params=CASES)
def golden(request: pytest.FixtureRequest, shared: Path) -> Golden:
    return Golden(shared / "golden" / "upernet_upp" / request.param)


@pytest.fixture
def copied(shared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "upp"
    shutil.copytree(shared / "golden" / "upernet_upp" / SMALL, folder)
    return folder


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal to 1e-4 of the largest value; half-precision recordings add their rounding."""
    slack = 1e-4 * max(1.0, float(expected.abs().max()))
    allowed = torch.full_like(expected, slack, dtype=torch.float32)
    if expected.dtype == torch.float16:
        allowed += expected.float().abs() * 2**-11
    assert bool(((found - expected.float()).abs() <= allowed).all())


def tiny_network(seed: int = 0, **classes: int) -> UPerNet:
    """A narrow network with random weights and norms that are not the identity."""
    torch.manual_seed(seed)
    decoder = UPerDecoder(DecoderLayout(TINY.channels, 4, 6, classes))
    network = UPerNet(DeepStemResNet(TINY), decoder).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            module.weight.normal_(1.0, 0.3)
            module.bias.normal_()
    return network


def tiny_file(path: Path, labels: dict[str, Any] | None = None, **classes: int) -> Path:
    """A network in the project's own format."""
    tensors = tiny_network(**(classes or {"object": 4, "part": 5})).state_dict()
    metadata = {
        "labels": json.dumps(labels or LABELS),
        "preprocessing": json.dumps({"segsizes": [64]}),
    }
    save_file({key: value.contiguous() for key, value in tensors.items()}, str(path), metadata)
    return path


# ----------------------------------------------------------------------------------------- golden


def test_vocabulary_is_the_originals(golden: Golden) -> None:
    expected = json.loads((golden.folder / "expected_labels.json").read_text())
    vocabulary = golden.segmenter.vocabulary
    assert [list(label) for label in vocabulary] == expected["labels"]
    assert len(vocabulary) == expected["num_classes"]
    owners = [group.owner for group in golden.segmenter.hierarchy.groups]
    assert owners == expected["objects_with_parts"]
    assert vocabulary.planes == ("object", "material", "part")


def test_scores_are_the_originals(golden: Golden) -> None:
    sizes = len(golden.config["segsizes"])
    maps = golden.segmenter.probabilities(golden.image)
    assert_close(maps["object"][0] * sizes, golden.arrays["out.object_score"])
    assert_close(maps["material"][0] * sizes, golden.arrays["out.material_score"])
    recorded = [key for key in golden.arrays if key.startswith("out.part_score.")]
    assert recorded
    for key in recorded:
        part = maps["part"][int(key.rpartition(".")[2])]
        assert_close(part * sizes, golden.arrays[key])


def test_segmentation_is_the_originals(golden: Golden) -> None:
    found = golden.segmenter.segment(golden.image)
    expected = golden.arrays["out.segmentation"]
    assert found.dtype == torch.int64
    assert found.shape == expected.shape
    maps = golden.segmenter.probabilities(golden.image)
    objects_close = _two_best_close(maps["object"][0])
    close = torch.stack([objects_close, _two_best_close(maps["material"][0]), objects_close], 1)
    for group, scores in zip(golden.segmenter.hierarchy.groups, maps["part"], strict=True):
        close[:, 2] |= (expected[:, 0] == group.owner) & _two_best_close(scores)
    assert close.float().mean() < 0.01  # else the next line would say little
    assert bool(((found == expected) | close).all())


def _two_best_close(scores: torch.Tensor) -> torch.Tensor:
    best = scores.topk(2, dim=1).values
    return best[:, 0] - best[:, 1] <= 1e-4


def test_activations_are_the_originals(golden: Golden) -> None:
    network, seen = golden.segmenter.network, {}
    names = {key[4:] for key in golden.arrays if key.startswith("act.")}
    names -= {"preprocessed", "scene_score"}
    hooks = []
    for half in (network.encoder, network.decoder):
        for name, module in half.named_modules():
            if name in names:
                hooks.append(
                    module.register_forward_hook(
                        lambda _m, _i, out, name=name: seen.update({name: out.clone()})
                    )
                )
    prepared = upernet.prepare(golden.image[:1], golden.config["segsizes"][0])
    logits = network(prepared, ("scene", "object", "part", "material"))
    for hook in hooks:
        hook.remove()
    assert seen.keys() == names
    assert len(names) >= 12
    for name in names:
        assert_close(seen[name], golden.arrays[f"act.{name}"])
    assert_close(prepared, golden.arrays["act.preprocessed"])
    scene = logits["scene"].flatten(1).softmax(dim=1)
    assert_close(scene, golden.arrays["act.scene_score"])


def test_objects_alone_are_the_first_plane(golden: Golden) -> None:
    alone = load(golden.folder, golden.options("object"))
    assert alone.vocabulary.planes == ("object",)
    assert len(alone.vocabulary) == golden.config["object_classes"]
    found = alone.segment(golden.image)
    assert torch.equal(found[:, 0], golden.segmenter.segment(golden.image)[:, 0])


def test_widths_are_read_from_the_weights(golden: Golden) -> None:
    layout = golden.segmenter.network.encoder.layout
    divisor = golden.config["width_divisor"]
    assert layout.block == "bottleneck"
    assert layout.depths == (3, 4, 6, 3)
    assert layout.widths == tuple(w // divisor for w in (64, 128, 256, 512))
    assert golden.segmenter.network.decoder.layout.width == 512 // divisor


# ------------------------------------------------------------------------------------- shortcuts


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(1, 9),
    small=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    grid=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_pruned_argmax_is_the_full_argmax(
    seed: int, classes: int, small: tuple[int, int], grid: tuple[int, int]
) -> None:
    logits = torch.randn(2, classes, *small, generator=torch.Generator().manual_seed(seed)) * 5
    full = F.interpolate(logits, size=grid, mode="bilinear", align_corners=False).argmax(1)
    assert torch.equal(logits_of.best_channels([logits], grid), full)


def test_folding_the_norms_changes_nothing_but_rounding() -> None:
    network = tiny_network(object=4, part=5)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    before = network(x, ("object", "part"))
    fold_norms(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    after = network(x, ("object", "part"))
    for head in before:
        torch.testing.assert_close(after[head], before[head], rtol=1e-4, atol=1e-4)


def test_one_row_does_not_depend_on_the_others(tmp_path: Path) -> None:
    segmenter = load(tiny_file(tmp_path / "a.safetensors"), UPerNetOptions(planes="all"))
    images = torch.rand(3, 3, 48, 80, generator=torch.Generator().manual_seed(2)) * 2 - 1
    together = segmenter.probabilities(images)["object"][0]
    alone = torch.cat([segmenter.probabilities(images[i : i + 1])["object"][0] for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert segmenter.segment(images).shape == (3, 2, 48, 80)
    assert segmenter.segment(images[:0]).shape == (0, 2, 48, 80)


# ----------------------------------------------------------------------------------------- scores


def test_score_of_objects_materials_and_parts(golden: Golden) -> None:
    segmenter, hierarchy = golden.segmenter, golden.segmenter.hierarchy
    maps = segmenter.probabilities(golden.image)
    plain = next(
        i for i in range(1, hierarchy.objects) if all(i not in g.labels for g in hierarchy.groups)
    )
    assert_close(segmenter.score(golden.image, plain), maps["object"][0][:, plain])
    assert_close(segmenter.score(golden.image, hierarchy.objects), maps["material"][0][:, 1])
    part = len(segmenter.vocabulary) - 1
    expected = sum(
        maps["object"][0][:, group.owner] * scores[:, group.labels.index(part)]
        for group, scores in zip(hierarchy.groups, maps["part"], strict=True)
        if part in group.labels
    )
    assert isinstance(expected, torch.Tensor)
    assert_close(segmenter.score(golden.image, part), expected)


def test_score_of_a_door_counts_the_object_and_the_part(tmp_path: Path) -> None:
    path = tiny_file(tmp_path / "a.safetensors")
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    both = load(path, UPerNetOptions(planes="all"))
    maps = both.probabilities(images)
    house = maps["part"][[group.owner for group in both.hierarchy.groups].index(2)]
    expected = maps["object"][0][:, 3] + maps["object"][0][:, 2] * house[:, 1]
    torch.testing.assert_close(both.score(images, 3), expected)
    alone = load(path, UPerNetOptions())
    torch.testing.assert_close(alone.score(images, 3), maps["object"][0][:, 3])


def test_score_is_differentiable(tmp_path: Path) -> None:
    segmenter = load(tiny_file(tmp_path / "a.safetensors"), UPerNetOptions(planes="all"))
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4)).double()
    images.requires_grad_(True)
    segmenter.segment(images.detach())  # what it caches must serve gradients later
    score = segmenter.score(images, segmenter.vocabulary.index("roof"))
    assert bool(((score >= 0) & (score <= 1)).all())
    score.mean().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    # Along the gradient a small step must change the mean score by its length times the norm.
    norm = images.grad.norm()
    step = 0.05 * images.grad / norm
    label = segmenter.vocabulary.index("roof")
    rise = (
        segmenter.score(images + step, label).mean() - segmenter.score(images - step, label).mean()
    )
    assert rise.item() == pytest.approx(0.1 * norm.item(), rel=0.1)


def test_scores_of_all_objects_sum_to_one(tmp_path: Path) -> None:
    segmenter = load(tiny_file(tmp_path / "a.safetensors"), UPerNetOptions(segsizes=(32, 64)))
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(5)) * 2 - 1
    total = sum(segmenter.score(images, label) for label in range(len(segmenter.vocabulary)))
    torch.testing.assert_close(total, torch.ones(1, 40, 40))


# ------------------------------------------------------------------------------------ labels, files


def test_part_channels_follow_the_objects_and_numbers_follow_the_file() -> None:
    hierarchy = read_hierarchy(json.dumps(LABELS), Path("labels.json"))
    assert [label.name for label in hierarchy.labels] == [*LABELS["object"], "roof", "cloud"]
    # House (2) comes first in the file, sky (1) in the part head; a door is always object 3.
    assert [(g.owner, g.start, g.labels) for g in hierarchy.groups] == [
        (1, 0, (0, 5)),
        (2, 2, (0, 3, 4)),
    ]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("{", CorruptFileError, "labels.json"),
        ("[]", CorruptFileError, "labels.json"),
        ('{"object": ["sky"]}', StateMismatchError, "expected '-'"),
        ('{"object": []}', StateMismatchError, "object opens with nothing"),
        ('{"object": ["-"], "object_part": {"sky": ["-"]}}', StateMismatchError, "'sky'"),
        ('{"object": ["-", "a"], "object_part": {"a": []}}', StateMismatchError, "nothing"),
    ],
)
def test_wrong_label_files_are_refused(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        read_hierarchy(text, Path("labels.json"))


def test_own_format_takes_sizes_from_the_file_unless_told(tmp_path: Path) -> None:
    path = tiny_file(tmp_path / "a.safetensors")
    assert load(path, UPerNetOptions()).segsizes == (64,)
    told = load(path, UPerNetOptions(segsizes=(96,)))
    assert told.segsizes == (96,)
    assert told.info.options["segsizes"] == [96]
    assert told.info.weights_sha256 == load(path, UPerNetOptions()).info.weights_sha256


def test_basic_blocks_and_missing_heads(tmp_path: Path) -> None:
    path = tiny_file(tmp_path / "a.safetensors", {"object": LABELS["object"]}, object=4)
    segmenter = load(path, UPerNetOptions(planes="all"))
    assert segmenter.network.encoder.layout == TINY
    assert segmenter.vocabulary.planes == ("object",)


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    path = tiny_file(tmp_path / "a.safetensors")
    tensors = tiny_network(object=4, part=5).state_dict()
    metadata = {"labels": json.dumps(LABELS), "preprocessing": '{"segsizes": [64]}'}
    half = tmp_path / "b.safetensors"
    save_file({k: v.half().contiguous() for k, v in tensors.items()}, str(half), metadata)
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(6)) * 2 - 1
    a, b = (load(p, UPerNetOptions()).score(images, 1) for p in (path, half))
    assert b.dtype == torch.float32
    torch.testing.assert_close(a, b, rtol=0, atol=0.02)


@pytest.mark.parametrize("half", ["encoder", "decoder"])
@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape", "nan"])
def test_files_that_do_not_fit_are_refused(copied: Path, half: str, damage: str) -> None:
    path = copied / f"{half}_epoch_40.pth"
    state = torch.load(path, weights_only=True)
    key = {"encoder": "layer2.1.conv2.weight", "decoder": "fpn_out.1.0.0.weight"}[half]
    if damage == "missing":
        del state[key]
    elif damage == "unexpected":
        key = "fc.weight"
        state[key] = torch.zeros(2)
    elif damage == "shape":
        state[key] = state[key][:, :-1]
    else:
        state[key].view(-1)[3] = torch.nan
    torch.save(state, path)
    with pytest.raises(StateMismatchError) as caught:
        load(copied, UPerNetOptions())
    assert path.name in str(caught.value)
    assert key in str(caught.value)


def test_a_pair_that_does_not_belong_together_is_refused(shared: Path, copied: Path) -> None:
    other = shared / "golden" / "upernet_upp" / "r256-ds4" / "encoder_epoch_40.pth"
    shutil.copy(other, copied / "encoder_epoch_40.pth")
    with pytest.raises(StateMismatchError, match="not a pair"):
        load(copied, UPerNetOptions())


def test_labels_of_another_network_are_refused(shared: Path, copied: Path) -> None:
    shutil.copy(shared / "golden" / "upernet_upp" / "r256-ds4" / "labels.json", copied)
    with pytest.raises(StateMismatchError, match=r"scene_head has 9 channels, .* lists 5"):
        load(copied, UPerNetOptions())


def test_missing_files_are_named(copied: Path, tmp_path: Path) -> None:
    (copied / "labels.json").unlink()
    with pytest.raises(MissingWeightsError, match=r"labels\.json"):
        load(copied, UPerNetOptions())
    with pytest.raises(MissingWeightsError, match="no-such-file"):
        load(tmp_path / "no-such-file", UPerNetOptions())
    with pytest.raises(MissingWeightsError):
        load(None, UPerNetOptions())


def test_own_file_without_labels_or_with_strange_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {k: v.contiguous() for k, v in tiny_network(object=4).state_dict().items()}
    save_file(tensors, str(path))
    with pytest.raises(StateMismatchError, match="labels"):
        load(path, UPerNetOptions())
    save_file(tensors | {"head.weight": torch.zeros(1)}, str(path), {"labels": "{}"})
    with pytest.raises(StateMismatchError, match=r"head\.weight"):
        load(path, UPerNetOptions())
    without = {k: v for k, v in tensors.items() if "object_head" not in k}
    save_file(without, str(path), {"labels": json.dumps({"object": LABELS["object"]})})
    with pytest.raises(StateMismatchError, match="object_head"):
        load(path, UPerNetOptions())


def test_sync_norm_extras_are_ignored_whatever_they_hold(copied: Path) -> None:
    images = torch.zeros(1, 3, 64, 64)
    options = UPerNetOptions(segsizes=(64,), planes="all")
    before = load(copied, options).probabilities(images)["object"][0]
    for half in ("encoder", "decoder"):
        path = copied / f"{half}_epoch_40.pth"
        state = torch.load(path, weights_only=True)
        for key in [k for k in state if k.endswith("running_mean")]:
            stem = key.removesuffix("running_mean")
            state[f"{stem}_tmp_running_mean"] = torch.full_like(state[key], 7.0)
            state[f"{stem}_tmp_running_var"] = torch.full_like(state[key], -7.0)
            state[f"{stem}_running_iter"] = torch.ones(1)
            state.pop(f"{stem}num_batches_tracked", None)
        torch.save(state, path)
    assert torch.equal(load(copied, options).probabilities(images)["object"][0], before)


def test_layout_of_the_stated_widths() -> None:
    assert read_layout(DeepStemResNet(TINY).state_dict()) == TINY
    layout = EncoderLayout((4, 4, 4), "bottleneck", (2, 3, 4, 5), (1, 3, 2, 1))
    assert read_layout(DeepStemResNet(layout).state_dict()) == layout
    decoder = DecoderLayout((8, 12, 16, 20), 5, 7, {"object": 3})
    found = upernet_network.read_decoder_layout(UPerDecoder(decoder).state_dict())
    assert found == decoder


# ------------------------------------------------------------------------------------- bad requests


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    segmenter = load(tiny_file(tmp_path / "a.safetensors"), UPerNetOptions(downsample=4))
    with pytest.raises(UsageError, match="no label 99"):
        segmenter.score(torch.zeros(1, 3, 32, 32), 99)
    with pytest.raises(UsageError, match="images are float"):
        segmenter.segment(torch.zeros(1, 1, 32, 32))
    with pytest.raises(UsageError, match="images are float"):
        segmenter.segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(UsageError, match="downsample"):
        segmenter.segment(torch.zeros(1, 3, 3, 32))
    with pytest.raises(ModelError, match="NaN"):
        segmenter.segment(torch.full((1, 3, 32, 32), torch.nan))
    with pytest.raises(UsageError, match="segsizes"):
        UPerNetSegmenter(segmenter.network, segmenter.hierarchy, segsizes=(16,))
