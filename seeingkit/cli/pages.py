"""Help pages: options in groups, with the defaults that a run would take; and near names.

Pages are plain text, the same in a terminal, a pipe and a log.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import typer
import typer.core

from seeingkit.errors import UsageError

from .options import FIGURE_PANELS, INTERVENTION_PANELS, PANELS

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of the main command, which all commands take over."""

WELCOME = """seeingkit finds what an image generator does not draw: it segments real and generated
images, compares the areas of classes, and inverts photos of the classes that are missing.

  seeingkit analyze                     the built-in example, a few minutes on a CPU
  seeingkit analyze --gan auto --weights G.pkl --data photos/ --segmenter FAMILY:WEIGHTS
                                        your generator against your photos
  seeingkit compare real/ generated/ --segmenter FAMILY:WEIGHTS
                                        two folders of images

seeingkit -h lists all commands, seeingkit COMMAND -h the options of one, seeingkit ls what there
is to name; seeingkit doctor checks the installation."""

_OPTIONS = {
    "--num-images": "--n",
    "--num-samples": "--n",
    "--num": "--n",
    "--number": "--n",
    "--count": "--n",
    "--images": "--n",
    "--samples": "--n",
    "--limit": "--n",
    "--dataset": "--data",
    "--data-dir": "--data",
    "--real": "--data",
    "--gpu": "--device",
    "--gpus": "--device",
    "--cuda": "--device",
    "--cpu": "--device",
    "--mps": "--device",
    "--output": "--out",
    "--outdir": "--out",
    "--output-dir": "--out",
    "--results": "--out",
    "-o": "--out",
    "--generator": "--gan",
    "--model": "--gan",
    "--network": "--weights",
    "--pkl": "--weights",
    "--checkpoint": "--weights",
    "--ckpt": "--weights",
    "--seg": "--segmenter",
    "--segmentation": "--segmenter",
    "--batch": "--batch-size",
    "--bs": "--batch-size",
    "-b": "--batch-size",
    "--size": "--preset",
    "--resolution": "--preset",
    "--image-size": "--preset",
    "--layer": "--cut",
    "--iterations": "--steps",
    "--alpha": "--level",
    "--fdr": "--level",
    "--class": "--label",
    "--resume": "--config",
    "--cache": "--store",
    "--fid": "--fidelity",
    "--type": "--kind",
    "--ext": "--format",
    "--log-dir": "--logdir",
    "--tracker": "--to",
    "--tensorboard": "--to",
    "--wandb": "--to",
}
"""Names that other tools give to options of ours."""

_SIDES = ("--data", "--gan")
"""Options that are arguments in some commands."""

_COMMANDS = {
    "list": "ls",
    "show": "ls",
    "run": "analyze",
    "eval": "analyze",
    "evaluate": "analyze",
    "diff": "compare",
    "fid": "compare",
    "project": "invert",
    "ablate": "intervene",
    "insert": "intervene",
    "edited": "assess",
    "measure": "assess",
    "effect": "assess",
    "ganpaint": "paint",
    "brush": "paint",
    "units": "dissect",
    "netdissect": "dissect",
    "dissection": "dissect",
    "artifact": "artifacts",
    "segment": "tally",
    "count": "tally",
    "download": "weights fetch",
    "fetch": "weights fetch",
    "inspect": "weights inspect",
    "convert": "weights convert",
    "verify": "weights verify",
    "plot": "figure",
    "draw": "figure",
    "paper": "figure",
    "csv": "numbers",
    "metrics": "numbers",
    "dump": "numbers",
    "log": "export",
    "track": "export",
    "wandb": "export",
    "tensorboard": "export",
    "check": "doctor",
    "info": "doctor",
    "version": "--version",
    "help": "--help",
    "serve": "view",
    "browse": "view",
    "dashboard": "view",
    "gui": "view",
}
"""Names that other tools give to commands of ours."""


def did_you_mean(name: str, known: Iterable[str], synonyms: dict[str, str]) -> str:
    """The end of a message about an unknown name: near ones, or nothing.

    >>> did_you_mean("--dataset", ["--data", "--n"], {})
    "; did you mean '--data'?"
    """
    known = list(known)
    meant = synonyms.get(name)
    if meant is not None and meant.partition(" ")[0] in known:
        near = [meant]
    elif meant is None or f"{name}s" in known:  # what another command calls otherwise
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    else:
        near = []
    return f"; did you mean {near[0]!r}?" if near else ""


class Command(typer.core.TyperCommand):
    """A command whose help page has its options in groups."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it; all options that do not exist are named, with near ones.

        Raises:
            UsageError: an option that does not exist.
        """
        unknown: list[str] = []
        left = list(args)
        while True:
            try:
                parsed = super().parse_args(ctx, list(left))
            except Exception as error:
                # Beside an option that does not exist, its value is an argument too many.
                if type(error).__name__ != "NoSuchOption" and not unknown:
                    _explain_extra(error, ctx)
                    raise
                name = getattr(error, "option_name", None)
                if name is None or name in unknown:
                    break
                unknown.append(name)
                left = [word for word in left if word.partition("=")[0] != name]
            else:
                if not unknown:
                    return parsed
                break
        known = [name for param in self.params for name in param.opts if name.startswith("--")]
        words = [p.name.upper() for p in self.params if p.param_type_name == "argument" and p.name]
        argument = f"; give the images as arguments: {ctx.info_name} {' '.join(words)}"
        said = [
            f"no option {name}"
            + (
                argument
                if words and "--data" not in known and _OPTIONS.get(name, name) in _SIDES
                else did_you_mean(name, known, _OPTIONS)
            )
            for name in unknown
        ]
        raise UsageError(f"{'; '.join(said)} (see '{ctx.command_path} -h')")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then the options, group by group."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                title = "Arguments"
            else:
                title = getattr(param, "rich_help_panel", None) or "Options"
            default = _resolved_default(ctx.info_name, param.name)
            named = f"{record[1]}  [default: {default}]" if default else record[1]
            rows.setdefault(title, []).append((record[0], named))
        order = ["Arguments", *FIGURE_PANELS, *INTERVENTION_PANELS, *PANELS, "Options"]
        for title in sorted(rows, key=order.index):
            with formatter.section(title):
                formatter.write_dl(rows[title])


def _explain_extra(error: Exception, ctx: Any) -> None:
    """Raise a ``UsageError`` for arguments too many: usually a pattern that the shell replaced."""
    said, bracket, names = str(getattr(error, "message", "")).partition(" (")
    if "unexpected extra argument" not in said or not bracket:
        return
    words = names.removesuffix(")").split()
    shown = " ".join(words[:3]) + (" …" if len(words) > 3 else "")
    many = "1 argument" if len(words) == 1 else f"{len(words)} arguments"
    raise UsageError(
        f"{ctx.info_name}: {many} too many: {shown}; "
        "put a pattern such as '*.png' in quotes, or the shell replaces it by its files "
        f"(see '{ctx.command_path} -h')"
    ) from error


class Commands(typer.core.TyperGroup):
    """A group of commands that knows what people call them elsewhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it; without a command the help page is the answer."""
        if not args and self.no_args_is_help:
            typer.echo(ctx.get_help())
            raise typer.Exit
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does it.

        Raises:
            UsageError: no such command; names near ones.
        """
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = [*self.commands, "--version", "--help"] if ctx.parent is None else self.commands
            hint = did_you_mean(args[0], known, _COMMANDS if ctx.parent is None else {})
            there = "" if hint else f"; there are: {', '.join(self.commands)}"
            path = ctx.command_path
            raise UsageError(f"no command {args[0]!r}{hint}{there} (see '{path} -h')")
        return super().resolve_command(ctx, args)


def _resolved_default(command: str | None, option: str | None) -> str:
    """The default of an option whose value is found when a run begins; else nothing."""
    from seeingkit.models.registry import registry
    from seeingkit.specs import DataSpec
    from seeingkit.system.cache import cache_folder

    on_units = ("dissect", "artifacts", "intervene", "assess")
    if command not in ("analyze", "compare", "tally", "invert", *on_units):
        return ""
    most = DataSpec.model_fields["n"].default
    data = registry().find("data", registry().default("data"))
    assert isinstance(data, DataSpec)
    folders = {"compare": "GENERATED-REAL"} | dict.fromkeys(
        ("analyze", "invert", *on_units), "GAN-DATA"
    )
    run = folders.get(command)
    every = "all images" if command == "tally" else "all real images"
    found = {
        "gan": f"the data set's own; {data.name}: {data.gan}",
        "data": data.name,
        "segmenter": f"the data set's own; {data.name}: {data.segmenter}; own images: none",
        "n": f"{every}, at most {most:,}; {data.name}: {data.n:,}",
        "seed": "0",
        "preset": "the data set's own; own images: paper",
        "out": f"runs/{run}-HASH" if run else "not written",
        "store": str(cache_folder()),
        "method": registry().default("inverter"),
        "cut": "default,next",
        "inversion_preset": "fast",
        "perceptual": "auto",
        "encoder": "found" if command == "analyze" else "auto",
        "steps": "the preset's",
        "truth": "the data set's own, if it has any",
    }
    if command in ("dissect", "intervene"):
        n = "1,000" if command == "dissect" else "100"
        found |= {"n": n, "data": "the set that the generator's weights name"}
    if command in ("artifacts", "assess"):
        found |= {"n": "300"}
    if command == "invert":
        found |= {"n": "all photos", "data": "the set that the generator's weights name"}
    return found.get(option or "", "")


def one_of(kind: str, name: str, known: Sequence[str], synonyms: dict[str, str]) -> str:
    """The name, if it is known.

    Raises:
        UsageError: it is not; names near ones.
    """
    if name in known:
        return name
    hint = did_you_mean(name, known, synonyms) or f"; there are: {', '.join(known)}"
    raise UsageError(f"no {kind} named {name!r}{hint}")
