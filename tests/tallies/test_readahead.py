"""Batches come in order, whole, and one of them ahead."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.tallies.readahead import one_ahead


class Told(ImageSource):
    """Image k is k / 10; tells which thread read what."""

    ids, name, kind = tuple("abcdef"), "told", "numbers"
    fingerprint, preset = "told", None

    def __init__(self) -> None:
        self.read_by: list[tuple[int, bool]] = []

    def read(self, indices: Sequence[int]) -> Tensor:
        here = threading.current_thread() is threading.main_thread()
        self.read_by += [(k, here) for k in indices]
        if 5 in indices:
            raise ValueError("a reader that breaks")
        return torch.tensor([k / 10 for k in indices]).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_the_next_batch_is_read_by_another_thread_and_all_come_in_order() -> None:
    source, before = Told(), torch.get_num_threads()
    with one_ahead(source.load, [[0, 1], [4], [2, 3]]) as loaded:
        found = list(loaded)
    assert [good for _, good, _ in found] == [[0, 1], [4], [2, 3]]
    values = torch.cat([images[:, 0, 0, 0] for images, _, _ in found if images is not None])
    assert torch.equal(values, torch.tensor([0.0, 0.1, 0.4, 0.2, 0.3]))
    assert source.read_by == [(k, False) for k in (0, 1, 4, 2, 3)]
    assert torch.get_num_threads() == before


def test_one_batch_ahead_and_no_more() -> None:
    source = Told()
    with one_ahead(source.load, [[0], [1], [2], [3]]) as loaded:
        next(loaded)
    assert [k for k, _ in source.read_by] in ([0], [0, 1])  # what has begun is waited for


def test_an_error_of_the_source_comes_where_its_batch_would() -> None:
    with one_ahead(Told().load, [[0], [5]]) as loaded:
        next(loaded)
        with pytest.raises(ValueError, match="that breaks"):
            next(loaded)


def test_nothing_is_read_of_nothing() -> None:
    with one_ahead(Told().load, []) as loaded:
        assert list(loaded) == []
