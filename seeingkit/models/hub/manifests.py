"""Reads lists of published files from TOML, and a user's own list over ours.

A manifest has three kinds of tables, all optional::

    [domains]                      # a name for a data set, and its other names
    church = ["churches", "lsun-church"]

    [[weights]]                    # fields of seeingkit.specs.WeightsSpec
    name = "church"
    family = "progan"
    kind = "gan"
    domains = ["church"]           # stands for all names of that domain
    licence = "…"
    summary = "…"
    files = [{ name = "g.pth", url = "https://…", sha256_prefix = "7e701dd5" }]

    [[data]]                       # files that belong to a data set
    name = "minilsun"
    files = [{ name = "minilsun.zip", url = "https://…", md5 = "…" }]

``SEEINGKIT_ZOO`` names a manifest of the user's: its weights and data replace those of the same
name and are added to the others. So an institute can point at its own mirror, and a test at files
of its own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from seeingkit.errors import PluginError, first_fault
from seeingkit.specs import WeightFile, WeightsSpec


@dataclass(frozen=True)
class Manifest:
    """A list of published files."""

    weights: dict[str, WeightsSpec]  # by ``family:name``
    data: dict[str, tuple[WeightFile, ...]]  # by the name of the data set
    domains: dict[str, tuple[str, ...]]  # all names of each domain, its own first


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str = ""
    licence: str = "unknown"
    files: tuple[WeightFile, ...]


def read_manifest(path: Path | Any, known: Mapping[str, tuple[str, ...]] | None = None) -> Manifest:
    """Read a manifest.

    Args:
        path: a path, or a resource of a package.
        known: domains that it may name without listing them.

    Raises:
        PluginError: not TOML, an unknown field, a wrong value, or a name given twice.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PluginError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{path}: not TOML ({error})") from error
    unknown = sorted(content.keys() - {"domains", "weights", "data"})
    if unknown:
        raise PluginError(f"{path}: a manifest has domains, weights and data, not {unknown[0]!r}")
    domains = dict(known or {}) | {
        name: (name, *(alias for alias in aliases if alias != name))
        for name, aliases in content.get("domains", {}).items()
    }
    weights: dict[str, WeightsSpec] = {}
    for number, entry in enumerate(content.get("weights", ()), start=1):
        where = f"{path}: weights {entry.get('name', number)!r}"
        named = [n for d in entry.get("domains", ()) for n in domains.get(d, (d,))]
        spec = _checked(WeightsSpec, {**entry, "domains": tuple(dict.fromkeys(named))}, where)
        if spec.full_name in weights:
            raise PluginError(f"{where}: {spec.full_name} is listed twice")
        weights[spec.full_name] = spec
    data: dict[str, tuple[WeightFile, ...]] = {}
    for number, entry in enumerate(content.get("data", ()), start=1):
        where = f"{path}: data {entry.get('name', number)!r}"
        files = _checked(_Data, entry, where)
        if files.name in data:
            raise PluginError(f"{where} is listed twice")
        data[files.name] = files.files
    return Manifest(weights, data, domains)


def overlaid(shipped: Manifest) -> Manifest:
    """A shipped manifest with the user's own (``SEEINGKIT_ZOO``) laid over it.

    Of the user's data only entries that replace one of ``shipped`` count: a data set needs code.
    """
    named = os.environ.get("SEEINGKIT_ZOO")
    if not named:
        return shipped
    own = read_manifest(Path(named), shipped.domains)
    data = {name: files for name, files in own.data.items() if name in shipped.data}
    return Manifest({**shipped.weights, **own.weights}, {**shipped.data, **data}, own.domains)


def _checked(model: type[Any], entry: dict[str, Any], where: str) -> Any:
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        raise PluginError(f"{where}: {first_fault(error)}") from error
