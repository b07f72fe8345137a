"""Charts are validated when they are written, also where their parts are not."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pytest
from altair.utils.schemapi import SchemaValidationError

from seeingkit.report.figures.charts import validated_whole, write_figure


def wrong() -> alt.Chart:
    return alt.Chart({"name": "rows"}).mark_bar(opacity="much").encode(x="a:Q")


def test_a_wrong_part_is_made_and_refused_when_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(SchemaValidationError):
        wrong().to_dict()
    with validated_whole():
        for chart in (wrong(), alt.layer(wrong(), wrong()), alt.vconcat(wrong(), wrong())):
            with pytest.raises(SchemaValidationError, match="opacity|much"):
                write_figure(chart, tmp_path, "wrong")
    assert not list(tmp_path.iterdir())


def test_outside_parts_are_validated_as_they_are_made_also_after_a_fault() -> None:
    with pytest.raises(ValueError, match="fault"), validated_whole():
        raise ValueError("fault")
    with pytest.raises(SchemaValidationError):
        alt.Axis(labelPadding="wide")  # type: ignore[arg-type]
    with validated_whole():
        alt.Axis(labelPadding="wide")  # type: ignore[arg-type]
