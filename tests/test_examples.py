"""Every example in a docstring of ``seeingkit/`` runs, and what people call has one.

An example is a session of the interpreter (``>>>``) in a docstring. It may use ``np``, ``torch``,
``nn``, ``seeingkit``, the names of its module, and the public names of its room and of
``seeingkit.contracts``. It runs with an empty cache in a folder with two photos of 64 x 48 pixels,
``1.png`` and ``2.png``: in the folder ``photos``, in ``photos.zip``, ``photos.tar``,
``photos.parquet`` and ``photos.npy``, and listed, the second one first, by ``photos.txt``.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seeingkit
from tests.helpers.shards import write_parquet, write_tar

ENGINE = Path(__file__).parents[1] / "seeingkit"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PUBLIC = (
    "seeingkit",
    "seeingkit.contracts",
    "seeingkit.testing",
    "seeingkit.weights",
    "seeingkit.statistics",
    "seeingkit.tallies",
    "seeingkit.images",
)
"""The modules whose ``__all__`` people call."""

RETURNED = "a result: people read it and do not make it"
EXCEPTIONS = {
    "Analysis": RETURNED,
    "ArtifactSearch": RETURNED,
    "Assessment": RETURNED,
    "Dissection": RETURNED,
    "Interventions": RETURNED,
    "Distance": RETURNED,
    "UnitContrasts": RETURNED,
    "Floor": RETURNED,
    "Moments": RETURNED,
    "Checkpoint": RETURNED,
    "Near": RETURNED,
    "Network": RETURNED,
    "WeightsFile": RETURNED,
    "Inert": RETURNED,
    "ModelInfo": "a base: GeneratorInfo and others have examples",
    "OnDevice": "a base without fields",
    "analyze": "a run of many seconds; README and `make demo` show it",
    "artifacts": "a run of minutes; docs/artifacts.md shows it",
    "assess": "needs a file of an edit; docs/rewriting.md shows it",
    "sweep": "a run of minutes; docs/rewriting.md shows it",
    "rewrite": "needs a file of painted masks; docs/rewriting.md shows it",
    "trace": "a run of minutes; docs/tracing.md shows it",
    "repair": "a run of minutes; docs/repair.md shows it",
}
"""Public functions and classes without an example, and why."""


def sources_with_examples() -> Iterator[str]:
    for path in sorted(ENGINE.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(ENGINE.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def surroundings(module: str) -> dict[str, Any]:
    """The names that the examples of a module may use."""
    rooms = ("seeingkit.contracts", ".".join(module.split(".")[:2]))
    return {
        **{
            name: getattr(room, name)
            for room in map(importlib.import_module, rooms)
            for name in getattr(room, "__all__", ())
        },
        **vars(importlib.import_module(module)),
        "np": np,
        "torch": torch,
        "nn": torch.nn,
        "seeingkit": seeingkit,
    }


def examples() -> list[doctest.DocTest]:
    """The examples of all modules; each object that has some is one case."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [
        case
        for module in sources_with_examples()
        for case in finder.find(importlib.import_module(module), module, globs=surroundings(module))
        if case.examples
    ]


CASES = examples()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The folder that this module's docstring describes."""
    pixels = np.zeros((2, 48, 64, 3), np.uint8)
    np.save(tmp_path / "photos.npy", pixels)
    (tmp_path / "photos").mkdir()
    for k, photo in enumerate(pixels, 1):
        Image.fromarray(photo).save(tmp_path / "photos" / f"{k}.png")
    shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "photos")
    files = {f"{k}.png": (tmp_path / "photos" / f"{k}.png").read_bytes() for k in (1, 2)}
    write_tar(tmp_path / "photos.tar", files)
    rows = [{"bytes": data, "path": name} for name, data in files.items()]
    write_parquet(tmp_path / "photos.parquet", {"image": rows})
    (tmp_path / "photos.txt").write_text("photos/2.png\nphotos/1.png\n")
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_example(case: doctest.DocTest, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(photos / "cache"))
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(case, out=told.append, clear_globs=False)
    assert not told, "".join(told)


def public_objects() -> dict[str, object]:
    """Functions and classes that can be made, of all ``__all__``, each by its first name."""
    found: dict[str, object] = {}
    for module in map(importlib.import_module, PUBLIC):
        for name in module.__all__:
            thing = getattr(module, name)
            made = inspect.isclass(thing) and not inspect.isabstract(thing)
            if (made or inspect.isfunction(thing)) and thing not in found.values():
                found[name] = thing
    return found


def has_example(thing: object) -> bool:
    """Whether the docstring, or that of one of a class's own methods, shows how it is used."""
    own = vars(thing).values() if inspect.isclass(thing) else ()
    texts = [thing.__doc__, *(getattr(member, "__doc__", None) for member in own)]
    return any(">>> " in text for text in texts if isinstance(text, str))


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_public_names_show_how_they_are_used(name: str) -> None:
    shown = has_example(public_objects()[name])
    if name in EXCEPTIONS:
        assert not shown, f"{name} has an example now: take it off the list of exceptions"
    else:
        assert shown, f"the docstring of {name} has no example (a line with >>>)"


def test_exceptions_are_public_names() -> None:
    assert EXCEPTIONS.keys() <= public_objects().keys()


# --------------------------------------------------------------------- the rules above can fail


def shown_well() -> int:
    """One.

    >>> shown_well()
    1
    """
    return 1


def shown_badly() -> int:
    """Two, it says.

    >>> shown_badly()
    2
    """
    return 1


@pytest.mark.parametrize(("function", "wrong"), [(shown_well, False), (shown_badly, True)])
def test_a_wrong_example_fails(
    function: Any, wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = doctest.DocTestFinder().find(function, globs=dict(globals()))
    if not wrong:
        test_example(case, tmp_path, monkeypatch)
        return
    with pytest.raises(AssertionError, match=r"Expected:\s+2\s+Got:\s+1"):
        test_example(case, tmp_path, monkeypatch)


def test_missing_examples_are_seen() -> None:
    class Made:
        """A thing."""

        @classmethod
        def make(cls) -> Made:
            """Makes one.

            >>> Made.make()
            """
            return cls()

    assert has_example(shown_well) and has_example(Made)
    assert not has_example(has_example)
