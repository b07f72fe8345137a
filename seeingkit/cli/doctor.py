"""Checks of the machine and the installation: versions, devices, plugins, weights, cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from seeingkit.errors import MissingWeightsError, SeeingkitError
from seeingkit.models.hub import weights_path
from seeingkit.models.registry import registry
from seeingkit.specs import WeightsSpec
from seeingkit.system.cache import cache_folder


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        found: a version, a path or a count; the reason where ``ok`` is false.
    """

    name: str
    ok: bool
    found: str


def examine() -> list[Check]:
    """Run all checks: the machine first, then plugins, then embedded weights."""
    checks = [_guarded(name, check) for name, check in _CHECKS]
    for plugin in registry().plugins:
        found = plugin.reason or plugin.status
        checks.append(Check(f"plugin {plugin.name}", plugin.status != "failed", found))
    for spec in registry().specs("weights"):
        if isinstance(spec, WeightsSpec) and any(f.resource for f in spec.files):
            checks.append(_guarded(f"weights {spec.full_name}", partial(_weights, spec)))
    return checks


def _guarded(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except (SeeingkitError, ImportError, PackageNotFoundError, OSError) as error:
        return Check(name, False, str(error).splitlines()[0])


def _weights(spec: WeightsSpec) -> str:
    try:
        return weights_path(spec, fetch=False).name
    except MissingWeightsError as error:
        if any(file.extra for file in spec.files):  # an extra that is not wanted is no problem
            return str(error)
        raise


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _devices() -> str:
    import torch

    gpus = range(torch.cuda.device_count())
    found = ["cpu", *(f"cuda:{k} ({torch.cuda.get_device_name(k)})" for k in gpus)]
    return ", ".join(found + ["mps"] * torch.backends.mps.is_available())


def _cache() -> str:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written; set SEEINGKIT_CACHE")
    free = os.statvfs(folder)
    return f"{folder} ({free.f_bavail * free.f_frsize / 2**30:.0f} GiB free)"


def _packages() -> str:
    names = ("numpy", "scipy", "pillow", "pyarrow", "pydantic", "altair", "vl-convert-python")
    return ", ".join(f"{name} {version(name)}" for name in names)


def _lmdb() -> str:
    try:
        return f"lmdb {version('lmdb')}"
    except PackageNotFoundError:
        return "lmdb not installed (only for LSUN files: pip install 'seeingkit[lmdb]')"


_CHECKS: list[tuple[str, Callable[[], str]]] = [
    ("torch", _torch),
    ("devices", _devices),
    ("packages", _packages),
    ("extras", _lmdb),
    ("cache", _cache),
]
