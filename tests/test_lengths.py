"""Functions fit on a screen: none of ``seeingkit/`` is longer than ``MOST`` lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "seeingkit"
MOST = 60
"""Lines from ``def`` to the end, without the docstring; decorators stand above ``def``."""
EXCUSE = "# long: "
"""A comment that begins so, before the function's second statement, gives the reason."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of a function without its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def excused(function: Function, lines: list[str]) -> bool:
    """Whether the head of a function says why it is long."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else []
    first = (body or function.body)[0]
    head = lines[function.lineno - 1 : first.lineno]
    return any(EXCUSE in line and line.partition(EXCUSE)[2].strip() for line in head)


def too_long(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [
        f"{path}:{function.lineno}: {function.name} has {length(function)} lines, not up to {MOST}"
        for function in functions(ast.parse(text))
        if length(function) > MOST and not excused(function, text.splitlines())
    ]


def test_no_function_is_too_long() -> None:
    faults = [fault for path in sorted(ENGINE.rglob("*.py")) for fault in too_long(path)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("head", "statements", "fault"),
    [
        ("def f():", MOST - 1, False),
        ("def f():", MOST, True),
        ("async def f():", MOST, True),
        ("@cached\ndef f():", MOST - 1, False),
        ('def f():\n    """One line."""', MOST - 1, False),
        ('def f():\n    """Some.\n\n    More.\n    """', MOST - 1, False),
        ('def f():\n    """Some.\n\n    More.\n    """', MOST, True),
        ("def f(\n    a,\n    b,\n):", MOST - 3, True),
        ("def f():  # long: a table", MOST, False),
        ('def f():\n    """One line."""\n    # long: a table', MOST, False),
        ("def f():  # long: ", MOST, True),
        ("def f():\n    x = 1\n    # long: too late", MOST, True),
    ],
)
def test_lengths_are_counted(tmp_path: Path, head: str, statements: int, fault: bool) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"x = 0\n{head}\n" + "    pass\n" * statements)
    assert len(too_long(path)) == fault


def test_methods_and_inner_functions_count(tmp_path: Path) -> None:
    body = "            pass\n" * MOST
    path = tmp_path / "module.py"
    path.write_text(f"class A:\n    def f(self):\n        def g():\n{body}")
    assert [fault.split(": ")[1].split()[0] for fault in too_long(path)] == ["f", "g"]
