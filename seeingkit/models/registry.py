"""The registry: plugins, and the specs that they register. Never imports torch.

Guarantees: a plugin that cannot be imported, or registers something wrong, is listed as failed with
its reason and takes nothing else with it (its half-done registrations are rolled back); two plugins
that register the same name are refused with both names; an unknown name lists near matches.

Environment: ``SEEINGKIT_PLUGINS`` (comma-separated allow list of entry points),
``SEEINGKIT_BLOCK`` (block list), ``SEEINGKIT_STRICT=1`` (a failing plugin is an error).
"""

from __future__ import annotations

import difflib
import functools
import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, cast

import pluggy
from pydantic import BaseModel, ValidationError

from seeingkit.errors import (
    DuplicateNameError,
    PluginError,
    UnknownNameError,
    UsageError,
    first_fault,
)
from seeingkit.specs import (
    PRESETS,
    PROJECT,
    AnnotatorSpec,
    DataSpec,
    EncoderSpec,
    ExecutorSpec,
    FeaturesSpec,
    GanGroupSpec,
    GanSpec,
    Hooks,
    InverterSpec,
    Kind,
    MetricSpec,
    Preset,
    SegmenterSpec,
    Spec,
    TrackerSpec,
    WeightsSpec,
    _Loadable,
)

_KINDS: dict[type[Spec], Kind] = {
    GanSpec: "gan",
    GanGroupSpec: "gan",
    SegmenterSpec: "segmenter",
    AnnotatorSpec: "annotator",
    FeaturesSpec: "features",
    EncoderSpec: "encoder",
    DataSpec: "data",
    InverterSpec: "inverter",
    MetricSpec: "metric",
    ExecutorSpec: "executor",
    TrackerSpec: "tracker",
    WeightsSpec: "weights",
}

_SHARING: dict[Kind, tuple[Kind, ...]] = dict.fromkeys(
    ("segmenter", "annotator"), ("segmenter", "annotator")
)
"""Kinds that are named in the same place, so that a name must mean one of them."""


@dataclass
class PluginRecord:
    """The outcome of loading one entry point."""

    name: str
    distribution: str
    version: str
    module: str
    status: Literal["ok", "failed", "blocked"] = "ok"
    reason: str = ""
    registers: list[str] = field(default_factory=list)


class Registry:
    """Everything that plugins registered, by kind and name."""

    def __init__(self) -> None:
        self.plugins: list[PluginRecord] = []
        self._specs: dict[tuple[Kind, str], Spec] = {}
        self._presets: dict[str, Preset] = {}
        self._origin: dict[tuple[str, str], str] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)

    # ----------------------------------------------------------------------------------- loading

    def load(self, points: Iterable[EntryPoint], environ: dict[str, str] | None = None) -> None:
        """Load entry points, one by one, each guarded."""
        env = os.environ if environ is None else environ
        allow = _names(env.get("SEEINGKIT_PLUGINS"))
        block = _names(env.get("SEEINGKIT_BLOCK"))
        strict = env.get("SEEINGKIT_STRICT", "") not in ("", "0")
        for point in sorted(points, key=lambda p: (p.name, p.value)):
            distribution = point.dist.name if point.dist else "unknown"
            version = point.dist.version if point.dist else ""
            record = PluginRecord(point.name, distribution, version, point.value)
            self.plugins.append(record)
            if point.name in block or (allow and point.name not in allow):
                record.status = "blocked"
                record.reason = "SEEINGKIT_BLOCK" if point.name in block else "SEEINGKIT_PLUGINS"
                continue
            try:
                self.add(point.load(), record)
            except DuplicateNameError:
                raise
            except Exception as error:  # whatever a plugin does at import must harm nobody else
                record.status, record.reason = "failed", _first_line(error)
                if strict:
                    raise PluginError(
                        f"plugin {point.name!r} of {distribution} failed: {record.reason}"
                    ) from error

    def add(self, plugin: object, record: PluginRecord) -> None:
        """Register the specs of one plugin module (or object); all of them or none."""
        fresh: dict[tuple[Kind, str], Spec] = {}
        presets: dict[str, Preset] = {}
        where = f"{record.distribution} ({record.name})"

        def register(spec: Spec | Preset) -> None:
            if isinstance(spec, Preset):
                self._refuse_twice("preset", spec.name, where, presets)
                presets[spec.name] = spec
                return
            kind = _KINDS.get(type(spec))
            if kind is None:
                raise PluginError(f"register() takes a spec, not a {type(spec).__name__}")
            family = f"{spec.family}:" if isinstance(spec, WeightsSpec) else ""
            for name in (spec.name, *spec.aliases):
                name = family + name
                for other in _SHARING.get(kind, (kind,)):
                    self._refuse_twice(other, name, where, {n for k, n in fresh if k == other})
                fresh[kind, name] = spec
            record.registers.append(f"{kind} {family}{spec.name}")

        before = self._manager.get_plugins()
        self._manager.register(plugin, name=f"{record.distribution}:{record.name}")
        try:
            self._manager.check_pending()
            hooks = self._manager.subset_hook_caller("seeingkit_register", before)
            if not hooks.get_hookimpls():
                raise PluginError(f"{record.module} has no seeingkit_register hook")
            hooks(register=register)
        except Exception:
            record.registers.clear()
            self._manager.unregister(plugin)
            raise
        self._specs.update(fresh)
        self._presets.update(presets)
        for kind_of, name in [*fresh, *(("preset", n) for n in presets)]:
            self._origin[kind_of, name] = where

    def _refuse_twice(self, kind: str, name: str, where: str, fresh: Iterable[str]) -> None:
        first = self._origin.get((kind, name)) or (where if name in fresh else None)
        if first is not None:
            raise DuplicateNameError(
                f"{kind} {name!r} is registered twice, by {first} and by {where}; "
                f"block one with SEEINGKIT_BLOCK=<plugin>"
            )

    # ----------------------------------------------------------------------------------- looking up

    def specs(self, kind: Kind) -> list[Spec]:
        """All specs of a kind, each once, by name."""
        unique = {id(s): s for (k, _), s in self._specs.items() if k == kind}
        return sorted(unique.values(), key=lambda s: getattr(s, "full_name", s.name))

    def find(self, kind: Kind, name: str) -> Spec | None:
        """The spec of that name or alias, or None."""
        return self._specs.get((kind, name))

    def resolve(self, kind: Kind, name: str) -> Spec:
        """The spec of that name or alias.

        Raises:
            UnknownNameError: lists near matches.
        """
        try:
            return self._specs[kind, name]
        except KeyError:
            known = [n for k, n in self._specs if k == kind]
            failed = [p.name for p in self.plugins if p.status == "failed"]
            hint = f"(failed plugins: {', '.join(failed)}; see 'seeingkit plugins')"
            what = "data set" if kind == "data" else kind
            raise UnknownNameError(what, name, known, hint if failed else "") from None

    def annotator(self, name: str) -> Spec:
        """The segmenter or the annotator without masks of that name or alias.

        Raises:
            UnknownNameError: as ``resolve`` for segmenters, with the annotators among the names.
        """
        found = self.find("annotator", name)
        return self.resolve("segmenter", name) if found is None else found

    def default(self, kind: Kind) -> str:
        """The name used when nobody gives one.

        Raises:
            UsageError: none is registered as the default of its kind, or more than one.
        """
        found = [s.name for s in self.specs(kind) if isinstance(s, _Loadable) and s.default]
        if len(found) != 1:
            several = f" ({', '.join(found)} all claim to be)" if found else ""
            listed = f"name one with --{kind}, see 'seeingkit ls {kind}s'"
            raise UsageError(f"there is no default {kind}{several}; {listed}")
        return found[0]

    def preset(self, name: str) -> Preset:
        """The preprocessing preset of that name."""
        presets = {**PRESETS, **self._presets}
        if name not in presets:
            raise UnknownNameError("preset", name, presets)
        return presets[name]

    def weights_for(self, family: str, domain: str | None = None) -> list[WeightsSpec]:
        """Registered weights of a family, optionally of one domain (data set name or alias).

        They come in the order of their names: the best are called by their domain alone.
        """
        names = {domain}
        if domain is not None and ("data", domain) in self._specs:
            spec = self._specs["data", domain]
            names |= {spec.name, *spec.aliases}
        return [
            spec
            for spec in cast("list[WeightsSpec]", self.specs("weights"))
            if spec.family == family and (domain is None or names & set(spec.domains))
        ]


def _names(value: str | None) -> set[str]:
    return {part.strip() for part in (value or "").split(",") if part.strip()}


@functools.cache
def registry() -> Registry:
    """The registry of this process, filled from the installed entry points on first use."""
    filled = Registry()
    filled.load(entry_points(group=PROJECT))
    return filled


def find_preset(preset: str | Preset | None, resolution: int | None = None) -> Preset:
    """The preset of that name (default ``paper``), optionally at another resolution.

    ``paper`` at resolution 128 is called ``paper@128``, and that name is understood too.

    Raises:
        UnknownNameError: no such preset.
        UsageError: a resolution that is no positive number of pixels.

    >>> find_preset("paper@128").size
    128
    """
    if preset is None or isinstance(preset, str):
        name, at, size = (preset or "paper").partition("@")
        if at:
            if not size.isascii() or not size.isdigit():
                raise UsageError(f"preset {preset!r}: give the resolution in pixels, as paper@128")
            if resolution is not None and resolution != int(size):
                raise UsageError(f"preset {preset!r} and resolution {resolution} disagree")
            resolution = int(size)
        # Built-in names are known without plugins.
        preset = PRESETS[name] if name in PRESETS else registry().preset(name)
    if resolution is None or resolution == preset.size:
        return preset
    if not 1 <= resolution <= 8192:
        raise UsageError(f"resolution {resolution}: give 1 to 8192 pixels")
    stem = preset.name.partition("@")[0]
    return preset.model_copy(update={"name": f"{stem}@{resolution}", "size": resolution})


def import_target(spec: _Loadable) -> Callable[..., Any]:
    """Import the target of a spec.

    Raises:
        PluginError: the module cannot be imported or lacks the name; says which extra may help.
    """
    return import_named(spec, spec.target)


def import_named(spec: Spec, place: str) -> Callable[..., Any]:
    """Import ``module:name`` for a spec; errors as ``import_target``."""
    module, _, attribute = place.partition(":")
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except Exception as error:  # whatever a plugin does at import
        message = f"{spec.name}: cannot import {place} ({_first_line(error)})"
        raise PluginError(message) from error
    return cast("Callable[..., Any]", found)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def check_options(spec: _Loadable, values: dict[str, object]) -> BaseModel:
    """Validate user options against a spec's model.

    Raises:
        UsageError: names the option, its fault, and the options there are.
    """
    try:
        return spec.options.model_validate(values)
    except ValidationError as error:
        first = first_fault(error)
        # Below the option's own name lie list places, and types of a union, which say nothing.
        name = first.where.partition(".")[0] or "options"
        known = ", ".join(spec.options.model_fields) or "none"
        if first.kind == "extra_forbidden":
            near = difflib.get_close_matches(name, spec.options.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            fault = f"there is no option {name!r}{hint} options: {known}"
        else:
            fault = f"option {name!r}: {first.reason}; options: {known}"
        raise UsageError(f"{spec.name}: {fault}") from error
