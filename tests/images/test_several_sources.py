"""Several sources as one: order, ids, what is skipped, fingerprints."""

from __future__ import annotations

import pytest
import torch

from seeingkit.errors import ImageError, SourceError
from seeingkit.images.selection import select
from seeingkit.images.several import SeveralSources
from tests.helpers.toys import Noise


def named(n: int, name: str, bad: tuple[int, ...] = ()) -> Noise:
    """Noise whose ids carry the source's name."""
    found = Noise(n, bad, name)
    found.ids = [f"{name}-{k}" for k in range(n)]
    return found


def test_pictures_come_in_the_order_of_their_sources() -> None:
    parts = [named(2, "a"), named(0, "empty"), named(3, "b"), named(1, "c")]
    whole = SeveralSources(parts, "all")
    assert list(whole.ids) == ["a-0", "a-1", "b-0", "b-1", "b-2", "c-0"]
    assert len(whole) == 6 and whole.name == "all"
    expected = torch.cat([part.read(range(len(part))) for part in parts if len(part)])
    assert torch.equal(whole.read(range(6)), expected)
    assert torch.equal(whole.read([5, 0, 4, 0]), expected[[5, 0, 4, 0]])
    images, good, skipped = whole.load([4, 1])
    assert images is not None and torch.equal(images, expected[[4, 1]])
    assert (good, skipped) == ([4, 1], [])


def test_what_cannot_be_read_is_named_by_its_id_here() -> None:
    one, two = Noise(3, bad=[1], name="one"), Noise(3, bad=[0], name="two")
    whole = SeveralSources([one, two], "both")
    assert list(whole.ids[:3]) == ["noise-0", "noise-1", "noise-2"]
    assert list(whole.ids[3:]) == ["two:noise-0", "two:noise-1", "two:noise-2"]
    images, good, skipped = whole.load(range(6))
    assert images is not None and len(images) == 4
    assert good == [0, 2, 4, 5]
    assert [(s.item, s.reason) for s in skipped] == [
        ("noise-1", "broken on purpose"),
        ("two:noise-0", "broken on purpose"),
    ]
    with pytest.raises(ImageError, match="broken on purpose"):
        whole.read([0, 3])
    nothing, good, skipped = whole.load([1, 3])
    assert nothing is None and good == [] and len(skipped) == 2


def test_a_picture_given_three_times_and_no_source_at_all_are_refused() -> None:
    same = named(2, "a")
    assert list(SeveralSources([same, same], "twice").ids) == ["a-0", "a-1", "a:a-0", "a:a-1"]
    with pytest.raises(SourceError, match="a: image 'a-0' is given twice"):
        SeveralSources([same, same, same], "thrice")
    with pytest.raises(SourceError, match="no source"):
        SeveralSources([], "none")


def test_the_fingerprint_is_of_the_sources_and_their_order() -> None:
    a, b = named(2, "a"), named(2, "b")
    found = {
        SeveralSources(parts, "x").fingerprint
        for parts in ([a, b], [b, a], [a], [a, named(2, "c")])
    }
    assert len(found) == 4
    again = SeveralSources([named(2, "a"), named(2, "b")], "another name")
    assert again.fingerprint == SeveralSources([a, b], "x").fingerprint


def test_a_part_of_several_sources() -> None:
    whole = SeveralSources([named(4, "a"), named(4, "b", bad=(2,))], "both")
    some = select(whole, 8, seed=3)
    images, good, skipped = some.load(range(8))
    assert images is not None and [s.item for s in skipped] == ["b-2"]
    for image, place in zip(images, good, strict=True):
        source, number = some.ids[place].split("-")
        part = whole.sources[0 if source == "a" else 1]
        assert torch.equal(image[None], part.read([int(number)]))


def test_closing_closes_all() -> None:
    closed: list[str] = []

    class Closing(Noise):
        def close(self) -> None:
            closed.append(self.name)

    SeveralSources([Closing(1, name="a"), Closing(1, name="b")], "both").close()
    assert closed == ["a", "b"]


def test_classes_of_several_sources_have_one_list() -> None:
    parts = [named(1, "a"), named(1, "b")]
    for part in parts:
        part.condition = lambda index: 0  # type: ignore[method-assign]
        part.classes_by, part.class_names = "the labels", ("cat",)
    both = SeveralSources(parts, "both")
    assert both.condition(1) == 0 and both.class_names == ("cat",)
    assert both.classes_by == "the labels"
    parts[1].class_names = ("dog",)
    both = SeveralSources(parts, "both")
    assert both.condition(0) is None and both.class_names == () and both.classes_by == ""
    assert "call their classes differently" in both.notes[-1]
