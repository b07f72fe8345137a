"""Options that several commands share, each said once.

Defaults that decide what is claimed are the config's (``Usual``), so help and runs cannot differ.
Groups of options that several commands take are functions from options to settings of a config;
``takes`` gives them to a command.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from seeingkit.runs.config import Config

Settings = dict[str, Any]
"""Fields of ``seeingkit.runs.config.Config`` by name."""


class Usual:
    """A field's default in the config, looked up when help or a run needs it (not on start-up)."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __call__(self) -> Any:
        from seeingkit.runs.config import Config

        return Config.model_fields[self.field].default

    def __str__(self) -> str:
        return str(self())


def takes(*groups: Callable[..., Settings]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of the groups in place of its parameter ``settings``.

    Returns:
        Decorator; the command gets the settings that the groups make of their options.
    """
    shared = {group: inspect.signature(group, eval_str=True).parameters for group in groups}

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def taken(**given: Any) -> int:
            settings: Settings = {}
            for group, options in shared.items():
                settings |= group(**{name: given.pop(name) for name in options})
            return command(**given, settings=settings)

        own = inspect.signature(command, eval_str=True)
        parameters = []
        for name, parameter in own.parameters.items():
            instead = [o for options in shared.values() for o in options.values()]
            parameters += instead if name == "settings" else [parameter]
        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        taken.__signature__ = own.replace(parameters=keywords)  # type: ignore[attr-defined]
        return taken

    return decorate


_BESIDE_CONFIG = {"config", "out", "store", "json", "fail_if", "device", "batch_size"}


def repeated(config: Path, settings: Settings, context: typer.Context) -> Config:
    """The config of an earlier run, with its gates and those given now.

    Device and batch size change no number, so they may be given anew: the machine may be another.

    Raises:
        UsageError: another setting is given as well.
    """
    from seeingkit.errors import UsageError
    from seeingkit.runs.config import make_config, read_config

    given = {name for name in context.params if _is_given(context, name)}
    other = [p.opts[0] for p in context.command.params if p.name in given - _BESIDE_CONFIG]
    if other:
        raise UsageError(f"--config repeats a run as it was; leave {', '.join(sorted(other))} out")
    plan = read_config(config)
    changed = {name: settings[name] for name in given & {"device", "batch_size"}}
    changed["fail_if"] = (*plan.fail_if, *settings.get("fail_if", ()))
    return make_config(**{**plan.model_dump(), **changed})


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


Gan = Annotated[
    str | None,
    typer.Option(help="Generator: family, family:weights, or auto with --weights."),
]
Weights = Annotated[Path | None, typer.Option(help="The generator's weights file.")]
Segmenter = Annotated[str | None, typer.Option(help="Segmenter: family or family:weights.")]
SegmenterWeights = Annotated[
    Path | None, typer.Option(help="The segmenter's weights file or folder.")
]
SegmenterOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the segmenter; may be repeated.")
]
GanOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the generator; may be repeated.")
]
DataOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the data set; may be repeated.")
]
Labels = Annotated[
    str | None,
    typer.Option(help="Classes a conditional generator draws: uniform, data, or a list as 3,7."),
]
Classes = Annotated[
    str | None, typer.Option(help="Merge labels into a common vocabulary: its name or TOML file.")
]
N = Annotated[int | None, typer.Option("--n", help="Images per side.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps or auto.")]
BatchSize = Annotated[int, typer.Option(help="Images computed at once.")]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="Preprocessing, e.g. paper, native, paper@128.")
]
OnBad = Annotated[str, typer.Option(help="Unreadable images: skip (exit code 3) or fail.")]
Out = Annotated[Path | None, typer.Option(help="Run directory.")]
Store = Annotated[Path | None, typer.Option(help="Folder of finished work (default: cache).")]
Json = Annotated[bool, typer.Option("--json", help="Print results.json instead of words.")]
Permutations = Annotated[
    int,
    typer.Option(
        help="Permutations behind the p-value; 0: none.", default_factory=Usual("permutations")
    ),
]
Level = Annotated[
    float,
    typer.Option(help="False discovery rate of the verdicts.", default_factory=Usual("level")),
]
Force = Annotated[
    bool, typer.Option("--force", help="Compare although segmenter, preset or n policy differ.")
]
Truth = Annotated[
    str | None,
    typer.Option(help="True labels of the real images: folder of label maps, data or none."),
]
Sensitivity = Annotated[
    str,
    typer.Option(
        help="The segmenter's share: auto, off, scale, scale:0.5, or a second one, family:FILE.",
        default_factory=Usual("sensitivity"),
    ),
]
Fidelity = Annotated[
    bool,
    typer.Option("--fidelity", help="Also FID, KID, IS, precision, recall (extra: fidelity)."),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit code 4 if so: 'fsd.bias_reduced > 5', 'omitted: person'; may be repeated."
    ),
]
Repeat = Annotated[
    Path | None, typer.Option("--config", help="Repeat the run of this manifest.json.")
]

Method = Annotated[
    str | None,
    typer.Option(
        help="z, encoder, encoder+z, layered, layered+z, layered+r; a,b; all; none (of analyze)."
    ),
]
Cut = Annotated[str | None, typer.Option(help="Boundary of r, several as a,b, or all.")]
Own = Annotated[int, typer.Option(help="The generator's own images that calibrate a method.")]
Encoder = Annotated[
    str | None,
    typer.Option(help="auto, found, train, none, or an encoder file of this generator."),
]
Perceptual = Annotated[
    str | None, typer.Option(help="Perceptual features: a name, auto or none (pixels only).")
]
PerceptualWeights = Annotated[Path | None, typer.Option(help="Their weights file.")]
Steps = Annotated[int | None, typer.Option(help="Optimisation steps at most.")]
InverterOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the method; may be repeated.")
]
ImageLabel = Annotated[
    int | None,
    typer.Option("--label", help="The one class to draw and invert, for a conditional generator."),
]


def image_settings(
    *,
    weights: Weights = None,
    segmenter: Segmenter = None,
    segmenter_weights: SegmenterWeights = None,
    n: N = None,
    seed: Seed = None,
    preset: PresetName = None,
    device: Device = "auto",
    batch_size: BatchSize = 16,
    on_bad: OnBad = "skip",
    gan_option: GanOption = None,
    segmenter_option: SegmenterOption = None,
    data_option: DataOption = None,
    labels: Labels = None,
    classes: Classes = None,
) -> Settings:
    """Which images, and how they are segmented."""
    from seeingkit.system.devices import resolve_device

    from .output import parse_options

    return {
        "weights": None if weights is None else str(weights),
        "segmenter": segmenter,
        "segmenter_weights": None if segmenter_weights is None else str(segmenter_weights),
        "n": n,
        "seed": seed,
        "preset": preset,
        "device": resolve_device(device),
        "batch_size": batch_size,
        "on_bad": on_bad,
        "gan_options": parse_options(gan_option),
        "segmenter_options": parse_options(segmenter_option),
        "data_options": parse_options(data_option),
        "labels": labels,
        "classes": classes,
    }


def evidence_settings(
    *,
    level: Level,
    permutations: Permutations,
    truth: Truth = None,
    sensitivity: Sensitivity,
    fidelity: Fidelity = False,
    force: Force = False,
    fail_if: FailIf = None,
) -> Settings:
    """What a comparison claims, how sure of it, and when it must fail."""
    return {
        "level": level,
        "permutations": permutations,
        "truth": truth,
        "sensitivity": sensitivity,
        "fidelity": fidelity,
        "force": force,
        "fail_if": tuple(fail_if or ()),
    }
