"""Directions of files, of Python, and principal components that all processes share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from seeingkit.analyses.dissection import bases
from seeingkit.analyses.dissection.bases import (
    basis_of,
    check_basis,
    components,
    read_directions,
    write_directions,
)
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.files import check_dissection_file
from seeingkit.analyses.dissection.observation import layers_of
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.errors import StorageError, UsageError
from tests.analyses.dissection.test_stage import RED, SEGMENTER, Planted, same, source

(R8,) = layers_of(Planted())


def test_a_direction_of_a_file_is_dissected_as_a_unit(tmp_path: Path) -> None:
    """Row 0 is the unit that draws red, twice as strong; row 1 is noise less place."""
    path = tmp_path / "directions.npy"
    np.save(path, np.array([[2.0, 0, 0], [0, 1, -1]]))
    config = DissectionConfig(layers=("r8",), level_images=64)
    given = config.model_copy(update={"basis": str(path)})
    (found,) = dissect_layers(source(), SEGMENTER, given, store=tmp_path / "store")
    (units,) = dissect_layers(source(), SEGMENTER, config, store=tmp_path / "store")
    assert found.layer.units == 2 and found.layer.name.startswith("r8/directions-")
    names = [label.name for _, label in found.classes]
    assert names[found.labels[0]] == "red" and found.labels[1] == -1
    np.testing.assert_array_equal(found.sums.both[0], units.sums.both[RED])
    np.testing.assert_array_equal(found.sums.peaks[0], 2 * units.sums.peaks[RED])


def test_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    path, names = tmp_path / "d.npy", []
    for matrix in (np.eye(3), np.eye(3)[:2], np.eye(3)):
        np.save(path, matrix)
        names.append(basis_of(str(path), R8, source(1)).name)
    assert names[0] == names[2] != names[1]


def test_one_matrix_or_one_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    safetensors.torch.save_file({"any": torch.eye(3)}, path)
    assert torch.equal(read_directions(path, R8), torch.eye(3))
    several = {"r8": 2 * torch.eye(3, dtype=torch.float64), "r16": torch.eye(5)}
    safetensors.torch.save_file(several, path)
    assert torch.equal(read_directions(path, R8), 2 * torch.eye(3))
    safetensors.torch.save_file({"r4": torch.eye(3), "r16": torch.eye(3)}, path)
    with pytest.raises(UsageError, match="holds r16, r4, and none is r8"):
        read_directions(path, R8)


@pytest.mark.parametrize(
    ("matrix", "fault"),
    [
        (np.eye(4), r"directions of shape \(4, 4\); r8 needs \(directions, 3\)"),
        (np.ones(3), r"directions of shape \(3,\)"),
        (np.empty((0, 3)), r"directions of shape \(0, 3\)"),
        (np.array([[1, np.nan, 0]]), "not finite"),
        (np.array([[1e300, 0, 0]]), "not finite"),
        (np.array([[1, 0, 0], [0, 0, 0]]), "a direction is 0 in every channel"),
        (np.eye(3) > 0, "directions are torch.bool"),
        (np.eye(3) * 1j, "directions are torch.complex128"),
        (np.array([["a", "b", "c"]]), "no file of directions that can be read"),
        (np.array([object()]), "no file of directions that can be read"),
    ],
)
def test_wrong_directions_are_refused_in_one_line(tmp_path: Path, matrix: Any, fault: str) -> None:
    path = tmp_path / "d.npy"
    np.save(path, matrix)
    with pytest.raises(UsageError, match=fault) as raised:
        check_basis(str(path), [R8])
    assert "\n" not in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file of directions"):
        check_basis(str(tmp_path / "none.npy"), [R8])
    for name in ("d.npy", "d.safetensors"):
        (tmp_path / name).write_bytes(b"\x80\x04 no directions")
        with pytest.raises(UsageError, match="no file of directions that can be read"):
            check_basis(str(tmp_path / name), [R8])
    (tmp_path / "empty.npy").write_bytes(b"")
    with (tmp_path / "huge.npy").open("wb") as stream:  # promises 51 TB, and holds nothing
        about = {"descr": "<f4", "fortran_order": False, "shape": (10**11, 128)}
        np.lib.format.write_array_header_1_0(stream, about)
    np.savez(tmp_path / "several.npz", np.eye(3), np.eye(3))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    for name in ("empty", "huge", "several"):
        with pytest.raises(UsageError, match="no file of directions that can be read") as raised:
            check_basis(str(tmp_path / f"{name}.npy"), [R8])
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="a basis is units, pca, random, or a .npy"):
        DissectionConfig(basis="principal")


def test_directions_of_python_are_kept_by_their_content(tmp_path: Path) -> None:
    path = write_directions([[1, 0, 0], [0, 1, 0]], tmp_path)
    assert path == write_directions(torch.eye(3)[:2], tmp_path)
    assert torch.equal(read_directions(path, R8), torch.eye(3)[:2])
    assert write_directions(np.eye(3), tmp_path) != path
    with pytest.raises(UsageError, match=r"directions of shape \(3,\)"):
        write_directions([1, 0, 0], tmp_path)


@pytest.mark.parametrize(
    ("matrix", "fault"),
    [
        (np.eye(3) * 1j, "directions are torch.complex128; give real numbers"),
        (torch.eye(3) > 0, "directions are torch.bool"),
        ([["a", "b", "c"]], "no matrix of numbers"),
        ([[1, 2, 3], [1, 2]], "no matrix of numbers"),
        ([[None, 1, 2]], "no matrix of numbers"),
    ],
)
def test_directions_of_python_that_are_none_are_refused(
    tmp_path: Path, matrix: Any, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        write_directions(matrix, tmp_path)
    assert not list(tmp_path.iterdir())


def test_components_are_computed_once_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = basis_of("pca", R8, source(64), tmp_path).matrix
    assert first is not None and torch.equal(first, components(R8, source(64)))
    (file,) = tmp_path.rglob("*.safetensors")
    check_dissection_file(file)
    again = bases.components
    monkeypatch.setattr(bases, "components", None)  # nothing may be computed
    found = basis_of("pca", R8, source(64), tmp_path).matrix
    assert found is not None and torch.equal(found, first)
    monkeypatch.setattr(bases, "components", again)
    data = file.read_bytes()
    file.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    with pytest.raises((StorageError, ValueError, OSError)):
        check_dissection_file(file)
    found = basis_of("pca", R8, source(64), tmp_path).matrix
    assert found is not None and torch.equal(found, first)
    assert basis_of("pca", R8, source(64, seed=1), tmp_path).matrix is not None
    assert len({f.stem for f in tmp_path.rglob("*.safetensors")}) == 2


def test_two_bases_never_meet(tmp_path: Path) -> None:
    found = []
    for matrix in ([[1.0, 0, 0]], [[0, 1.0, 0]], [[1.0, 0, 0]]):
        path = write_directions(matrix, tmp_path)
        config = DissectionConfig(layers=("r8",), level_images=32, basis=path)
        found += dissect_layers(source(32), SEGMENTER, config, store=tmp_path)
    assert same(found[0], found[2]) and not same(found[0], found[1])
