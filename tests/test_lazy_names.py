"""The names that ``import seeingkit`` offers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import seeingkit


@pytest.mark.parametrize("name", seeingkit.__all__)
def test_each_name_resolves(name: str) -> None:
    found = getattr(seeingkit, name)
    assert found.__name__ == name
    assert found.__module__.startswith("seeingkit.")
    assert name in dir(seeingkit)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        seeingkit.analyse  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """The imports under ``TYPE_CHECKING`` and ``__all__`` agree with the lazy table."""
    tree = ast.parse(Path(seeingkit.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == seeingkit._MODULES
    assert set(seeingkit.__all__) == set(seen)
