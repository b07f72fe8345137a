"""The schema of a run's files: light to import, strict, and open to files of older versions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

import seeingkit.results
from seeingkit.results import (
    SCHEMA_VERSION,
    ClassResult,
    FSDResult,
    InversionResults,
    Manifest,
    Record,
    Results,
    images_lost,
    is_background,
)


def label(name: str, index: int, **more: Any) -> ClassResult:
    return ClassResult(
        label=name,
        category=more.pop("category", "object"),
        index=index,
        real_area=1.0,
        generated_area=1.0,
        relative_difference=0.0,
        ci_low=None,
        ci_high=None,
        real_presence=0.4,
        generated_presence=0.3,
        p_value=1.0,
        q_value=1.0,
        omitted=False,
        verdict="no evidence",
        **more,
    )


def test_reading_results_needs_no_arrays() -> None:
    code = (
        "import sys, seeingkit.results.gates\n"
        "found = {'torch', 'numpy', 'scipy', 'PIL'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_record_of_the_room_is_public() -> None:
    schemas = [m.model_json_schema() for m in (Results, InversionResults, Manifest)]
    parts = {name for schema in schemas for name in schema.get("$defs", {})}
    assert parts, "the schemas have parts"
    assert parts <= set(seeingkit.results.__all__)
    for name in parts:
        assert issubclass(getattr(seeingkit.results, name), Record)


def test_a_record_is_frozen_and_knows_its_keys() -> None:
    found = FSDResult(value=8, mean_term=5, cov_term=3)
    with pytest.raises(ValidationError, match="frozen"):
        found.value = 0.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        FSDResult.model_validate({**found.model_dump(), "vaule": 1})


def test_no_key_became_required_within_the_version() -> None:
    # A file of an older release lacks newer keys; a required one would make it unreadable.
    assert SCHEMA_VERSION == 1
    results = "fsd n_real n_generated segmenter generator data generated preset classes"
    assert required(Results) == set(results.split())
    assert required(InversionResults) == {"generator", "data", "inversion"}
    assert required(Manifest) == {"seeingkit", "command", "config", "started"}
    assert required(FSDResult) == {"value", "mean_term", "cov_term"}
    optional = label("boat", 3).model_dump(exclude_unset=True)
    assert required(ClassResult) == set(optional)


def required(record: type[Record]) -> set[str]:
    return {name for name, field in record.model_fields.items() if field.is_required()}


def test_a_record_is_read_back_as_it_was_written() -> None:
    found = label("boat", 3, real_area_ci=(0.5, 1.5), because="presence")
    assert ClassResult.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("name", "index", "category", "background"),
    [
        ("-", 0, "object", True),
        (" Background ", 0, "object", True),
        ("anything", 0, "background", True),
        ("wall", 0, "object", False),
        ("background", 1, "object", False),
        ("anything", 2, "background", False),
    ],
)
def test_only_label_0_can_mean_nothing(
    name: str, index: int, category: str, background: bool
) -> None:
    assert is_background(label(name, index, category=category)) is background


def test_images_lost_are_those_above_the_area_threshold_where_these_are_known() -> None:
    assert images_lost(label("boat", 3))[:2] == (0.4, 0.3)
    assert images_lost(label("boat", 3, real_seen=0.2))[:2] == (0.4, 0.3)
    assert images_lost(label("boat", 3, real_seen=0.2, generated_seen=0.1))[:2] == (0.2, 0.1)
