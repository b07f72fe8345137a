"""Runs of ``dissect`` in the viewer: listed, opened, and refused a comparison with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from seeingkit.report import rebuild_report
from seeingkit.viewing.access import Secrets
from seeingkit.viewing.library import Library
from seeingkit.viewing.pages import compare_page, run_page, runs_page
from tests.helpers.dissections import write_dissection


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for name in ("one", "two"):
        write_dissection(tmp_path / name)
    rebuild_report(tmp_path / "one")
    return Library(tmp_path, Secrets())


def test_a_dissection_is_listed_and_opened(library: Library) -> None:
    listing = library.listing()
    assert {run.kind for run in listing.runs.values()} == {"dissection"}
    text = runs_page(listing, library.root, "/T/", {}, [])
    assert "60 units" in text and "1,000" in text and "toy:noise" in text
    key, run = next((k, r) for k, r in listing.runs.items() if r.title == "one")
    text = run_page(library, key, run, "/T/")
    assert "agree with a class more than place and area explain" in text
    assert "units dissected" in text and "figures/units.svg" in text
    assert "Open the report" in text


def test_dissections_are_not_compared_by_distance(library: Library) -> None:
    status, text = compare_page(library, "/T/", {}, list(library.listing().runs))
    assert status == 404 and "a dissection has no distance and no matrix" in text
