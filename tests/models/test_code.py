"""Versions of code: declared ones, and the source of what a model is made of."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seeingkit import load_generator, load_segmenter
from seeingkit.contracts import Label, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.models.code import (
    class_code,
    code_of,
    identity_of,
    package_digest,
    source_digest,
)
from seeingkit.models.registry import find_preset, registry
from seeingkit.models.resolved import ResolvedModel
from seeingkit.models.wrapped import WrappedSegmenter
from seeingkit.specs import Options, Preset, SegmenterSpec
from tests.helpers.toys import LevelSegmenter


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``thirdparty`` of three modules, two of which belong together."""
    folder = tmp_path / "thirdparty"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        "__init__": "",
        "model": '"""Doc."""\nfrom .parts import half\n\ndef load(a, b):\n    return 1\n',
        "parts": "def half(x):\n    return x / 2\n",
        "other": "LIMIT = 3\n",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    yield folder
    for name in [n for n in sys.modules if n.partition(".")[0] == "thirdparty"]:
        del sys.modules[name]
    source_digest.cache_clear()


def digest() -> str:
    source_digest.cache_clear()
    return source_digest("thirdparty.model")


def test_changed_source_is_another_version(package: Path) -> None:
    first = digest()
    assert len(first) == 12
    (package / "other.py").write_text("LIMIT = 4\n")  # nobody imports it
    model = package / "model.py"
    model.write_text(model.read_text().replace('"""Doc."""', '"""Other words."""\n# and more\n'))
    assert digest() == first
    model.write_text(model.read_text().replace("return 1", "return 2"))
    second = digest()
    assert second != first
    (package / "parts.py").write_text("def half(x):\n    return x * 0.5\n")
    assert digest() not in (first, second)


def test_the_code_of_a_package_is_that_of_all_its_modules(package: Path) -> None:
    def found() -> str:
        package_digest.cache_clear()
        return package_digest("thirdparty")

    first = found()
    other = package / "other.py"
    other.write_text("# words\nLIMIT = 3\n")
    assert found() == first
    other.write_text("LIMIT = 4\n")  # nobody imports it
    second = found()
    assert second != first
    other.rename(package / "another.py")
    assert found() not in (first, second)
    package_digest.cache_clear()


def test_a_declared_version_is_another_one(package: Path) -> None:
    def spec(version: int) -> SegmenterSpec:
        return SegmenterSpec(
            name="mine", summary="a test", target="thirdparty.model:load", version=version
        )

    assert code_of(spec(1)) != code_of(spec(2))
    assert code_of(spec(1)).startswith("1-") and code_of(spec(1)).endswith(digest())


def test_without_source_the_distribution_stands_in() -> None:
    assert source_digest("no_such_package.module") == ""
    from importlib.metadata import version

    assert source_digest("safetensors._safetensors_rust") == version("safetensors")


def test_registered_models_carry_their_code() -> None:
    segmenter = load_segmenter("upernet:minichurches")
    spec = registry().resolve("segmenter", "upernet")
    assert segmenter.info.code == code_of(spec)  # type: ignore[arg-type]
    assert segmenter.info.identity()["code"] == segmenter.info.code
    generator = load_generator("progan:minichurches")
    assert generator.info.identity()["code"].startswith("1-")


class Property(Segmenter):
    vocabulary = Vocabulary((Label("-"),))

    @property
    def info(self) -> SegmenterInfo:  # type: ignore[override]
        return SegmenterInfo(family="property")

    def segment(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images[:, :1]).long()

    def score(self, images: Tensor, label: int) -> Tensor:
        return torch.zeros_like(images[:, 0])


class Wrapped(WrappedSegmenter):
    def segment(self, images: Tensor) -> Tensor:
        return self.segmenter.segment(images)

    def score(self, images: Tensor, label: int) -> Tensor:
        return self.segmenter.score(images, label)

    def added_options(self) -> dict[str, Any]:
        return {"wrapped": True}


def make(weights: object, options: object) -> Property:
    return Property()


def test_an_info_that_is_a_property_carries_its_code_too() -> None:
    spec = SegmenterSpec(
        name="property", summary="a test", target=f"{__name__}:make", needs_weights=False
    )
    loaded = ResolvedModel("property", spec, Options()).load()
    assert loaded.info.code == code_of(spec) and Property().info.code == ""


def test_classes_without_a_spec_are_told_by_their_source() -> None:
    found = identity_of(LevelSegmenter())
    assert found["code"] == class_code(LevelSegmenter) == source_digest("tests.helpers.toys")
    assert identity_of(Wrapped(LevelSegmenter()))["code"] == found["code"]


def test_versions_of_presets() -> None:
    assert find_preset("paper").identity()["version"] == 1
    assert Preset(name="a").identity() != Preset(name="a", version=2).identity()


@pytest.mark.slow
def test_the_class_of_a_script_is_told_by_itself(tmp_path: Path) -> None:
    import subprocess

    def code(text: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text) + "\nprint(class_code(Mine))\n")
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    head = "from seeingkit.models.code import class_code\n"
    first = code(head + "class Mine:\n    a = 1")
    assert len(first) == 12
    assert code(head + "x = 2\nclass Mine:\n    a = 1  # one") == first
    assert code(head + "class Mine:\n    a = 2") != first
