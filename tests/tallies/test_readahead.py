"""Batches come in order, whole, and a generator on the counting cores is not run beside them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import seeingkit
from seeingkit.contracts import ImageSource
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.tallies.readahead import batches_of

CPU, GPU = torch.device("cpu"), torch.device("cuda")


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
    found = list(batches_of(source, [[0, 1], [4], [2, 3]], CPU))
    assert [good for _, good, _ in found] == [[0, 1], [4], [2, 3]]
    values = torch.cat([images[:, 0, 0, 0] for images, _, _ in found if images is not None])
    assert torch.equal(values, torch.tensor([0.0, 0.1, 0.4, 0.2, 0.3]))
    assert source.read_by == [(k, False) for k in (0, 1, 4, 2, 3)]
    assert torch.get_num_threads() == before


def test_one_batch_ahead_and_no_more() -> None:
    source = Told()
    batches = batches_of(source, [[0], [1], [2], [3]], CPU)
    next(batches)
    batches.close()  # waits for what has begun
    assert [k for k, _ in source.read_by] in ([0], [0, 1])


def test_an_error_of_the_source_comes_where_its_batch_would() -> None:
    batches = batches_of(Told(), [[0], [5]], CPU)
    next(batches)
    with pytest.raises(ValueError, match="that breaks"):
        next(batches)


def test_nothing_is_read_of_nothing() -> None:
    assert list(batches_of(Told(), [], CPU)) == []


@pytest.mark.parametrize(("device", "alone"), [(CPU, True), (GPU, False)])
def test_a_generator_runs_beside_counting_only_on_other_cores(
    device: torch.device, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    source = SamplerSource(generator, 4, preset=find_preset("paper", 64))
    here: list[bool] = []
    load = source.load

    def told(rows: Sequence[int]) -> object:
        here.append(threading.current_thread() is threading.main_thread())
        return load(rows)

    monkeypatch.setattr(source, "load", told)
    found = list(batches_of(source, [[0, 1], [2, 3]], device))
    assert here == [alone, alone]
    images = torch.cat([images for images, _, _ in found if images is not None])
    assert torch.equal(images, source.read(range(4)))
