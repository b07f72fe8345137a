"""The command ``rewrite --sweep``: site, rank and strength of an edit are chosen, not given.

Guarantees: what does not fit is refused before any image is made; the file of the edit appears
whole or not at all, and only where the edit surely does what was asked; counts are stored, so that
a run that was killed goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.interventions.differences import effect
from seeingkit.analyses.rewriting.candidates import fitting_sites
from seeingkit.analyses.rewriting.requestfiles import read_request
from seeingkit.analyses.rewriting.sweep import sweep as swept_edits
from seeingkit.analyses.rewriting.sweep_settings import SweepSettings
from seeingkit.models.weightedits import WeightEdit
from seeingkit.results.effects import Effect
from seeingkit.results.sweeps import SweepResults
from seeingkit.system.addresses import place
from seeingkit.system.cache import cache_folder
from seeingkit.system.writing import refuse_special

from .request_images import check_request_images
from .request_photos import noting, told_nearness, with_photos
from .rewrite import _models
from .sides import shown_segmenter


@dataclass(frozen=True)
class Swept:
    """A sweep that was run.

    Attributes:
        results: all edits that were tried, and the chosen one.
        edit: the chosen one; None where no candidate gains anything.
        path: its file; None where it was not written, because it does not surely do what was asked.
        effect: what it does to every class in fresh images.
    """

    results: SweepResults
    edit: WeightEdit | None
    path: Path | None
    effect: Effect | None


def sweep(
    gan: str | None,
    request: str | Path,
    *,
    out: str | Path,
    n: int = 200,
    wanted: tuple[str, ...] = (),
    image_seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Swept:
    """Choose layer, rank and strength of an edit by trying many, and write it if it does its task.

    Args:
        gan: ``family`` or ``family:weights``; default: the usual generator.
        request: a file as of ``rewrite``.
        out: the file of the edit (safetensors).
        n: fresh images that the chosen edit is measured on.
        wanted: classes that are to appear at matching places; default: those of the copied region.
        image_seed: of the latents that the request numbers; default: that of the file, else 1.
        options: fields of ``SweepSettings`` (sites, ranks, keeps, images, budget, …).
        settings: fields of ``seeingkit.runs.config.Config`` (weights, gan_options, segmenter, …).

    Raises:
        RunError: a request that cannot be read.
        UsageError: a generator without sites, a region that is too small, …
        UnknownNameError: no such site or class.

    ::

        seeingkit.sweep("progan:minichurches", "tree.json", out="tree.safetensors").results.found
    """
    path = Path(out)
    refuse_special(path)
    if path.exists():
        WeightEdit.load(path)  # nothing else is replaced
    given = SweepSettings(**{**(options or {}), "fresh": n})
    generator, models = _models(gan, n, settings)
    assert models is not None  # n is above 0
    asked = settings.get("labels")
    labels = tuple(labels_for(asked, generator) or ()) if asked is not None else None
    task = read_request(Path(request), image_seed, labels)
    check_request_images(generator, [task], n, int(settings.get("seed") or 0))
    fitting_sites(generator, task, given.sites)
    named = () if given.sites == "all" else tuple(given.sites)
    task = with_photos(task, [Path(request).parent], generator, named)
    fitting_sites(generator, task, given.sites)  # those behind the cut of photos
    photos = told_nearness(generator, task)
    segmenter, seed = shown_segmenter(models), int(settings.get("seed") or 0)
    for name in wanted:
        segmenter.vocabulary.index(name)
    folder = place(cache_folder() / "rewriting")
    more: dict[str, Any] = {"wanted": wanted, "seed": seed, "folder": folder}
    found = swept_edits(generator, task, segmenter, given, preset=models.preset, **more)
    if found.edit is None or found.outcome is None:
        return Swept(found.results, None, None, None)
    edit = noting(found.edit, photos)
    written = edit.save(path) if found.results.found else None
    did = effect(found.outcome.measured, segmenter.vocabulary, seed=seed)
    return Swept(found.results, edit, written, did)
