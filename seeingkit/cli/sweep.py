"""``seeingkit rewrite --sweep``: the layer, rank and strength of an edit are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.errors import UsageError

from .groups import names
from .output import print_json, print_sentence, print_table, say

if TYPE_CHECKING:
    from seeingkit.runs.sweep import Swept


def run_sweep(
    gan: str | None,
    request: Path,
    out: Path,
    chosen: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    json: bool,
) -> None:
    """Sweep, and print a table of all edits and what the chosen one does.

    Args:
        gan, request, out: as of ``seeingkit.sweep``.
        chosen: fields of ``SweepSettings`` as the command line has them; None: the default.
        settings: further arguments of ``seeingkit.sweep``; None: the default.
        json: print the record instead.

    Raises:
        UsageError: a list that holds something else than numbers.
    """
    from seeingkit.runs.sweep import sweep

    options = {name: value for name, value in chosen.items() if value is not None}
    if "sites" in options:
        options["sites"] = "all" if options["sites"] == "all" else names(options["sites"])
    for name, kind in (("ranks", int), ("keeps", float)):
        if name in options:
            options[name] = numbers(options[name], name, kind)
    given = {name: value for name, value in settings.items() if value is not None}
    _told(sweep(gan, request, out=out, options=options, **given), json=json)


def numbers(text: str, name: str, kind: type[int] | type[float]) -> tuple[Any, ...]:
    """The numbers in a list such as ``1,3,6``.

    Raises:
        UsageError: something that is no number.

    >>> numbers("1, 3", "ranks", int)
    (1, 3)
    """
    try:
        return tuple(kind(part) for part in names(text))
    except ValueError as error:
        raise UsageError(f"--{name} {text}: give numbers, as 1,3,6") from error


def _told(done: Swept, *, json: bool) -> None:
    from seeingkit.report.words.rewriting import edit_sentence
    from seeingkit.report.words.sweeps import HEADER, compared_sentence, sweep_rows, sweep_sentence

    if json:
        effect = None if done.effect is None else done.effect.model_dump(mode="json")
        path = None if done.path is None else str(done.path)
        sweep = done.results.model_dump(mode="json")
        print_json({"edit": path, "sweep": sweep, "effect": effect})
        return
    print_table(sweep_rows(done.results), HEADER, last_words=True)
    say()
    print_sentence(compared_sentence(done.results))
    print_sentence(sweep_sentence(done.results))
    if done.effect is not None:
        print_sentence(edit_sentence(done.effect))
    if done.path is not None:
        say(f"Use it with --edit {done.path} wherever a generator is named.")
    elif done.edit is not None:
        about = done.edit.about
        say(
            f"No file was written; --site {done.edit.site} --rank {about['rank']} --keep "
            f"{about['keep']:g} in place of --sweep plans this edit all the same."
        )
