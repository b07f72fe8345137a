"""Every registered model and data set that ships passes the conformance kit."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from seeingkit import load_generator, load_segmenter, open_images
from seeingkit.contracts import Generator
from seeingkit.models.registry import registry
from seeingkit.specs import WeightsSpec
from seeingkit.statistics.accuracy import confusion, mean_iou, pixel_accuracy
from seeingkit.testing import generator_checks, segmenter_checks, source_checks
from seeingkit_plugins.minichurches.dataset import MiniChurches
from seeingkit_plugins.minichurches.scenes import OBJECTS

SHIPPED = [
    spec
    for spec in cast("list[WeightsSpec]", registry().specs("weights"))
    if all(file.resource for file in spec.files)
]
GANS = [spec.full_name for spec in SHIPPED if spec.kind == "gan"]
SEGMENTERS = [spec.full_name for spec in SHIPPED if spec.kind == "segmenter"]


def test_something_ships() -> None:
    assert "progan:minichurches" in GANS
    assert "upernet:minichurches" in SEGMENTERS


@pytest.mark.parametrize("check", generator_checks(), ids=lambda c: c[0])
@pytest.mark.parametrize("name", GANS)
def test_generator(name: str, check: tuple[str, object]) -> None:
    generator = load_generator(name)
    assert isinstance(generator, Generator)
    check[1](generator)  # type: ignore[operator]


@pytest.mark.parametrize("check", [name for name, _ in segmenter_checks()])
@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenter(name: str, check: str) -> None:
    images = open_images("minichurches").read([0, 1, 2])
    dict(segmenter_checks(images))[check](load_segmenter(name))


@pytest.mark.parametrize("check", source_checks(), ids=lambda c: c[0])
def test_minichurches_is_a_source(check: tuple[str, object]) -> None:
    check[1](open_images("minichurches"))  # type: ignore[operator]


def test_minichurches_first_scenes_do_not_depend_on_how_many_there_are() -> None:
    few, many = open_images("minichurches", n=None), open_images("minichurches")
    assert few.fingerprint == many.fingerprint
    options = {"resolution": 128, "seed": 5}
    other = open_images("minichurches", **options)
    assert other.fingerprint != many.fingerprint
    assert other.read([3]).shape == (1, 3, 128, 128)
    assert torch.equal(many.read([7])[0], many.read([2, 7])[1])


@pytest.mark.slow
def test_batch_size_changes_labels_only_where_two_scores_tie() -> None:
    segmenter = load_segmenter("upernet:minichurches")
    images = open_images("minichurches").read(range(32))
    whole = segmenter.segment(images)
    for batch in (1, 7):
        parts = torch.cat([segmenter.segment(piece) for piece in images.split(batch)])
        assert (parts != whole).float().mean() < 1e-5


@pytest.mark.slow
def test_shipped_segmenter_reads_scenes_it_never_saw() -> None:
    segmenter = load_segmenter("upernet:minichurches")
    scenes = open_images("minichurches", seed=1, n=None)
    assert isinstance(scenes, MiniChurches)
    numbers = range(900, 980)
    found = torch.cat([segmenter.segment(scenes.read([k]))[:, 0] for k in numbers])
    truth = torch.stack([torch.from_numpy(scenes.scene(k).objects).long() for k in numbers])
    table = confusion(found, truth, len(OBJECTS))
    assert pixel_accuracy(table) > 0.93
    assert mean_iou(table) > 0.6


@pytest.mark.slow
def test_shipped_generator_draws_varied_churches() -> None:
    generator = load_generator("progan:minichurches")
    with torch.no_grad():
        images = generator(generator.latents(range(48)))
    assert images.std(dim=0).mean() > 0.2  # not one picture again and again
    segmenter = load_segmenter("upernet:minichurches")
    areas = segmenter.statistics(images.clamp(-1, 1)).double().mean(0)
    areas = areas[: len(OBJECTS)] / areas[: len(OBJECTS)].sum()
    assert 0.25 < areas[OBJECTS.index("building")] < 0.65
    assert 0.15 < areas[OBJECTS.index("sky")] < 0.5
