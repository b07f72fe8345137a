"""Work side by side: same numbers, same errors, and threads as before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from seeingkit.system import lanes
from seeingkit.system.lanes import (
    LANES,
    Halted,
    check_halted,
    in_lanes,
    lanes_here,
    side_by_side,
)


def test_each_lane_has_its_part_of_the_threads(two_threads: None) -> None:
    seen: list[int] = []
    side_by_side([lambda: seen.append(torch.get_num_threads())] * 2)
    assert seen == [1, 1] and torch.get_num_threads() == 2


def test_lanes_follow_from_the_threads_alone(two_threads: None) -> None:
    assert lanes_here() == LANES
    torch.set_num_threads(1)
    assert lanes_here() == 1


def test_an_error_ends_the_other_lane_and_is_the_one_that_is_raised(two_threads: None) -> None:
    ended: list[str] = []

    def endless() -> None:
        try:
            while True:
                check_halted()
                time.sleep(0.01)
        except Halted:
            ended.append("halted")
            raise

    def broken() -> None:
        raise ValueError("broken on purpose")

    for works in ([endless, broken], [broken, endless]):
        with pytest.raises(ValueError, match="on purpose"):
            side_by_side(works)
    assert ended == ["halted", "halted"] and torch.get_num_threads() == 2


def test_two_items_are_worked_on_at_once_and_results_come_in_order(two_threads: None) -> None:
    both = threading.Barrier(2, timeout=30)
    threads: set[int] = set()

    def work(item: int) -> int:
        both.wait()  # passes only when two are at work
        threads.add(torch.get_num_threads())
        time.sleep(0.01 * (item % 3))
        return item * item

    assert list(in_lanes(range(8), work)) == [k * k for k in range(8)]
    assert threads == {1} and torch.get_num_threads() == 2


def test_an_error_comes_where_its_result_would(two_threads: None) -> None:
    def work(item: int) -> int:
        if item == 2:
            time.sleep(0.05)
            raise ValueError("cannot be counted")
        return item

    found, results = in_lanes(range(9), work), []
    with pytest.raises(ValueError, match="counted"):
        results.extend(found)
    assert results == [0, 1] and list(found) == [] and torch.get_num_threads() == 2

    def items() -> Iterator[int]:
        yield 0
        raise ValueError("cannot be read")

    with pytest.raises(ValueError, match="read"):
        list(in_lanes(items(), work))
    assert torch.get_num_threads() == 2


def test_results_are_not_gathered_and_no_lane_outlives_a_caller_that_stops(
    two_threads: None,
) -> None:
    done: list[int] = []

    def work(item: int) -> int:
        done.append(item)
        return item

    found = in_lanes(range(1000), work)
    next(found)
    time.sleep(0.05)
    assert len(done) <= LANES + 1
    found.close()
    ended = len(done)
    time.sleep(0.05)
    assert len(done) == ended and torch.get_num_threads() == 2


def test_lanes_follow_gradients_as_their_caller_does(two_threads: None) -> None:
    def work(_: int) -> tuple[bool, bool]:
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    assert list(in_lanes([0], work)) == [(True, False)]
    with torch.no_grad():
        assert list(in_lanes([0], work)) == [(False, False)]
    with torch.inference_mode():
        assert list(in_lanes([0], work)) == [(False, True)]


def test_the_user_ends_both_lanes(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []

    def endless() -> None:
        while True:
            time.sleep(0.01)
            try:
                check_halted()
            except Halted:
                ended.append(1)
                raise

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lanes, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        side_by_side([endless, endless])
    assert ended == [1, 1] and torch.get_num_threads() == 2


def test_outside_of_lanes_nothing_halts() -> None:
    check_halted()
