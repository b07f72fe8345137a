"""Work side by side: same numbers, same errors, and threads as before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import seeingkit
from seeingkit.analyses.inversion import session
from seeingkit.analyses.inversion.photos import Chosen, invert_source, invert_sources
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.contracts import Generator
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.models.staged import StagedAdapter
from seeingkit.models.weightedits import RewrittenGenerator
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


def test_edited_generators_are_not_run_side_by_side() -> None:
    """Their tensors are exchanged for the time of a pass, in the one network that there is."""
    assert StagedAdapter.thread_safe and not RewrittenGenerator.thread_safe


def test_outside_of_lanes_nothing_halts() -> None:
    check_halted()


def test_numbers_are_those_of_one_lane_with_its_threads(
    tmp_path: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    assert isinstance(generator, Generator)
    source = seeingkit.open_images("minichurches", n=6)
    inverter = seeingkit.load_inverter("layered+r", encoder="none", perceptual="none", steps=3)
    prepared = inverter.prepare(generator)
    begun = []

    def counted(works: list[object]) -> None:
        begun.append(len(works))
        side_by_side(works)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "side_by_side", counted)
    both = []
    for threads in (2, 1):
        torch.set_num_threads(threads)
        store = InversionStore(tmp_path / str(threads))
        both.append(invert_source(generator, source, inverter, prepared=prepared, store=store))
    assert begun == [2]
    for a, b in zip(both[0].inversions, both[1].inversions, strict=True):
        assert torch.equal(a.reconstruction, b.reconstruction) and torch.equal(a.loss, b.loss)
    assert both[0].rows == both[1].rows == tuple(range(6))
    # What is left after a run that was stopped is in one lane or two, and the same.
    torch.set_num_threads(2)
    again = InversionStore(tmp_path / "2")
    files = both[0].files
    for path in files[1:3]:
        path.unlink()
    found = invert_source(generator, source, inverter, prepared=prepared, store=again)
    assert torch.equal(found.inversions[1].reconstruction, both[0].inversions[1].reconstruction)
    assert torch.equal(found.inversions[4].reconstruction, both[0].inversions[4].reconstruction)


def test_a_module_run_from_records_has_one_lane(
    tmp_path: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are one, whoever runs it: two threads would mix them."""

    def never(works: object) -> None:
        raise AssertionError("side by side")

    monkeypatch.setattr(session, "side_by_side", never)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 3 * 64 * 64), torch.nn.Tanh(), torch.nn.Unflatten(1, (3, 64, 64))
    )
    generator = seeingkit.AutoStaged(network, stages={"mid": "0"}, latent=(4,))
    source = seeingkit.open_images("minichurches", n=2)
    inverter = seeingkit.load_inverter("z", perceptual="none", steps=2)
    found = invert_source(generator, source, inverter, store=InversionStore(tmp_path))
    assert len(found.inversions) == 2


def test_sources_together_give_what_each_gives_alone(tmp_path: Path, two_threads: None) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    scenes = seeingkit.open_images("minichurches", n=5)
    samples = SamplerSource(generator, 3, 7, preset=find_preset("paper", 64))
    inverter = seeingkit.load_inverter("layered+r", encoder="none", perceptual="none", steps=3)
    chosen = [Chosen(scenes, [4, 1, 2]), Chosen(samples), Chosen(scenes, [])]
    store = InversionStore(tmp_path / "together")
    together = invert_sources(generator, chosen, inverter, store=store)
    assert [found.ids for found in together] == [
        tuple(scenes.ids[k] for k in (4, 1, 2)),
        samples.ids,
        (),
    ]
    for each, found in zip(chosen[:2], together[:2], strict=True):
        alone = invert_source(
            generator, each.source, inverter, rows=each.rows, store=InversionStore(tmp_path / "one")
        )
        assert found.rows == alone.rows and torch.equal(found.images, alone.images)
        assert [path.name for path in found.files] == [path.name for path in alone.files]
        for a, b in zip(found.inversions, alone.inversions, strict=True):
            assert torch.equal(a.reconstruction, b.reconstruction) and torch.equal(a.loss, b.loss)


def test_sources_that_cannot_share_a_pass_are_refused(tmp_path: Path) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    scenes = seeingkit.open_images("minichurches", n=2)
    small = seeingkit.open_images("minichurches", n=2, preset="paper@32")
    inverter = seeingkit.load_inverter("z", perceptual="none", steps=1)
    store = InversionStore(tmp_path)
    with pytest.raises(seeingkit.errors.UsageError, match="64 x 64 and 32 x 32 pixels"):
        invert_sources(generator, [Chosen(scenes), Chosen(small)], inverter, store=store)
    both = [Chosen(scenes, labels=[0, 1]), Chosen(scenes)]
    with pytest.raises(seeingkit.errors.UsageError, match="have a class and others have none"):
        invert_sources(generator, both, inverter, store=store)
