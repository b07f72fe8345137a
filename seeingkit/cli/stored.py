"""``seeingkit store``: list, verify and clean up stored work (tallies, inversions, encoders)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seeingkit.errors import ExitCode, RunError

from .options import Json, option
from .output import print_json, print_listing, say
from .pages import CONTEXT, Command, Commands

if TYPE_CHECKING:
    from seeingkit.system.addresses import Place

app = typer.Typer(
    name="store",
    help="Stored work: list, verify, remove what is not needed.",
    cls=Commands,
    context_settings=CONTEXT,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[
    str | None,
    typer.Argument(help="A folder or address of stored work (--store). Default: the cache."),
]


@app.command("ls", cls=Command)
def list_stored(folder: Folder = None, json: Json = False) -> int:
    """List stored work: what it belongs to, files, size, age."""
    from seeingkit.models.hub.consent import readable_size
    from seeingkit.runs.stored import stored_files

    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for file in stored_files(_existing(folder)):
        key = file.kind, file.about, "not needed" if file.unneeded else ""
        names = dict(zip(("kind", "of", "state"), key, strict=True))
        group = groups.setdefault(key, {**names, "files": 0, "bytes": 0, "modified": 0.0})
        group["files"] += 1
        group["bytes"] += file.size
        group["modified"] = max(group["modified"], file.modified)

    def row(group: dict[str, Any]) -> tuple[str, ...]:
        size, age = readable_size(group["bytes"]), _age(group["modified"])
        return group["kind"], group["of"], str(group["files"]), size, age, group["state"]

    header = ("kind", "of", "files", "size", "age", "")
    print_listing(json, [groups[key] for key in sorted(groups)], header, row)
    return ExitCode.DONE


@app.command(cls=Command)
def verify(folder: Folder = None, json: Json = False) -> int:
    """Read and check all stored work. Names what is damaged; exit code 1 if anything is."""
    from seeingkit.runs.stored import check_stored

    checked, bad = 0, []
    for file, fault in check_stored(_existing(folder)):
        checked += 1
        if fault:
            bad.append({"path": str(file.path), "kind": file.kind, "fault": fault})
            say(f"seeingkit: {file.path}: {fault}", error=True)
    if json:
        print_json({"files": checked, "damaged": bad})
    else:
        say(f"{checked} files checked, {len(bad)} damaged")
    if bad and not json:
        say("the next run sets them aside and does them again")
    return ExitCode.FAILED if bad else ExitCode.DONE


@app.command(cls=Command)
def gc(
    folder: Folder = None,
    older_than: Annotated[
        float | None, option("Also remove finished work older than so many days.", "--older-than")
    ] = None,
    json: Json = False,
) -> int:
    """Remove leftovers of killed writes, damaged files set aside, and work of older code."""
    from seeingkit.models.hub.consent import readable_size
    from seeingkit.runs.stored import remove_unneeded

    freed: dict[str, dict[str, Any]] = {}
    for file, reason in remove_unneeded(_existing(folder), older_than=older_than):
        group = freed.setdefault(reason, {"reason": reason, "files": 0, "bytes": 0})
        group["files"] += 1
        group["bytes"] += file.size
    records = list(freed.values())
    if json:
        print_json(records)
        return ExitCode.DONE
    for record in records:
        say(f"{record['files']} files, {readable_size(record['bytes'])}: {record['reason']}")
    total = sum(record["bytes"] for record in records)
    say(f"freed {readable_size(total)}")
    return ExitCode.DONE


def _existing(folder: str | None) -> Place | None:
    """The place of that name, if there is one."""
    from seeingkit.system.addresses import place

    if folder is None:
        return None
    found = place(folder)
    if not (found.is_dir() if isinstance(found, Path) else found.exists()):
        raise RunError(f"{folder}: no such folder of stored work")
    return found


def _age(modified: float) -> str:
    if not modified:
        return "?"  # an address whose listing does not say
    seconds = max(0.0, time.time() - modified)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
