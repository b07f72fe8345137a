"""Configs of networks, checked as they come out of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from seeingkit.errors import StateMismatchError

Config = TypeVar("Config", bound=BaseModel)


def validated(model: type[Config], file: Path, values: Mapping[str, Any]) -> Config:
    """A config from a file's values.

    Raises:
        StateMismatchError: a value that no network has (the first is named).
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"]) or "config"
        raise StateMismatchError(f"{file}: {at}: {first['msg']}") from error
