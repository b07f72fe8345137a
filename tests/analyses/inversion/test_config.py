"""The settings of the inversion analysis: light, validated, and the same class for every room."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.runs import config as runs_config


def test_settings_and_catalog_never_import_torch() -> None:
    code = (
        "import sys; import seeingkit.analyses.inversion.config; "
        "import seeingkit.analyses.inversion.catalog; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_runs_offer_the_same_class() -> None:
    assert runs_config.InversionConfig is InversionConfig


@pytest.mark.parametrize(
    "wrong", [{"per_class": 0}, {"pick": "best"}, {"own": -1}, {"label": -1}, {"colour": 1}]
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        InversionConfig(**wrong)
