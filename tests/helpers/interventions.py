"""Runs of ``intervene`` on the planted generator, in folders, without loading any network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seeingkit.analyses.interventions.config import intervention_config
from seeingkit.analyses.interventions.request import Request
from seeingkit.analyses.interventions.stage import execute
from seeingkit.analyses.interventions.subjects import Subject
from seeingkit.report import with_cautions
from seeingkit.results import InterventionResults, Manifest
from seeingkit.results.interventions import AgreementRanking
from seeingkit.runs.edited_pictures import draw_pairs
from seeingkit.runs.intervention_tables import write_intervention_tables
from tests.helpers.planted import BRIGHT, DARK, NOISE, NOTHING, levels, planted

EVERYTHING: dict[str, Any] = {
    "layer": "r4",
    "choose": 1,
    "label": "bright",
    "curve": (1, 2),
    "each": 12,
    "context": 1,
    "context_classes": True,
    "search": 20,
    "random": 3,
    "dissection": "runs/planted",
}


def agreement() -> AgreementRanking:
    """As of a dissection of images 0 to 99 of seed 0."""
    return AgreementRanking(
        label="bright",
        ranking=[NOTHING, BRIGHT, NOISE, DARK],
        ious=[0.4, 0.3, 0.2, 0.1],
        seed=0,
        images=100,
        level_seed=1_000_000,
        level_images=50,
    )


def asked(n: int = 24, **settings: Any) -> Request:
    """What is asked of the planted generator: everything there is, but for other settings."""
    config = intervention_config(**{**EVERYTHING, **settings})
    known = agreement() if config.dissection is not None else None
    return Request(Subject(planted(0.3), levels(), "r4"), config, n=n, agreement=known)


def write_intervention(run: Path, n: int = 24, **settings: Any) -> InterventionResults:
    """A finished run of ``intervene`` in a folder, without its page."""
    run.mkdir(parents=True, exist_ok=True)
    found = execute(asked(n, **settings))
    results = with_cautions(draw_pairs(run, found))
    write_intervention_tables(run, results)
    manifest = Manifest(
        seeingkit="0",
        command="seeingkit intervene --gan planted",
        config={"command": "intervene", "generated": "planted"},
        started="2026-11-28T10:00:00+00:00",
        finished="2026-11-28T10:01:00+00:00",
    )
    for name, record in (("results", results), ("manifest", manifest)):
        (run / f"{name}.json").write_text(json.dumps(record.model_dump(mode="json")))
    return results
