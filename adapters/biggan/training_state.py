"""The training state that ajbrock's code saves beside a generator: its epsilons.

Guarantees that it is read like any weights file (nothing runs), only under the very name that the
original gives it (``state_dict.pth`` for ``G_ema.pth`` and ``G.pth``, ``state_dict_best0.pth`` for
``G_ema_best0.pth``), and that a network with another activation is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Opaque, read_checkpoint, shown

from ..catalog.biggan import BigGANOptions

BN_EPSILON = 1e-5
SN_EPSILON = 1e-6
_RELU = "torch.nn.modules.activation.ReLU"
_RELU_NAMES = ("relu", "inplace_relu", "ir")


def epsilons(path: Path, options: BigGANOptions) -> tuple[float, float]:
    """Of batch norm and of spectral norm: options, training state beside the file, published."""
    config: Mapping[str, Any] = {}
    match = re.fullmatch(r"G(?:_ema)?(?P<suffix>(?:_.*)?\.pth)", path.name)
    if match and (options.bn_eps is None or options.sn_eps is None):
        config = _training_config(path.with_name(f"state_dict{match['suffix']}"))
    return (
        options.bn_eps or config.get("BN_eps", BN_EPSILON),
        options.sn_eps or config.get("SN_eps", SN_EPSILON),
    )


def _training_config(path: Path) -> Mapping[str, Any]:
    """The config in a training state; empty if there is no such file or it is another one's."""
    if not path.is_file():
        return {}
    content = read_checkpoint(path).content
    config = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping) or "BN_eps" not in config:
        return {}
    for name in ("BN_eps", "SN_eps"):
        value = config.get(name, 1.0)
        if not isinstance(value, float) or not 0 < value < math.inf:
            raise StateMismatchError(
                f"{path}: config: {name} is {shown(value)}, not a positive number"
            )
    activation, named = config.get("G_activation"), config.get("G_nl", "relu")
    kind = activation.kind if isinstance(activation, Opaque) else _RELU
    if kind != _RELU or not isinstance(named, str) or named not in _RELU_NAMES:
        odd = shown(kind.rpartition(".")[2] if kind != _RELU else named)
        raise StateMismatchError(f"{path}: config: activation {odd} is not supported, only ReLU")
    return config
