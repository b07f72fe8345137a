"""A monitor: the numbers of compare, whatever batches, order and monitors the images came in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seeingkit import Monitor, Tally, compare, open_images, tally
from seeingkit.errors import SeeingkitError, TallyError, UsageError
from seeingkit.images import quantise
from tests.helpers.toys import Digits, LevelSegmenter

REAL, DRAWN = 60, 30


def images(n: int, seed: int, dark: bool = False) -> torch.Tensor:
    """Images whose red is of one level in each quarter; ``dark``: none is bright."""
    drawn = torch.Generator().manual_seed(seed)
    levels = torch.rand(n, 3, 2, 2, generator=drawn) * 2 - 1
    levels[:, 1:] = torch.tensor([-0.9, 0.9]).reshape(2, 1, 1)
    if dark:
        levels[:, 0] = levels[:, 0] * 0.6 - 0.4
    return levels.repeat_interleave(4, 2).repeat_interleave(4, 3)


def saved(folder: Path, pictures: torch.Tensor) -> Path:
    folder.mkdir()
    for k, levels in enumerate(quantise(pictures).numpy()):
        Image.fromarray(levels).save(folder / f"{k:06d}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("monitor") / "real", images(REAL, 0))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path_factory.getbasetemp() / "monitor-cache"))


def monitor(folder: Path, **changes: Any) -> Monitor:
    given: dict[str, Any] = {"preset": "native", "permutations": 99, **changes}
    return Monitor(folder, given.pop("segmenter", LevelSegmenter()), **given)


def test_the_numbers_are_those_of_compare(folder: Path, tmp_path: Path) -> None:
    drawn = images(REAL, 1, dark=True)
    watched = monitor(folder)
    for start in range(0, REAL, 16):
        watched.update(drawn[start : start + 16])
    found, check = watched.compare(), watched.compute()
    real, generated = (
        tally(open_images(where, preset="native"), LevelSegmenter(), store=tmp_path / "store")
        for where in (folder, saved(tmp_path / "drawn", drawn))
    )
    expected = compare(real, generated, permutations=99, evidence=False)
    assert check.fsd == expected.fsd == found.fsd
    assert found.results.classes == expected.results.classes
    assert check.missing == expected.omitted == ["bright"]
    assert check.fsd.ci_low is not None and check.fsd.floor is not None
    assert (check.images, check.real_images, check.number) == (REAL, REAL, 1)
    assert str(check).startswith(f"FSD {check.fsd.value:,.4g} (95 % interval")
    assert "missing: bright (false claims: at most 5 %)" in str(check)


def test_as_many_real_images_are_compared(folder: Path) -> None:
    watched = monitor(folder)
    watched.update(images(DRAWN, 2))
    check = watched.compute()
    assert (check.images, check.real_images) == (DRAWN, DRAWN)
    assert any("as many as the smallest" in text for text in check.warnings)


@pytest.mark.slow
@settings(max_examples=15)
@given(
    order=st.permutations(range(12)),
    cuts=st.sets(st.integers(1, 11), max_size=4),
    again=st.lists(st.integers(0, 11), max_size=3, unique=True),
)
def test_batches_order_and_repeats_change_nothing(
    folder: Path, order: list[int], cuts: set[int], again: list[int]
) -> None:
    drawn = images(12, 3)
    whole = monitor(folder, permutations=0)
    whole.update(drawn)
    parts = [monitor(folder, permutations=0), monitor(folder, permutations=0)]
    for k, numbers in enumerate(np.split(np.array(order), sorted(cuts))):
        parts[k % 2].update(drawn[numbers], ids=numbers)
    if again:
        parts[1].update(drawn[again], ids=torch.tensor(again))
    parts[0].merge(parts[1])
    ours, theirs = whole.batches.tally(), parts[0].batches.tally()
    assert ours.ids == theirs.ids and (ours.counts != theirs.counts).nnz == 0
    assert ours.identity == theirs.identity
    assert whole.compute() == parts[0].compute()


def test_images_without_ids_are_numbered_on(folder: Path) -> None:
    drawn = images(10, 4)
    whole, first, second = (monitor(folder) for _ in range(3))
    whole.update(drawn)
    first.update(drawn[:7])
    second.update(drawn[7:])
    first.merge(second)
    assert first.compute() == whole.compute()
    assert len(second.batches) == 3
    whole.reset()
    assert len(whole.batches) == 0
    whole.update(drawn[:4], ids=[4, 1, 2, 9])
    with pytest.raises(UsageError, match="give ids for all images"):
        whole.update(drawn[4:])
    with pytest.raises(UsageError, match="give ids for all images"):
        whole.merge(first)


def test_an_id_for_two_images_is_refused(folder: Path) -> None:
    watched = monitor(folder)
    watched.update(images(2, 5), ids=[0, 1])
    watched.update(images(2, 6), ids=[1, 2])
    with pytest.raises(TallyError, match="two images have the number 1"):
        watched.compute()
    for ids in ([0, 0], [-1, 0], [0.5, 1], [[0, 1]]):
        with pytest.raises(UsageError, match="ids are"):
            monitor(folder).update(images(2, 5), ids=ids)


def test_images_that_cannot_be_used_are_counted(folder: Path) -> None:
    watched, drawn = monitor(folder), images(6, 7)
    with pytest.raises(TallyError, match="none yet"):
        watched.compute()
    drawn[2] = torch.nan
    watched.update(drawn)
    check = watched.compute()
    assert (check.images, check.skipped) == (5, 1) and "1 could not be used" in str(check)
    watched.reset()
    watched.update(drawn[2:3])
    with pytest.raises(TallyError, match="none of 1 can be used"):
        watched.compute()


def test_planned_checks_share_the_level(folder: Path) -> None:
    watched = monitor(folder, checks=10)
    watched.update(images(REAL, 8, dark=True))
    first, second = watched.compute(), watched.compute()
    assert first.level == pytest.approx(0.005) and second.level_so_far == pytest.approx(0.01)
    assert (first.number, second.number) == (1, 2)
    watched.number = 10_000
    assert watched.compute().level_so_far == 1.0


def test_no_random_stream_is_touched(folder: Path) -> None:
    watched, state = monitor(folder), torch.get_rng_state()
    np.random.seed(3)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    watched.update(images(8, 9))
    watched.compute()
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[index]


def test_no_gradient_is_kept(folder: Path) -> None:
    drawn = images(4, 9).requires_grad_(True)
    watched = monitor(folder)
    watched.update(drawn * 1.0)
    assert watched.compute().images == 4


def test_annotators_without_masks(folder: Path) -> None:
    watched = monitor(folder, segmenter=Digits(), permutations=0)
    watched.update(images(8, 10))
    assert watched.compute().fsd.value > 0


def test_a_tally_of_the_same_segmenter_is_taken(folder: Path, tmp_path: Path) -> None:
    source = open_images(folder, preset="native")
    stored = tally(source, LevelSegmenter(), store=tmp_path / "store")
    found = []
    for real in (stored, Tally.load(stored.save(tmp_path / "real.parquet")), source, folder):
        watched = Monitor(real, LevelSegmenter(), preset="native", permutations=0)
        watched.update(images(REAL, 11))
        found.append(watched.compute())
    assert found[1:] == found[:-1]
    with pytest.raises(TallyError, match=r"differs in segmenter \(family\)"):
        Monitor(stored, LevelSegmenter("other"))
    with pytest.raises(TallyError, match="labels"):
        Monitor(stored, Digits())
    assert source.read([0]).shape == (1, 3, 8, 8)  # still open
    bare = Tally.from_fractions(stored.fractions(), stored.vocabulary)
    with pytest.raises(UsageError, match="say how the real images were prepared"):
        Monitor(bare, LevelSegmenter())
    assert len(Monitor(bare, LevelSegmenter(), preset="native").real) == REAL
    with pytest.raises(UsageError, match="n is for images that are yet to be counted"):
        Monitor(stored, LevelSegmenter(), n=5)
    with pytest.raises(UsageError, match="preset paper: the real images have preset native"):
        Monitor(stored, LevelSegmenter(), preset="paper")
    ours, other = Monitor(stored, LevelSegmenter()), monitor(folder, segmenter=LevelSegmenter("b"))
    with pytest.raises(TallyError, match="different segmenters"):
        ours.merge(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segmenter": None}, "segmenter"),
        ({"segmenter": "nothing-like-it"}, "nothing-like-it"),
        ({"segmenter": "upernet:nothing.pth"}, "nothing"),
        ({"checks": 0}, "0 checks"),
        ({"n": 1}, "n = 1"),
        ({"level": 2.0}, "a level lies"),
        ({"preset": "nothing"}, "nothing"),
        ({"batch_size": 0}, "batch size"),
        ({"range": "0..3"}, "no range"),
    ],
)
def test_mistakes_are_found_at_once(folder: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SeeingkitError, match=message):
        monitor(folder, **changes)


def test_images_of_another_size_are_refused(folder: Path) -> None:
    watched = monitor(folder)
    watched.update(images(4, 12))
    with pytest.raises(TallyError, match="4x4 pixels, but 8x8"):
        watched.update(images(4, 12)[..., :4, :4])


def test_a_data_set_has_its_segmenter_and_preset() -> None:
    watched = Monitor("minichurches", n=4, permutations=0)
    assert watched.batches.preset.name.startswith("native") or watched.batches.preset.size
    assert len(watched.real) == 4 and "4 real images" in repr(watched)
    watched.update(images(4, 13).repeat_interleave(8, 2).repeat_interleave(8, 3))
    assert watched.compute().images == 4
