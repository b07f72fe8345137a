"""The kinds of results that a run can have: one place for all that read a run's ``results.json``.

A new command adds its record here, and its words where a kind's words are asked for.
"""

from __future__ import annotations

from .artifacts import ArtifactResults
from .assessment import AssessmentResults
from .comparison import Results
from .dissection import DissectionResults
from .generators import GeneratorsResults
from .interventions import InterventionResults
from .inversion import InversionResults
from .unit_contrasts import UnitContrastsResults

AnyResults = (
    Results
    | InversionResults
    | GeneratorsResults
    | DissectionResults
    | UnitContrastsResults
    | ArtifactResults
    | InterventionResults
    | AssessmentResults
)
"""The findings of a run; a page can be made of each."""

KINDS: dict[str, type[AnyResults]] = {
    "inversion": InversionResults,
    "generators": GeneratorsResults,
    "dissection": DissectionResults,
    "unit contrasts": UnitContrastsResults,
    "artifacts": ArtifactResults,
    "intervention": InterventionResults,
    "assessment": AssessmentResults,
}
"""The record of each ``kind`` that results state; those without one are ``Results``."""
