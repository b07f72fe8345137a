"""``seeingkit weights``: list, fetch, verify, inspect and convert weights files.

No code in a weights file is run; only ``convert`` and ``inspect`` import torch.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from seeingkit.errors import ExitCode, SeeingkitError, UnknownNameError, UsageError, printable

from .options import Edit, GanOption, Json, generator_options, option
from .output import print_json, print_listing, print_table, say
from .pages import CONTEXT, Command, Commands

if TYPE_CHECKING:
    from seeingkit.specs import WeightsSpec

app = typer.Typer(
    name="weights",
    help="Weights files: list, fetch, verify, inspect, convert.",
    cls=Commands,
    context_settings=CONTEXT,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str] | None, typer.Argument(help="Weights, as family:name.")]


_FEW = 12  # tensors that ``inspect`` lists unless it is asked for all


def confirm(question: str) -> bool:
    """Ask on stderr; stdout is for results."""
    return typer.confirm(printable(question), err=True)


@app.command("ls", cls=Command)
def list_weights(
    family: Annotated[str | None, typer.Argument(help="Only this family or group.")] = None,
    json: Json = False,
) -> int:
    """List registered weights: domain, size, state, licence."""
    from seeingkit.models.hub import is_here, weights_folder
    from seeingkit.models.hub.consent import readable_size
    from seeingkit.models.hub.hashes import published

    def row(record: dict[str, Any]) -> tuple[str, ...]:
        domain = next(iter(record["domains"]), "-")
        size = readable_size(record["size"]) if record["size"] else "-"
        return record["name"], domain, size, "here" if record["here"] else "-", record["licence"]

    records = [
        {
            **spec.model_dump(mode="json"),
            "name": spec.full_name,
            "size": _size(spec),
            "here": is_here(spec),
            "folder": None if spec.files[0].resource else str(weights_folder(spec)),
            "published": {file.name: published(file) for file in spec.files},
        }
        for spec in (_of_family(family) if family else _all())
    ]
    print_listing(json, records, ("weights", "domain", "size", "state", "licence"), row)
    return 0


@app.command(cls=Command)
def fetch(
    names: Names = None,
    family: Annotated[str | None, option("All weights of this family or group.", "--all")] = None,
    yes: Annotated[bool, option("Do not ask before large files.", "--yes")] = False,
    json: Json = False,
) -> int:
    """Download weights and verify them. Prints their paths; an interrupted download resumes."""
    from seeingkit.models.hub import ask_before_large_downloads, weights_path

    specs = [*(_named(name) for name in names or ()), *(_of_family(family) if family else ())]
    if not specs:
        raise UsageError("name the weights to fetch, or give --all FAMILY")
    ask_before_large_downloads(None if yes else confirm)
    records, failed = [], 0
    for spec in {spec.full_name: spec for spec in specs}.values():
        try:
            path = weights_path(spec)
        except SeeingkitError as error:
            if len(specs) == 1:
                raise
            failed += 1
            say(f"seeingkit: {error}", error=True)
            records.append({"name": spec.full_name, "path": None, "error": str(error)})
        else:
            records.append({"name": spec.full_name, "path": str(path), "error": None})
            if not json:
                say(f"{spec.full_name}  {path}")
    if json:
        print_json(records)
    return ExitCode.FAILED if failed else ExitCode.DONE


@app.command(cls=Command)
def verify(names: Names = None, json: Json = False) -> int:
    """Verify the hashes of weights (default: all on this machine). Exit code 1 if one is wrong."""
    from seeingkit.models.hub import is_here, verify_weights

    specs = [_named(name) for name in names] if names else [s for s in _all() if is_here(s)]
    records: list[dict[str, Any]] = []
    for spec in specs:
        try:
            files = {str(path): sha256 for path, sha256 in verify_weights(spec)}
            records.append({"name": spec.full_name, "ok": True, "sha256": files, "error": None})
        except SeeingkitError as error:
            records.append({"name": spec.full_name, "ok": False, "sha256": {}, "error": str(error)})

    def row(record: dict[str, Any]) -> tuple[str, ...]:
        found = record["error"] or ", ".join(record["sha256"].values())
        return record["name"], "ok" if record["ok"] else "wrong", found

    print_listing(json, records, ("weights", "state", "found"), row)
    return ExitCode.DONE if all(r["ok"] for r in records) else ExitCode.FAILED


@app.command(cls=Command)
def inspect(
    file: Annotated[Path, typer.Argument(help="Any weights file.")],
    every: Annotated[bool, option("List every tensor, not only the first.", "--all")] = False,
    json: Json = False,
) -> int:
    """Show format, family and tensors of a weights file. No code in it is run."""
    from seeingkit.models.inspection import inspect_file

    found = inspect_file(file)
    if json:
        print_json(found)
        return 0
    facts = [
        ("file", found["file"]),
        ("sha256", found["sha256"]),
        ("bytes", f"{found['bytes']:,}"),
        ("container", found["container"]),
        *((f"read by {f['family']}", f["layout"]) for f in found["families"]),
        *([] if found["families"] else [("read by", "no registered generator family")]),
        *((f"encoder read by {f['family']}", f["layout"]) for f in found["encoders"]),
        ("loads", found["loads"]),
        *([("network", found["network"])] if found["network"] else []),
        *(("assumes", text) for text in found["assumptions"]),
        *(
            (f"config {name}", value)
            for name, value in (found["config"] or {}).items()
            if name != "assumed"  # its phrases are listed above
        ),
        *((f"metadata {name}", value[:200]) for name, value in found["metadata"].items()),
        ("tensors", len(found["tensors"])),
        ("values", f"{found['values']:,}"),
    ]
    print_table([(k, str(v)) for k, v in facts], ("", ""), words=True)
    say()
    shapes = ["x".join(map(str, tensor["shape"])) or "1" for tensor in found["tensors"]]
    tensors = zip(found["tensors"], shapes, strict=True)
    rows = [(tensor["name"], shape, tensor["dtype"]) for tensor, shape in tensors]
    few = rows if every or len(rows) <= _FEW else rows[:_FEW]
    print_table(few, ("tensor", "shape", "type"), words=True)
    if len(few) < len(rows):
        print(f"… and {len(rows) - len(few):,} more: --all lists them")
    return 0


@app.command(cls=Command)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A weights file or folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    gan: Annotated[str, option("Generator family; auto: by the content.")] = "auto",
    gan_option: GanOption = None,
    edit: Edit = None,
    force: Annotated[bool, option("Replace OUT if it exists.", "--force")] = False,
    json: Json = False,
) -> int:
    """Convert a generator to safetensors. Checks that both files draw the same image."""
    from seeingkit.models.conversion import convert_file

    done = convert_file(
        source, target, gan=gan, options=generator_options(gan_option, edit), force=force
    )
    if json:
        print_json(done)
    else:
        say(
            f"{done['target']}: {done['family']} at {done['resolution']} pixels, "
            f"{done['tensors']} tensors; the image of seed 0 is the same"
        )
    return 0


# ----------------------------------------------------------------------------------------- names


def _all() -> list[WeightsSpec]:
    from seeingkit.models.registry import registry
    from seeingkit.specs import WeightsSpec

    return [spec for spec in registry().specs("weights") if isinstance(spec, WeightsSpec)]


def _of_family(family: str) -> list[WeightsSpec]:
    """The weights of a family, of the families of a group, or of an alias of either."""
    from seeingkit.models.registry import registry
    from seeingkit.specs import GanGroupSpec

    families = {family}
    for kind in ("gan", "segmenter", "annotator", "features", "metric"):
        with suppress(UsageError):
            spec = registry().resolve(kind, family)
            families |= set(spec.families) if isinstance(spec, GanGroupSpec) else {spec.name}
    found = [spec for spec in _all() if spec.family in families]
    if not found:
        raise UnknownNameError("family with weights", family, {spec.family for spec in _all()})
    return found


def _named(name: str) -> WeightsSpec:
    """Weights by ``family:name``; a group takes the first of its families that has the name."""
    from seeingkit.models.registry import registry
    from seeingkit.specs import GanGroupSpec

    known = registry()
    family, _, tag = name.partition(":")
    names = [name]
    with suppress(UnknownNameError):
        group = known.resolve("gan", family)
        members = group.families if isinstance(group, GanGroupSpec) else (group.name,)
        names = [f"{member}:{tag}" for member in members]
    for candidate in names[:-1]:
        with suppress(UnknownNameError):
            return cast("WeightsSpec", known.resolve("weights", candidate))
    return cast("WeightsSpec", known.resolve("weights", names[-1]))


def _size(spec: WeightsSpec) -> int | None:
    sizes = [file.size for file in spec.files]
    return None if None in sizes else sum(size for size in sizes if size is not None)
