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
from typing import Any, NamedTuple

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Opaque, read_checkpoint, shown

from ..catalog.biggan import BigGANOptions

BN_EPSILON = 1e-5
SN_EPSILON = 1e-6
_RELU = "torch.nn.modules.activation.ReLU"
_RELU_NAMES = ("relu", "inplace_relu", "ir")


BIGBIGAN_EPSILON = 1e-4
"""Of both norms of BigBiGAN, whose generator is published in this layout (Donahue and Simonyan
2019; the loader of pytorch-pretrained-gans)."""


class Epsilons(NamedTuple):
    """Epsilons of a file.

    Attributes:
        batch, spectral: of batch norm and spectral norm.
        assumed: what neither an option nor the training state says, in words.
    """

    batch: float
    spectral: float
    assumed: tuple[str, ...]


def epsilons(path: Path, options: BigGANOptions, *, spectral: bool, one_class: bool) -> Epsilons:
    """Epsilons by the options, else the training state beside the file, else those published.

    Args:
        path: the weights.
        options: ``bn_eps``, ``sn_eps``.
        spectral: whether the weights have spectral norms.
        one_class: whether the table of classes holds one class only, as BigBiGAN's does.
    """
    config: Mapping[str, Any] = {}
    match = re.fullmatch(r"G(?:_ema)?(?P<suffix>(?:_.*)?\.pth)", path.name)
    if match and (options.bn_eps is None or options.sn_eps is None):
        config = _training_config(path.with_name(f"state_dict{match['suffix']}"))
    whose = "BigBiGAN's" if one_class else "the published run's"
    usual = {"bn_eps": BN_EPSILON, "sn_eps": SN_EPSILON}
    if one_class:
        usual = dict.fromkeys(usual, BIGBIGAN_EPSILON)
    values, assumed = [], []
    for name, stored in (("bn_eps", "BN_eps"), ("sn_eps", "SN_eps")):
        given = getattr(options, name)
        values.append(given or config.get(stored, usual[name]))
        if given is None and stored not in config and (spectral or name == "bn_eps"):
            assumed.append(f"{name}={usual[name]:g}, {whose}")
    if not config:
        assumed.append("ReLU between the layers")
    return Epsilons(values[0], values[1], tuple(assumed))


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
