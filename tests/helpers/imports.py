"""Which module imports which, read from the syntax trees: nothing is imported to find out.

Every import statement counts, wherever it stands: in a function, under ``TYPE_CHECKING``, in a
``try``. ``from package import name`` is an import of the submodule of that name where there is
one; of the module that a lazy package names for it in its table ``_WHERE``; and of the package's
``__init__`` otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LAZY_TABLE = "_WHERE"
"""The dictionary (name → module below the package) of a package that imports on first use."""


@dataclass(frozen=True)
class Import:
    """One name that one module takes from another module of the same tree."""

    importer: str
    imported: str
    path: Path
    line: int
    statement: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.statement}  ({self.importer} → {self.imported})"


class Tree:
    """The modules below some folders, parsed.

    Args:
        folders: the folder of each top-level package, by its import name.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.paths = {
            _module_name(package, path.relative_to(folder)): path
            for package, folder in folders.items()
            for path in sorted(folder.rglob("*.py"))
        }
        self.trees = {
            name: ast.parse(path.read_text(encoding="utf-8"), str(path))
            for name, path in self.paths.items()
        }
        self.lazy = {name: _lazy_table(tree) for name, tree in self.trees.items()}
        self.imports = [found for name in self.trees for found in self._imports_of(name)]

    def _imports_of(self, module: str) -> Iterator[Import]:
        path = self.paths[module]
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                wanted = [self._nearest(alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                wanted = [self._defines(base, alias.name) for alias in node.names]
            else:
                continue
            for imported in dict.fromkeys(wanted):
                if imported is not None and imported != module:
                    yield Import(module, imported, path, node.lineno, ast.unparse(node))

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        """The full name of what stands after ``from``."""
        if not node.level:
            return node.module or ""
        is_package = self.paths[module].name == "__init__.py"
        parts = module.split(".")
        kept = parts[: len(parts) - node.level + is_package]
        return ".".join([*kept, *filter(None, [node.module])])

    def _defines(self, base: str, name: str) -> str | None:
        if f"{base}.{name}" in self.paths:
            return f"{base}.{name}"
        below = self.lazy.get(base, {}).get(name)
        return self._defines(f"{base}.{below}", name) if below else self._nearest(base)

    def _nearest(self, name: str) -> str | None:
        """The module of this name or, of a name inside a module, that module."""
        while name and name not in self.paths:
            name = name.rpartition(".")[0]
        return name or None


def circles(imports: Iterable[Import]) -> list[list[Import]]:
    """The imports inside each circle: modules that all reach each other (Tarjan's algorithm)."""
    imports = list(imports)
    after: dict[str, list[str]] = {}
    for found in imports:
        after.setdefault(found.importer, []).append(found.imported)
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in after.get(module, []):
            if other not in number:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == number[module]:
            start = stack.index(module)
            groups.append(set(stack[start:]))
            del stack[start:]

    for module in after:
        if module not in number:
            visit(module)
    return [
        [found for found in imports if {found.importer, found.imported} <= group]
        for group in groups
        if len(group) > 1
    ]


def code_words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every name and string that is code: docstrings and comments are left out."""
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield line, node.value
        for text in (getattr(node, field, None) for field in ("id", "attr", "name", "arg")):
            if isinstance(text, str):
                yield line, text


def _module_name(package: str, path: Path) -> str:
    parts = [package, *path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lazy_table(tree: ast.Module) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == LAZY_TABLE:
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    return {}
