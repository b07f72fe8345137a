"""The command ``rewrite``: from a request to a file of an edit, and what the edit does.

Guarantees: what does not fit is refused before any image is made; the file appears whole or not at
all, and before the effect is measured, so that a fault there loses nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.rewriting.effects import edit_effect
from seeingkit.analyses.rewriting.plan import Solver, bench_of, check_plan, plan, usual_moments
from seeingkit.analyses.rewriting.published import PublishedSettings
from seeingkit.analyses.rewriting.requestfiles import read_request
from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import UsageError
from seeingkit.models.loading import usual_generator
from seeingkit.models.resolved import resolve as resolve_model
from seeingkit.models.weightedits import WeightEdit, rewritable
from seeingkit.results.effects import Effect
from seeingkit.system.addresses import place
from seeingkit.system.cache import cache_folder
from seeingkit.system.writing import refuse_special

from .dissect import dissection_run_config
from .plan import Plan, check_seed, resolve
from .request_images import check_request_images
from .request_photos import noting, told_nearness, with_photos
from .sides import located, shown_segmenter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rewritten:
    """An edit that was planned.

    Attributes:
        edit: it.
        path: its file.
        effective_rank: of the second moment of the keys.
        effect: what it does to every class in fresh images; None where none were asked for.
        photos: mean absolute difference (range 2) of each photo of the request from its inversion,
            in its region.
    """

    edit: WeightEdit
    path: Path
    effective_rank: float
    effect: Effect | None
    photos: Mapping[str, float] = field(default_factory=dict)


def rewrite(
    gan: str | None,
    request: str | Path,
    site: str,
    *,
    out: str | Path,
    rank: int | None = None,
    keep: float | None = None,
    solver: Solver = "closed",
    steps: int | None = None,
    erase: int = 0,
    protect: Sequence[str | Path] = (),
    key_images: int = 400,
    n: int = 100,
    image_seed: int | None = None,
    **settings: Any,
) -> Rewritten:
    """Plan an edit of a generator's weight, write it, and measure it on fresh images.

    Args:
        gan: ``family`` or ``family:weights``; default: the usual generator.
        request: what to copy, where to paste it, and contexts: a file as the notebook of "Rewriting
            a deep generative model" saves it; regions may be of photos: their files, beside the
            request, in place of numbers.
        site: the layer, such as ``r16.conv1``.
        out: the file of the edit (safetensors).
        rank: directions of the keys; default: 6, of the published solver 1.
        keep: of the closed solver: how much the change of other places counts.
        solver: ``closed`` or ``published``.
        steps: of Adam; of the closed solver afterwards.
        erase: in place of what was copied, leave so many units of the context out (published).
        protect: requests of earlier edits, whose contexts are to keep their values.
        key_images: images whose keys are left as they are.
        n: images that the effect is measured on; 0: none.
        image_seed: of the latents that the request numbers; default: that of the file, else 1.
        settings: fields of ``seeingkit.runs.config.Config`` (weights, gan_options, segmenter, …).

    Raises:
        RunError: a request that cannot be read.
        UsageError: a generator without sites, a region that is too small, …
        UnknownNameError: no such site.

    ::

        seeingkit.rewrite("progan:minichurches", "tree.json", "r16.conv1", out="tree.safetensors")
    """
    path = Path(out)
    refuse_special(path)
    if path.exists():
        WeightEdit.load(path)  # nothing else is replaced
    if n == 1 or n < 0:
        raise UsageError("an effect needs at least two images, or 0 for none: see -n")
    generator, models = _models(gan, n, settings)
    labels = tuple(labels_for(settings.get("labels"), generator) or ())
    asked = labels if settings.get("labels") is not None else None
    requests = [read_request(Path(file), image_seed, asked) for file in (request, *protect)]
    check_request_images(generator, requests, n, int(settings.get("seed") or 0))
    chosen = generator.site(site)
    published = PublishedSettings() if steps is None else PublishedSettings(steps=steps)
    checked = (solver, rank, keep, erase, published)
    check_plan(bench_of(generator, chosen, requests[0]), requests[0], *checked)
    folder, seed = place(cache_folder() / "rewriting"), int(settings.get("seed") or 0)
    wanted, *earlier = [
        with_photos(each, [Path(file).parent], generator, [chosen.name])
        for each, file in zip(requests, (request, *protect), strict=True)
    ]
    photos = told_nearness(generator, wanted)
    keys: dict[str, Any] = {"images": key_images, "labels": wanted.labels, "folder": folder}
    moments = usual_moments(generator, chosen, seed, **keys)
    edit = plan(
        generator,
        wanted,
        chosen.name,
        rank=rank,
        solver=solver,
        keep=keep,
        polish=steps,
        erase=erase,
        published=published,
        moments=moments,
        protect=earlier,
    )
    (edit := noting(edit, photos)).save(path)
    given: dict[str, Any] = {"n": n, "seed": seed, "labels": wanted.labels, "store": folder}
    found = None
    if models is not None:
        given["preset"] = models.preset
        found = edit_effect(generator, [edit], shown_segmenter(models), **given)
    return Rewritten(edit, path, moments.effective_rank, found, photos)


def _models(
    gan: str | None, n: int, settings: Mapping[str, Any]
) -> tuple[RewritableGenerator, Plan | None]:
    """The generator, and the plan with the segmenter where an effect is to be measured."""
    if n:
        models = located(resolve(dissection_run_config(gan, layers=[], **settings)))
        if models.generated.generator is None:
            raise UsageError(f"{models.generated.name} is no generator")
        return rewritable(models.generated.generator.load(models.device)), models
    weights, options = settings.get("weights"), settings.get("gan_options")
    name = gan or usual_generator(None, own_weights=weights is not None)
    found = resolve_model("gan", name, weights=weights, options=options)
    check_seed(found, int(settings.get("seed") or 0))
    return rewritable(found.load(settings.get("device") or "cpu")), None
