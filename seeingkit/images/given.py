"""The images that an image-to-image model is given: opened by name, and enough of them.

Guarantees: they are square, of the size the model takes, prepared as preset ``paper`` prepares
photos; their fingerprint covers every pixel.
"""

from __future__ import annotations

from seeingkit.contracts import ImageSource, Sampler
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.specs import PRESETS, SourceOptions

from .opening import open_images


def open_given(options: SourceOptions) -> ImageSource | None:
    """The images that options name, at the size that they say; None where they name none.

    Args:
        options: ``source`` is a data set, a path or a pattern, as of ``open_images``.

    Raises:
        SourceError: nothing is there, or nothing that can be used.

    >>> open_given(SourceOptions(source="minichurches", resolution=32)).read([0]).shape
    torch.Size([1, 3, 32, 32])
    """
    if options.source is None:
        return None
    preset = PRESETS["paper"].model_copy(update={"size": options.resolution})
    return open_images(options.source, preset=preset)


def check_enough(sampler: Sampler, n: int, seed: int = 0, *, apart: bool = False) -> None:
    """A model that translates images was given as many as are asked for.

    Args:
        sampler: any; one that draws its latents has images without end.
        n: how many.
        seed: of the series.
        apart: whether they must be others than those that something is chosen on.

    Raises:
        UsageError: there are too few, or none was given.

    >>> check_enough(seeingkit.load_generator("progan:minichurches"), 10**6)
    """
    if not sampler.translates:
        return
    if sampler.given is None:
        raise UsageError(
            f"{sampler.info.family} translates images: say which with source=PATH "
            "(--gan-option source=PATH)"
        )
    series = further_seed(0, Series.EFFECT) if apart else seed
    most = sampler.images_at_most(series) or 0
    if n > most:
        half = most < len(sampler.given)
        why = ", of which half are kept for what is chosen on others than it is measured on"
        raise UsageError(
            f"{n:,} images asked for, {most:,} can be translated: {sampler.given.name} has "
            f"{len(sampler.given):,}{why if half else ''}; ask for fewer or give more images"
        )
