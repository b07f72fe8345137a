"""A monitor of a training: how far the generator's images are from real ones, check by check.

Guarantees: the numbers are those of ``compare`` on the same images saved as PNG files under their
numbers; they depend on the images, their numbers and the seed, and not on batches, order or
processes; no random stream of the training is touched. All names and settings are checked, and the
real images are counted, before the training begins.
"""

from __future__ import annotations

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.analyses.comparison.compare import Comparison, check_settings, compare
from seeingkit.analyses.comparison.defaults import PERMUTATIONS
from seeingkit.contracts import Annotator, ImageSource
from seeingkit.errors import TallyError, UsageError
from seeingkit.images import open_images
from seeingkit.images.batch import Range
from seeingkit.models.code import identity_of
from seeingkit.models.loading import data_spec, load_annotator
from seeingkit.models.registry import find_preset
from seeingkit.results.monitoring import TrainingCheck
from seeingkit.specs import PRESETS, Preset
from seeingkit.tallies import ChunkStore, Tally, tally
from seeingkit.tallies.batches import BatchTally
from seeingkit.tallies.counting import narrowed

from .analyze import comparison_config
from .plan import Plan, resolve_source
from .sides import DEFAULT_N, all_equally_many, located, open_side

Real = str | Path | ImageSource | Tally
"""Real images: the name of a data set, a path or pattern, opened images, or their tally."""


class Monitor:
    """Compares batches of generated images with real images.

    Args:
        real: a data set's name, a path or pattern, as ``seeingkit compare`` takes them; opened
            images; or a tally of this segmenter.
        segmenter: ``family`` or ``family:weights``, or a loaded one; default: the data set's own.
        n: real images that are counted; default: as ``seeingkit compare``.
        range: of floating-point images; uint8 images are levels.
        checks: how many checks are planned: each then has this part of ``level``, so that all
            together keep it.
        level: false discovery rate of the missing classes, of all checks that are planned.
        seed: of the choice of images and of the permutations.
        permutations: behind p-value and interval of the distance; 0: neither.
        preset: of both sides; default: the real images' own.
        device: where a segmenter that is named computes.
        batch_size: images segmented at once.
        store: where chunks of the real tally go; default: the cache.

    Raises:
        UsageError, UnknownNameError: a name or a setting that cannot be right.
        SourceError: real images that cannot be used.
        TallyError: a tally of another segmenter or preset.
        MissingWeightsError: a segmenter whose weights are not here.

    >>> tiles = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    >>> monitor = Monitor("minichurches", n=8, permutations=0)
    >>> monitor.update(tiles)
    >>> check = monitor.compute()
    >>> check.images, check.fsd.value > check.fsd.floor
    (8, True)
    """

    def __init__(
        self,
        real: Real,
        segmenter: str | Annotator | None = None,
        *,
        n: int | None = None,
        range: Range = "-1..1",
        checks: int = 1,
        level: float = 0.05,
        seed: int = 0,
        permutations: int = PERMUTATIONS,
        preset: str | Preset | None = None,
        device: str = "cpu",
        batch_size: int = 16,
        store: ChunkStore | str | None = None,
    ) -> None:
        check_settings(seed, permutations, level)
        if checks < 1:
            raise UsageError(f"{checks} checks cannot be planned; say at least 1")
        if n is not None and n < 2:
            raise UsageError(f"n = {n}: a comparison needs at least 2 real images")
        self.level, self.seed, self.permutations = level / checks, seed, permutations
        wanted = None if preset is None else find_preset(preset)
        named = {"n": n, "seed": seed, "device": device, "batch_size": batch_size}
        source, annotator, found = _opened(real, segmenter, wanted, named)
        self.batches = BatchTally(annotator, found, range=range, batch_size=batch_size)
        if isinstance(source, Tally):
            self.real = _fitting(source, annotator, found)
        else:
            own = nullcontext() if isinstance(real, ImageSource) else closing(source)
            with own:  # images that the user opened stay open
                self.real = tally(source, annotator, store=store, batch_size=batch_size)
        self.number = 0
        self.reset()

    def __repr__(self) -> str:
        return f"Monitor({len(self.real):,} real images, {len(self.batches):,} generated so far)"

    def reset(self) -> None:
        """Forget the generated images: the next check begins. Checks stay counted."""
        self.batches.reset()
        self._numbered: bool | None = None  # whether ids are given; None: no image yet

    def update(self, images: Tensor | NDArray[np.uint8], ids: Any = None) -> None:
        """Count the labels of some images; the images themselves are not kept.

        Args:
            images: a tensor (N, 3, H, W), floating point in the range or uint8, or an array
                (N, H, W, 3) of uint8.
            ids: N whole numbers; an image that comes twice counts once. Default: in turn from 0 on.

        Raises:
            SourceError, ModelError: images of another shape, kind or range.
            UsageError: ids once given and once not.
        """
        given = ids is not None
        self._check_numbered(given)
        if not given:
            start = len(self.batches)
            ids = np.arange(start, start + len(images))
        self.batches.add(self.batches.count(images, ids))
        self._numbered = given

    def merge(self, other: Monitor) -> None:
        """Take over the images of another monitor: then this one has seen both's.

        Images without given ids are numbered on after this one's.

        Raises:
            TallyError: it counts with another segmenter or preset.
            UsageError: ids were given to one of both.
        """
        ours, theirs = (_counted_with(each.batches) for each in (self, other))
        if ours != theirs:
            raise TallyError("the monitors count with different segmenters or presets")
        rows = other.batches.rows()
        if len(rows):
            given = bool(other._numbered)
            self._check_numbered(given)
            if not given:
                rows[:, 0] += len(self.batches)
            self.batches.add(rows)
            self._numbered = given

    def compare(self) -> Comparison:
        """The comparison with the real images, whose classes have all numbers (no new check).

        Raises:
            TallyError: fewer than two images that can be used.
        """
        (real, generated), note = all_equally_many((self.real, self.batches.tally()), self.seed)
        found = compare(
            real,
            generated,
            seed=self.seed,
            level=self.level,
            permutations=self.permutations,
            evidence=False,
        )
        doubt = self.batches.range.doubt()
        warnings = [*filter(None, (doubt, note)), *found.results.warnings]
        results = found.results.model_copy(update={"warnings": warnings})
        return Comparison(found.real, found.generated, results)

    def compute(self) -> TrainingCheck:
        """Compare all images since ``reset`` with the real ones: one more check.

        Raises:
            TallyError: fewer than two images that can be used.
        """
        found = self.compare()
        self.number += 1
        return TrainingCheck(
            images=found.results.n_generated,
            real_images=found.results.n_real,
            skipped=len(found.generated.skipped),
            fsd=found.fsd,
            missing=found.omitted,
            level=self.level,
            number=self.number,
            level_so_far=min(1.0, self.number * self.level),
            warnings=found.results.warnings,
        )

    def _check_numbered(self, given: bool) -> None:
        if self._numbered not in (None, given):
            raise UsageError("give ids for all images since reset(), or for none")


def _opened(
    real: Real, segmenter: str | Annotator | None, preset: Preset | None, named: dict[str, Any]
) -> tuple[ImageSource | Tally, Annotator, Preset]:
    """The real images, what counts them, and the preset of both sides.

    Args:
        named: settings of the real side: n, seed, device, batch_size.
    """
    if isinstance(real, Tally | ImageSource):
        if segmenter is None:
            raise UsageError("say which segmenter counts: Monitor(real, segmenter)")
        own = real.record.preset if isinstance(real, Tally) else real.preset
        if own is not None and preset is not None and own.identity() != preset.identity():
            raise UsageError(f"preset {preset.name}: the real images have preset {own.name}")
        preset = own or preset
        if preset is None:
            raise UsageError("say how the real images were prepared: Monitor(…, preset=…)")
        if isinstance(real, Tally) and named["n"] is not None:
            raise UsageError("n is for images that are yet to be counted; use tally.take(rows)")
        annotator = (
            load_annotator(segmenter, device=named["device"])
            if isinstance(segmenter, str)
            else segmenter
        )
        source = real if isinstance(real, Tally) else narrowed(real, named["n"], named["seed"])
        return source, annotator, preset
    name = str(real)
    if segmenter is None or isinstance(segmenter, str):
        plan = located(_plan(name, segmenter, preset, named))
        assert plan.segmenter is not None  # located names what is missing
        source = open_side(plan.generated, plan)
        return source, plan.segmenter.load(plan.device), plan.preset
    opened = open_images(name, preset=preset)
    data = data_spec(name)
    most = DEFAULT_N if data is None else data.n
    source = narrowed(opened, named["n"] or min(len(opened), most), named["seed"])
    return source, segmenter, source.preset or PRESETS["paper"]


def _plan(name: str, segmenter: str | None, preset: Preset | None, named: dict[str, Any]) -> Plan:
    """The plan of a tally of the real images, with its faults found."""
    chosen = None if preset is None else preset.name
    return resolve_source(
        comparison_config(name, name, segmenter=segmenter, preset=chosen, **named)
    )


def _counted_with(batches: BatchTally) -> tuple[dict[str, Any], dict[str, Any]]:
    return identity_of(batches.annotator), dict(batches.preset.identity())


def _fitting(real: Tally, annotator: Annotator, preset: Preset) -> Tally:
    """A tally whose numbers mean the same as those of this annotator.

    Raises:
        TallyError: says what differs.
    """
    if real.vocabulary != annotator.vocabulary:
        raise TallyError(
            f"the real tally has {len(real.vocabulary)} labels, {annotator.info.family} "
            f"{len(annotator.vocabulary)} (or others); tally the real images with this segmenter"
        )
    identity = real.identity
    if identity is not None:
        ours = (identity_of(annotator), dict(preset.identity()))
        theirs = (identity.segmenter, identity.preset or ours[1])
        for what, a, b in zip(("segmenter", "preset"), ours, theirs, strict=True):
            different = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
            if different:
                raise TallyError(
                    f"the real tally differs in {what} ({', '.join(different)}); tally the real "
                    "images with this one"
                )
    if len(real) < 2:
        raise TallyError(f"the real tally has {len(real)} images; at least 2 are needed")
    return real
