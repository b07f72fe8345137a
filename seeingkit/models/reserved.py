"""Options that every generator or segmenter takes, whatever its family: the engine's own.

Nothing here imports torch, unless a precision was chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seeingkit.errors import UsageError
from seeingkit.specs import _Loadable

if TYPE_CHECKING:
    from .computing import Computing


def taken_edits(given: object) -> tuple[Path, ...]:
    """Files of edits of a generator's weights: one, or several in order.

    >>> taken_edits(None)
    ()

    Raises:
        UsageError: something else, or a file that is not there.
    """
    names = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    paths = []
    for name in names:
        path = Path(name) if isinstance(name, (str, Path)) else None
        if path is None or not path.is_file():
            raise UsageError(f"{name}: no such file of an edit; check --edit")
        paths.append(path)
    return tuple(paths)


def taken_computing(spec: _Loadable, given: dict[str, object]) -> Computing | None:
    """Precision and compilation of a segmenter, taken out of its options.

    A family that has options of these names keeps them.

    >>> from seeingkit.models.registry import registry
    >>> taken_computing(registry().resolve("segmenter", "upernet"), {}) is None
    True

    Raises:
        UsageError: a value that is none of theirs.
    """
    names = {"precision", "compile"} & given.keys() - spec.options.model_fields.keys()
    if not names:
        return None
    from .computing import computing_of

    return computing_of({name: given.pop(name) for name in names})
