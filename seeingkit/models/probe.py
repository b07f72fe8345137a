"""The identity of models whose code is part of them: any ``nn.Module``, a user's function.

The hash of a network's tensors does not cover its code. So the images of a few fixed latents are
hashed too: a changed program draws other images, and its stored tallies are not found again.

Guarantees: generators whose probe images differ by more than a fraction of a grey level have
different hashes; machines, devices and thread counts that round differently give the same one but
for about one hash in 200 (the images are then counted anew, never wrongly reused). A sampler whose
images change from call to call is refused.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from types import CodeType
from typing import Any, TypeVar

import numpy as np
import torch

from seeingkit.contracts import Latent, ModelInfo, Sampler
from seeingkit.contracts.given import SmoothImages
from seeingkit.errors import ModelError

ROWS = 4
"""Images in a probe."""

PROJECTIONS = 4
"""Random signed sums of all pixels; each moves as much as the images do, root mean square."""

GRID = 1e-3
"""Sums are rounded to it: an eighth of a grey level of 8 bits, a thousand times float rounding."""

S = TypeVar("S", bound=Sampler)


def images_sha256(sampler: Sampler) -> str:
    """Hash of the images of latents 0 to 3 (one class after the other, if conditional).

    >>> sampler = seeingkit.load_generator("progan:minichurches")
    >>> images_sha256(sampler) == images_sha256(sampler)
    True

    Raises:
        ModelError: the images change from call to call.
    """
    latent = trial_latents(sampler, range(ROWS))
    with torch.no_grad():
        first, again = (
            sampler({name: value.to(sampler.device) for name, value in latent.items()}).cpu()
            for _ in range(2)
        )
    if not torch.allclose(first, again, rtol=1e-4, atol=1e-4, equal_nan=True):
        raise ModelError(
            f"{sampler.info.family}: images change from call to call; make noise constant"
        )
    pixels = first.double().flatten().nan_to_num().numpy()
    signs = np.random.RandomState(0).choice([-1.0, 1.0], (PROJECTIONS, len(pixels)))
    sums = np.rint(signs @ pixels / np.sqrt(len(pixels)) / GRID).astype(np.int64)
    return hashlib.sha256(f"{tuple(first.shape)} {sums.tolist()}".encode()).hexdigest()


def labels_in_turn(sampler: Sampler, indices: Sequence[int]) -> list[int] | None:
    """A label for each index, so that a row keeps its label in any batch."""
    classes = len(sampler.info.class_names)
    return [i % classes for i in indices] if classes else None


def trial_latents(sampler: Sampler, indices: Sequence[int], seed: int = 0) -> Latent:
    """Latents to try a sampler on, labels in turn; made pictures where it was given none.

    >>> sampler = seeingkit.load_generator("progan:minichurches")
    >>> trial_latents(sampler, [0, 1])["z"].shape
    torch.Size([2, 128])
    """
    latent = on_trial(sampler).latents(indices, seed=seed, labels=labels_in_turn(sampler, indices))
    return dict(latent)


def on_trial(sampler: S) -> S:
    """The sampler, or one like it with made pictures where it translates images and has none.

    >>> sampler = seeingkit.load_generator("progan:minichurches")
    >>> on_trial(sampler) is sampler
    True
    """
    if not sampler.translates or sampler.given is not None:
        return sampler
    part = next(part for part in sampler.info.latent if part.distribution == "image")
    tried = copy.copy(sampler)
    tried.given = SmoothImages((part.shape[1], part.shape[2]))
    return tried


def identify(sampler: S) -> S:
    """Put the hash of its images into a sampler's info; returns the sampler."""
    put_info(sampler, sampler.info.model_copy(update={"images_sha256": images_sha256(sampler)}))
    return sampler


def put_info(model: Any, info: ModelInfo) -> None:
    """Replace the info of a loaded model, also where it is a property or the class is frozen."""
    try:
        object.__setattr__(model, "info", info)
    except AttributeError:  # a property: a subclass has the info as it is now
        model.__class__ = type(type(model).__name__, (type(model),), {"info": info})


def code_digest(function: Callable[..., Any]) -> str:
    """Short hash of a function's code, defaults and enclosed numbers and texts.

    >>> code_digest(lambda x: 2 * x) == code_digest(lambda x: 3 * x)
    False
    """
    digest = hashlib.sha256()
    for part in _parts(function):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def _parts(function: Callable[..., Any]) -> Iterator[str]:
    yield f"{type(function).__qualname__} {getattr(function, '__qualname__', '')}"
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return
    yield from _code_parts(code)
    enclosed = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    for value in (*enclosed, *(getattr(function, "__defaults__", None) or ())):
        plain = isinstance(value, (bool, int, float, complex, str, bytes, tuple, type(None)))
        yield repr(value) if plain else type(value).__qualname__


def _code_parts(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _code_parts(value)
        else:
            yield repr(value)
