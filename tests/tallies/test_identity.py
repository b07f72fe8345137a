"""What a tally knows of its images: preset, generator and classes; what it never takes for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from seeingkit import AutoStaged, Tally, compare, load_segmenter, open_images, tally
from seeingkit.contracts import (
    Annotator,
    AnnotatorInfo,
    GeneratorInfo,
    ImageSource,
    Label,
    Latent,
    LatentSpec,
    Sampler,
    Segmenter,
    Vocabulary,
)
from seeingkit.errors import ModelError, PluginError, TallyError
from seeingkit.images import SamplerSource
from seeingkit.images.opening import with_preset
from seeingkit.models.probe import code_digest, identify
from seeingkit.models.registry import find_preset
from seeingkit.tallies import ChunkStore
from seeingkit.tallies.chunks import ChunkRows, describe, write_table
from tests.helpers.commands import command, pictures
from tests.helpers.toys import CountedNoise, LevelSegmenter, Noise


class Classes(Sampler):
    """A picture as bright as its class."""

    info = GeneratorInfo(
        family="classes",
        resolution=8,
        latent=(LatentSpec(shape=(1,)),),
        class_names=("night", "dusk", "day"),
    )

    def __call__(self, latent: Latent) -> Tensor:
        level = latent["label"].float() - 1 + 0 * latent["z"][:, 0]
        return level[:, None, None, None].expand(-1, 3, 8, 8).clone()


# ----------------------------------------------------------------------------------- the preset


def test_tallies_of_different_presets_are_refused_in_python(tmp_path: Path) -> None:
    pictures(tmp_path / "photos", 4, seed=1, side=96)
    sides = [
        tally(
            open_images(tmp_path / "photos", preset=preset),
            LevelSegmenter(),
            store=tmp_path / "store",
        )
        for preset in ("paper@64", "paper@32")
    ]
    assert [side.identity.preset["name"] for side in sides if side.identity] == [
        "paper@64",
        "paper@32",
    ]
    with pytest.raises(TallyError, match=r"differ in preset \(name, size\)"):
        compare(*sides, permutations=0)
    assert compare(*sides, permutations=0, force=True).results.preset["name"] == "paper@64"


def test_command_line_and_python_share_their_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    words = ["tally", "minichurches", "--n", "3", "--device", "cpu", "--out", "table.parquet"]
    code, _, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0, err
    segmenter = load_segmenter("upernet:minichurches")

    def fails(images: Tensor) -> Tensor:
        raise AssertionError("counted again")

    monkeypatch.setattr(segmenter, "segment", fails)
    again = tally(open_images("minichurches"), segmenter, n=3)
    assert (again.counts != Tally.load("table.parquet").counts).nnz == 0
    with pytest.raises(AssertionError, match="counted again"):
        tally(open_images("minichurches", preset="paper@32"), segmenter, n=3)


def test_an_unknown_preset_is_compared_and_said(tmp_path: Path) -> None:
    known = Noise(4, name="known")
    known.preset = find_preset("native")
    sides = [tally(source, LevelSegmenter(), store=tmp_path) for source in (Noise(4), known)]
    (warning,) = compare(*sides, permutations=0).results.warnings
    assert warning.startswith("The preprocessing of the real images is unknown")


@dataclass(frozen=True)
class Frozen(ImageSource):
    """A data set's source whose fields cannot be set, and whose ``first`` knows no preset."""

    ids: tuple[str, ...] = ("a", "b", "c")
    name: str = "frozen"
    fingerprint: str = "f" * 64

    def read(self, indices: Sequence[int]) -> Tensor:
        return torch.stack([torch.full((3, 4, 4), i / 4) for i in indices])

    def first(self, n: int) -> ImageSource:
        return Frozen(self.ids[:n])


class NeverSet(Noise):
    @property
    def preset(self) -> None:  # type: ignore[override]
        return None


def test_the_preset_of_a_data_set_is_known_whatever_its_source_says(tmp_path: Path) -> None:
    native = find_preset("native")
    source = with_preset(Frozen(), native)
    assert source.preset == native
    few = tally(source, LevelSegmenter(), n=2, store=tmp_path)
    assert few.identity is not None and few.identity.preset == native.identity()
    with pytest.raises(PluginError, match="noise: the preset of a NeverSet cannot be set"):
        with_preset(NeverSet(3), native)


def test_a_tally_of_another_version_is_refused(tmp_path: Path) -> None:
    rows = ChunkRows()
    for k in range(2):
        rows.add(k, f"seed0-{k:06d}", 4, np.array([0, 1, 3, 0]))
    metadata = describe(LevelSegmenter().vocabulary, None)
    about = json.loads(metadata["seeingkit"]) | {"record": {"source": {"nonsense": 1}}}
    table = rows.table({"seeingkit": json.dumps(about)})
    write_table(tmp_path / "odd.parquet", table)
    with pytest.raises(TallyError, match=r"odd.parquet: .*its record is not one of this version"):
        Tally.load(tmp_path / "odd.parquet")
    about.pop("record")
    write_table(
        tmp_path / "old.parquet", table.replace_schema_metadata({"seeingkit": json.dumps(about)})
    )
    with pytest.raises(TallyError, match=r"old.parquet: not a readable tally \('record'\)"):
        Tally.load(tmp_path / "old.parquet")


# --------------------------------------------------------------------- generators and their classes


def test_some_images_of_a_generator_are_its_first(tmp_path: Path) -> None:
    source = SamplerSource(Classes(), 6, seed=5, preset=find_preset("native"))
    few = tally(source, LevelSegmenter(), n=4, store=tmp_path)
    assert few.ids == tuple(source.ids[:4])
    record = few.record
    assert record.generator is not None and record.generator.family == "classes"
    assert record.generator.resolution == 8
    assert record.class_names == ("night", "dusk", "day")
    assert record.source is not None and record.source.images == 4 and record.source.seed == 5
    assert few.conditions is not None and few.conditions.tolist() == [0, 1, 2, 0]
    whole = tally(source, LevelSegmenter(), store=tmp_path)
    assert (whole.take(range(4)).counts != few.counts).nnz == 0
    named = [condition.name for condition in compare(few, few, permutations=0).results.conditions]
    assert named == ["night"]  # the others have one image, too few


def test_classes_are_a_column(tmp_path: Path) -> None:
    source = SamplerSource(Classes(), 5, labels=[2, 0], preset=find_preset("native"))
    found = tally(source, LevelSegmenter(), store=tmp_path)
    assert found.conditions is not None and found.conditions.tolist() == [2, 0, 2, 0, 2]
    again = Tally.load(found.save(tmp_path / "table.parquet"))
    assert again.conditions is not None and again.conditions.tolist() == [2, 0, 2, 0, 2]
    assert again.record == found.record and again.vocabulary == found.vocabulary
    picked = found.take([3, 0]).conditions
    assert picked is not None and picked.tolist() == [0, 2]
    assert tally(Noise(3), LevelSegmenter(), store=tmp_path).conditions is None


def test_areas_counted_elsewhere_say_so(tmp_path: Path) -> None:
    found = tally(CountedNoise(4), LevelSegmenter(), store=tmp_path)
    assert found.record.counted and found.record.source is not None
    assert found.record.source.kind == "stored tally"
    assert found.record.segmenter is not None and found.record.segmenter.family == "levels"
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------ code as identity


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.ConvTranspose2d(3, 4, 4), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Tanh())


def auto(**options: object) -> AutoStaged:
    return AutoStaged(network(), {"r4": "1"}, latent=(3, 1, 1), **options)  # type: ignore[arg-type]


def test_two_unnamed_functions_never_share_a_tally(tmp_path: Path) -> None:
    generators = [
        auto(call=lambda module, latent: module(latent["z"])),
        auto(call=lambda module, latent: module(latent["z"] * 2)),
        auto(call=lambda module, latent: module(latent["z"]) + 0.6),
        auto(),
    ]
    sources = [SamplerSource(g, 4, preset=find_preset("native")) for g in generators]
    prints = [source.fingerprint for source in sources]
    assert len(set(prints[:3])) == 3
    assert generators[0].info.images_sha256 == generators[3].info.images_sha256
    rows = [tally(source, LevelSegmenter(), store=tmp_path).counts.toarray() for source in sources]
    assert not np.array_equal(rows[0], rows[2]) and np.array_equal(rows[0], rows[3])
    again = auto(call=lambda module, latent: module(latent["z"]))
    assert again.info.identity() == generators[0].info.identity()


def test_one_class_name_with_other_code_is_another_generator() -> None:
    def of(sign: float) -> AutoStaged:
        class Painter(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = network()

            def forward(self, z: Tensor) -> Tensor:
                image: Tensor = sign * self.body(z)
                return image

        return AutoStaged(Painter(), {"r4": "body.1"}, latent=(3, 1, 1))

    first, second = of(1.0), of(-1.0)
    assert first.info.weights_sha256 == second.info.weights_sha256
    assert first.info.identity() != second.info.identity()
    given = first.info.model_copy(update={"images_sha256": None})
    named = [AutoStaged(g.module, {"r4": "body.1"}, info=given) for g in (first, second)]
    assert named[0].info.identity() != named[1].info.identity()  # also under the same info


def test_code_that_a_program_imports_is_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from seeingkit import load_generator

    (tmp_path / "painting.py").write_text(
        "from torch import nn, ones\n"
        "from brushes import SIGN\n"
        "class Painter(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.up = nn.ConvTranspose2d(3, 3, 4)\n"
        "        nn.init.constant_(self.up.weight, 0.1)\n"
        "        nn.init.zeros_(self.up.bias)\n"
        "    def forward(self, z):\n"
        "        return SIGN * self.up(z).tanh()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for sign in ("1", "-1"):
        (tmp_path / "brushes.py").write_text(f"SIGN = {sign}  # {'x' * len(sign)}\n")
        for name in ("brushes", "painting"):
            sys.modules.pop(name, None)
        name = f"module:{tmp_path / 'painting.py'}:Painter"
        found.append(load_generator(name, latent=(3, 1, 1)).info)
    assert found[0].weights_sha256 == found[1].weights_sha256  # the file itself did not change
    assert found[0].identity() != found[1].identity()


class Trembling(Sampler):
    """Images that differ from call to call: by rounding, or by more. Its info is a property."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    @property
    def info(self) -> GeneratorInfo:  # type: ignore[override]
        return GeneratorInfo(family="trembling", resolution=4, latent=(LatentSpec(shape=(1,)),))

    def __call__(self, latent: Latent) -> Tensor:
        level = torch.tanh(latent["z"]).reshape(-1, 1, 1, 1).expand(-1, 3, 4, 4)
        return level + self.noise * torch.rand(level.shape)


def test_rounding_changes_no_identity_and_noise_has_none() -> None:
    prints = {identify(Trembling(noise)).info.images_sha256 for noise in (0.0, 1e-7, 1e-6, 1e-7)}
    assert len(prints) == 1
    with pytest.raises(ModelError, match="trembling: images change from call to call"):
        identify(Trembling(0.01))


def test_code_of_a_function_is_told_apart() -> None:
    def scaled(by: float) -> Callable[[float], float]:
        return lambda x: by * x

    functions = [lambda x: x + 1, lambda x: x + 2, lambda x: x - 1, scaled(2.0), scaled(3.0), abs]
    assert len({code_digest(function) for function in functions}) == len(functions)
    assert code_digest(scaled(2.0)) == code_digest(scaled(2.0))


# ------------------------------------------------------------------------------- other annotators


class Digits(Annotator):
    """The probability of a dark and a bright image, or how many of four corners are bright."""

    def __init__(self, unit: str = "probability", scale: float = 1.0) -> None:
        labels = (Label("dark"), Label("bright"))
        self.vocabulary = Vocabulary(labels, has_background=False, unit=unit)  # type: ignore[arg-type]
        self.info = AnnotatorInfo(family="digits", options={"unit": unit, "scale": scale})
        self.scale = scale

    def statistics(self, images: Tensor) -> Tensor:
        if self.vocabulary.unit == "count":
            corners = images[:, 0][:, [0, 0, -1, -1], [0, -1, 0, -1]] > 0
            bright = corners.sum(1)
            return torch.stack([4 - bright, bright], 1)
        bright = torch.sigmoid(images.mean((1, 2, 3)))
        return torch.stack([1 - bright, bright], 1) * self.scale


def shades(folder: Path) -> ImageSource:
    folder.mkdir()
    for k, level in enumerate((0, 100, 255)):
        Image.new("RGB", (8, 8), (level, level, level)).save(folder / f"{k}.png")
    return open_images(folder, preset="native")


def test_a_classifier_is_tallied_as_probabilities(tmp_path: Path) -> None:
    source = shades(tmp_path / "photos")
    found = tally(source, Digits(), store=tmp_path / "store")
    levels = np.array([0, 100, 255]) / 127.5 - 1
    expected = 1 / (1 + np.exp(-levels))
    assert found.fractions()[:, 1] == pytest.approx(expected, abs=1e-6)
    assert found.vocabulary.unit == "probability" and found.pixels.tolist() == [1, 1, 1]
    again = tally(source, Digits(), store=ChunkStore(tmp_path / "store"))  # from the chunk
    assert np.array_equal(again.percent(), found.percent())
    assert again.vocabulary == found.vocabulary
    results = compare(found, found, permutations=0).results
    assert results.fsd.value == pytest.approx(0, abs=1e-9)
    assert any("mean probabilities in percent" in line for line in results.warnings)


def test_counts_stay_counts(tmp_path: Path) -> None:
    found = tally(shades(tmp_path / "photos"), Digits("count"), store=tmp_path / "store")
    assert found.percent().tolist() == [[4, 0], [4, 0], [0, 4]]
    table = Tally.load(found.save(tmp_path / "table.parquet"))
    assert table.vocabulary.unit == "count" and table.to_dict()["unit"] == "count"


def test_numbers_that_the_unit_does_not_allow_end_the_tally(tmp_path: Path) -> None:
    source = shades(tmp_path / "photos")
    for scale, said in ((2.0, "gave 1.4"), (-1.0, "gave -0"), (float("nan"), "gave nan")):
        with pytest.raises(ModelError, match=rf"digits: {said}.* as a probability"):
            tally(source, Digits(scale=scale), store=tmp_path / "store")


class Whole(Digits):
    """Says pixels, and gives some other numbers."""

    def __init__(self, row: list[float]) -> None:
        super().__init__("pixels")
        self.row = torch.tensor(row)

    def statistics(self, images: Tensor) -> Tensor:
        return self.row.expand(len(images), -1)


@pytest.mark.parametrize("row", [[0.6, 0.4], [3, -1], [0, 0]])
def test_what_is_no_count_of_pixels_is_refused(row: list[float], tmp_path: Path) -> None:
    source = shades(tmp_path / "photos")
    with pytest.raises(ModelError, match="digits: pixels are whole numbers"):
        tally(source, Whole(row), store=tmp_path / "store")
    assert not list((tmp_path / "store").rglob("*.parquet"))


def test_units_are_never_mixed(tmp_path: Path) -> None:
    source = shades(tmp_path / "photos")
    sides = [tally(source, Digits(unit), store=tmp_path) for unit in ("probability", "count")]
    with pytest.raises(TallyError, match="one tally holds probability, the other count"):
        compare(*sides, permutations=0, force=True)
    assert issubclass(Segmenter, Annotator)
