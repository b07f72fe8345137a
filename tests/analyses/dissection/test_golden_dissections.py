"""Numbers of the original code and of exact formulas, found again by the engine.

Tolerances are those that the golden README states: counts 3 pixels or 1e-4, IQR of the original's
random sketches .03.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import seeingkit
from seeingkit.analyses.dissection.agreement import information_quality, iou
from seeingkit.analyses.dissection.counting import Ranks
from seeingkit.analyses.dissection.levels import LevelRule, chosen_levels, quantile_levels
from seeingkit.analyses.dissection.moments import Levels, group_moments
from seeingkit.analyses.dissection.observation import Layer, Observation
from seeingkit.analyses.dissection.presets import PRESETS, published_labels
from seeingkit.contracts import Boundary, Generator, Segmenter
from seeingkit.models.edits import run
from seeingkit.models.geometry import to_image_grid
from tests.helpers.colours import ColourSegmenter

CASES = [
    "progan-plain-r32_colours",
    *(
        pytest.param(f"progan-minichurches-64_{name}", marks=pytest.mark.slow)
        for name in ("upernet", "colours")
    ),
]
Whole = NDArray[np.int64]


@dataclass
class Case:
    """A golden case: what it is about, and the generator that made it."""

    folder: Path
    about: dict[str, Any]
    generator: Generator
    segmenter: Segmenter
    common: dict[str, NDArray[Any]]

    def maps(self, seed: int, layer: str, count: int | None = None) -> torch.Tensor:
        parts = []
        n = count or self.about["images"]
        for start in range(0, n, 50):
            latent = self.generator.latents(range(start, min(start + 50, n)), seed=seed)
            with torch.no_grad():
                parts.append(run(self.generator, self.generator.begin(latent), layer)[0].x)
        return torch.cat(parts)

    def labels(self, sample: str) -> torch.Tensor:
        return torch.from_numpy(self.common[f"seg_{sample}"].astype(np.int64))[:, None]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    folder = shared / "golden/dissection" / request.param
    if not folder.exists():
        pytest.skip("the golden dissections are not here")
    about = json.loads((folder / "case.json").read_text())
    weights = about["weights"]
    root = Path(__file__).parents[3] if weights.startswith("plugins") else shared.parent
    generator = seeingkit.load_generator("progan", weights=root / weights, latents="sequence")
    assert isinstance(generator, Generator)
    chosen = about["segmenter"]
    if isinstance(chosen, dict) and "centres" in chosen:
        segmenter: Segmenter = ColourSegmenter(**chosen)
    else:
        found = seeingkit.load_segmenter("upernet:minichurches")
        assert isinstance(found, Segmenter)
        segmenter = found
    with np.load(folder / "common.npz") as stored:
        common = dict(stored)
    return Case(folder, about, generator, segmenter, common)


def test_latents_and_label_maps_are_the_same(case: Case) -> None:
    for seed, sample in ((1, "eval"), (2, "threshold")):
        z = case.generator.latents(range(4), seed=seed)["z"]
        np.testing.assert_array_equal(z.numpy(), case.common[f"z_{sample}"])
    with torch.no_grad():
        images = case.generator(case.generator.latents(range(16), seed=1))
    stored = case.common["images_first4"].clip(-1, 1)  # ours are clamped
    np.testing.assert_allclose(images[:4].clamp(-1, 1), stored, atol=1e-4)
    maps = case.segmenter.label_maps(images.clamp(-1, 1))[:, 0].numpy()
    differ = int((maps != case.common["seg_eval"][:16]).sum())
    assert differ <= max(2, maps.size // 100_000)


@dataclass
class Sample:
    """A layer of a case: levels of the threshold sample, joint counts on both."""

    boundary: Boundary
    stored: dict[str, NDArray[Any]]
    order: Whole
    levels: torch.Tensor
    both: Whole
    active: Whole
    area: Whole
    total: int
    evaluation: torch.Tensor


@pytest.fixture(scope="module")
def samples(case: Case) -> list[Sample]:
    found = []
    for file, name in case.about["layers"].items():
        with np.load(case.folder / f"{file}.npz") as arrays:
            stored = dict(arrays)
        boundary = case.generator.boundary(name)
        labels = case.labels("threshold")
        size = (int(labels.shape[2]), int(labels.shape[3]))
        values = to_image_grid(case.maps(2, name), boundary, size)
        fractions = stored["exact_fracs"]
        order = np.argsort(-fractions)
        shares = np.minimum(fractions[order], 1.0).tolist()
        levels = quantile_levels(values.transpose(0, 1).flatten(1), shares)
        count, steps = len(case.about["labels"]), len(fractions)
        columns = torch.arange(count)[None]
        both, active = np.zeros((values.shape[1], steps, count), np.int64), 0
        for start in range(0, len(values), 20):
            ranks = Ranks.of(values[start : start + 20], levels)
            here = ranks.counts(labels[start : start + 20], columns, count)
            both, active = both + here[0].numpy(), active + here[1].numpy()
        area = np.bincount(labels.numpy().ravel(), minlength=count)
        evaluation = to_image_grid(case.maps(1, name), boundary, size)
        assert not isinstance(active, int)
        found.append(
            Sample(boundary, stored, order, levels, both, active, area, labels.numel(), evaluation)
        )
    return found


def _large(sample: Sample) -> NDArray[np.bool_]:
    """Classes of more than a thousandth; the numbers of smaller ones are noise (README)."""
    return sample.area > 1e-3 * sample.total


def test_levels_and_information_quality_are_exact(samples: list[Sample]) -> None:
    for sample in samples:
        expected = sample.stored["exact_levels"][:, sample.order]
        np.testing.assert_allclose(sample.levels.numpy(), expected, atol=2e-5)
        found = information_quality(
            sample.both, sample.active[:, :, None], sample.area, sample.total
        )
        stored = sample.stored["exact_iqr"][:, :, sample.order].transpose(1, 2, 0)
        large = _large(sample)
        # At one of 100 levels a plateau of equal values may fall to the other side of it.
        differ = np.abs(found - stored)[:, :, large] > 1e-3
        assert differ.mean() < 1e-3


@pytest.mark.parametrize(("rule", "key"), [("paper", "exact_compat"), ("formula", "exact_paper")])
def test_the_level_of_the_greatest_information_quality(
    samples: list[Sample], rule: str, key: str
) -> None:
    for sample in samples:
        shares = tuple(np.minimum(sample.stored["exact_fracs"][sample.order], 1.0).tolist())
        level = LevelRule("iqr", shares)
        if rule == "paper":
            published = PRESETS["paper"].level
            level = LevelRule(
                "iqr",
                shares,
                least_accuracy=published.least_accuracy,
                positive=True,
                least_area=published.least_area,
            )
        arrays = sample.both, sample.active, sample.area, sample.total
        _, best = chosen_levels(*arrays, sample.levels.double().numpy(), level)
        large = _large(sample)
        stored = sample.stored[f"{key}_max_iqr"].T
        np.testing.assert_allclose(best[:, large], stored[:, large], atol=1e-3)
        if rule == "paper":  # the original's sketches of quantiles are random
            sketched = sample.stored["orig_max_iqr"].T
            assert np.abs(best - sketched)[:, large].max() <= 0.03


def _counted(sample: Sample, levels: NDArray[Any], case: Case) -> tuple[Whole, Whole]:
    """(U, L) intersections and (U, 1) active pixels of the evaluated images at (U,) levels."""
    labels, count = case.labels("eval"), len(case.about["labels"])
    chosen, columns = torch.from_numpy(levels)[:, None].float(), torch.arange(count)[None]
    both, active = np.zeros((len(levels), count), np.int64), np.zeros((len(levels), 1), np.int64)
    for s in range(0, len(labels), 20):
        ranks = Ranks.of(sample.evaluation[s : s + 20], chosen)
        here = ranks.counts(labels[s : s + 20], columns, count)
        both, active = both + here[0][:, 0].numpy(), active + here[1].numpy()
    return both, active


def _close(found: Whole, stored: NDArray[Any]) -> None:
    """The README's second implementation was up to 8 pixels off. A level that is a quantile can be
    the value of a corner of the map, where the border is repeated: 4 x 4 equal pixels."""
    off = np.abs(found - stored)
    assert (off <= np.maximum(16, 1e-4 * np.abs(stored))).all(), off.max()


@pytest.mark.parametrize("prefix", ["orig", "q01_orig", "q005_orig", "pnas"])
def test_counts_at_given_levels_are_the_originals(
    case: Case, samples: list[Sample], prefix: str
) -> None:
    for sample in samples:
        levels = sample.stored["pnas_level" if prefix == "pnas" else f"{prefix}_levels"]
        both, active = _counted(sample, levels, case)
        keys = [f"{prefix}_intersection", f"{prefix}_active"]
        stored = sample.stored[keys[0]].T
        rows = slice(1, None) if prefix != "pnas" else slice(None)  # the original skips label 0
        _close(both[:, rows], stored[:, rows])
        _close(active[:, 0], sample.stored[keys[1]].reshape(-1))
        area = np.bincount(case.labels("eval").numpy().ravel(), minlength=both.shape[1])
        agreement = iou(both, active, area)
        np.testing.assert_allclose(
            agreement[:, rows], sample.stored[f"{prefix}_iou"].T[:, rows], atol=1e-3
        )


def test_the_fixed_level_of_the_second_publication(case: Case, samples: list[Sample]) -> None:
    for sample in samples:
        flat = sample.evaluation.transpose(0, 1).flatten(1)
        levels = quantile_levels(flat, PRESETS["pnas"].level.fractions)[:, 0]
        np.testing.assert_allclose(levels, sample.stored["pnas_level"], atol=2e-5)


def test_labels_by_the_published_rule(case: Case, samples: list[Sample]) -> None:
    """The label is the class of the best quality on the threshold sample (README: or one within
    .03 of it); both bounds are asked on the evaluated images."""
    for sample in samples:
        labels, count = case.labels("eval"), len(case.about["labels"])
        levels = sample.stored["orig_levels"]
        units = len(levels)
        chosen = Levels(torch.from_numpy(levels)[:, None], torch.zeros(units, count).long())
        seen = Observation(
            list(range(len(labels))), {sample.boundary.name: sample.evaluation}, labels, []
        )
        layer, columns = Layer(sample.boundary), torch.arange(count)[None]
        sums = group_moments(seen, layer, chosen, columns, count)
        quality = sample.stored["orig_max_iqr"].T.astype(np.float64)
        found = published_labels(sums, quality, PRESETS["paper"])
        stored = np.where(sample.stored["orig_interpretable"], sample.stored["orig_best_label"], -1)
        np.testing.assert_array_equal(found, stored)
