"""The version of the code behind a model: stored work of other code is never met again.

Two things tell one code from another. A spec declares a ``version``, which its author raises. And
because authors forget, the source of the target's module, and of the modules of its package that
it imports, is hashed: as Python understands it, so that comments, docstrings and layout change
nothing. So every real change costs a second counting, and none a wrong number. The engine's own
rules (decoding, counting, inverting) have versions of their own, which are part of the identities.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

from seeingkit.contracts.base import ModelInfo
from seeingkit.specs import _Loadable

from .weightedits import RewrittenGenerator
from .wrapped import WrappedSegmenter


class _Described(Protocol):
    @property
    def info(self) -> ModelInfo: ...


def code_of(spec: _Loadable) -> str:
    """Declared version of a spec and hash of the source of its target.

    >>> from seeingkit.models.registry import registry
    >>> code_of(registry().resolve("segmenter", "upernet"))
    '1-...'
    """
    return f"{spec.version}-{source_digest(spec.target.partition(':')[0])}"


def class_code(kind: type) -> str:
    """The hash for a class that no spec names; empty where its source cannot be found.

    Of a script or a notebook the source of the class alone, so that other work in it is kept.
    """
    if kind.__module__ != "__main__":
        return source_digest(kind.__module__)
    try:
        return _short([_plain(textwrap.dedent(inspect.getsource(kind)))])
    except (OSError, TypeError, SyntaxError):
        return ""


def identity_of(model: _Described) -> dict[str, Any]:
    """``info.identity()`` of a loaded model, with the code of its class where no spec names it."""
    info, inner = model.info, cast("object", model)
    if info.code or getattr(info, "images_sha256", None):  # the hash of its images covers the code
        return info.identity()
    while isinstance(inner, WrappedSegmenter):
        inner = inner.segmenter
    if isinstance(inner, RewrittenGenerator):
        inner = inner.base
    return {**info.identity(), "code": class_code(type(inner))}


@functools.cache
def source_digest(module: str) -> str:
    """Hash of the code of a module and of what it imports from its own package, 12 digits.

    Where there is no source, the version of the distribution stands in for it; else it is empty.
    """
    top = module.partition(".")[0]
    # The engine is one package with everything in it, so there only the module's own folder.
    home = module.rpartition(".")[0] if top == "seeingkit" else top
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        source = None if name in found else _source(name)
        if source is not None:
            found[name] = _plain(source)
            names = _imported(ast.parse(source), name)
            waiting += [other for other in names if f"{other}.".startswith(f"{home}.")]
    if found:
        return _short([f"{name}\n{text}" for name, text in sorted(found.items())])
    distributions = importlib.metadata.packages_distributions().get(top, ())
    return "+".join(importlib.metadata.version(name) for name in distributions)


@functools.cache
def package_digest(package: str) -> str:
    """Hash of the code of every module of a package, whoever imports it, 12 digits.

    >>> len(package_digest("seeingkit.statistics"))
    12
    """
    found = importlib.util.find_spec(package)
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0])
    texts = [
        f"{path.relative_to(folder).as_posix()}\n{_plain(path.read_text('utf-8'))}"
        for path in sorted(folder.rglob("*.py"))
    ]
    return _short(texts)


def _short(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _source(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        return Path(spec.origin).read_text("utf-8")
    except (ImportError, ValueError, OSError, AttributeError):
        return None


def _plain(source: str) -> str:
    """The source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _imported(tree: ast.Module, module: str) -> Iterator[str]:
    """Names that may be modules, of every import anywhere in a module."""
    spec = importlib.util.find_spec(module)
    package = module if spec and spec.submodule_search_locations else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                kept = parts[: len(parts) - node.level + 1]
                base = ".".join([*kept, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
