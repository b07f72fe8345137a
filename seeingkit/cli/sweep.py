"""``seeingkit rewrite --sweep``: the layer, rank and strength of an edit are chosen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from seeingkit.errors import UsageError

from . import options as o
from .groups import Settings, names
from .options import SWEEPING, option
from .output import print_json, print_sentence, print_table, say

if TYPE_CHECKING:
    from seeingkit.runs.sweep import Swept

swept = partial(option, panel=SWEEPING)

Sweep = Annotated[bool, swept("Choose layer, rank and keep by trying many (minutes).", "--sweep")]
Ranks = Annotated[o.Text, swept("Ranks that are tried. Default: 1,3,6,10.")]
Keeps = Annotated[o.Text, swept("Weights of other places that are tried. Default: 20,5,1.25.")]
SweepImages = Annotated[o.Number, swept("Images that they are compared on. Default: 60.")]
Budget = Annotated[
    float | None,
    swept("Share of the labels of other places that may change. Default: 0.15."),
]
Matching = Annotated[
    o.Text, swept("Layer whose keys say which places match. Default: all that are swept.")
]
WantedClasses = Annotated[
    o.Text, swept("Classes that are to appear, as tree,door. Default: those that are copied.")
]


def sweep_options(
    *,
    sweep: Sweep = False,
    ranks: Ranks = None,
    keeps: Keeps = None,
    sweep_images: SweepImages = None,
    budget: Budget = None,
    matching: Matching = None,
    wanted: WantedClasses = None,
) -> Settings:
    """The options of a sweep, as one setting ``swept``; None: not given."""
    several: Settings = {"ranks": ranks, "keeps": keeps, "sweep_images": sweep_images}
    several |= {"budget": budget, "matching": matching, "wanted": wanted}
    return {"swept": {"sweep": sweep, **several}}


def check_options(swept: Settings, site: str | None, single: Settings) -> bool:
    """Whether there is to be a sweep.

    Args:
        swept: of ``sweep_options``.
        site: the layer, or layers of a sweep.
        single: options of a single edit by name; None: not given.

    Raises:
        UsageError: options that contradict each other.

    >>> check_options(sweep_options(sweep=True)["swept"], None, {"rank": 3})
    Traceback (most recent call last):
    seeingkit.errors.UsageError: --rank is of a single edit; a sweep tries several: leave out one
    """
    given = {name: value for name, value in swept.items() if name != "sweep"}
    if swept["sweep"]:
        wrong = next((name for name, value in single.items() if value is not None), None)
        if wrong:
            raise UsageError(f"--{wrong} is of a single edit; a sweep tries several: leave out one")
        return True
    wrong = next((name for name, value in given.items() if value is not None), None)
    if wrong:
        raise UsageError(f"--{wrong.replace('_', '-')} is of a sweep: add --sweep")
    if site is None:
        raise UsageError("name the layer with --site, or let --sweep choose it")
    return False


def run_sweep(
    gan: str | None,
    request: Path,
    out: Path,
    chosen: Settings,
    settings: Settings,
    json: bool,
) -> None:
    """Sweep, and print a table of all edits and what the chosen one does.

    Args:
        gan, request, out: as of ``seeingkit.sweep``.
        chosen: options of the sweep as the command line has them; None: the default.
        settings: further arguments of ``seeingkit.sweep``; None: the default.
        json: print the record instead.

    Raises:
        UsageError: a list that holds something else than numbers.
    """
    from seeingkit.runs.sweep import sweep

    known = {"sweep_images": "images", "site": "sites"}
    options = {
        known.get(name, name): value
        for name, value in chosen.items()
        if value is not None and name not in ("sweep", "wanted")
    }
    if "sites" in options:
        options["sites"] = "all" if options["sites"] == "all" else names(options["sites"])
    for name, kind in (("ranks", int), ("keeps", float)):
        if name in options:
            options[name] = numbers(options[name], name, kind)
    wanted = names(chosen["wanted"])
    given = {name: value for name, value in settings.items() if value is not None}
    found = sweep(gan, request, out=out, wanted=wanted, options=options, **given)
    _told(found, json=json)


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
