"""The specs of the built-in adapters: importing this never imports torch.

One entry point (``adapters``) registers them all, on the same road as any third-party plugin.
"""

from __future__ import annotations

from seeingkit.specs import Register, hookimpl

from . import (
    ali,
    bigbigan,
    biggan,
    dcgan,
    features,
    module,
    progan,
    resnet_gan,
    sagan,
    segmenters,
    semseg,
    stylegan,
    stylegan1,
    stylegan2,
    stylegan3,
    transformers,
    translation,
    zoo,
)

FAMILIES = (
    progan,
    stylegan,
    stylegan1,
    stylegan2,
    stylegan3,
    biggan,
    bigbigan,
    ali,
    dcgan,
    resnet_gan,
    sagan,
    module,
    translation,
    segmenters,
    semseg,
    transformers,
    features,
    zoo,
)


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register every built-in family."""
    for family in FAMILIES:
        family.register(register)
