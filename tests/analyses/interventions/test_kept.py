"""Results that are kept once: met again, made again where damaged, apart by their identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seeingkit.analyses.interventions.kept import Part, stored_each, stored_once
from seeingkit.runs.stored import check_stored, stored_files

MODELS = {"of": "toy, r4", "segmenter": "levels"}


class Work:
    """Squares of numbers; knows how many were made, and breaks off at one."""

    def __init__(self, broken: int | None = None) -> None:
        self.made: list[int] = []
        self.broken = broken

    def __call__(self, number: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if number == self.broken:
            raise KeyboardInterrupt
        self.made.append(number)
        return {"square": torch.tensor([number**2])}, {"number": number}

    def all(self, folder: Path | None, what: str = "squares", many: int = 5) -> list[Part]:
        identities = [[what, number] for number in range(many)]
        words = [f"the square of {number}" for number in range(many)]
        return list(stored_each(folder, identities, words, MODELS, self))


def squares(parts: list[Part]) -> dict[int, int]:
    assert all(part.content == {"number": part.number} for part in parts)
    return {part.number: int(part.tensors["square"]) for part in parts}


EXPECTED = {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}


def test_without_a_folder_everything_is_made_in_order() -> None:
    work = Work()
    parts = work.all(None)
    assert [part.number for part in parts] == work.made == list(range(5))
    assert squares(parts) == EXPECTED and all(part.made for part in parts)


def test_what_was_made_before_a_kill_is_met_again(tmp_path: Path) -> None:
    killed, resumed, last = Work(broken=3), Work(), Work()
    with pytest.raises(KeyboardInterrupt):
        killed.all(tmp_path)
    parts = resumed.all(tmp_path)
    assert squares(parts) == EXPECTED
    assert sorted([*killed.made, *resumed.made]) == list(range(5))
    assert {part.number for part in parts if part.made} == set(resumed.made)
    assert squares(last.all(tmp_path)) == EXPECTED and not last.made
    kinds = {(file.kind, file.about) for file in stored_files(tmp_path)}
    assert ("intervention", "the square of 2 of toy, r4 by levels") in kinds and len(kinds) == 5


def test_other_identities_and_damaged_files_are_made(tmp_path: Path) -> None:
    Work().all(tmp_path)
    other = Work()
    other.all(tmp_path, "other squares")
    assert other.made == list(range(5))
    path = next(file.path for file in stored_files(tmp_path) if "of 3 of" in file.about)
    assert isinstance(path, Path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert sum(bool(fault) for _, fault in check_stored(tmp_path)) == 1
    again = Work()
    both = squares(again.all(tmp_path)) == squares(again.all(tmp_path, "other squares"))
    assert both and again.made == [3]


def test_one_piece_is_content_alone(tmp_path: Path) -> None:
    for _ in range(2):
        tensors, content = stored_once(
            tmp_path, ["k", 3], "means", MODELS, lambda: ({"k": torch.ones(2)}, {"seen": 4})
        )
        assert tensors["k"].tolist() == [1, 1] and content == {"seen": 4}
