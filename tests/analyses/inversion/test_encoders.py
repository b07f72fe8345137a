"""Encoders: networks that fit any generator, files that fit one, and training that learns."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.analyses.inversion.encoders import files as encoders
from seeingkit.analyses.inversion.encoders.files import (
    KEY,
    TrainedEncoder,
    build_network,
    encoder_path,
    find_encoder,
    generator_key,
    read_encoder,
)
from seeingkit.analyses.inversion.encoders.networks import (
    ImageEncoder,
    LayeredEncoder,
    LayerInverse,
    Standardise,
    unit_mean_square,
)
from seeingkit.analyses.inversion.encoders.recipes import RECIPES, Recipe, TrainingLosses
from seeingkit.analyses.inversion.encoders.training import train_encoder
from seeingkit.analyses.inversion.objectives import correlation
from seeingkit.analyses.inversion.samples import TRAIN_SEED, draw, latent_state
from seeingkit.contracts import Boundary, Encoder, LatentSpec
from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    ModelError,
    SeeingkitError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from seeingkit.hooks import hookimpl
from seeingkit.models.registry import PluginRecord, Registry
from seeingkit.models.staged import StagedAdapter
from seeingkit.specs import WeightFile, WeightsSpec
from tests.helpers.inversion_toys import (
    RECIPE,
    SIZE,
    conditional_generator,
    fragile_generator,
    linear_generator,
    noise,
    tensors_of,
    tiny_progan,
)

CUT = "r4.conv1"
SMALL = {"pixelnorm": False, "width": 4, "most": 8, "blocks": 1}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))


def settled(module: nn.Module, *examples: Tensor) -> nn.Module:
    """Batch norm with statistics that are not 0 and 1, then eval mode."""
    with torch.no_grad():
        module.train()
        for _ in range(2):
            module(*examples)
    return module.eval()


def rows_are_independent(module: nn.Module, x: Tensor) -> Tensor:
    """Compares every row of a batch with the row beside another one; returns the batch's output."""
    module = settled(module, x)
    with torch.no_grad():
        whole = module(x)
        for k in range(len(x)):
            pair = module(torch.stack([x[k], torch.full_like(x[k], 9.0)]))
            torch.testing.assert_close(pair[0], whole[k], rtol=1e-4, atol=1e-5)
    return whole


# ------------------------------------------------------------------------------------- networks

MAPS = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
VECTORS = st.tuples(st.integers(1, 7))
SHAPES = st.one_of(MAPS, VECTORS, st.tuples(st.integers(1, 3), st.integers(1, 4)))


@settings(max_examples=40)
@given(above=SHAPES, below=SHAPES, pixelnorm=st.booleans(), n=st.integers(2, 3))
def test_a_layer_inverse_fits_any_two_shapes(
    above: tuple[int, ...], below: tuple[int, ...], pixelnorm: bool, n: int
) -> None:
    draw = torch.Generator().manual_seed(1)
    x, y = torch.randn(n, *above, generator=draw), torch.randn(n, *below, generator=draw)
    inverse = LayerInverse(above, below, pixelnorm=pixelnorm)
    inverse.fit(x, y)
    found = rows_are_independent(inverse, x)
    assert found.shape == (n, *below)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize(
    ("above", "below"),
    [((4, 8, 8), (3, 4, 4)), ((4, 12, 6), (3, 4, 2)), ((4, 5, 5), (3, 5, 5))],
)
def test_a_layer_inverse_goes_down_by_a_stride_where_one_fits(
    above: tuple[int, int, int], below: tuple[int, int, int]
) -> None:
    inverse = LayerInverse(above, below)
    ratio = above[1] // below[1]
    assert isinstance(inverse.head, nn.Conv2d)
    assert inverse.head.kernel_size == (1, 1) and inverse.head.stride == (ratio, ratio)
    assert inverse.size is None
    kernels = [m.kernel_size for m in inverse.body.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(3, 3), (3, 3)]  # two 3x3 and a 1x1, as in the paper


@pytest.mark.parametrize("below", [(3, 3, 3), (3, 4, 5), (3, 16, 16)])
def test_a_layer_inverse_pools_where_no_stride_fits(below: tuple[int, int, int]) -> None:
    inverse = LayerInverse((4, 8, 8), below)
    assert inverse.size == below[1:]
    assert inverse(torch.randn(2, 4, 8, 8)).shape == (2, *below)


@settings(max_examples=20)
@given(
    resolution=st.sampled_from([4, 6, 8, 13, 16, 32, 48]),
    target=st.one_of(MAPS, VECTORS),
    blocks=st.integers(1, 2),
    normal=st.booleans(),
)
def test_an_image_encoder_reaches_any_shape(
    resolution: int, target: tuple[int, ...], blocks: int, normal: bool
) -> None:
    encoder = ImageEncoder(resolution, target, width=2, most=4, blocks=blocks, normal=normal)
    found = rows_are_independent(encoder, noise(3, size=resolution))
    assert found.shape == (3, *target)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize(
    ("resolution", "extent", "strides"),
    [(64, 8, [2, 2, 2]), (64, 4, [2, 2, 2, 2]), (16, 8, [2]), (8, 8, [])],
)
def test_the_stride_of_an_image_encoder_is_size_over_extent(
    resolution: int, extent: int, strides: list[int]
) -> None:
    encoder = ImageEncoder(resolution, (5, extent, extent), width=2, most=4)
    found = [
        m.stride[0]
        for m in encoder.trunk.modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.stride[0] > 1
    ]
    assert found == strides
    assert encoder.trunk(noise(1, size=resolution)).shape[2:] == (extent, extent)


def test_estimates_of_normal_latents_have_unit_mean_square() -> None:
    images = noise(4, size=16)
    direct = ImageEncoder(16, (7,), width=2, most=4, normal=True).eval()
    torch.testing.assert_close(direct(images).square().mean(1), torch.ones(4), atol=1e-4, rtol=0)
    inverse = LayerInverse((4, 4, 4), (6,), normal=True).eval()
    z = inverse(torch.randn(5, 4, 4, 4))
    torch.testing.assert_close(z.square().mean(1), torch.ones(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        unit_mean_square(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / math.sqrt(12.5)
    )
    assert torch.equal(unit_mean_square(torch.zeros(1, 3)), torch.zeros(1, 3))


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5), (3, 4)])
def test_standardise(shape: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, *shape, generator=draw) * torch.tensor([1.0, 5.0, 0.1]).reshape(
        -1, *[1] * (len(shape) - 1)
    ) + torch.arange(3.0).reshape(-1, *[1] * (len(shape) - 1))
    scale = Standardise(3)
    assert torch.equal(scale(x), x) and torch.equal(scale.undo(x), x)  # nothing is known yet
    scale.fit(x)
    channels = scale(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(channels.std(1), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(scale.undo(scale(x)), x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scale(scale.undo(x)), x, atol=1e-4, rtol=1e-4)


def test_standardise_of_what_never_changes_and_of_pixel_norm() -> None:
    scale = Standardise(2)
    x = torch.cat([torch.randn(50, 1, 2, 2), torch.full((50, 1, 2, 2), 7.0)], dim=1)
    scale.fit(x)
    assert bool(torch.isfinite(scale(x)).all())
    torch.testing.assert_close(scale.undo(scale(x)), x, atol=1e-5, rtol=1e-5)
    norm = Standardise(2, pixelnorm=True)
    norm.fit(x)
    assert norm.mean.tolist() == [0, 0] and norm.std.tolist() == [1, 1]
    torch.testing.assert_close(norm(x).square().mean(1), torch.ones(50, 2, 2))
    assert norm.undo(x) is x


def test_the_layered_encoder_is_the_composition() -> None:
    generator = tiny_progan()
    stop = generator.boundary("r8.conv0").index
    whole = LayeredEncoder(generator.boundaries[: stop + 1], 16, width=4, most=8, blocks=1).eval()
    assert len(whole.layers) == stop == 3
    images = noise(2, size=16)
    z, r = whole(images)
    assert torch.equal(r, whole.image(images)) and r.shape[1:] == generator.boundaries[stop].shape
    by_hand = whole.inverse(1)(whole.inverse(2)(whole.inverse(3)(r)))
    assert torch.equal(z, by_hand) and z.shape == (2, 8)
    assert whole.inverse(1).normal and not whole.inverse(2).normal
    with pytest.raises(UsageError, match="after the input"):
        LayeredEncoder(generator.boundaries[:1], 16)


# ---------------------------------------------------------------------------------------- files


def made(generator: StagedAdapter, kind: str = "layered", cut: str = CUT) -> TrainedEncoder:
    """An encoder with random weights, its batch norms settled."""
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        network = build_network(kind, generator, cut, SMALL)  # type: ignore[arg-type]
    size = generator.info.resolution
    settled(network, noise(6, size=size))
    where = cut if kind == "layered" else "input"
    key = generator_key(generator.info)
    record = {"family": generator.info.family, "check": {"psnr": 12.5}}
    return TrainedEncoder(kind, where, network, key, SMALL, record)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["layered", "direct"])
@pytest.mark.parametrize("half", [False, True])
def test_save_and_read(tmp_path: Path, kind: str, half: bool) -> None:
    generator = tiny_progan()
    encoder = made(generator, kind)
    path = tmp_path / "new" / "folder" / "e.safetensors"
    assert encoder.save(path, half=half) == path
    assert [p.name for p in path.parent.iterdir()] == ["e.safetensors"]  # nothing left beside it
    again = read_encoder(path, generator)
    assert (again.kind, again.cut, again.generator) == (kind, encoder.cut, encoder.generator)
    assert again.record == encoder.record and again.architecture == SMALL
    assert again.path == path and len(again.sha256 or "") == 64
    assert again.about()["sha256"] == again.sha256
    assert not again.network.training
    assert isinstance(again, Encoder) and again.device.type == "cpu"
    tensors = again.network.state_dict()
    for name, tensor in encoder.network.state_dict().items():
        assert tensors[name].dtype == tensor.dtype
        want = tensor.half().float() if half and tensor.is_floating_point() else tensor
        assert torch.equal(tensors[name], want)
    images = noise(3, size=16)
    for a, b in zip(encoder.estimate(images), again.estimate(images), strict=True):
        assert (a is None) == (b is None) == (kind == "direct" and a is None)
        if a is not None and b is not None:
            assert not b.requires_grad
            torch.testing.assert_close(b, a, atol=0.05 if half else 0, rtol=0)
    stored = safetensors.torch.load_file(path)
    floats = {t.dtype for t in stored.values() if t.is_floating_point()}
    assert floats == {torch.float16 if half else torch.float32}


def test_halves_are_half_the_file(tmp_path: Path) -> None:
    encoder = made(tiny_progan())
    whole = encoder.save(tmp_path / "a.safetensors").stat().st_size
    numbers = sum(t.numel() for t in encoder.network.state_dict().values())
    assert whole - encoder.save(tmp_path / "b.safetensors", half=True).stat().st_size > numbers


def test_an_encoder_of_another_generator_is_refused(tmp_path: Path) -> None:
    mine, other = tiny_progan(0), tiny_progan(1)
    path = made(mine).save(tmp_path / "e.safetensors")
    keys = generator_key(mine.info), generator_key(other.info)
    assert keys[0] != keys[1]
    with pytest.raises(StateMismatchError) as caught:
        read_encoder(path, other)
    for word in (*keys, "progan", str(path), "--encoder train"):
        assert word in str(caught.value)
    read_encoder(path, tiny_progan(0, latents="sequence"))  # the same images from other seeds


def test_the_key_is_what_makes_the_images() -> None:
    info = tiny_progan().info
    key = generator_key(info)
    assert len(key) == 16
    same = [
        tiny_progan(0, latents="sequence").info,
        info.model_copy(update={"licence": "other", "parameters": 1}),
    ]
    other = [
        tiny_progan(1).info,
        tiny_progan(0, clamp=False).info,
        info.model_copy(update={"family": "stylegan"}),
        info.model_copy(update={"resolution": 32}),
        info.model_copy(update={"class_names": ("a",)}),
        info.model_copy(update={"latent": (LatentSpec(shape=(9,)),)}),
    ]
    assert {generator_key(i) for i in same} == {key}
    assert len({generator_key(i) for i in other} | {key}) == len(other) + 1


def test_bad_files_are_named(tmp_path: Path) -> None:
    generator = tiny_progan()
    good = made(generator).save(tmp_path / "good.safetensors").read_bytes()
    cases: list[tuple[str, bytes, type[SeeingkitError], str]] = [
        ("empty", b"", CorruptFileError, "empty"),
        ("short", good[:-100], CorruptFileError, "damaged"),
        ("text", b"not an encoder at all, but long enough", CorruptFileError, "not a weights file"),
        ("other", safetensors.torch.save({"x": torch.ones(2)}), WeightsError, "not an encoder"),
    ]
    about = json.loads(safetensors_about(tmp_path / "good.safetensors"))
    del about["digest"]  # so that what is wrong is not that the file was changed
    tensors = safetensors.torch.load(good)
    for name, change in {
        "version": {"schema_version": 99},
        "kind": {"kind": "sideways"},
        "list": [1, 2],
    }.items():
        text = json.dumps(change if isinstance(change, list) else {**about, **change})
        file = safetensors.torch.save(tensors, {KEY: text})
        cases.append((name, file, WeightsError, "not an encoder of this version"))
    for name, architecture in {
        "word": {**SMALL, "colour": 1},
        "type": {**SMALL, "most": "x"},
    }.items():
        text = json.dumps({**about, "architecture": architecture})
        file = safetensors.torch.save(tensors, {KEY: text})
        cases.append((name, file, CorruptFileError, "architecture is not understood"))
    wide = json.dumps({**about, "architecture": {**SMALL, "width": 6}})
    cases.append(
        ("width", safetensors.torch.save(tensors, {KEY: wide}), StateMismatchError, "shape")
    )
    fewer = {k: v for k, v in tensors.items() if k != "image.head.bias"}
    text = json.dumps(about)
    cases.append(
        ("fewer", safetensors.torch.save(fewer, {KEY: text}), StateMismatchError, "image.head.bias")
    )
    nan = {**tensors, "image.head.bias": torch.full_like(tensors["image.head.bias"], math.nan)}
    cases.append(("nan", safetensors.torch.save(nan, {KEY: text}), WeightsError, "NaN"))
    for name, content, kind, words in cases:
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(kind, match=words) as caught:
            read_encoder(path, generator)
        assert str(path) in str(caught.value)
    with pytest.raises(MissingWeightsError, match="nowhere"):
        read_encoder(tmp_path / "nowhere.safetensors", generator)


@pytest.mark.parametrize("missing", ["architecture", "record", "cut", "generator"])
def test_a_file_whose_record_lacks_a_key_is_named(tmp_path: Path, missing: str) -> None:
    generator = tiny_progan()
    path = made(generator).save(tmp_path / "e.safetensors")
    about = json.loads(safetensors_about(path))
    del about[missing]
    tensors = safetensors.torch.load_file(path)
    path.write_bytes(safetensors.torch.save(tensors, {KEY: json.dumps(about)}))
    with pytest.raises(WeightsError, match=missing):
        read_encoder(path, generator)


def safetensors_about(path: Path) -> str:
    """The text beside the tensors of an encoder file."""
    with safetensors.safe_open(str(path), framework="pt") as file:
        return str(file.metadata()[KEY])


def test_halves_that_would_overflow_are_not_written(tmp_path: Path) -> None:
    generator = tiny_progan()
    encoder = made(generator)
    assert isinstance(encoder.network, LayeredEncoder)
    encoder.network.image.outward.mean.fill_(1e5)
    with pytest.raises(SeeingkitError, match="image.outward.mean"):
        encoder.save(tmp_path / "e.safetensors", half=True)
    assert not list(tmp_path.glob("*.safetensors"))


def test_one_random_input_only() -> None:
    generator = tiny_progan()
    two = (LatentSpec(shape=(8,)), LatentSpec(name="noise", shape=(3,)))
    generator.info = generator.info.model_copy(update={"latent": two})
    with pytest.raises(ModelError, match="noise"):
        build_network("direct", generator, "input", SMALL)


def test_latent_states() -> None:
    z = torch.randn(2, 12)
    generator = conditional_generator()
    state = latent_state(generator, z, torch.tensor([1, 0]))
    assert state.at == "input" and torch.equal(state.x, z)
    assert state.carry["label"].tolist() == [1, 0]
    assert not latent_state(linear_generator(), z).carry


# -------------------------------------------------------------------------------------- finding


def test_the_cache_is_searched_by_generator_cut_and_recipe() -> None:
    generator = tiny_progan()
    key = RECIPE.key()
    assert find_encoder(generator, "layered", CUT, key) is None
    path = encoder_path(generator, "layered", CUT, key)
    made(generator).save(path)
    assert find_encoder(generator, "layered", CUT, key) == path
    assert find_encoder(generator, "layered", "r8.conv0", key) is None
    assert find_encoder(generator, "direct", "input", key) is None
    assert find_encoder(generator, "layered", CUT, replace(RECIPE, layer_steps=31).key()) is None
    assert find_encoder(tiny_progan(1), "layered", CUT, key) is None
    again = tiny_progan(0, latents="sequence")
    assert find_encoder(again, "layered", CUT, key) == path


def test_direct_encoders_have_no_cut() -> None:
    generator = tiny_progan()
    path = encoder_path(generator, "direct", CUT, "k")
    assert path == encoder_path(generator, "direct", "r8.conv0", "k")
    assert path != encoder_path(generator, "layered", CUT, "k")


@pytest.mark.parametrize("harm", ["flipped", "short", "another"])
def test_a_damaged_encoder_is_set_aside_and_not_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    generator = tiny_progan()
    path = made(generator).save(encoder_path(generator, "layered", CUT, "k"))
    assert find_encoder(generator, "layered", CUT, "k") == path
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    other = made(generator).save(tmp_path / "other.safetensors").read_bytes()
    path.write_bytes({"flipped": bytes(data), "short": data[:500], "another": other}[harm])
    if harm == "flipped":
        with pytest.raises(CorruptFileError, match="damaged"):
            read_encoder(path, generator)
    assert find_encoder(generator, "layered", CUT, "k") is None
    assert (path.parent / "damaged" / path.name).exists() and not path.exists()
    assert len(caplog.messages) == 1 and str(path) in caplog.messages[0]


def test_other_code_of_a_generator_has_encoders_of_its_own() -> None:
    generator, newer = tiny_progan(), tiny_progan()
    newer.info = newer.info.model_copy(update={"code": "2-0123456789ab"})
    assert generator_key(newer.info) == generator_key(generator.info)
    paths = [encoder_path(one, "layered", CUT, "k") for one in (generator, newer)]
    assert paths[0] != paths[1]


def test_shipped_encoders_are_found_by_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = tiny_progan()
    own = generator_key(generator.info)
    descriptions: dict[str, dict[str, object]] = {
        "other": {"generator": "0" * 16, "kind": "layered", "cut": CUT},
        "deep": {"generator": own, "kind": "layered", "cut": "r8.conv1"},
        "mine": {"generator": own, "kind": "layered", "cut": CUT},
        "straight": {"generator": own, "kind": "direct"},
    }

    class Ships:
        @hookimpl
        def seeingkit_register(self, register: Callable[[object], None]) -> None:
            for name, options in descriptions.items():
                file = WeightFile(name=f"{name}.safetensors")
                register(
                    WeightsSpec(
                        name=name,
                        summary="toy",
                        family="layered",
                        kind="inverter",
                        files=(file,),
                        options=options,
                    )
                )

    registry = Registry()
    registry.add(Ships(), PluginRecord("toy", "toys", "1", "toy"))
    monkeypatch.setattr(encoders, "registry", lambda: registry)
    folder = tmp_path / "cache" / "weights" / "layered"
    for name in descriptions:
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.safetensors").touch()

    def found(kind: str, cut: str) -> str | None:
        path = find_encoder(generator, kind, cut, "k")  # type: ignore[arg-type]
        return path.stem if path else None

    assert found("layered", CUT) == "mine"
    assert found("layered", "r8.conv1") == "deep"
    assert found("layered", "r8.conv0") is None
    assert found("direct", "input") == "straight"
    assert find_encoder(tiny_progan(1), "layered", CUT, "k") is None
    cached = encoder_path(generator, "layered", "r8.conv0", "k")
    made(generator, cut="r8.conv0").save(cached)
    assert found("layered", "r8.conv0") == cached.stem


# ------------------------------------------------------------------------------------- training


def untimed(record: object) -> Any:
    """A training record without its seconds."""
    found = json.loads(json.dumps(record))
    for stage in found["stages"].values():
        assert stage.pop("seconds") >= 0
    return found


def equal_encoders(a: TrainedEncoder, b: TrainedEncoder) -> None:
    """The same numbers and the same record, but for the seconds."""
    x, y = a.network.state_dict(), b.network.state_dict()
    assert x.keys() == y.keys()
    for name in x:
        assert torch.equal(x[name], y[name]), name
    assert untimed(a.record) == untimed(b.record)


@pytest.mark.slow
def test_training_learns_and_says_how(tmp_path: Path) -> None:
    generator = linear_generator()
    before = tensors_of(generator)
    told: list[str] = []
    short = replace(RECIPE, layer_steps=1, image_steps=1, tune_steps=1)
    first = train_encoder(generator, "layered", "b", short)
    long = replace(
        RECIPE,
        layer_steps=100,
        image_steps=100,
        tune_steps=100,
        layer_rate=2e-2,
        image_rate=1e-2,
        tune_rate=5e-3,
    )
    encoder = train_encoder(generator, "layered", "layer2", long, report=told.append)
    assert encoder.path == encoder_path(generator, "layered", "b", long.key())
    assert encoder.path.is_file() and not list(encoder.path.parent.glob("*.partial*"))
    assert (encoder.kind, encoder.cut) == ("layered", "b")
    assert encoder.generator == generator_key(generator.info)
    record: Any = encoder.record
    assert record["family"] == "blocks" and record["torch"] == torch.__version__
    assert Recipe(**{**record["recipe"], "milestones": ()}) == long
    steps = {name: stage["steps"] for name, stage in record["stages"].items()}
    assert steps == {"e1": 100, "e2": 100, "ef": 100, "E": 100}
    assert [line.split(":")[0] for line in told[:4]] == ["e1", "e2", "ef", "E"]
    for name, stage in record["stages"].items():
        assert stage["loss"] < 0.5 * first.record["stages"][name]["loss"], name
    check = record["check"]
    assert check["n"] == 256
    assert check["r_correlation"] > 0.6 and check["image_correlation"] > 0.6
    assert check["psnr"] > first.record["check"]["psnr"] + 3
    # The generator is what it was.
    assert all(torch.equal(t, before[name]) for name, t in generator.module.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in generator.module.parameters())
    # And the check is what it says: new samples through the encoder and back.
    latent = draw(generator, 256, TRAIN_SEED - 512)
    start = generator.begin(latent)
    images = generator.advance(start).x
    z, _ = encoder.estimate(images)
    r = generator.advance(start, "b").x
    again = generator.advance(start.with_x(z), "b").x
    assert correlation(r, again) == pytest.approx(check["r_correlation"], abs=2e-4)


@pytest.mark.slow
def test_a_direct_encoder_learns() -> None:
    generator = linear_generator()
    recipe = replace(RECIPE, image_steps=100, tune_steps=100)
    encoder = train_encoder(generator, "direct", "b", recipe)
    record: Any = encoder.record
    assert (encoder.kind, encoder.cut) == ("direct", "input")
    assert record["stages"]["E"]["steps"] == 200 and list(record["stages"]) == ["E"]
    assert record["check"]["z_correlation"] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["layered", "direct"])
def test_training_is_a_function_of_its_seed_and_touches_no_other(tmp_path: Path, kind: Any) -> None:
    generator = tiny_progan()
    recipe = replace(RECIPE, layer_steps=2, image_steps=2, tune_steps=2, batch=4)

    def train(name: str, state: int, recipe: Recipe = recipe) -> TrainedEncoder:
        torch.manual_seed(state)
        path = tmp_path / f"{name}.safetensors"
        return train_encoder(generator, kind, CUT, recipe, path=path)

    torch.manual_seed(17)
    wanted = torch.get_rng_state()
    a = train("a", 17)  # trains, saves and reads
    assert torch.equal(torch.get_rng_state(), wanted)
    b = train("b", 18)
    equal_encoders(a, b)
    other = train("c", 17, replace(recipe, seed=1))
    name = "image.head.weight" if kind == "layered" else "head.1.weight"
    assert not torch.equal(other.network.state_dict()[name], a.network.state_dict()[name])


class KilledError(Exception):
    """What ends a training in the middle."""


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_killed_training_goes_on_where_it_was(tmp_path: Path, stages: int) -> None:
    generator = linear_generator()
    recipe = replace(RECIPE, layer_steps=4, image_steps=4, tune_steps=4, batch=8)
    torch.manual_seed(1)
    whole = train_encoder(generator, "layered", "b", recipe, path=tmp_path / "whole.safetensors")
    path = tmp_path / "part.safetensors"
    told: list[str] = []

    def kill(line: str) -> None:
        told.append(line)
        if len(told) == stages + 1:  # told before the stage is saved
            raise KilledError

    with pytest.raises(KilledError):
        train_encoder(generator, "layered", "b", recipe, path=path, report=kill)
    assert not path.exists()
    assert len(list(tmp_path.glob("part.partial*"))) == 1
    rest: list[str] = []
    torch.manual_seed(2)
    again = train_encoder(generator, "layered", "b", recipe, path=path, report=rest.append)
    assert [line.split(":")[0] for line in rest[:-1]] == ["e1", "e2", "ef", "E"][stages:]
    equal_encoders(again, whole)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_partial_encoder_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    generator = linear_generator()
    recipe = replace(RECIPE, layer_steps=3, image_steps=3, tune_steps=3, batch=8)
    path = tmp_path / "e.safetensors"
    told: list[str] = []

    def kill(line: str) -> None:
        told.append(line)
        if len(told) == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_encoder(generator, "layered", "b", recipe, path=path, report=kill)
    longer = replace(recipe, layer_steps=5, width=4)
    found = train_encoder(generator, "layered", "b", longer, path=path)
    record: Any = found.record
    steps = {name: stage["steps"] for name, stage in record["stages"].items()}
    assert steps == {"e1": 5, "e2": 5, "ef": 3, "E": 3}
    assert record["recipe"]["width"] == 4 and found.architecture["width"] == 4


def test_a_generator_of_nan_is_named() -> None:
    recipe = replace(RECIPE, layer_steps=2, image_steps=2, tune_steps=2)
    with pytest.raises(ModelError, match="fragile.*NaN"):
        train_encoder(fragile_generator(-1.0), "layered", "b", recipe)


def test_no_such_cut() -> None:
    with pytest.raises(UnknownNameError, match="input"):
        train_encoder(linear_generator(), "layered", "c", RECIPE)


def test_conditional_generators_are_trained_on_all_classes() -> None:
    generator = conditional_generator()
    latent = draw(generator, 200, TRAIN_SEED)
    assert 60 < int(latent["label"].sum()) < 140
    recipe = replace(RECIPE, layer_steps=2, image_steps=2, tune_steps=2)
    encoder = train_encoder(generator, "layered", "b", recipe)
    assert encoder.estimate(noise(2))[0].shape == (2, 12)


def test_samples_depend_on_their_seed_only() -> None:
    generator = tiny_progan()
    one = draw(generator, 6, TRAIN_SEED + 5)
    assert torch.equal(one["z"][:3], draw(generator, 3, TRAIN_SEED + 5)["z"])
    assert not torch.equal(one["z"], draw(generator, 6, TRAIN_SEED + 50)["z"])
    people = generator.latents(range(1000), seed=0)["z"]
    assert not (people[:, None] == one["z"]).all(2).any()


@pytest.mark.parametrize(
    ("loss", "absolute", "cosine"), [("l1", 1, 0), ("cosine", 0, 1), ("both", 1, 1)]
)
def test_feature_losses_by_hand(loss: Any, absolute: float, cosine: float) -> None:
    losses = TrainingLosses(linear_generator(), "input", replace(RECIPE, loss=loss))
    truth = torch.tensor([[[[1.0]], [[0.0]]], [[[0.0]], [[2.0]]]])  # (2, 2, 1, 1)
    estimate = torch.tensor([[[[0.0]], [[1.0]]], [[[0.0]], [[1.0]]]])
    far = float((1 + 1 + 0 + 1) / 4 / truth.std())
    apart = 0.5  # one pair orthogonal, one parallel
    found = float(losses.features(truth, estimate))
    assert found == pytest.approx(absolute * far + cosine * apart, rel=1e-5)
    latent = float(losses.features(truth, estimate, latent=True))
    assert latent == pytest.approx(absolute * 0.75 + cosine * apart, rel=1e-5)


def test_rates_of_training() -> None:
    def rates(recipe: Recipe, steps: int) -> list[float]:
        return [recipe.rate_factor(k, steps) for k in range(steps)]

    marked = replace(RECIPE, milestones=(0.2, 0.6), decay=0.1)
    assert rates(marked, 10) == pytest.approx([1, 1, *[0.1] * 4, *[0.01] * 4])
    cosine = rates(RECIPE, 8)
    assert cosine == pytest.approx([0.5 + 0.5 * math.cos(math.pi * k / 8) for k in range(8)])
    assert all(a > b > 0 for a, b in itertools.pairwise(cosine))


def test_recipes_are_told_apart_by_everything_in_them() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"loss": "l1"},
        {"layer_steps": 1},
        {"image_steps": 1},
        {"tune_steps": 1},
        {"batch": 2},
        {"layer_rate": 1.0},
        {"milestones": (0.5,)},
        {"pixelnorm": True},
        {"width": 1},
        {"most": 1},
        {"blocks": 3},
        {"seed": 4},
        {"bfloat16": True},
    ]
    assert len({replace(RECIPE, **change).key() for change in changes}) == len(changes)
    shorter = RECIPE.shortened(9)
    assert (shorter.tune_steps, shorter.layer_steps, shorter.name) == (9, 4, "toy-9")
    assert RECIPE.shortened(1).layer_steps == 1
    paper = RECIPES["paper"]
    assert (paper.loss, paper.pixelnorm, paper.tune_steps) == ("l1", True, 100_000)
    assert encoders.SCHEMA == 1 and SIZE == 6


def test_boundaries_of_several_kinds() -> None:
    """A generator whose layers go from vector to vector to a map that is no multiple."""
    cuts = (
        Boundary("input", 0, (5,), "latent"),
        Boundary("w", 1, (7,), "latent"),
        Boundary("r3", 2, (2, 3, 3), "feature", (3, 3)),
        Boundary("r7", 3, (2, 7, 7), "feature", (7, 7)),
    )
    network = LayeredEncoder(cuts, 20, width=2, most=4, blocks=1)
    z, r = settled(network, noise(3, size=20))(noise(2, size=20))
    assert z.shape == (2, 5) and r.shape == (2, 2, 7, 7)
