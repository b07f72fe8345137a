"""Results of a step that are kept once for all processes and runs: tensors, and what JSON says.

Guarantees: a file is named by the hash of everything that changes its numbers, appears whole or not
at all and holds a digest of its bytes; one that is damaged is named, set aside and made again. A
step that was killed goes on with what is not yet there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from seeingkit.system.addresses import Place
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.digests import key_of
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, write_sealed_tensors

from .parts import INTERVENTION_SCHEMA, KEY

Content = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and JSON."""


class Part(NamedTuple):
    """What is kept of one piece of work.

    Attributes:
        number: of the piece.
        tensors: by name; content: JSON.
        made: now; False: it was there.
    """

    number: int
    tensors: dict[str, Tensor]
    content: dict[str, Any]
    made: bool


def stored_each(
    folder: Place | None,
    identities: Sequence[Sequence[object]],
    words: Sequence[str],
    models: dict[str, str],
    make: Callable[[int], Content],
) -> Iterator[Part]:
    """Pieces of work, made once for all processes and runs that share a folder; in any order::

        for part in stored_each(folder, [["unit", k] for k in units], words, models, make):
            scores[part.number] = part.content["score"]

    Args:
        folder: where they are stored; None: nowhere.
        identities: everything that changes each.
        words: of each, for people who wait.
        models: of ``parts.made_by``.
        make: gives the content of a piece by its number.
    """
    if folder is None:
        for number in range(len(identities)):
            yield Part(number, *make(number), made=True)
        return
    keys = [key_of(*each) for each in identities]
    paths = [folder / key[:2] / f"{key}.safetensors" for key in keys]
    ready: list[Part] = []
    done: set[int] = set()

    def is_done(number: int) -> bool:
        if number not in done:
            there = read_or_set_aside(
                paths[number], KEY, lambda tensors, about: (tensors, about["content"])
            )
            if there is not None:
                done.add(number)
                ready.append(Part(number, *there, made=False))
        return number in done

    pieces = [Piece(key, each) for key, each in zip(keys, words, strict=True)]
    for (number,) in shared(pieces, Claims(folder / CLAIMS), is_done):
        tensors, content = make(number)
        about = {"name": keys[number], "schema": INTERVENTION_SCHEMA, "content": content}
        about |= {"what": words[number], "made_by": models}
        write_sealed_tensors(paths[number], tensors, KEY, about)
        done.add(number)
        ready.append(Part(number, tensors, content, made=True))
        yield from ready
        ready.clear()
    yield from ready


def stored_once(
    folder: Place | None,
    identity: Sequence[object],
    words: str,
    models: dict[str, str],
    make: Callable[[], Content],
) -> Content:
    """The content of one piece of work, as ``stored_each`` keeps it.

    ``stored_once(folder, ["means", 3], "means", made_by(subject), lambda: ({"k": mean}, {}))``.
    """
    (part,) = stored_each(folder, [identity], [words], models, lambda _: make())
    return part.tensors, part.content
