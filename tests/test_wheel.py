"""The wheel holds the three folders, whole, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED_AS = {
    "seeingkit": "seeingkit",
    "adapters": "seeingkit_adapters",
    "plugins": "seeingkit_plugins",
}
BESIDE = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*", "*.egg-info")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing behind in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in INSTALLED_AS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=NOT_SOURCES)
    for name in BESIDE:
        shutil.copy2(ROOT / name, copy / name)
    return copy


def build(checkout: Path, out: Path) -> zipfile.ZipFile:
    """Build a wheel with the setuptools of this environment: no isolation, so no network."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])",
            str(out),
        ],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("seeingkit-*-py3-none-any.whl")
    return zipfile.ZipFile(wheel)


def shipped(wheel: zipfile.ZipFile) -> set[str]:
    """Names of the files in the wheel, without its metadata."""
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def expected(checkout: Path) -> set[str]:
    """Names that the files of the three folders have once they are installed."""
    return {
        f"{name}/{path.relative_to(checkout / folder).as_posix()}"
        for folder, name in INSTALLED_AS.items()
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build(checkout, tmp_path_factory.mktemp("wheel"))


def test_every_file_is_in_the_wheel_and_nothing_else(
    wheel: zipfile.ZipFile, checkout: Path
) -> None:
    wanted, there = expected(checkout), shipped(wheel)
    assert sorted(wanted - there) == [], "missing (a folder without __init__.py, or package-data)"
    assert sorted(there - wanted) == []
    assert {Path(name).suffix for name in there} >= {".py", ".toml", ".j2", ".css", ".js"}
    assert "seeingkit_plugins/minichurches/weights/shipped.json" in there
    assert {f"{name}/py.typed" for name in INSTALLED_AS.values()} <= there


def test_the_files_are_whole(wheel: zipfile.ZipFile, checkout: Path) -> None:
    for folder, name in INSTALLED_AS.items():
        for path in (checkout / folder).rglob("*"):
            if path.is_file():
                inside = f"{name}/{path.relative_to(checkout / folder).as_posix()}"
                assert wheel.read(inside) == path.read_bytes(), inside


def test_the_metadata_names_the_command_and_modules_that_are_there(
    wheel: zipfile.ZipFile,
) -> None:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/entry_points.txt"))
    entries = ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert entries["console_scripts"]["seeingkit"] == "seeingkit.__main__:main"
    assert set(entries["seeingkit"]) == {
        "adapters",
        "digits",
        "executors",
        "fidelity",
        "huggingface",
        "inversion",
        "lsun",
        "minichurches",
        "tracking",
    }
    for module in (*entries["seeingkit"].values(), "seeingkit.__main__"):
        path = module.replace(".", "/")
        assert {f"{path}.py", f"{path}/__init__.py"} & set(wheel.namelist()), module


def test_a_package_made_tomorrow_is_found(checkout: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for folder in INSTALLED_AS:
        deep = copy / folder / "new" / "deep"
        deep.mkdir(parents=True)
        for name in ("__init__.py", "deep/__init__.py", "deep/module.py"):
            (deep.parent / name).touch()
    (copy / "seeingkit" / "stray").mkdir()
    (copy / "seeingkit" / "stray" / "module.py").touch()
    (tmp_path / "out").mkdir()
    there = shipped(build(copy, tmp_path / "out"))
    for name in INSTALLED_AS.values():
        assert f"{name}/new/deep/module.py" in there
    assert expected(copy) - there == {"seeingkit/stray/module.py"}, "no package, so not shipped"
