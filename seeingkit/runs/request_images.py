"""The images that a request for an edit numbers, of a generator that translates images.

Guarantees: a number beyond the images that are there is refused before any work, as are more images
to measure on than there are; where the effect would be measured on an image that the request was
painted on, it is said.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from seeingkit.analyses.rewriting.regions import PhotoRegion, Request
from seeingkit.contracts import Sampler
from seeingkit.contracts.given import given_numbers
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.images.given import check_enough

log = logging.getLogger(__name__)


def check_request_images(
    generator: Sampler, requests: Sequence[Request], n: int, seed: int
) -> None:
    """Check the numbers of images of requests, and of the images that effects are measured on.

    Args:
        generator: any; one that draws its latents has images without end.
        requests: of edits, whose seeds are those of their images.
        n: images that the effect is measured on; 0: none.
        seed: of the run.

    Raises:
        UsageError: there are not so many images to translate.

    ::

        check_request_images(generator, [request], 100, 0)
    """
    if not generator.translates:
        return
    fresh = further_seed(seed, Series.REWRITTEN)
    check_enough(generator, n, fresh)
    assert generator.given is not None  # check_enough refused that
    count, measured = len(generator.given), set[int]()
    if n:
        measured = set(given_numbers(count, range(n), fresh))
    both: dict[str, None] = {}
    for request in requests:
        for region in (request.copy, request.paste, *request.context):
            if isinstance(region, PhotoRegion):
                continue
            generator.check_number(region.index, request.seed)
            (number,) = given_numbers(count, [region.index], request.seed)
            if number in measured:
                both[str(generator.given.ids[number])] = None
    if both:
        log.warning(
            "the effect is also measured on images of the request, which are no fresh ones: %s "
            "(paint on images of 'seeingkit edit', which are others)",
            ", ".join(both),
        )
