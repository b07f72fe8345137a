"""Files of a tally are joined where they lie; areas of some images are those of all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from seeingkit import Tally
from seeingkit.contracts import Label, Vocabulary
from seeingkit.tallies.reading import _Column

numbers = st.lists(st.integers(0, 2**31 - 1), max_size=40)


@given(st.lists(st.tuples(numbers, st.sampled_from(["int32", "float64"])), min_size=1, max_size=8))
def test_columns_hold_all_numbers_in_order(parts: list[tuple[list[int], str]]) -> None:
    arrays = [np.array(values, kind) for values, kind in parts]
    column = _Column()
    for array in arrays:
        column.add(array)
    found = column.whole()
    assert found.tolist() == np.concatenate(arrays).tolist()
    arrays[0][:] = 0
    assert found.tolist() == [x for values, _ in parts for x in values]


def two_planes() -> Tally:
    """Pixels of 3 labels in 2 planes; a row with a label twice, and one with a zero."""
    counts = sparse.csr_array(
        ([30, 10, 60, 100, 0, 100, 50, 50, 100], [0, 0, 2, 4, 1, 2, 3, 5, 1], [0, 4, 6, 9]),
        shape=(3, 6),
    )
    vocabulary = Vocabulary((Label("-"), Label("sky"), Label("tree")), planes=("object", "part"))
    return Tally(("a", "b", "c"), counts, np.array([100.0, 200, 400]), vocabulary)


def test_areas_of_some_images_are_those_of_all() -> None:
    tally = two_planes()
    before = tally.counts.copy()
    dense = 100 * tally.counts.toarray() / tally.pixels[:, None]
    for plane in (0, 1):
        whole = tally.sparse_percent(plane)
        assert (whole.toarray() == dense[:, 3 * plane : 3 * plane + 3]).all()
        assert whole.has_canonical_format
        assert (whole.data > 0).all()
        for rows in ([2, 0], slice(1, 3), np.array([1]), slice(3, 9)):
            assert (tally.sparse_percent(plane, rows).toarray() == whole.toarray()[rows]).all()
    assert tally.sparse_percent(0).indptr.tolist() == [0, 2, 3, 4]
    again = tally.sparse_percent(0)
    for name in ("data", "indices", "indptr"):
        assert (getattr(tally.counts, name) == getattr(before, name)).all()
        assert not np.shares_memory(getattr(again, name), getattr(tally.counts, name))
