"""Whether two sets of images have the same resolution, found out from the pictures themselves.

Guarantees: what is measured does not depend on the order of the images nor on how they are stored;
a set that was merely enlarged is found out (its spectrum ends where the small picture's did); a
soft set of full size is not, unless half of the detail is missing; a handful of images never makes
a claim about detail that chance could make.

The detail of an image is the smallest shorter side r at which it would lose at most 1 % of its
variance: the share of the Hann-windowed power spectrum of its luminance beyond r / 2 cycles along
a side (the sampling theorem; windows: Harris 1978). Photographs have about equal variance in every
octave (Field 1987), so that their last octave holds far more than that, and an enlarged picture's
holds nearly nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeingkit.contracts import ImageSource
from seeingkit.images import quantise
from seeingkit.results import ResolutionResult, SideResolution
from seeingkit.tallies.counted import CountedSource
from seeingkit.tallies.counting import narrowed

IMAGES = 64
"""Images looked at on each side: enough for a median, and read in a second."""

LOST = 0.01
"""Share of an image's variance that it may lose. Measured on photographs shrunk to 64, 128 and 192
pixels and enlarged to 256: the median detail is 62, 108 and 184, of the photographs 244."""

MISMATCH = 1.6
"""Ratio of the two sides' medians from which they do not match. Halving the resolution of church,
street and facade photographs divided their detail by 2.3, 2.1 and 2.0; photographs of these three
sets differed by at most 1.3. This is the middle of the gap."""

CHANCE = 0.01
"""p-value of a rank test that a claim about detail must pass, so that few images claim nothing."""

FLAT = 2.0
"""Standard deviation (grey levels of 255) below which an image has nothing to measure."""

_LOWEST = 4  # r up to here is the window's own width, not the image


def image_detail(pixels: NDArray[Any]) -> int | None:
    """Shorter side at which an image would lose at most 1 % of its variance.

    Args:
        pixels: (H, W) luminance or (H, W, 3) RGB, levels 0 to 255.

    Returns:
        1 to min(H, W), or None for a picture below 16 pixels or without contrast.
    """
    grey = np.asarray(pixels, dtype=np.float64)
    if grey.ndim == 3:
        grey = grey @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    side = int(min(grey.shape))
    if side < 16 or grey.std() < FLAT:
        return None
    detail = _by_spectrum(grey)
    for repeat in range(side // 8, 1, -1):  # the largest first: it gives the smallest side
        if side // repeat < detail and _is_repeated(grey, repeat):
            return side // repeat
    return detail


def _by_spectrum(grey: NDArray[np.float64]) -> int:
    """Where the spectrum ends."""
    height, width = grey.shape
    side = min(height, width)
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    centred = (grey - (grey * window).sum() / window.sum()) * window
    power = np.abs(np.fft.rfft2(centred)) ** 2
    power[:, 1 : (width + 1) // 2] *= 2  # the half that rfft2 leaves out
    cycles = np.maximum(
        np.abs(np.fft.fftfreq(height))[:, None], np.abs(np.fft.rfftfreq(width))[None, :]
    )
    # An image of side r holds frequencies up to r / 2 cycles over that side.
    needed = np.ceil(cycles * 2 * side - 1e-9).astype(np.intp)
    held = np.bincount(needed.ravel(), weights=power.ravel(), minlength=side + 1)
    held[: _LOWEST + 1] = 0
    total = held.sum()
    if total <= 0:
        return _LOWEST
    lost = total - np.cumsum(held)
    return int(np.argmax(lost <= LOST * total))


def _is_repeated(grey: NDArray[np.float64], repeat: int) -> bool:
    """Whether the picture is a small one with each pixel repeated, whose spectrum has no end."""
    rows, columns = (length - length % repeat for length in grey.shape)
    blocks = grey[:rows, :columns].reshape(rows // repeat, repeat, columns // repeat, repeat)
    within = blocks - blocks.mean(axis=(1, 3), keepdims=True)
    return bool((within**2).mean() <= LOST * grey.var())


@dataclass(frozen=True)
class _Side:
    """What the images of one side measure; all arrays have one entry per image."""

    stored: NDArray[np.float64]  # NaN where unknown
    detail: NDArray[np.float64]  # NaN where there is none
    size: int  # shorter side after the preset

    @property
    def bound(self) -> NDArray[np.float64]:
        """The most that an image can hold: as stored, or as the preset left it."""
        return np.fmin(self.stored, self.size)

    @property
    def effective(self) -> NDArray[np.float64]:
        """What an image holds; images that cannot be measured are left out."""
        return np.fmin(self.bound, self.detail)[np.isfinite(self.detail)]

    @property
    def typical(self) -> float:
        return float(np.median(self.effective if len(self.effective) else self.bound))

    def record(self) -> SideResolution:
        return SideResolution(
            stored=_median(self.stored), detail=_median(self.detail), images=len(self.detail)
        )


def compare_resolution(
    real: ImageSource, generated: ImageSource, *, images: int = IMAGES, seed: int = 0
) -> ResolutionResult | None:
    """Do both sides hold the same detail? A segmenter reads texture by its scale.

    Args:
        real, generated: sources with pictures, after the preset of the comparison.
        images: how many of each side are looked at, drawn with ``seed``.

    Returns:
        Medians of both sides and, in ``reason``, what to do when they do not match; None where a
        side has no pictures (its areas were counted elsewhere) or none that can be read.

    A mismatch is claimed when what the files can hold differs by a factor of ``MISMATCH``, or when
    the measured detail does and a rank test (Mann & Whitney 1947) rules chance out.
    """
    a, b = (_measure(source, images, seed) for source in (real, generated))
    if a is None or b is None:
        return None
    mismatch = _apart(np.median(a.bound), np.median(b.bound)) or _detail_differs(a, b)
    found = (a.record(), b.record())
    reason = _reason(a, b, *found) if mismatch else ""
    return ResolutionResult(real=found[0], generated=found[1], mismatch=mismatch, reason=reason)


def _measure(source: ImageSource, images: int, seed: int) -> _Side | None:
    if isinstance(source, CountedSource):
        return None
    chosen = narrowed(source, min(images, len(source)), seed)
    loaded, good, _ = chosen.load(range(len(chosen)))
    if loaded is None:
        return None
    levels = quantise(loaded).cpu().numpy()
    detail = [image_detail(picture) for picture in levels]
    stored = [chosen.stored_side(index) for index in good]
    # None becomes NaN.
    known = [np.array(values, dtype=np.float64) for values in (stored, detail)]
    return _Side(known[0], known[1], int(min(levels.shape[1:3])))


def _detail_differs(a: _Side, b: _Side) -> bool:
    x, y = a.effective, b.effective
    if min(len(x), len(y)) < 2 or not _apart(np.median(x), np.median(y)):
        return False
    from scipy import stats

    return bool(stats.mannwhitneyu(x, y, method="asymptotic").pvalue <= CHANCE)


def _apart(a: float, b: float) -> bool:
    return bool(max(a, b) >= MISMATCH * min(a, b))


def _reason(a: _Side, b: _Side, real: SideResolution, generated: SideResolution) -> str:
    lower = min(a, b, key=lambda side: side.typical)
    # What the files can hold is exact; measured detail falls a little short of it.
    held = float(np.median(lower.bound))
    wanted = round(held) if held < lower.size else int(-(-lower.typical // 8) * 8)
    return (
        f"The real images {_words(real)}, the generated ones {_words(generated)}; a segmenter "
        f"reads texture by its scale, so classes may differ for that alone: bring both to "
        f"{wanted} px (--preset paper@{wanted})."
    )


def _words(side: SideResolution) -> str:
    parts = []
    if side.stored is not None:
        parts.append(f"are {side.stored} px as stored")
    if side.detail is not None:
        parts.append(f"hold the detail of {side.detail} px")
    return " and ".join(parts) or "cannot be measured"


def _median(values: NDArray[np.float64]) -> int | None:
    known = values[np.isfinite(values)]
    return round(float(np.median(known))) if len(known) else None
