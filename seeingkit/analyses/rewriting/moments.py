"""Second moments of the keys of a site: C = E[k kᵀ] over all places of many images.

Guarantees: float64, not centred; made in parts of ``PART`` images that add up, each a sealed file
named by everything that changes it (generator, latents, site, images), so that a stale one is never
met; any number of processes share the parts.

A convolution's key is either the vector at one place (C_in numbers), as in the original, or the
patch that the kernel covers (C_in kh kw numbers), for which W0 + Λ (C⁻¹ k)ᵀ is the exact least
change (ECCV 2020, equations 6 to 8) also where the kernel is larger than 1 x 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import RewritableGenerator, Site
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.code import identity_of
from seeingkit.system.addresses import Place
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.digests import key_of
from seeingkit.system.progress import progress_bar
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, write_sealed_tensors

from ..interventions.subjects import Sample

PART, BATCH = 64, 16
"""Images of a part, and at once."""
MOMENT_SCHEMA = 1
KEY = "seeingkit_moments"
FLOOR = 1e-9
"""Directions whose moment is below this share of the greatest are left out of inverses."""
WIDEST_PATCH = 4608
"""Numbers of a patch of which moments are taken; their matrix has 170 MB."""


@dataclass(frozen=True, eq=False)
class KeyMoments:
    """Sums of k kᵀ.

    Attributes:
        count: keys in the sum.
        second: (D, D) float64; D = C_in, or C_in kh kw of patches (as ``torch.nn.Unfold``).
        channels: C_in.
        made_of: digest of the generator and the site; empty: unknown.
        sample: the images; None: unknown.

    >>> moments = KeyMoments.of(torch.randn(2, 3, 8, 8))
    >>> moments.count, tuple((moments + moments).covariance.shape)
    (128, (3, 3))
    """

    count: int
    second: Tensor
    channels: int
    made_of: str = ""
    sample: Sample | None = None

    @staticmethod
    def of(keys: Tensor, kernel: tuple[int, int] = (1, 1)) -> KeyMoments:
        """Of keys (N, C, h, w); of the patches around each place for a kernel above 1 x 1."""
        padding = (kernel[0] // 2, kernel[1] // 2)
        rows = F.unfold(keys.detach().double(), kernel, padding=padding)
        rows = rows.transpose(0, 1).flatten(1)
        return KeyMoments(rows.shape[1], (rows @ rows.T).cpu(), keys.shape[1])

    def __add__(self, other: KeyMoments) -> KeyMoments:
        if (self.made_of, self.second.shape) != (other.made_of, other.second.shape):
            raise UsageError("moments of other keys cannot be added")
        summed = self.second + other.second
        return KeyMoments(self.count + other.count, summed, self.channels, self.made_of)

    def check(self, generator: RewritableGenerator, site: Site) -> None:
        """Refuse moments of other keys.

        Raises:
            UsageError: of another generator (other edits, too), site or size.
        """
        known = not self.made_of or self.made_of == keys_identity(generator, site)
        if self.channels != site.rank or not known:
            raise UsageError(
                f"these are moments of other keys than those of {site.name!r} of this generator; "
                "make them anew"
            )

    @property
    def covariance(self) -> Tensor:
        """C, (D, D) float64; not centred."""
        return self.second / self.count

    @property
    def patch(self) -> int:
        """Places of a patch: kh kw, or 1."""
        return len(self.second) // self.channels

    def of_places(self) -> KeyMoments:
        """The moments of single places: of patches those of their middle, else the same.

        >>> KeyMoments.of(torch.randn(2, 3, 8, 8), (3, 3)).of_places().second.shape
        torch.Size([3, 3])
        """
        if self.patch == 1:
            return self
        middle = slice(self.patch // 2, None, self.patch)
        return replace(self, second=self.second[middle, middle])

    @property
    def effective_rank(self) -> float:
        """exp of the entropy of the eigenvalues as shares (Roy and Vetterli, EUSIPCO 2007)."""
        values = torch.linalg.eigvalsh(self.covariance).clamp_min(0)
        shares = values / values.sum()
        shares = shares[shares > 0]
        return float(torch.exp(-(shares * shares.log()).sum()))

    def power(self, exponent: float, floor: float | None = FLOOR) -> Tensor:
        """C to a power, (D, D) float64, by its eigenvectors.

        Args:
            exponent: -1 for C⁻¹, -0.5 for the whitening that is symmetric (ZCA).
            floor: eigenvalues below this share of the greatest are dropped; None: they count
                as 1e-40, as in the original, which amplifies them.
        """
        values, vectors = torch.linalg.eigh(self.covariance)
        if floor is None:
            powers = values.clamp_min(1e-40).pow(exponent)
        else:
            kept = values > floor * values[-1]
            powers = torch.where(kept, values.clamp_min(1e-300).pow(exponent), 0)
        found: Tensor = (vectors * powers) @ vectors.T
        return found


def keys_identity(generator: RewritableGenerator, site: Site) -> str:
    """Digest of all that changes the keys of given latents at a site.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> len(keys_identity(generator, generator.site("r16.conv1")))
    32
    """
    return key_of(MOMENT_SCHEMA, identity_of(generator), site.name)


def patch_of(site: Site) -> tuple[int, int]:
    """The kernel whose patches are keys of a site: 1 x 1 unless it is a plain convolution.

    >>> patch_of(Site("a", "b", "a", "w", (4, 4, 3, 3), keys=(8, 8), values=(8, 8)))
    (3, 3)
    """
    height, width = site.shape[2:]
    plain = site.layout == "convolution" and site.keys == site.values
    odd = height % 2 == width % 2 == 1
    fits = site.shape[1] * height * width <= WIDEST_PATCH
    return (height, width) if plain and odd and fits else (1, 1)


def key_moments(
    generator: RewritableGenerator,
    site: Site,
    sample: Sample,
    *,
    patch: bool = False,
    folder: Place | None = None,
) -> KeyMoments:
    """Moments of the keys of a site over the images of a sample.

    Args:
        generator: of tier 3.
        site: of it.
        sample: of images.
        patch: of patches, where ``patch_of`` has one for the site.
        folder: where parts are stored and met again; None: nowhere.

    Raises:
        UsageError: fewer keys than numbers in one, so that C cannot have an inverse.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> key_moments(generator, generator.site("r16.conv1"), Sample(range(2))).count
    512
    """
    kernel = patch_of(site) if patch else (1, 1)
    source = SamplerSource(generator, max(sample.indices) + 1, sample.seed, sample.labels or None)
    places = site.keys[0] * site.keys[1] * len(sample)
    if places < site.shape[1] * kernel[0] * kernel[1]:
        raise UsageError(
            f"{len(sample)} images have {places:,} keys at {site.name!r}, fewer than a key has "
            f"numbers ({site.shape[1] * kernel[0] * kernel[1]:,}): take more images"
        )

    @torch.no_grad()
    def made(images: list[int]) -> KeyMoments:
        found: KeyMoments | None = None
        for start in range(0, len(images), BATCH):
            latent = source.latent(images[start : start + BATCH])
            state = generator.advance(generator.begin(latent), site.before)
            more = KeyMoments.of(generator.keys(state, site), kernel)
            found = more if found is None else found + more
        assert found is not None
        return found

    indices = [int(index) for index in sample.indices]
    parts = [indices[start : start + PART] for start in range(0, len(indices), PART)]
    identity = [MOMENT_SCHEMA, source.identity(), identity_of(generator), site.name, kernel]
    with progress_bar(f"keys of {site.name}", len(indices), "images") as bar:
        if folder is None:
            found = []
            for part in parts:
                found.append(made(part))
                bar.advance(len(part))
        else:
            found = _stored(folder, identity, parts, site.shape[1], made, bar.advance)
    whole = reduce(KeyMoments.__add__, found)
    return replace(whole, made_of=keys_identity(generator, site), sample=sample)


def _stored(
    folder: Place,
    identity: list[Any],
    parts: list[list[int]],
    channels: int,
    made: Callable[[list[int]], KeyMoments],
    advance: Callable[..., None],
) -> list[KeyMoments]:
    keys = [key_of(*identity, part) for part in parts]
    paths = [folder / key[:2] / f"{key}.safetensors" for key in keys]
    found: dict[int, KeyMoments] = {}

    def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> KeyMoments:
        second = tensors["second"]
        if second.ndim != 2 or second.shape[0] != second.shape[1] or len(second) % channels:
            raise ValueError("its matrix is of other keys than its name says")
        return KeyMoments(int(about["count"]), second, channels)

    def is_done(k: int) -> bool:
        if k not in found:
            there = read_or_set_aside(paths[k], KEY, made_of)
            if there is not None:
                found[k] = there
                advance(len(parts[k]), resumed=True)
        return k in found

    words = [f"keys of images {part[0]} to {part[-1]}" for part in parts]
    pieces = [Piece(key, text) for key, text in zip(keys, words, strict=True)]
    for (k,) in shared(pieces, Claims(folder / CLAIMS), is_done):
        found[k] = made(parts[k])
        about = {"name": keys[k], "schema": MOMENT_SCHEMA, "count": found[k].count}
        write_sealed_tensors(paths[k], {"second": found[k].second}, KEY, about)
        advance(len(parts[k]))
    return [found[k] for k in range(len(parts))]
