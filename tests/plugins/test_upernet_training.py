"""The recipe of the shipped segmenter, and the file that it made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from seeingkit_adapters.catalog.segmenters import UPerNetOptions
from seeingkit_adapters.upernet.segmenter import load
from seeingkit_plugins import minichurches
from seeingkit_plugins.minichurches.scenes import OBJECT_PARTS, OBJECTS, PARTS
from seeingkit_plugins.minichurches.training import upernet as recipe
from seeingkit_plugins.minichurches.training.labelled import (
    augment,
    blur,
    class_weights,
    evaluate,
    scenes,
    smear,
)

SHIPPED = Path(minichurches.__file__).parent / "weights" / "upernet-minichurches-64.safetensors"


def _log_lines() -> list[str]:
    return SHIPPED.with_suffix(".log.jsonl").read_text(encoding="utf-8").splitlines()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_blur_is_a_gaussian_of_its_own_width_for_each_image() -> None:
    images = torch.rand(2, 3, 12, 16, generator=seeded(), dtype=torch.float64)
    sigma = torch.tensor([0.5, 1.2], dtype=torch.float64)
    found = blur(images, sigma).numpy()
    for i, width in enumerate(sigma.tolist()):
        kernel = np.exp(-(np.arange(-3, 4) ** 2) / (2 * width**2))
        kernel /= kernel.sum()
        expected = images[i].numpy()
        for axis in (1, 2):
            expected = correlate1d(expected, kernel, axis=axis, mode="nearest")
        np.testing.assert_allclose(found[i], expected, atol=1e-6)


def test_smear_changes_no_label_but_to_unknown() -> None:
    images, objects, _ = scenes(5, range(6))
    same, labels = smear(images, objects, 0.0, seeded())
    torch.testing.assert_close(same, images)
    assert torch.equal(labels, objects)
    smeared, labels = smear(images, objects, 1.0, seeded())
    changed = labels != objects
    assert bool((labels[changed] == 0).all())
    broad = torch.tensor([OBJECTS.index(name) for name in ("building", "sky", "grass", "road")])
    assert not bool(torch.isin(objects[changed], broad).any())
    assert bool(((smeared - images).abs().flatten(1).amax(1) > 0.05).all())


def test_augmented_images_stay_in_range_and_follow_their_seed() -> None:
    images, _, _ = scenes(5, range(4))
    first, again = augment(images, seeded(1)), augment(images, seeded(1))
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(images, seeded(2)))
    assert float(first.abs().max()) <= 1


def test_class_weights_average_to_one_over_the_pixels() -> None:
    objects, _ = class_weights(0.3, count=40)
    _, maps, _ = scenes(recipe.TRAIN_SEED, range(40))
    share = torch.bincount(maps.flatten(), minlength=len(OBJECTS)) / maps.numel()
    assert float((objects * share).sum()) == pytest.approx(1.0, abs=1e-4)
    seen = share > 0
    assert bool((objects[~seen] == 0).all())
    assert float(objects[share.argmax()]) == float(objects[seen].min())


@pytest.mark.slow
def test_objective_is_least_for_the_right_answer() -> None:
    hierarchy = recipe.read_hierarchy(recipe.labels_text(), Path("labels.json"))
    objective = recipe.Objective(hierarchy, 0.1)
    _, objects, parts = scenes(recipe.TRAIN_SEED, range(3))
    right = torch.nn.functional.one_hot(objects, len(OBJECTS)).permute(0, 3, 1, 2).float()
    part = torch.zeros(3, hierarchy.classes["part"], 64, 64)
    for group in hierarchy.groups:
        for channel, name in enumerate(["-", *OBJECT_PARTS[OBJECTS[group.owner]]]):
            here = (objects == group.owner) & (parts == PARTS.index(name))
            part[:, group.start + channel][here] = 1.0
    certain = float(objective({"object": right * 30, "part": part * 30}, objects, parts))
    assert certain < 1e-6
    blank = float(objective({"object": right * 0, "part": part * 0}, objects, parts))
    wrong = float(objective({"object": right * 0, "part": part * -5}, objects, parts))
    assert certain < blank < wrong


def test_learning_rate_rises_and_falls() -> None:
    plan = recipe.Plan(images=1600, batch=16)
    rates = [plan.rate_at(step) for step in range(plan.steps)]
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(plan.rate, rel=0.01)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] <= plan.rate * 1e-3


@pytest.mark.slow
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    plan = recipe.Plan(images=4, batch=2)
    unbroken = recipe.Run(plan, tmp_path / "a", "unbroken")
    unbroken.train(every=2)
    stopped = recipe.Run(plan, tmp_path / "b", "stopped")
    stopped.network.train()
    stopped._one_step()
    stopped.step += 1
    stopped.save()
    resumed = recipe.Run(plan, tmp_path / "b", "resumed")
    assert resumed.step == 1
    resumed.train(every=2)
    for key, value in unbroken.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    with pytest.raises(SystemExit, match="another seed"):
        recipe.Run(recipe.Plan(images=4, batch=2, seed=1), tmp_path / "b", "other")


def test_shipped_file_reads_scenes_it_has_not_seen() -> None:
    segmenter = load(SHIPPED, UPerNetOptions(planes="all"))
    assert SHIPPED.stat().st_size < 4 * 2**20
    assert segmenter.segsizes == (recipe.SEGSIZE,)
    assert [label.name for label in segmenter.vocabulary][: len(OBJECTS)] == list(OBJECTS)
    assert segmenter.vocabulary.planes == ("object", "part")
    found = evaluate(segmenter, 24)
    assert found["pixel_accuracy"] > 0.95
    assert found["mean_part_iou"] > 0.8
    assert min(found["object_iou"][name] for name in ("building", "sky", "tree", "grass")) > 0.85


def test_shipped_log_names_the_seed_and_the_numbers() -> None:
    records = [json.loads(line) for line in _log_lines()]
    assert records[0]["train_seed"] != records[0]["heldout_seed"]
    plain = [record for record in records if record.get("sigma") == 0.0][-1]
    assert plain["scenes"] == 1000
    assert plain["bytes"] == SHIPPED.stat().st_size
    assert set(plain["object_iou"]) == set(OBJECTS[1:])
    assert plain["mean_object_iou"] >= 0.75
