"""All cautions of a page, as they also stand in ``results.json``."""

from __future__ import annotations

from typing import TypeVar, cast

from seeingkit.results import (
    AnyResults,
    ArtifactResults,
    AssessmentResults,
    DissectionResults,
    GeneratorsResults,
    InterventionResults,
    Results,
    UnitContrastsResults,
)

from .words.artifacts import artifact_cautions
from .words.assumptions import assumed
from .words.cautions import skipped_caution
from .words.dissection import dissection_cautions
from .words.findings import summarise
from .words.generators import summarise_generators
from .words.interventions import intervention_cautions
from .words.inversions import InversionSummary, describe_inversions
from .words.rewriting import assessment_cautions
from .words.unit_contrasts import unit_contrasts_cautions

Kind = TypeVar("Kind", bound=AnyResults)


def page_cautions(results: AnyResults) -> list[str]:
    """The reasons to read a page with care, the most important first."""
    if isinstance(results, GeneratorsResults):
        return list(summarise_generators(results).cautions)
    if isinstance(results, DissectionResults):
        return dissection_cautions(results)
    if isinstance(results, UnitContrastsResults):
        return unit_contrasts_cautions(results)
    if isinstance(results, ArtifactResults):
        return artifact_cautions(results)
    if isinstance(results, AssessmentResults):
        return assessment_cautions(results)
    if isinstance(results, InterventionResults):
        return intervention_cautions(results)
    words = InversionSummary()
    if results.inversions or results.calibrations:
        words = describe_inversions(results.inversions, results.calibrations, results.vanishing)
    if isinstance(results, Results):
        found = [*summarise(results).cautions, *words.cautions]
    else:
        said = assumed([results.generator, results.segmenter])
        found = [*words.cautions, *skipped_caution(results.skipped), *said, *results.warnings]
    return list(dict.fromkeys(found))


def with_cautions(results: Kind) -> Kind:
    """The results with the cautions of their page, for those who read no page::

    run.write_json("results.json", with_cautions(results).model_dump(mode="json"))
    """
    return cast("Kind", results.model_copy(update={"cautions": page_cautions(results)}))
