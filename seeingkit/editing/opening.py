"""The desk of a command: generator, edits of files, folder and units by their names.

Guarantees: names, files and the folder are checked before the page is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.rewriting.session import Session
from seeingkit.contracts import RewritableGenerator
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import RunError, UsageError, printable
from seeingkit.models.loading import usual_generator
from seeingkit.models.resolved import resolve
from seeingkit.models.weightedits import rewritable
from seeingkit.report.runfiles import read_run
from seeingkit.results import DissectionResults
from seeingkit.runs.painted_units import units_of_run
from seeingkit.runs.plan import check_seed
from seeingkit.system.addresses import place
from seeingkit.system.cache import cache_folder
from seeingkit.system.devices import resolve_device

from .desk import Desk


def open_desk(
    gan: str | None = None,
    *,
    site: str = "",
    out: Path | None = None,
    dissection: Path | None = None,
    weights: str | None = None,
    gan_options: Mapping[str, Any] | None = None,
    labels: str | None = None,
    seed: int = 0,
    key_images: int = 400,
    device: str = "auto",
) -> Desk:
    """Load a generator for the page; its images are of the series ``PAINTING``.

    Args:
        gan: ``family`` or ``family:weights``; default: the usual generator.
        site: that is chosen at first.
        out: folder for files; made if it is not there. None: they are downloaded only.
        dissection: run directory of a dissection, which names units.
        weights, gan_options: of the generator; ``edits`` among the options can be undone.
        labels: classes of a conditional generator, in turn.
        seed: of the run.
        key_images: images whose keys an edit leaves as they are.
        device: where to compute.

    Raises:
        UsageError: a generator without sites, a folder that is a file, …
        UnknownNameError: no such generator or site.
        RunError: a run that is no dissection.

    ``open_desk("progan:minichurches", site="r16.conv1").site``
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: it is a file; name a folder")
    name = gan or usual_generator(None, own_weights=weights is not None)
    found = resolve("gan", name, weights=weights, options=gan_options)
    check_seed(found, seed)
    generator = rewritable(found.load(resolve_device(device)))
    session = Session(
        generator,
        seed=further_seed(seed, Series.PAINTING),
        labels=tuple(labels_for(labels, generator) or ()),
        key_seed=seed,
        key_images=key_images,
        folder=place(cache_folder() / "rewriting"),
    )
    units = {} if dissection is None else dissected_units(dissection, session.generator)
    desk = Desk(session, found.name, site=site, folder=out, units=units)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = printable(error.strerror or error)
            raise UsageError(f"--out {out}: {reason}; name a folder for the files") from error
    return desk


def dissected_units(run: Path, generator: RewritableGenerator) -> dict[str, dict[str, list[int]]]:
    """Units of each class at each layer of a dissection, strongest first.

    Raises:
        RunError: no finished dissection.
        UsageError: of another generator.

    ``dissected_units(Path("runs/dissection"), generator)["r8.conv1"]["tree"]``
    """
    results, _ = read_run(run)
    if not isinstance(results, DissectionResults):
        raise RunError(f"{run}: a run of another command; name a run of seeingkit dissect")
    layers = [layer.name for layer in results.layers]
    return {layer: units_of_run(run, generator, layer) for layer in layers}
