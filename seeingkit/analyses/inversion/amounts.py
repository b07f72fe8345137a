"""How many samples of a generator are inverted, where a generator has only so many.

Guarantee: of a generator that translates images, no image is inverted twice, and no sample has a
patch of its own image; where fewer are inverted than were asked for, a sentence says so.
"""

from __future__ import annotations

from seeingkit.contracts import Sampler

from .config import InversionConfig
from .patches import SERIES

FEWEST_PATCHED = 4
"""Images that patched samples are made of, at least: with 3, a patch is of the image that it is in
(``SERIES`` apart, and of both series)."""


def bounded(
    config: InversionConfig, generator: Sampler, seed: int
) -> tuple[InversionConfig, tuple[str, ...]]:
    """The config with as many samples as there are, and what people must know of it.

    Args:
        config: numbers of samples, as they are and with a patch.
        generator: any; one that draws its latents has as many as are asked for.
        seed: of the run.

    >>> bounded(InversionConfig(own=20), seeingkit.load_generator("progan:minichurches"), 0)[1]
    ()
    """
    own, *both = (generator.images_at_most(seed + step * SERIES) for step in (0, 1, 2))
    if own is None:
        return config, ()
    patched = min(most or 0 for most in both)
    if patched < FEWEST_PATCHED:
        patched = 0
    found = {"own": min(config.own, own), "patched": min(config.patched, patched)}
    said = []
    for name, what in (("own", "as they are"), ("patched", "with a patch")):
        if found[name] < (asked := getattr(config, name)):
            there = found[name] or "too few for any"
            said.append(f"of {asked} asked for {what}, {there} can be made")
    if not said:
        return config, ()
    sentence = (
        f"Samples of {generator.info.family} are translations of the images it was given, no image "
        f"twice: {'; '.join(said)}. More images to translate give more."
    )
    return config.model_copy(update=found), (sentence,)
