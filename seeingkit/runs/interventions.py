"""The command ``intervene``: models by their names, one intervention, the file of its results.

Guarantees: faults in names and options are one error, before anything is drawn; a generator whose
weights name their data set gets that set's segmenter and preprocessing, unless others are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.interventions.stage import intervene
from seeingkit.contracts import Generator, Segmenter
from seeingkit.errors import Faults, UsageError
from seeingkit.models.loading import data_spec, trained_on, usual_generator
from seeingkit.models.registry import find_preset, registry
from seeingkit.models.resolved import ResolvedModel, resolve, which_segmenter
from seeingkit.results.interventions import InterventionResults
from seeingkit.specs import DataSpec
from seeingkit.system.devices import resolve_device
from seeingkit.system.writing import json_text, refuse_special, write_text
from seeingkit.tallies.record import model_record


def run_intervention(
    gan: str | None,
    layer: str,
    units: list[int] | int,
    *,
    weights: Path | None = None,
    segmenter: str | None = None,
    segmenter_weights: Path | None = None,
    gan_options: Mapping[str, Any] | None = None,
    segmenter_options: Mapping[str, Any] | None = None,
    preset: str | None = None,
    device: str = "auto",
    labels: str | None = None,
    out: Path | None = None,
    **settings: Any,
) -> InterventionResults:
    """Load the models, intervene, and write the results.

    Args:
        gan: ``family`` or ``family:weights``; default: the usual generator.
        layer, units, settings: of ``analyses.interventions.stage.intervene``.
        weights, gan_options: of the generator.
        segmenter, segmenter_weights, segmenter_options: default: the one of the data set that the
            generator's weights name.
        preset: of pictures; default: that of the data set, else ``native``.
        labels: classes of a conditional generator: ``uniform``, or a list.
        out: JSON file.

    Raises:
        UsageError: names or options that cannot be right.
    """
    if out is not None:
        refuse_special(out)  # before the work, not after it
    usual = cast("DataSpec", registry().find("data", registry().default("data")))
    name = gan or usual_generator(usual, own_weights=weights is not None)
    faults = Faults()
    place = faults.find(lambda: resolve_device(device))
    model = faults.find(lambda: resolve("gan", name, weights=weights, options=gan_options))
    named = "" if segmenter or segmenter_weights else trained_on(model)
    data = data_spec(named) if named else None
    found = faults.find(lambda: find_preset(preset or (data.preset if data else "native")))
    counts = None
    if model is not None:
        given = segmenter, segmenter_weights, segmenter_options
        counts = faults.find(lambda: _segmenter(*given, data))
    faults.raise_if_any()
    assert model is not None and counts is not None and found is not None and place is not None
    generator = model.load(place)
    if not isinstance(generator, Generator):
        raise UsageError(f"{model.name} has no layers to intervene at; name another generator")
    classes = labels_for(labels, generator) or ()
    counted = cast("Segmenter", counts.load(place))
    made = intervene(
        generator, counted, layer, units, preset=found, labels=classes, **settings
    ).model_copy(
        update={
            "generator": model_record(generator.info, model.name),
            "segmenter": model_record(counted.info, counts.name),
        }
    )
    if out is not None:
        write_text(out, json_text(made.model_dump(mode="json"), indent=2) + "\n")
    return made


def _segmenter(
    name: str | None,
    weights: Path | None,
    options: Mapping[str, Any] | None,
    data: DataSpec | None,
) -> ResolvedModel:
    """The segmenter that was named, else the data set's.

    Raises:
        UsageError: none was named, and the generator's weights name no data set.
    """
    wanted = name or (data.segmenter if data else None)
    if wanted is None and weights is not None:
        wanted = registry().default("segmenter")
    if not wanted:
        raise UsageError(which_segmenter())
    domain = None if data is None else data.name
    return resolve("segmenter", wanted, weights=weights, domain=domain, options=options)
