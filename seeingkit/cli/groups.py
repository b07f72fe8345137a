"""Groups of options that several commands take, and the settings of a config they stand for.

A group is a function from options to settings; ``takes`` gives its options to a command. The
parameters of the group are their only statement: names, order, defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from seeingkit.errors import Faults, UsageError, all_faults

from . import options as o
from .options import generator_options, parse_options, segmenter_options

if TYPE_CHECKING:
    from seeingkit.analyses.inversion.config import InversionConfig
    from seeingkit.runs.config import Config

Settings = dict[str, Any]
"""Fields of ``seeingkit.runs.config.Config`` by name."""


def takes(
    *groups: Callable[..., Settings], **instead: object
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of the groups in place of its parameter ``settings``.

    Args:
        groups: functions from options to settings.
        instead: by name of an option of the groups, the type that this command states it with
            (another help text or flag).

    Returns:
        Decorator; the command gets the settings that the groups make of their options.
    """
    shared = {group: inspect.signature(group, eval_str=True).parameters for group in groups}
    options = {name: option for group in shared.values() for name, option in group.items()}
    for name, stated in instead.items():
        options[name] = options[name].replace(annotation=stated)

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def taken(**given: Any) -> int:
            settings: Settings = {}
            for group, names in shared.items():
                settings |= group(**{name: given.pop(name) for name in names})
            return command(**given, settings=settings)

        own = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for name, parameter in own.parameters.items():
            parameters += options.values() if name == "settings" else [parameter]
        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        taken.__signature__ = own.replace(parameters=keywords)  # type: ignore[attr-defined]
        return taken

    return decorate


def image_settings(
    *,
    weights: o.Weights = None,
    segmenter: o.Segmenter = None,
    segmenter_weights: o.SegmenterWeights = None,
    n: o.N = None,
    seed: o.Seed = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize,
    on_bad: o.OnBad,
    gan_option: o.GanOption = None,
    edit: o.Edit = None,
    segmenter_option: o.SegmenterOption = None,
    precision: o.Precision = None,
    compiled: o.Compile = False,
    data_option: o.DataOption = None,
) -> Settings:
    """The images, the models that draw and segment them, and the machine."""
    return {
        "weights": weights and str(weights),
        "segmenter": segmenter,
        "segmenter_weights": segmenter_weights and str(segmenter_weights),
        "n": n,
        "seed": seed,
        "device": device,
        "batch_size": batch_size,
        "on_bad": on_bad,
        "gan_options": generator_options(gan_option, edit),
        "segmenter_options": segmenter_options(segmenter_option, precision, compiled),
        "data_options": parse_options(data_option),
    }


def tally_settings(
    *, preset: o.PresetName = None, labels: o.Labels = None, classes: o.Classes = None
) -> Settings:
    """The preprocessing of a tally, the classes that are drawn, the classes that are counted."""
    return {"preset": preset, "labels": labels, "classes": classes}


def evidence_settings(
    *,
    level: o.Level,
    groups: o.Groups = None,
    permutations: o.Permutations,
    truth: o.Truth = None,
    sensitivity: o.Sensitivity,
    fidelity: o.Fidelity = False,
    force: o.Force = False,
    fail_if: o.FailIf = None,
) -> Settings:
    """The tests and checks of a comparison, and the conditions under which it fails."""
    return {
        "level": level,
        "groups": groups,
        "permutations": permutations,
        "truth": truth,
        "sensitivity": sensitivity,
        "fidelity": fidelity,
        "force": force,
        "fail_if": tuple(fail_if or ()),
    }


def tracking_settings(*, track: o.Track = None, track_option: o.TrackOption = None) -> Settings:
    """The setting ``tracking``, which is of the command and of no config: tracker and options.

    Raises:
        UsageError: options, and no tracker.
    """
    options = parse_options(track_option)
    if options and track is None:
        raise UsageError("--track-option is for a tracker; name one with --track")
    return {"tracking": None if track is None else (track, options)}


def report_settings(*, title: o.Title = None) -> Settings:
    """The words of the report."""
    return {"title": title}


def dissection_settings(
    *,
    layers: o.Layers = None,
    units: o.Channels = None,
    rule: o.Rule,
    basis: o.Basis,
    level_images: o.LevelImages,
    fdr: o.Fdr,
) -> Settings:
    """What is dissected, by which rule: settings of ``runs.dissect.dissection_run_config``."""
    return {
        "layers": names(layers),
        "units": () if units is None else o.unit_numbers(units),
        "rule": rule,
        "basis": basis,
        "level_images": level_images,
        "fdr": fdr,
    }


def inversion_settings(
    *,
    label: o.ImageLabel = None,
    method: o.Method = None,
    cut: o.Cut = None,
    own: o.Own,
    patched: o.Patched,
    inversion_preset: o.InversionPreset = None,
    encoder: o.Encoder = None,
    encoder_option: o.EncoderOption = None,
    perceptual: o.Perceptual = None,
    perceptual_weights: o.PerceptualWeights = None,
    steps: o.Steps = None,
    inverter_option: o.InverterOption = None,
) -> Settings:
    """The setting ``inversion``: fields of an ``InversionConfig``, not yet validated.

    Raises:
        UsageError: an option of the inverter is given twice, or the cut as one.
    """
    options = parse_options(inverter_option)
    named = {
        "preset": inversion_preset,
        "encoder": encoder,
        "encoder_options": parse_options(encoder_option) or None,
        "perceptual": perceptual,
        "perceptual_weights": perceptual_weights and str(perceptual_weights),
        "steps": steps,
    }
    named = {name: value for name, value in named.items() if value is not None}
    for name in named:
        if name in options:
            raise UsageError(f"{name!r} is given twice: once as an inverter option")
    if "cut" in options:
        raise UsageError("the cut is no inverter option; use --cut")
    fields = {"methods": _methods(method), "cuts": names(cut), "own": own, "label": label}
    fields["patched"] = patched
    return {"inversion": fields | {"options": options | named}}


_OPTION_NAMES = {"methods": "method", "cuts": "cut", "classes": "photos-of"}


def inversion_config(fields: Settings) -> InversionConfig:
    """The validated configuration of an inversion, from the setting ``inversion``.

    Raises:
        UsageError: names the option and its fault.
    """
    from pydantic import ValidationError

    from seeingkit.analyses.inversion.config import InversionConfig

    try:
        return InversionConfig.model_validate(fields)
    except ValidationError as error:
        faults = Faults()
        for fault in all_faults(error):
            name = _OPTION_NAMES.get(fault.where, fault.where)
            faults.add(UsageError(f"--{name.replace('_', '-')}: {fault.reason}"))
        raise UsageError(str(faults)) from error


def names(text: str | None) -> tuple[str, ...]:
    """The names in a list such as ``a, b``."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _methods(text: str | None) -> tuple[str, ...]:
    from seeingkit.analyses.inversion.catalog import METHODS
    from seeingkit.models.registry import registry

    if text == "all":
        return METHODS
    if text == "none":
        return ()
    return names(text) or (registry().default("inverter"),)


def check_patterns(names: Sequence[str]) -> None:
    """A side is no single picture or shard: where several are, the shell has replaced a pattern.

    Args:
        names: of the real images, and of one or more sets of generated ones.

    Raises:
        UsageError: several of the names are pictures, or shards of one set.
    """
    from seeingkit.images.formats import is_image_name
    from seeingkit.images.shardnames import in_sequence

    if shards := in_sequence(names if len(names) > 2 else names[1:]):
        raise UsageError(
            f"{shards[0]} and {shards[1]} look like shards of one set, not like sets of images; "
            "put a pattern such as 'train-*.tar' or 'train-{0000..0009}.tar' in quotes, or the "
            "shell replaces it by its files (for sets of one shard each: 'train-000[0].tar')"
        )

    single = [name for name in names if is_image_name(name) and Path(name).is_file()]
    if len(single) > 1:
        raise UsageError(
            f"{single[0]} and {len(single) - 1} more are single pictures, not sets of images; put "
            "a pattern such as '*.png' in quotes, or the shell replaces it by its files"
        )


def checked(make: Callable[[], Config], *, tally: bool = False) -> Config:
    """The config that ``make`` gives; faults of settings are named together with those of names.

    Args:
        make: gives the config of a run.
        tally: the run is of ``config.generated`` alone.

    Raises:
        UsageError: settings or names that cannot be right.
    """
    from seeingkit.runs.config import SettingsError
    from seeingkit.runs.plan import resolve, resolve_source

    try:
        return make()
    except SettingsError as error:
        rest, faults = error.rest, Faults()
        faults.add(error)
        if rest is not None and not rest.others:
            faults.find(lambda: (resolve_source if tally else resolve)(rest))
        faults.raise_if_any()
        raise


_CHANGED_WITH = {"fail_if", "device", "batch_size", "title", "track", "track_option"}
_BESIDE_CONFIG = {"config", "out", "store", "json"} | _CHANGED_WITH


def repeated(
    config: Path, settings: Settings, context: typer.Context, only: str | None = None
) -> Config:
    """The config of an earlier run, with its gates and those given now; ``only``: of this command.

    Device, batch size and title change no number, so they may be given anew.

    Raises:
        UsageError: another setting is given as well, or it is a run of another command.
    """
    from seeingkit.runs.config import read_config

    source = {name: context.get_parameter_source(name) for name in context.params}
    given = {n for n, found in source.items() if getattr(found, "name", "") == "COMMANDLINE"}
    other = [p.opts[-1] for p in context.command.params if p.name in given - _BESIDE_CONFIG]
    if other:
        raise UsageError(f"--config repeats a run as it was; leave {', '.join(sorted(other))} out")
    earlier = read_config(config)
    changed = {name: settings[name] for name in given & {"device", "batch_size", "title"}}
    changed["fail_if"] = (*earlier.fail_if, *settings.get("fail_if", ()))
    if only is not None and earlier.command != only:
        raise UsageError(f"{config}: a run of {earlier.command}; use seeingkit {earlier.command}")
    return earlier.filled(**changed)
