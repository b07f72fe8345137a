"""The painted church world: pure, exactly labelled, and in the proportions of the paper."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seeingkit.errors import UsageError
from seeingkit_plugins.minichurches.paint import Canvas, Dice, Finish, develop, majority, tiles
from seeingkit_plugins.minichurches.palette import OBJECT_MASK, PART_SHIFT, SKIES, label
from seeingkit_plugins.minichurches.scenes import (
    OBJECT_PARTS,
    OBJECTS,
    PARTS,
    RENDERER_VERSION,
    Scene,
    render,
)

# Mean areas of scenes 0..199 of series 0 at 64 pixels, in percent, by version of the renderer.
AREAS_OF_VERSION_1 = {
    "building": 44.522,
    "sky": 31.466,
    "tree": 6.586,
    "grass": 4.946,
    "road": 3.463,
    "plant": 1.227,
    "person": 0.518,
    "sidewalk": 1.159,
    "earth": 1.014,
    "wall": 0.981,
    "mountain": 0.564,
    "house": 0.409,
    "water": 0.624,
    "path": 0.379,
    "car": 0.355,
    "fence": 0.539,
    "tower": 0.569,
    "palm": 0.158,
    "stairway": 0.102,
    "signboard": 0.189,
    "rock": 0.164,
    "boat": 0.066,
}

# Percent of scenes in which a class covers at least 6 of 4,096 pixels: what is planted, with
# room for three standard errors of 1,000 scenes.
PRESENCE = {
    "building": (100, 100),
    "sky": (99, 100),
    "tree": (54, 66),
    "person": (20, 28.5),
    "house": (10, 18),
    "mountain": (11, 20),
    "water": (6, 12.5),
    "car": (7.5, 14),
    "fence": (7, 13.5),
    "tower": (10, 17),
    "palm": (2.5, 6.5),
    "stairway": (2.7, 7),
    "signboard": (5, 10.5),
    "rock": (3.5, 8),
    "boat": (1.8, 5.5),
}

# Mean areas in percent over the same scenes.
AREAS = {
    "building": (42, 47),
    "sky": (28, 34),
    "tree": (6, 8.5),
    "grass": (3.5, 5.5),
    "road": (2.5, 4),
    "person": (0.6, 1.05),
    "house": (0.3, 0.7),
    "car": (0.2, 0.5),
    "fence": (0.3, 0.7),
    "palm": (0.15, 0.5),
    "signboard": (0.1, 0.25),
    "boat": (0.05, 0.2),
}


@cache
def counts(resolution: int, n: int) -> NDArray[np.int64]:
    """Pixels of each object in scenes 0..n-1 of series 0, shape (n, classes)."""
    return np.stack(
        [
            np.bincount(render(0, i, resolution).objects.ravel(), minlength=len(OBJECTS))
            for i in range(n)
        ]
    )


def percent(resolution: int, n: int) -> dict[str, float]:
    """Mean area of each object in percent."""
    areas = counts(resolution, n).mean(axis=0) * 100 / resolution**2
    return dict(zip(OBJECTS, areas.tolist(), strict=True))


def same(a: Scene, b: Scene) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# -- vocabulary


def test_vocabulary_is_consistent() -> None:
    assert OBJECTS[0] == PARTS[0] == "-"
    assert len(set(OBJECTS)) == len(OBJECTS) >= 17
    assert len(set(PARTS)) == len(PARTS)
    assert set(OBJECT_PARTS) <= set(OBJECTS[1:])
    assert {p for parts in OBJECT_PARTS.values() for p in parts} == set(PARTS[1:])


def test_label_bytes_are_distinct_and_decode() -> None:
    for (i, owner), (j, part) in product(enumerate(OBJECTS), enumerate(PARTS)):
        code = label(owner, part)
        assert (code & OBJECT_MASK, code >> PART_SHIFT) == (i, j)
        assert code < 256


# -- purity


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 10**9), st.sampled_from((32, 64)))
def test_scene_is_a_pure_function(seed: int, index: int, resolution: int) -> None:
    first = render(seed, index, resolution)
    render(seed + 1, index, resolution)
    assert same(first, render(seed, index, resolution))


def test_call_order_and_other_resolutions_do_not_matter() -> None:
    forward = [render(3, i, 32) for i in range(12)]
    tiles.cache_clear()
    for i in reversed(range(12)):
        render(3, i, 64)
        assert same(forward[i], render(3, i, 32))


def test_scenes_own_their_memory() -> None:
    scene = render(3, 0, 32)
    kept = [plane.copy() for plane in scene]
    for plane in scene:
        plane[:] = 0
    assert same(Scene(*kept), render(3, 0, 32))


def test_indices_and_seeds_give_different_pictures() -> None:
    scenes = [render(s, i, 32).image.tobytes() for s in range(3) for i in range(40)]
    assert max(Counter(scenes).values()) == 1
    assert render(1, 2, 32).image.tobytes() != render(2, 1, 32).image.tobytes()


def test_numpy_integers_are_integers() -> None:
    assert same(render(np.int64(4), np.uint8(9), np.int32(32)), render(4, 9, 32))


# -- arguments


@pytest.mark.parametrize(
    ("seed", "index", "resolution", "word"),
    [
        (-1, 0, 64, "seed"),
        (0, -5, 64, "index"),
        (0, 0, 0, "resolution"),
        (0, 0, 48, "resolution"),
        (0, 0, 288, "resolution"),
        (0, 0, 64.0, "resolution"),
        (0.5, 0, 64, "seed"),
        (0, True, 64, "index"),
        (0, "1", 64, "index"),
    ],
)
def test_bad_arguments_are_named(seed: int, index: int, resolution: int, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        render(seed, index, resolution)


# -- exact labels


@pytest.mark.parametrize("resolution", [32, 64, 96, 128, 256])
def test_planes_have_the_promised_form(resolution: int) -> None:
    scene = render(1, 4, resolution)
    assert scene.image.shape == (resolution, resolution, 3)
    assert scene.objects.shape == scene.parts.shape == (resolution, resolution)
    assert {plane.dtype for plane in scene} == {np.dtype(np.uint8)}
    assert len(np.unique(scene.image)) > 40


def test_every_pixel_is_labelled_and_parts_stay_with_their_owners() -> None:
    pairs: set[tuple[int, int]] = set()
    for i in range(400):
        scene = render(0, i, 32)
        both = scene.objects.astype(int) * 256 + scene.parts
        pairs |= {divmod(v, 256) for v in np.unique(both).tolist()}
    objects, parts = {o for o, _ in pairs}, {p for _, p in pairs}
    assert min(objects) >= 1
    assert max(objects) < len(OBJECTS)
    assert parts == set(range(len(PARTS)))
    seen = {(OBJECTS[o], PARTS[p]) for o, p in pairs if p}
    assert seen <= {(o, p) for o, allowed in OBJECT_PARTS.items() for p in allowed}
    assert {p for o, p in seen if o == "building"} == set(OBJECT_PARTS["building"])


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_majority_is_a_most_frequent_sample(block: list[int]) -> None:
    got = int(majority(np.array(block, np.uint8).reshape(2, 2))[0, 0])
    votes = Counter(block)
    assert votes[got] == max(votes.values())
    if len(set(block)) == 4:
        assert got == block[0]


def _canvas(side: int) -> Canvas:
    blank = np.zeros((2 * side, 2 * side, 4), np.uint8)
    blank[:, :, :3], blank[:, :, 3] = (40, 80, 160), label("sky")
    return Canvas(side, blank)


_PLAIN = Finish(
    SKIES[0][1]._replace(light=(1.0, 1.0, 1.0)), 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, (0.0,) * 8
)


def test_a_painted_rectangle_is_where_its_label_is() -> None:
    canvas = _canvas(32)
    canvas.rect(8 / 32, 4 / 32, 20 / 32, 30 / 32, (200, 100, 50), label("building"))
    canvas.rect(10 / 32, 6 / 32, 12 / 32, 9 / 32, (10, 20, 30), label("building", "window"))
    image, objects, parts = develop(canvas, _PLAIN)
    want = np.full((32, 32), OBJECTS.index("sky"))
    want[4:30, 8:20] = OBJECTS.index("building")
    panes = np.zeros((32, 32), int)
    panes[6:9, 10:12] = PARTS.index("window")
    assert np.array_equal(objects, want)
    assert np.array_equal(parts, panes)
    assert (image[panes > 0] == (10, 20, 30)).all()
    assert (image[(want == OBJECTS.index("building")) & (panes == 0)] == (200, 100, 50)).all()
    assert (image[want == OBJECTS.index("sky")] == (40, 80, 160)).all()


def test_a_pixel_goes_to_whoever_owns_most_of_it() -> None:
    canvas = _canvas(32)
    # Three of the four samples of pixel (5, 5) and one of those of pixel (6, 6).
    canvas.rect(10 / 64, 10 / 64, 12 / 64, 11 / 64, (255, 0, 0), label("rock"))
    canvas.rect(10 / 64, 11 / 64, 11 / 64, 12 / 64, (255, 0, 0), label("rock"))
    canvas.rect(12 / 64, 12 / 64, 13 / 64, 13 / 64, (255, 0, 0), label("rock"))
    objects = develop(canvas, _PLAIN)[1]
    assert np.argwhere(objects == OBJECTS.index("rock")).tolist() == [[5, 5]]


def test_a_shape_is_as_large_as_its_geometry() -> None:
    canvas = _canvas(256)
    canvas.oval(0.5, 0.5, 0.3, 0.2, (0, 0, 0), label("tree"))
    canvas.poly([(0.0, 0.9), (0.2, 0.6), (0.4, 0.9)], (0, 0, 0), label("rock"))
    objects = develop(canvas, _PLAIN)[1]
    tree, rock = ((objects == OBJECTS.index(name)).mean() for name in ("tree", "rock"))
    hidden = 0.02  # the triangle overlaps the ellipse by less than this
    assert tree == pytest.approx(np.pi * 0.3 * 0.2, abs=hidden)
    assert rock == pytest.approx(0.06, rel=0.03)


# -- the world


@pytest.mark.slow
def test_every_class_is_there() -> None:
    seen = counts(64, 1000).sum(axis=0)
    missing = [name for name, n in zip(OBJECTS, seen, strict=True) if n == 0]
    assert missing == ["-"]


@pytest.mark.slow
def test_areas_agree_between_resolutions() -> None:
    fine, coarse = percent(128, 200), percent(64, 200)
    for name in OBJECTS:
        # Thin shapes (pickets, masts) gain up to half a sample on each side.
        assert coarse[name] == pytest.approx(fine[name], rel=0.12, abs=0.02), name
    assert coarse["building"] == pytest.approx(fine["building"], rel=0.02)
    assert coarse["sky"] == pytest.approx(fine["sky"], rel=0.02)


def test_composition_agrees_between_resolutions() -> None:
    agreement = [
        (render(0, i, 128).objects[::2, ::2] == render(0, i, 64).objects).mean() for i in range(30)
    ]
    assert min(agreement) > 0.9


def test_presence_of_each_class() -> None:
    present = (counts(64, 1000) >= 6).mean(axis=0) * 100
    for name, (low, high) in PRESENCE.items():
        assert low <= present[OBJECTS.index(name)] <= high, name


def test_mean_areas_follow_the_paper() -> None:
    areas = percent(64, 1000)
    for name, (low, high) in AREAS.items():
        assert low <= areas[name] <= high, (name, areas[name])


def test_things_stand_where_they_belong() -> None:
    here = counts(64, 1000) > 0
    at = {name: here[:, i] for i, name in enumerate(OBJECTS)}
    assert at["water"][at["boat"]].all()
    assert at["road"][at["car"]].all()
    assert not (at["car"] & at["water"]).any()


def test_rare_things_are_large_enough_to_be_seen() -> None:
    n = counts(64, 1000)
    for name, pixels in (("person", 25), ("car", 45), ("signboard", 30), ("palm", 60)):
        sizes = n[:, OBJECTS.index(name)]
        assert np.median(sizes[sizes > 0]) >= pixels, name


def test_pictures_are_varied() -> None:
    means = np.stack([render(0, i, 32).image.mean(axis=(0, 1)) for i in range(200)])
    assert (means.std(axis=0) > 10).all()
    assert 100 < means.mean() < 160


def test_dice_stream_is_the_frozen_mersenne_twister() -> None:
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence((5, 6))))
    dice = Dice(5, 6)
    assert [dice.unit() for _ in range(1000)] == state.random_sample(1000).tolist()


def test_areas_of_this_version_have_not_moved() -> None:
    assert RENDERER_VERSION == 1
    areas = percent(64, 200)
    for name, want in AREAS_OF_VERSION_1.items():
        assert areas[name] == pytest.approx(want, rel=0.02, abs=0.01), name
