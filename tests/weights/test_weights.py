"""The only door for weights files: tensors come in, nothing else, and refusals are one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    StateMismatchError,
    UnsafeFileError,
    WeightsError,
)
from seeingkit.system.cache import file_sha256
from seeingkit.weights import check_state, load_into, read_state_dict


def test_every_container_gives_the_same_tensors(tmp_path: Path) -> None:
    state = {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3)}
    torch.save(state, tmp_path / "zip.pth")
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": state, "step": 3}, tmp_path / "wrapped.pth")
    save_file(state, tmp_path / "own.safetensors", metadata={"family": "x"})
    for name in ("zip.pth", "legacy.pth", "wrapped.pth", "own.safetensors"):
        file = read_state_dict(tmp_path / name)
        assert file.tensors.keys() == state.keys()
        assert all(torch.equal(file.tensors[k], state[k]) for k in state)
        assert file.sha256 == file_sha256(tmp_path / name)
    assert file.metadata == {"family": "x"}
    layer = torch.nn.Linear(2, 3)
    module = torch.nn.ModuleDict({"a": layer})
    load_into(module, file)
    assert torch.equal(layer.weight, state["a.weight"])


class Payload:
    """Writes a marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_program_is_refused_and_never_runs(tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "ran"
    torch.save({"w": Payload(marker)}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError, match=r"evil\.pth: refused, .*mkdir"):
        read_state_dict(tmp_path / "evil.pth")
    assert not marker.exists()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="no such weights file"):
        read_state_dict(tmp_path / "none.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(CorruptFileError, match="empty"):
        read_state_dict(tmp_path / "empty.pth")
    (tmp_path / "noise.pth").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(WeightsError, match=r"noise\.pth"):
        read_state_dict(tmp_path / "noise.pth")
    torch.save({"w": torch.tensor([1.0, float("nan")])}, tmp_path / "nan.pth")
    with pytest.raises(StateMismatchError, match="w holds NaN or Inf"):
        read_state_dict(tmp_path / "nan.pth")
    torch.save({"w": 3}, tmp_path / "int.pth")
    with pytest.raises(StateMismatchError, match="'w' is a int, not a tensor"):
        read_state_dict(tmp_path / "int.pth")
    torch.save(torch.zeros(3), tmp_path / "bare.pth")
    with pytest.raises(StateMismatchError, match="holds a Tensor, not a state dict"):
        read_state_dict(tmp_path / "bare.pth")
    torch.save({"w": torch.zeros(1).expand(10**6, 10**4)}, tmp_path / "wide.pth")
    with pytest.raises(UnsafeFileError, match="claims more values than the 1 stored"):
        read_state_dict(tmp_path / "wide.pth")
    save_file({"w": torch.zeros(8)}, tmp_path / "cut.safetensors")
    data = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:-4])
    with pytest.raises(CorruptFileError, match="damaged safetensors"):
        read_state_dict(tmp_path / "cut.safetensors")


def test_state_is_checked_by_key_and_shape() -> None:
    path = Path("f.pth")
    expected = {"a": (2, 3), "b": (1,)}
    fits = {"a": torch.zeros(2, 3), "b": torch.zeros(1)}
    check_state(path, fits, expected)
    with pytest.raises(StateMismatchError, match=r"a has shape \(3, 2\), expected \(2, 3\)"):
        check_state(path, {**fits, "a": torch.zeros(3, 2)}, expected)
    with pytest.raises(StateMismatchError, match="missing keys b"):
        check_state(path, {"a": fits["a"]}, expected)
    with pytest.raises(StateMismatchError, match="unexpected keys c"):
        check_state(path, {**fits, "c": torch.zeros(1)}, expected)


@pytest.mark.parametrize(
    "name",
    [
        "01-pickle-reduce-exec.pkl",
        "02-torch-zip-evil.pth",
        "03-nvidia-evil-module-src.pkl",
        "04-truncated-zip.pth",
        "05-truncated-legacy.pth",
        "07-nan-weight.pth",
        "08-zip-bomb.pth",
    ],
)
def test_hostile_files(
    shared: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "pwned"
    monkeypatch.setenv("SEEINGKIT_PWNED", str(marker))
    with pytest.raises(WeightsError, match=name) as refused:
        read_state_dict(shared / "golden/hostile" / name)
    assert len(str(refused.value).splitlines()) == 1
    assert not marker.exists()
