"""Detects a checkpoint's family from its content (never from its file name).

Guarantees: at most one family is named; a file that none or several claim is refused, with what it
holds or who claims it. Programs (families without a recogniser) are never named.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.specs import GanSpec

from .registry import Registry, import_named

if TYPE_CHECKING:
    from seeingkit.weights import Checkpoint

_FOLDER_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".pkl", ".model", ".ckpt", ".tar")
_FIRST_KEYS = 4


class Recognised(NamedTuple):
    """The family that reads a file, and the name of the layout it was found to have."""

    spec: GanSpec
    layout: str


def recognise(
    path: Path, known: Registry, families: Iterable[str] | None = None, *, name: str = "auto"
) -> Recognised:
    """The family that reads a file, or the one weights file of a folder.

    Args:
        families: only these; default all that can recognise files.
        name: the user's name of it, for messages.

    Raises:
        WeightsError: the file is missing, unsafe or damaged; or none or several families claim it.
    """
    from seeingkit.weights import read_checkpoint

    checkpoint = read_checkpoint(weights_file(path))
    asked = [s for s in recognisers(known) if families is None or s.name in families]
    claims = claims_of(checkpoint, asked)
    if len(claims) == 1:
        return claims[0]
    if claims:
        listed = " and ".join(claim.spec.name for claim in claims)
        raise StateMismatchError(f"{path}: {listed} both read this file; name one with --gan")
    readers = ", ".join(spec.name for spec in asked)
    others = "" if families is None else f" of {name}"
    raise StateMismatchError(
        f"{path}: no family{others} reads this {checkpoint.container} file with "
        f"{outline(checkpoint.content)}; asked: {readers}"
    )


def recognisers(known: Registry) -> list[GanSpec]:
    """The families that can recognise a file."""
    return [s for s in known.specs("gan") if isinstance(s, GanSpec) and s.recognise]


def claims_of(checkpoint: Checkpoint, specs: Iterable[GanSpec]) -> list[Recognised]:
    """Every family that claims a file; a file of our own format belongs to the one it names."""
    from seeingkit.weights import portable_family

    specs = list(specs)
    ours = portable_family(checkpoint)
    if ours is not None:
        return [Recognised(spec, "seeingkit safetensors") for spec in specs if spec.name == ours]
    layouts = [(s, import_named(s, cast("str", s.recognise))(checkpoint)) for s in specs]
    return [Recognised(spec, layout) for spec, layout in layouts if layout is not None]


def weights_file(path: Path) -> Path:
    """The file itself, or the one weights file of a folder.

    Raises:
        MissingWeightsError: nothing there, or a folder with none or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _FOLDER_SUFFIXES)
    if len(found) != 1:
        what = ", ".join(file.name for file in found[:4]) or "none"
        holds = f"a folder with {len(found)} weights files ({what})"
        raise MissingWeightsError(
            f"{path}: {holds}; give one of them, or name the family with --gan"
        )
    return found[0]


def outline(content: Any) -> str:
    """The content of a tree in a few words, for messages."""
    if isinstance(content, dict):
        keys = [str(key)[:40] for key in list(content)[:_FIRST_KEYS]]
        more = ", …" if len(content) > _FIRST_KEYS else ""
        return f"keys {', '.join(keys)}{more}" if keys else "no keys"
    if isinstance(content, (list, tuple)):
        kinds = [getattr(item, "kind", type(item).__name__) for item in content[:_FIRST_KEYS]]
        return f"{len(content)} objects ({', '.join(kinds)})"
    return f"a {getattr(content, 'kind', type(content).__name__)}"
