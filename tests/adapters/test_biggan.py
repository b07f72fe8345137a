"""BigGAN: equal to the originals on what they recorded, in every layout their files come in."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    StateMismatchError,
    UsageError,
)
from seeingkit.testing import check_generator
from seeingkit.weights import read_checkpoint, write_portable
from seeingkit_adapters.biggan.generator import BigGAN, load, recognise
from seeingkit_adapters.biggan.network import statistics_rows
from seeingkit_adapters.catalog.biggan import BigGANOptions
from seeingkit_adapters.truncation import cut_off
from tests.helpers import biggan_by_hand as by_hand
from tests.helpers.goldens import NOT_YET_READ, Golden, agree, golden

AJBROCK = ("hier-shared-r64", "unshared-r32")
TRUNCATIONS = (0.4, 1.0, 0.43, 0.58)


def opened(path: Path, **options: Any) -> BigGAN:
    return load(path, BigGANOptions(**options))


def ajbrock(shared: Path, name: str = "hier-shared-r64") -> Golden:
    return golden(shared, "biggan_ajbrock", name)


def huggingface(shared: Path) -> Golden:
    return golden(shared, "biggan_hf", "deep-r32")


def inputs(case: Golden, rows: int | None = None) -> dict[str, Tensor]:
    return {"z": case.arrays["in.z"][:rows], "label": case.arrays["in.label"][:rows]}


# ------------------------------------------------------------------------------- recorded numbers


@pytest.mark.parametrize("name", AJBROCK)
def test_ajbrock_images_and_activations_are_the_originals(shared: Path, name: str) -> None:
    case = ajbrock(shared, name)
    generator = opened(case.file("G_ema.pth"))
    agree(generator(inputs(case)), case.arrays["out.image"])
    start = generator.begin(inputs(case, 1))
    recorded = {key[4:]: value for key, value in case.arrays.items() if key.startswith("act.")}
    assert len(recorded) == len(generator.boundaries) - 3  # all but input, output.norm and image
    for boundary, expected in recorded.items():
        agree(generator.advance(start, boundary).x.reshape(expected.shape), expected)
    assert generator.info.resolution == case.case["config"]["resolution"]
    assert len(generator.info.class_names) == case.case["config"]["n_classes"]


def test_an_embedding_can_be_given_instead_of_a_label(shared: Path) -> None:
    case = ajbrock(shared)
    latent = {"z": case.arrays["in.z"], "embedding": case.arrays["in.class_embedding"]}
    images = opened(case.file("G_ema.pth"))(latent)
    agree(images, case.arrays["out.image_from_embedding"])


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_hugging_face_images_are_the_originals(shared: Path, truncation: float) -> None:
    case = huggingface(shared)
    generator = opened(case.folder, truncation=truncation)
    agree(generator(inputs(case)), case.arrays[f"out.image.truncation_{truncation:g}"])
    given_softly = {"z": case.arrays["in.z"], "c": case.arrays["in.class_vector"]}
    agree(generator(given_softly), case.arrays[f"out.image.truncation_{truncation:g}"])


def test_hugging_face_soft_classes_and_activations_are_the_originals(shared: Path) -> None:
    case = huggingface(shared)
    soft = {"z": case.arrays["in.z"], "c": case.arrays["in.class_vector_soft"]}
    agree(opened(case.file("pytorch_model.bin"))(soft), case.arrays["out.image_soft"])
    generator = opened(case.file("pytorch_model.bin"), truncation=case.case["truncations"][0])
    start = generator.begin(inputs(case, 1))
    recorded = {key[4:]: value for key, value in case.arrays.items() if key.startswith("act.")}
    first = generator.advance(start, "generator.gen_z")
    agree(first.carry["y"][:, case.case["config"]["z_dim"] :], recorded.pop("embeddings"))
    agree(first.x.permute(0, 2, 3, 1).flatten(1), recorded.pop("generator.gen_z"))
    for boundary, expected in recorded.items():
        agree(generator.advance(start, boundary).x, expected)
    assert len(recorded) == len(generator.boundaries) - 3


@pytest.mark.slow
@pytest.mark.parametrize("name", [*AJBROCK, "deep-r32"])
def test_conformance(shared: Path, name: str) -> None:
    case = ajbrock(shared, name) if name in AJBROCK else huggingface(shared)
    check_generator(opened(case.folder, truncation=0.7))


def test_boundaries_are_named_by_meaning(shared: Path) -> None:
    generator = opened(huggingface(shared).folder)
    names = (
        "input r4.linear r4.b0 r8.b0 r8.b1 r16.b0 r16.attention r16.b1 r32.b0 r32.b1 output.norm "
        "image"
    )
    assert " ".join(b.name for b in generator.boundaries) == names
    assert generator.boundary("r4").name == "r4.b0"
    assert generator.boundary("r16").name == generator.boundary("generator.layers.5").name
    assert opened(ajbrock(shared).folder).boundary("r4").name == "r4.linear"


# ---------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("name", [*AJBROCK, "deep-r32"])
def test_converted_files_give_identical_images(shared: Path, tmp_path: Path, name: str) -> None:
    case = ajbrock(shared, name) if name in AJBROCK else huggingface(shared)
    first = opened(case.folder)
    tensors, config = first.export()
    path = write_portable(tmp_path / "out.safetensors", tensors, "biggan", config)
    again = opened(path)
    assert torch.equal(again(inputs(case)), first(inputs(case)))
    assert [b.aliases for b in again.boundaries] == [b.aliases for b in first.boundaries]
    assert again.info.options == first.info.options
    half, half_again = opened(case.folder, truncation=0.43), opened(path, truncation=0.43)
    assert torch.equal(half_again(inputs(case)), half(inputs(case)))
    assert torch.equal(half_again.latents([3], labels=[0])["z"], half.latents([3], labels=[0])["z"])
    with pytest.raises(UsageError, match="sn_eps was settled"):
        opened(path, sn_eps=1e-3)
    broken = {**config, "z_dim": 3.5}
    write_portable(path, tensors, "biggan", broken)
    with pytest.raises(StateMismatchError, match="out.safetensors.*z_dim"):
        opened(path)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", ["bare", "state_dict", "G_ema", "nested"])
def test_wrapped_and_parallel_files(shared: Path, tmp_path: Path, wrap: str, legacy: bool) -> None:
    case = ajbrock(shared, "unshared-r32")
    state = torch.load(case.file("G_ema.pth"), weights_only=True)
    parallel = {f"module.{key}": value for key, value in state.items()}
    worse = {key: value * 2 for key, value in state.items()}
    content: Any = {
        "bare": parallel,
        "state_dict": {"state_dict": state, "itr": 3},
        "G_ema": {"G": worse, "G_ema": parallel, "D": {"linear.weight": torch.ones(1)}},
        "nested": {"generator": {"state_dict": state}},
    }[wrap]
    torch.save(content, tmp_path / "net.pt", _use_new_zipfile_serialization=not legacy)
    agree(opened(tmp_path / "net.pt")(inputs(case)), case.arrays["out.image"])


@pytest.mark.parametrize(
    "names",
    [
        ("pytorch_model.bin", "config.json"),
        ("biggan-deep-128-pytorch_model.bin", "biggan-deep-128-config.json"),
        ("other.bin", "config.json"),
    ],
)
def test_hugging_face_file_names(shared: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    case = huggingface(shared)
    shutil.copy(case.file("pytorch_model.bin"), tmp_path / names[0])
    with pytest.raises(MissingWeightsError, match="config.json"):
        opened(tmp_path / names[0])
    shutil.copy(case.file("config.json"), tmp_path / names[1])
    for given_path in (tmp_path / names[0], tmp_path):
        agree(opened(given_path)(inputs(case)), case.arrays["out.image.truncation_1"])


def test_recognised_by_content_only(shared: Path, tmp_path: Path) -> None:
    found = {}
    for path in sorted((shared / "golden").glob("*/*/*")):
        if {"hostile", *NOT_YET_READ} & set(path.parts):
            continue
        if path.suffix in (".pth", ".pt", ".bin", ".model", ".pkl"):
            layout = recognise(read_checkpoint(path))
            if layout is not None:
                found[str(path.relative_to(shared / "golden"))] = layout
    assert found == {
        "biggan_ajbrock/hier-shared-r64/G_ema.pth": "ajbrock BigGAN",
        "biggan_ajbrock/unshared-r32/G_ema.pth": "ajbrock BigGAN",
        "bigbigan_x1/r128/BigBiGAN_x1.pth": "ajbrock BigGAN",
        "biggan_hf/deep-r32/pytorch_model.bin": "Hugging Face BigGAN-deep",
    }
    torch.save({1: torch.ones(1), "state_dict": [3]}, tmp_path / "odd.pth")
    assert recognise(read_checkpoint(tmp_path / "odd.pth")) is None
    with pytest.raises(StateMismatchError, match="odd.pth: not a BigGAN generator"):
        opened(tmp_path / "odd.pth")


# ---------------------------------------------------------------------------------------- options


def test_epsilons_come_from_options_then_training_state_then_the_published_run(
    shared: Path, tmp_path: Path
) -> None:
    case = ajbrock(shared)
    shutil.copy(case.file("G_ema.pth"), tmp_path / "G_ema_best1.pth")
    path = tmp_path / "G_ema_best1.pth"
    assert opened(path).info.options["bn_eps"] == 1e-5
    assert opened(path).info.options["sn_eps"] == 1e-6
    by_option = opened(path, bn_eps=0.25)
    config = {"BN_eps": 0.25, "SN_eps": 1e-3, "G_nl": "inplace_relu"}
    torch.save({"itr": 1, "config": config}, tmp_path / "state_dict_best1.pth")
    by_file = opened(path)
    assert (by_file.info.options["bn_eps"], by_file.info.options["sn_eps"]) == (0.25, 1e-3)
    assert torch.equal(by_file(inputs(case)), by_option(inputs(case)))
    assert not torch.allclose(by_file(inputs(case)), case.arrays["out.image"], atol=1e-3)
    agree(opened(path, bn_eps=1e-5, sn_eps=1e-6)(inputs(case)), case.arrays["out.image"])
    odd: Any
    for odd, reason in (({"BN_eps": -1.0}, "BN_eps is -1.0"), ({"G_nl": "elu"}, "'elu'")):
        torch.save({"config": {**config, **odd}}, tmp_path / "state_dict_best1.pth")
        with pytest.raises(StateMismatchError, match=f"state_dict_best1.pth: config: .*{reason}"):
            opened(path)


def test_a_state_dict_of_another_kind_beside_the_file_is_left_alone(
    shared: Path, tmp_path: Path
) -> None:
    case = ajbrock(shared)
    shutil.copy(case.file("G_ema.pth"), tmp_path / "G_ema.pth")
    torch.save({"weight": torch.ones(2)}, tmp_path / "state_dict.pth")
    agree(opened(tmp_path / "G_ema.pth")(inputs(case)), case.arrays["out.image"])


def test_options_that_cannot_apply_are_refused(shared: Path) -> None:
    theirs, plain = huggingface(shared).folder, ajbrock(shared).file("G_ema.pth")
    with pytest.raises(UsageError, match="sn_eps is for ajbrock"):
        opened(theirs, sn_eps=1e-3)
    with pytest.raises(UsageError, match="standing is for files of --mybn"):
        opened(plain, standing=True)
    with pytest.raises(UsageError, match="cross_replica_gain is for files of --cross_replica"):
        opened(plain, cross_replica_gain="added")


def test_class_names_come_from_a_file(shared: Path, tmp_path: Path) -> None:
    path = ajbrock(shared, "unshared-r32").file("G_ema.pth")
    (tmp_path / "names.txt").write_text("tench\ngoldfish\nshark\nray\ncock\n")
    named = opened(path, classes=str(tmp_path / "names.txt"))
    assert named.info.class_names == ("tench", "goldfish", "shark", "ray", "cock")
    assert opened(path).info.class_names == ("0", "1", "2", "3", "4")


def test_truncation_of_z(shared: Path) -> None:
    path, indices = ajbrock(shared).file("G_ema.pth"), range(400)
    labels = [i % 7 for i in indices]
    plain = opened(path).latents(indices, labels=labels)["z"]
    cut = opened(path, truncation=0.5).latents(indices, labels=labels)["z"]
    assert float(plain.abs().max()) > 3 and float(cut.abs().max()) <= 0.5
    assert torch.equal(cut, cut_off(plain, 0.5))
    theirs = opened(huggingface(shared).folder, truncation=0.5)
    z = theirs.latents(indices, labels=[0] * 400)["z"]
    assert 1.9 < float(z.abs().max()) <= 2.0  # multiplied by the truncation inside the network


@given(
    st.lists(st.floats(-6, 6, width=32), min_size=1, max_size=20),
    st.floats(0.01, 4),
)
def test_cut_off_is_the_quantile_map_of_scipys_truncated_normal(
    values: list[float], bound: float
) -> None:
    z = torch.tensor(values, dtype=torch.float32)
    expected = scipy.stats.truncnorm(-bound, bound).ppf(scipy.stats.norm.cdf(np.float64(z)))
    found = cut_off(z, bound)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6 * max(1, bound))
    assert float(found.abs().max()) <= np.float32(bound)


@pytest.mark.parametrize(
    ("truncation", "rows", "used", "weight"),
    [
        (1.0, 51, (50, 50), 0.0),
        (0.5, 51, (25, 25), 0.0),
        (0.14, 51, (7, 8), 8.9e-16),  # 7.000000000000001: nearly all of entry 8
        (0.58, 51, (28, 29), 1.0),  # 28.999999999999996: nearly all of entry 28
        (0.3, 11, (2, 3), 1.0),
        (0.43, 51, (21, 22), 0.5),
        (0.425, 51, (21, 22), 0.25),  # reversed: linear interpolation would give row 21 0.75
        (1.0, 50, (49, 49), 0.0),  # 1 / (1 / 49) is above 49: the last entry there is
        (0.3, 1, (0, 0), 0.0),
    ],
)
def test_rows_of_statistics(
    truncation: float, rows: int, used: tuple[int, int], weight: float
) -> None:
    *found, found_weight = statistics_rows(truncation, rows)
    assert tuple(found) == used
    if used[0] != used[1]:
        assert math.isclose(found_weight, weight, rel_tol=1e-6, abs_tol=1e-12)


# ------------------------------------------------------------------------------------ bad latents


def test_latents_that_cannot_be(shared: Path) -> None:
    generator, unshared = (opened(ajbrock(shared, n).file("G_ema.pth")) for n in AJBROCK)
    z = torch.zeros(2, 20)
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({"z": z}, "one of label, c or embedding beside z, not none"),
        ({"z": z, "label": torch.zeros(2).long(), "c": torch.ones(2, 7)}, "not label and c"),
        ({"label": torch.zeros(2).long()}, "'z' is missing"),
        ({"z": z[:, 1:], "label": torch.zeros(2).long()}, "'z' is of shape"),
        (
            {"z": z, "label": torch.tensor([0, 7])},
            "numbers from 0 to 6, not .0, 7.",
        ),
        ({"z": z, "label": torch.tensor([0, -1])}, "labels are whole numbers from 0 to 6"),
        ({"z": z, "label": torch.zeros(2)}, "label is torch.float32"),
        ({"z": z, "label": torch.zeros(3).long()}, r"of shape \(3,\), expected .* \(2,\)"),
        ({"z": z, "c": torch.ones(2, 6)}, r"c has shape \(2, 6\) .* expected \(2, 7\)"),
        ({"z": z, "embedding": torch.ones(2, 7)}, r"embedding has shape \(2, 7\)"),
    ]
    for latent, reason in cases:
        with pytest.raises(UsageError, match=reason):
            generator.begin(latent)
    with pytest.raises(UsageError, match="no shared embedding"):
        unshared.begin({"z": torch.zeros(2, 16), "embedding": torch.ones(2, 3)})
    with pytest.raises(UsageError, match="give labels"):
        generator.latents([0])


def test_missing_file() -> None:
    with pytest.raises(MissingWeightsError, match="--weights"):
        load(None, BigGANOptions())
    with pytest.raises(MissingWeightsError, match="nowhere.pth"):
        opened(Path("nowhere.pth"))


# ------------------------------------------------------------------------------------ odd configs

ODD_CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"output_dim": 64}, "output_dim is 64, its layers give 32"),
    ({"z_dim": 0}, "z_dim is 0"),
    ({"z_dim": "8"}, "z_dim is '8'"),
    ({"num_classes": True}, "num_classes is True"),
    ({"n_stats": 1}, "n_stats is 1"),
    ({"eps": 0}, "eps is 0"),
    ({"eps": None}, "eps is None"),
    ({"attention_layer_position": 2.5}, "attention_layer_position is 2.5"),
    ({"layers": []}, "layers is"),
    ({"layers": [[True, 16, 16], [True, 16]]}, r"layers\[1\] is \[True, 16\]"),
    ({"layers": [[True, 16, 5]]}, r"layers\[0\] is \[True, 16, 5\]"),
    ({"layers": [[True, 16, 8], [True, 8, 4]]}, "lead from 16 to 4 times channel_width"),
    ({"layers": [[True, 16, 16], [True, 2, 1]]}, "layers.1 takes 8 channels, 64 come"),
    ({"attention_layer_position": 5}, "unexpected|shape|missing"),
    ({"channel_width": 8}, "shape"),
    ({"n_stats": 50}, r"shape \(51, \d+\), expected \(50, \d+\)"),
]


@pytest.mark.parametrize(("change", "reason"), ODD_CONFIGS)
def test_odd_configs_are_refused_by_name(
    shared: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    case = huggingface(shared)
    config = {**json.loads(case.file("config.json").read_text()), **change}
    shutil.copy(case.file("pytorch_model.bin"), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StateMismatchError, match=reason) as caught:
        opened(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_config_that_is_no_json(shared: Path, tmp_path: Path, text: bytes) -> None:
    shutil.copy(huggingface(shared).file("pytorch_model.bin"), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(CorruptFileError, match="config.json: not readable as JSON"):
        opened(tmp_path)


def test_the_config_is_part_of_the_identity(shared: Path, tmp_path: Path) -> None:
    case = huggingface(shared)
    config = json.loads(case.file("config.json").read_text())
    shutil.copy(case.file("pytorch_model.bin"), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({**config, "eps": 1e-2}))
    first, second = opened(case.folder), opened(tmp_path)
    assert first.info.identity() != second.info.identity()
    assert not torch.allclose(first(inputs(case)), second(inputs(case)), atol=1e-3)


def test_bigbigan_is_one_class_and_has_its_own_epsilons(shared: Path, tmp_path: Path) -> None:
    """Nothing in the keys says so: all rows of the class table are one dummy label."""
    case = golden(shared, "bigbigan_x1", "r128")
    path = case.file("BigBiGAN_x1.pth")
    generator = opened(path)
    latent = {"z": case.arrays["in.z"]}
    agree(generator(latent), case.arrays["out.image"])
    assert generator.info.class_names == ()
    assert torch.equal(
        generator(latent), generator({**latent, "label": torch.zeros(len(latent["z"])).long()})
    )
    said = "; ".join(generator.info.assumptions)
    assert "bn_eps=0.0001, BigBiGAN's" in said and "all 1,000 rows" in said
    as_before = opened(path, bn_eps=1e-5, sn_eps=1e-6)
    assert not any("eps" in text for text in as_before.info.assumptions)
    assert float((as_before(latent) - case.arrays["out.image"]).abs().max()) > 0.1
    tensors, config = generator.export()
    again = opened(write_portable(tmp_path / "ours.safetensors", tensors, "biggan", config))
    assert torch.equal(
        again(latent), generator(latent)
    ) and again.info == generator.info.model_copy(
        update={"weights_sha256": again.info.weights_sha256, "licence": again.info.licence}
    )


@settings(max_examples=12, deadline=None)
@given(
    classes=st.integers(2, 5),
    apart=st.sampled_from([0.0, 1e-8, 1e-7, 1e-5, 1e-3, 1.0]),
    half=st.booleans(),
    seed=st.integers(0, 9),
)
def test_rows_that_are_equal_but_for_rounding_are_one_class(
    tmp_path_factory: pytest.TempPathFactory, classes: int, apart: float, half: bool, seed: int
) -> None:
    """Rows that differ by more are classes, and the file keeps the epsilons of its layout."""
    state = by_hand.state(by_hand.Recipe(32, 2, classes=classes), seed)
    noise = torch.Generator().manual_seed(seed)
    row = state["shared.weight"][:1].half().float()
    spread = (2 * torch.rand(classes, row.shape[1], generator=noise) - 1) * apart
    spread[0], spread[-1, 0] = 0.0, apart  # so that it is as large as it says
    state["shared.weight"] = row.repeat(classes, 1) + float(row.abs().max()) * spread
    if half and not apart:
        state["shared.weight"] = state["shared.weight"].half()
    path = tmp_path_factory.mktemp("rows") / "G_ema.pth"
    torch.save(state, path)
    generator = opened(path)
    one = apart <= 1e-7
    assert len(generator.info.class_names) == (0 if one else classes)
    said = "; ".join(generator.info.assumptions)
    assert (f"all {classes} rows" in said) == one
    assert ("bn_eps=0.0001, BigBiGAN's" in said) == one
    assert ("bn_eps=1e-05, the published run's" in said) == (not one)
    z = generator.latents([0], labels=None if one else [0])["z"]
    beyond = torch.tensor([1 if one else classes])
    with pytest.raises(UsageError, match="labels"):
        generator({"z": z, "label": beyond})


@pytest.mark.slow
def test_bigbigan_passes_the_kit(shared: Path) -> None:
    """Of its full size; the fast tests take smaller networks of the family."""
    check_generator(opened(golden(shared, "bigbigan_x1", "r128").file("BigBiGAN_x1.pth")))


def test_epsilons_are_assumed_unless_told(shared: Path) -> None:
    """The training state beside G_ema.pth says them; without it the published run's are said."""
    case = ajbrock(shared)
    assert opened(case.file("G_ema.pth")).info.assumptions == ()
    assert opened(ajbrock(shared, "unshared-r32").file("G_ema.pth")).info.assumptions[0] == (
        "bn_eps=1e-05, the published run's"
    )
