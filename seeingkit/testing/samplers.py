"""Checks of samplers (tier 1), as ``seeingkit.contracts`` promises them.

Guarantee: a sampler that passes gives the same image for the same (seed, index, label) in any
batch: bit for bit in equal batches (on the CPU), within ``BATCH_TOLERANCE`` in others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seeingkit.contracts import LatentSpec, Sampler
from seeingkit.contracts.ranges import ENOUGH, ValueRange
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.probe import labels_in_turn, on_trial

from .checks import (
    BATCH_TOLERANCE,
    ROWS,
    Check,
    checks_in,
    draw,
    network,
    require,
    require_again,
    require_json,
    require_same,
    side_by_side,
)


def identity_is_json(sampler: Sampler) -> None:
    """What the images depend on can be written down and compared."""
    require_json(sampler.info.identity(), "info.identity()")
    require(sampler.info.resolution > 0, f"resolution is {sampler.info.resolution}")
    require(len(sampler.info.latent) > 0, "info.latent names no random input")


def latents_by_index(sampler: Sampler) -> None:
    """Row k of the latents depends on (seed, indices[k]) only, in any order and any split."""
    indices = [4, 0, 1027, 2]
    together = draw(sampler, indices)
    for part in sampler.info.latent:
        require(part.name in together, f"latent {part.name!r} is declared but not drawn")
        value = together[part.name]
        kind = torch.int64 if part.distribution == "discrete" else torch.float32
        require(
            value.dtype == kind and tuple(value.shape) == (len(indices), *part.shape),
            f"latent {part.name!r} is {value.dtype} {tuple(value.shape)}, "
            f"declared (N, {', '.join(map(str, part.shape))}) {kind}",
        )
        _require_bounds(part, value)
        require(value.device.type == "cpu", f"latent {part.name!r} is on {value.device}")
    splits = {"reversed": indices[::-1], "alone": [1027], "split in two": indices[1:3]}
    for how, some in splits.items():
        again = draw(sampler, some)
        for name, value in together.items():
            rows = value[[indices.index(i) for i in some]]
            require_same(again[name], rows, f"latent {name!r} drawn {how}")
    other = draw(sampler, indices, seed=12345)
    for part in sampler.info.latent:
        if part.distribution == "discrete":
            continue  # a few draws of a few categories may well agree
        value = together[part.name]
        require(not torch.equal(value, other[part.name]), f"{part.name!r} ignores the seed")
        require(not torch.equal(value[0], value[1]), f"{part.name!r} ignores the index")


def _require_bounds(part: LatentSpec, value: Tensor) -> None:
    low, high = float(value.min()), float(value.max())
    if part.distribution == "uniform":
        least, most = part.bounds
    elif part.distribution == "discrete" and part.categories is not None:
        least, most = 0, part.categories - 1
    else:
        return
    found = f"latent {part.name!r} goes from {low:g} to {high:g}"
    require(low >= least and high <= most, f"{found}, declared {least:g} to {most:g}")


def label_policy(sampler: Sampler) -> None:
    """Labels given are used; without any, a conditional model refuses or draws them by index."""
    sampler = on_trial(sampler)
    classes, indices = len(sampler.info.class_names), range(ROWS)
    if not classes:
        require("label" not in sampler.latents(indices), "draws labels but declares no classes")
        return
    label = draw(sampler)["label"]
    given, used = labels_in_turn(sampler, indices), label.tolist()
    fits = label.dtype == torch.int64 and used == given
    require(fits, f"labels {given} became {label.dtype} {used}")
    try:
        drawn = sampler.latents(indices)["label"]
    except UsageError:
        pass
    else:
        alone = torch.cat([sampler.latents([i])["label"] for i in indices])
        require_same(alone, drawn, "labels drawn one by one")
        require(bool(((drawn >= 0) & (drawn < classes)).all()), f"draws labels {drawn.tolist()}")
    if classes > 1:
        first = {**draw(sampler), "label": torch.zeros(ROWS, dtype=torch.int64)}
        second = {**first, "label": torch.ones(ROWS, dtype=torch.int64)}
        require(not torch.equal(sampler(first), sampler(second)), "images ignore the label")


def class_weights(sampler: Sampler) -> None:
    """Weights of classes are taken where that is said: those of one class are that class."""
    classes, rows = len(sampler.info.class_names), range(ROWS)
    labels = labels_in_turn(sampler, rows)
    if not classes or labels is None:
        require(not sampler.weighted, "takes weights of classes but declares no classes")
        return
    weights = torch.eye(classes)[labels]
    if not sampler.weighted:
        return
    drawn = on_trial(sampler).latents(rows, labels=weights)
    require("c" in drawn and torch.equal(drawn["c"], weights), "weights given are not drawn as c")
    require_same(sampler(drawn), sampler(draw(sampler)), "images of weights", BATCH_TOLERANCE)
    several = {**drawn, "c": torch.ones_like(weights)}
    if classes > 1:
        require(not torch.equal(sampler(several), sampler(drawn)), "images ignore weights")


def given_images(sampler: Sampler) -> None:
    """A model that translates images translates those it was given, in their order, all of them."""
    parts = [part for part in sampler.info.latent if part.distribution == "image"]
    if not parts:
        require(sampler.given is None, "is given images but declares no input for them")
        return
    tried = on_trial(sampler)
    given = tried.given
    assert given is not None
    first = range(min(ROWS, len(given)))
    ids = tried.given_ids(first)
    require(ids == [given.ids[k] for k in first], f"rows 0, 1, … are named {ids}")
    latent = draw(tried, first)
    for part in parts:
        image = latent[part.name]
        require(float(image.abs().max()) <= 1 + 1e-5, f"latent {part.name!r} is beyond [-1, 1]")
        if image.shape[1] == 3:
            require_same(image, given.read(first), f"latent {part.name!r}")
        other = {**latent, part.name: image.flip(-1) * 0.5}
        require(not torch.equal(tried(other), tried(latent)), f"images ignore {part.name!r}")


def image_format(sampler: Sampler) -> None:
    """Images are finite float32 RGB (N, 3, R, R) without history, from a frozen model in eval."""
    with torch.enable_grad():
        images, size = sampler(draw(sampler)), sampler.info.resolution
    shape, declared = tuple(images.shape), (ROWS, 3, size, size)
    require(shape == declared, f"images are {shape}, declared {declared}")
    require(images.dtype == torch.float32, f"images are {images.dtype}, not float32")
    require(bool(torch.isfinite(images).all()), "images hold NaN or Inf")
    require(not images.requires_grad, "images carry a gradient by default")
    module = network(sampler)
    if module is not None:
        training = [name or "the network" for name, m in module.named_modules() if m.training]
        require(not training, f"{', '.join(training[:1])} is in training mode")
        wanted = [name for name, p in module.named_parameters() if p.requires_grad]
        require(not wanted, f"parameter {', '.join(wanted[:1])} requires a gradient")


def images_in_range(sampler: Sampler) -> None:
    """Values are nominally in [-1, 1]: not in 0..1, 0..255, or another range."""
    require(sampler.info.value_range == (-1.0, 1.0), "info.value_range is not (-1, 1)")
    seen = ValueRange(sampler.info.family)
    try:
        for start in range(0, ENOUGH, 4):
            seen.add(sampler(draw(sampler, range(start, start + 4))))
    except ModelError as error:
        raise AssertionError(str(error)) from error


def images_repeat(sampler: Sampler) -> None:
    """The same latents give the same images, whatever was made in between."""
    first = sampler(draw(sampler))
    sampler(draw(sampler, range(10, 10 + ROWS)))
    require_again(sampler(draw(sampler)), first, "the same latents again")


def batch_invariance(sampler: Sampler) -> None:
    """A row alone and among others gives one image, within ``BATCH_TOLERANCE``."""
    together = sampler(draw(sampler))
    for i in range(ROWS):
        alone = sampler(draw(sampler, [i]))
        require_same(alone, together[i : i + 1], f"row {i} alone", BATCH_TOLERANCE)


def images_side_by_side(sampler: Sampler) -> None:
    """A sampler that is ``thread_safe`` gives two threads at once what it gives each alone."""
    if not sampler.thread_safe or sampler.device.type != "cpu":
        return

    def ask(rows: range) -> Tensor:
        return sampler(draw(sampler, rows))

    for alone, again in side_by_side(ask, range(ROWS), range(ROWS, 2 * ROWS)):
        require_again(again, alone, "images while another thread asks")


def sampler_checks() -> list[tuple[str, Check[Sampler]]]:
    """Name and function of each check of tier 1; a function raises AssertionError on failure.

    >>> [name for name, _ in sampler_checks()][:2]
    ['identity_is_json', 'latents_by_index']
    """
    return checks_in(__name__)
