"""A hash of a few images, so that two generators that hold different code are never taken for one.

The hash of a network's tensors does not cover its code. Where the code is part of the model (any
``nn.Module``, a user's function), its images of fixed latents are hashed too: a changed program
draws other images, so its stored tallies are not found again. The images are made on one thread;
a machine that rounds otherwise gives another hash, and counts anew.
"""

from __future__ import annotations

import hashlib

import torch

from seeingkit.contracts import GeneratorInfo, Sampler

ROWS = 4
"""Images in a probe."""


def images_sha256(sampler: Sampler) -> str:
    """SHA-256 of the float32 images of latents 0 to 3 (one class after the other, if conditional).

    >>> sampler = seeingkit.load_generator("progan:minichurches")
    >>> images_sha256(sampler) == images_sha256(sampler)
    True
    """
    classes = len(sampler.info.class_names)
    labels = [i % classes for i in range(ROWS)] if classes else None
    latent = sampler.latents(range(ROWS), labels=labels)
    digest = hashlib.sha256()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.no_grad():
            images = sampler({name: value.to(sampler.device) for name, value in latent.items()})
    finally:
        torch.set_num_threads(threads)
    digest.update(f"{images.dtype} {tuple(images.shape)} ".encode())
    digest.update(images.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def identified(sampler: Sampler) -> GeneratorInfo:
    """The info of a sampler with the hash of its images."""
    return sampler.info.model_copy(update={"images_sha256": images_sha256(sampler)})
