"""Imports torchmetrics and Lightning, also beside a torch-fidelity that finds no torchvision.

torchmetrics imports torch-fidelity where it is installed, and fails where that fails. The extra
``fidelity`` of seeingkit installs torch-fidelity without torchvision; so it is imported first, as
``fidelity`` does it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from types import ModuleType

from seeingkit.errors import PluginError
from seeingkit_plugins.fidelity.library import library


def import_library(name: str, part: str = "") -> ModuleType:
    """A library, or a part of it: ``import_library("lightning", "pytorch")``.

    Raises:
        PluginError: it is not installed, or cannot be imported (with the reason).
    """
    extra = f"pip install 'seeingkit[{name}]'"
    if importlib.util.find_spec(name) is None:
        raise PluginError(f"{name} is not installed; use: {extra}")
    if importlib.util.find_spec("torch_fidelity") is not None:
        with contextlib.suppress(PluginError):
            library()
    try:
        return importlib.import_module(f"{name}.{part}" if part else name)
    except ImportError as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PluginError(f"{name} cannot be imported ({reason}); use: {extra}") from error
