"""Latents that are images: which image a row is, and what a model without images says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.contracts import LatentSpec
from seeingkit.contracts.given import (
    MEASURING,
    SmoothImages,
    given_numbers,
    read_given,
    series_length,
)
from seeingkit.contracts.latents import SERIES, Series, draw_latents, further_seed
from seeingkit.errors import UsageError

COUNTS, SEEDS = st.integers(1, 400), st.integers(0, SERIES - 1)


@given(count=COUNTS, seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_run_has_each_image_once_and_seed_0_their_order(count: int, seed: int) -> None:
    assert given_numbers(count, range(count), 0) == list(range(count))
    assert sorted(given_numbers(count, range(count), seed)) == list(range(count))
    assert series_length(count, seed) == count


@given(count=st.integers(2, 400), seed=SEEDS, other=st.sampled_from(sorted(Series)))
@settings(max_examples=60, deadline=None)
def test_what_is_chosen_shares_no_image_with_what_is_measured(
    count: int, seed: int, other: Series
) -> None:
    own = further_seed(seed, other)
    length = series_length(count, own)
    rows = given_numbers(count, range(length), own)
    assert len(set(rows)) == length > 0
    measured = given_numbers(count, range(count // 2), seed)
    for series in sorted(MEASURING):
        effect = further_seed(seed, series)
        measured += given_numbers(count, range(series_length(count, effect)), effect)
    apart = not set(rows) & set(measured)
    assert apart != (other in MEASURING)


@given(count=COUNTS, seed=st.integers(0, 2**32 - 1), rows=st.lists(st.integers(0, 2000)))
@settings(max_examples=60, deadline=None)
def test_rows_do_not_depend_on_each_other(count: int, seed: int, rows: list[int]) -> None:
    together = given_numbers(count, rows, seed)
    assert together == [given_numbers(count, [row], seed)[0] for row in rows]
    assert all(0 <= number < count for number in together)


def test_images_are_read_at_the_size_of_the_input() -> None:
    images = SmoothImages((8, 8), count=5)
    part = LatentSpec(name="image", shape=(3, 8, 8), distribution="image")
    assert torch.equal(read_given(part, images, [4, 1], 0), images.read([4, 1]))
    with pytest.raises(UsageError, match=r"images of \(8, 8\) pixels, the generator takes"):
        read_given(part.model_copy(update={"shape": (3, 16, 16)}), images, [0], 0)
    with pytest.raises(UsageError, match="say where such images are with source=PATH"):
        read_given(part, None, [0], 0)
    with pytest.raises(UsageError, match="it cannot be drawn"):
        draw_latents([part], [0])
