"""The gallery of a run: maps of places in closed form, and examples that come near a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.report import Gallery
from seeingkit.runs.examples import COMPARED, fill_gallery, nearest_compositions
from seeingkit.runs.sides import Sides
from tests.helpers.toys import CountedNoise, LevelSegmenter, Noise, looked_at

DARK, MIDDLE, BRIGHT = 1, 2, 3


class Corners(ImageSource):
    """Dark pictures of 8 x 12 pixels; a share of each ``every``-th is bright: its top left corner.

    Of those that are not, each has a stripe of middle brightness as wide as its number, up to 6.
    """

    def __init__(self, n: int, every: int, name: str) -> None:
        self.name, self.every = name, every
        self.ids = [f"{name}-{k}" for k in range(n)]
        self.fingerprint = f"corners {n} {every} {name}"
        self.asked: list[int] = []

    def read(self, indices: list[int]) -> Tensor:  # type: ignore[override]
        self.asked += indices
        images = torch.full((len(indices), 3, 8, 12), -0.9)
        for image, k in zip(images, indices, strict=True):
            if self.every and k % self.every == 0:
                image[:, :4, :6] = 0.9
            else:
                image[:, :, : k % 7] = 0.0
        return images


def gallery_of(
    real: ImageSource, generated: ImageSource, folder: Path, batch_size: int = 16
) -> tuple[Gallery, LevelSegmenter]:
    segmenter = LevelSegmenter()
    comparison = looked_at(real, generated, folder, segmenter, evidence=True)
    segmenter.seen = 0
    opened = Sides(real, generated, segmenter, segmenter)
    return fill_gallery(comparison, opened, seed=3, batch_size=batch_size), segmenter


def test_a_class_in_a_known_corner_has_a_map_that_is_1_there(tmp_path: Path) -> None:
    gallery, _ = gallery_of(Corners(60, 2, "real"), Corners(60, 3, "fake"), tmp_path)
    bright = next(shown for shown in gallery.classes if shown.index == BRIGHT)
    corner = np.zeros((13, 20), np.float32)  # as many cells as 16 x 16 has, about
    corner[:6, :10], corner[6, :10] = 1, 0.5  # 13 rows on 8 pixels: the seventh is half in it
    for side, showing in (("real", 30), ("generated", 20)):
        found = bright.places[side]  # type: ignore[index]
        assert (found.images, found.showing) == (showing, showing)
        assert found.shares is not None
        np.testing.assert_allclose(found.shares, corner, atol=1e-6)
        assert found.shares.max() <= 1


def test_a_map_rests_on_some_of_the_images_where_there_are_many(tmp_path: Path) -> None:
    gallery, segmenter = gallery_of(Corners(400, 2, "real"), Corners(400, 2, "fake"), tmp_path)
    for shown in gallery.classes:
        for found in shown.places.values():
            assert found.showing >= 100 and 20 <= found.images <= 64
    assert segmenter.seen < 400


def test_size_of_batches_changes_nothing(tmp_path: Path) -> None:
    written = []
    for size in (1, 3, 50):
        real, generated = Noise(60), Corners(60, 4, "fake")
        gallery, segmenter = gallery_of(real, generated, tmp_path / "store", size)
        folder = gallery.save(tmp_path / str(size))
        written.append([(folder / name).read_bytes() for name in ("gallery.json", "images.npz")])
        assert segmenter.seen <= 120
    assert written[0] == written[1] == written[2]


def test_each_image_is_read_once(tmp_path: Path) -> None:
    real, generated = Corners(90, 2, "real"), Corners(90, 0, "fake")
    comparison = looked_at(real, generated, tmp_path, evidence=True)
    real.asked, generated.asked = [], []
    segmenter = LevelSegmenter()
    segmenter.memory = 3  # images at once; batches are halved until they fit
    gallery = fill_gallery(comparison, Sides(real, generated, segmenter, segmenter), batch_size=20)
    for source in (real, generated):
        assert len(source.asked) == len(set(source.asked)) >= 12
    assert segmenter.seen == len(real.asked) + len(generated.asked)
    for shown in gallery.classes:
        for item in shown.real + shown.generated:
            assert item.area == pytest.approx(100 * float((item.labels == shown.index).mean()))


def test_where_a_class_is_never_generated_the_nearest_scenes_are_shown(tmp_path: Path) -> None:
    real, generated = Corners(84, 2, "real"), Corners(84, 0, "fake")
    gallery, _ = gallery_of(real, generated, tmp_path)
    bright = next(shown for shown in gallery.classes if shown.index == BRIGHT)
    assert bright.places["generated"].showing == 0
    assert {item.why for item in bright.real} == {"most", "random"}
    # Real scenes with the bright corner are otherwise dark: so are these, all alike.
    assert [item.id for item in bright.generated] == [f"fake-{k}" for k in range(0, 84, 7)]
    assert {(item.why, item.area) for item in bright.generated} == {("nearest composition", 0.0)}


def test_what_was_counted_elsewhere_has_no_maps(tmp_path: Path) -> None:
    gallery, _ = gallery_of(Corners(40, 2, "real"), CountedNoise(40), tmp_path)
    assert gallery.classes
    for shown in gallery.classes:
        assert list(shown.places) == ["real"] and shown.generated == ()


# ------------------------------------------------------------------------------ nearest composition

REAL = sparse.csr_array(np.array([[50.0, 30, 20, 0], [10, 0, 90, 0], [0, 0, 0, 100]]))


def distances(*rows: list[float], index: int = 0) -> list[float]:
    found = nearest_compositions(REAL, sparse.csr_array(np.array(rows, dtype=float)), index)
    return [float(d) for d in found]


def test_the_class_itself_does_not_count() -> None:
    """Without class 0 the real scenes that have it are (60, 40) and (0, 100) of classes 1, 2."""
    alike, half, other, having = distances(
        [0, 60, 40, 0], [0, 0, 50, 50], [0, 0, 0, 100], [1, 59, 40, 0]
    )
    assert alike == pytest.approx(0, abs=1e-7)
    assert half == pytest.approx(np.sqrt(2 - 2 * np.sqrt(0.5)))
    assert other == pytest.approx(np.sqrt(2)) and having == np.inf


def test_no_scene_to_compare_with() -> None:
    assert distances([100, 0, 0, 0], [50, 50, 0, 0], index=3) == [np.inf, np.inf]


def test_many_real_images_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(0)
    real = sparse.csr_array(dice.dirichlet(np.ones(6), COMPARED + 50))
    rows = dice.dirichlet(np.ones(6), 100)
    rows[:, 2] = 0
    generated = sparse.csr_array(rows)
    first = nearest_compositions(real, generated, 2, seed=1)
    assert (first == nearest_compositions(real, generated, 2, seed=1)).all()
    assert (first != nearest_compositions(real, generated, 2, seed=2)).any()
    monkeypatch.setattr("seeingkit.runs.examples._ROWS", 7)
    assert (first == nearest_compositions(real, generated, 2, seed=1)).all()
