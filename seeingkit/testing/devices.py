"""Checks that a model runs on any device, on a pretended one (``seeingkit.testing.pretended``).

Guarantee: a model that passes makes nothing on the CPU when its tensors and inputs are on a GPU,
gives the same numbers there (within ``BATCH_TOLERANCE``; the pretended device computes as the CPU),
gives gradients, and neither makes the host wait nor sends data in the middle of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seeingkit.contracts import (
    Annotator,
    Features,
    Generator,
    ModelEncoder,
    OnDevice,
    Sampler,
    Segmenter,
)
from seeingkit.errors import UsageError
from seeingkit.system.devices import fetched, sent

from .checks import BATCH_TOLERANCE, Check, draw, named, noise_images, require, require_same
from .pretended import DEVICE, Transfer, pretended_device
from .segmenters import FLIPPED_PIXELS

ROWS = 2
Work = Callable[[Any, Mapping[str, Tensor]], Sequence[Tensor]]
"""One pass of a model on inputs that lie on its device."""


def another_device(subject: OnDevice, images: Tensor) -> None:
    """On another device the model gives the same numbers, from tensors of that device alone."""
    _there(subject, images)


def no_transfers(subject: OnDevice, images: Tensor) -> None:
    """In a pass the host reads nothing of the device, and sends nothing there."""
    found = _there(subject, images)
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    require(not found, f"{found[0].kind} in a pass: {found[0]}{more}" if found else "")


def transfers_of(subject: OnDevice, images: Tensor | None = None) -> list[Transfer]:
    """Reads and uploads in one pass of a model on the pretended device; none is best.

    Args:
        subject: a sampler, annotator, encoder or features, on the CPU; afterwards again.
        images: (N, 3, H, W) in [-1, 1] for a model of images; None: noise of 64 x 64 pixels.

    Raises:
        AssertionError: it gives other numbers there.
        RuntimeError: it computes with tensors of two devices, as torch says it.
        UsageError: another subject, or one that is not on the CPU.

    >>> transfers_of(seeingkit.load_generator("progan:minichurches"))
    []
    """
    return _there(subject, noise_images(ROWS, 64) if images is None else images)


def _there(subject: OnDevice, images: Tensor) -> list[Transfer]:
    """Transfers of a pass there, whose numbers must be those of the pass here."""
    work = _work(subject)
    if subject.device.type != "cpu":
        raise UsageError(f"it is on {subject.device}; the pretended device is for models on a CPU")
    inputs = _inputs(subject, images[:ROWS].cpu())
    wanted = work(subject, inputs)
    with pretended_device() as device:
        try:
            subject.to(DEVICE)
            if subject.device.type == "cpu":  # it has no tensors, and says so
                return []
            given = {name: sent(value, DEVICE) for name, value in inputs.items()}
            results, transfers = list[Tensor](), list[Transfer]()
            for _ in range(2):  # constants that are kept may come with the first pass
                device.transfers.clear()
                results = list(work(subject, given))
                transfers = device.unnamed()
                if not transfers:
                    break
            places = {str(result.device) for result in results}
            found = [fetched(result) for result in results]
        finally:
            subject.to("cpu")
    if isinstance(subject, Segmenter) or not isinstance(subject, Annotator):
        where = ", ".join(sorted(places))
        require(places == {str(DEVICE)}, f"results are on {where}, not on {DEVICE}")
    for k, (there, here) in enumerate(zip(found, wanted, strict=True)):
        if here.is_floating_point():  # batches of a GPU may be other ones, and round otherwise
            require_same(there, here, f"result {k} on another device", BATCH_TOLERANCE)
            continue
        differing = float((there != here).double().mean())
        require(
            differing <= FLIPPED_PIXELS, f"result {k} on another device: {differing:.2%} differ"
        )
    return transfers


def _inputs(subject: OnDevice, images: Tensor) -> Mapping[str, Tensor]:
    return draw(subject, range(ROWS)) if isinstance(subject, Sampler) else {"images": images}


def _work(subject: OnDevice) -> Work:
    """What one pass of a subject is.

    Raises:
        UsageError: it is no model.
    """
    if isinstance(subject, Generator):
        return _image_and_gradient
    for kind, work in _WORK.items():
        if isinstance(subject, kind):
            return work
    raise UsageError(f"a {type(subject).__name__} is no model that runs on a device")


def _image_and_gradient(generator: Generator, latent: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """Images, and the gradient of their squares at the usual cut."""
    plain = generator(latent)
    state = generator.advance(generator.begin(latent), generator.default_cut).detach()
    with torch.enable_grad():
        x = state.x.requires_grad_()
        image = generator.advance(state.with_x(x)).x
        (gradient,) = torch.autograd.grad(image.square().sum(), [x])
    return plain, image.detach(), gradient


def _sampled(sampler: Sampler, latent: Mapping[str, Tensor]) -> Sequence[Tensor]:
    return (sampler(latent),)


def _segmented(segmenter: Segmenter, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """Label maps, scores of two labels, and their gradient in the images."""
    images = inputs["images"]
    labels = sorted({0, len(segmenter.vocabulary) - 1})
    with torch.enable_grad():
        wanted = images.detach().requires_grad_()
        scores = segmenter.scores(wanted, labels)
        (gradient,) = torch.autograd.grad(scores.square().sum(), [wanted])
    with torch.no_grad():
        return segmenter.segment(images), scores.detach(), gradient


def _measured(annotator: Annotator, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
    return (annotator.statistics(inputs["images"]),)


def _featured(features: Features, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """Features, and the gradient of their squares in the images."""
    with torch.enable_grad():
        images = inputs["images"].detach().requires_grad_()
        found = features(images)
        size = torch.stack([x.square().mean() for x in found]).sum()
        (gradient,) = torch.autograd.grad(size, [images])
    return *(x.detach() for x in found), gradient


def _encoded(encoder: ModelEncoder, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
    return tuple(x for x in encoder.estimate(inputs["images"]) if x is not None)


_WORK: Mapping[type, Work] = {
    Sampler: _sampled,
    Segmenter: _segmented,
    Annotator: _measured,
    Features: _featured,
    ModelEncoder: _encoded,
}
"""Of two that fit, the first is the narrower one."""


def device_checks(images: Tensor | None = None) -> list[tuple[str, Check[Any]]]:
    """Name and function of each check of a device; a function raises AssertionError.

    Args:
        images: (N, 3, H, W) float32 in [-1, 1] with N at least 2 for models of images, or None for
            noise of 64 x 64 pixels.

    >>> [name for name, _ in device_checks()]
    ['another_device', 'no_transfers']
    """
    given = noise_images(ROWS, 64) if images is None else images
    return [named(another_device, given), named(no_transfers, given)]
