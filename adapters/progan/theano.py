"""The Theano pickles of ProGAN, from before the TensorFlow code (read as its ``legacy.py`` does).

Guarantees that the unnamed arrays of such a file are given names only if their number, order and
shapes fit the generator of the paper; everything else is refused by the name of the misfit.

``param_values`` is a list in a fixed order: weight, scale (with ``use_wscale``) and bias of each
layer from 4x4 up, then of each RGB output from the full resolution down. Kernels are mirrored,
being those of true convolutions, and the scale is a number in the file: a scaled weight is a copy,
so it is made when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint

from ..tensorflow_networks import (
    THEANO,
    Converted,
    TensorFlowNetwork,
    as_array,
    outline,
    record,
)
from .network import equalised_scale

LAYOUT = "tkarras Theano pickle"
_FUNCTIONS = ("G_paper", "G_progressive_8")
# Settings of Theano's builder that G_paper has no equal of, and the value that means "not used".
_UNUSED: Mapping[str, Any] = {
    "label_size": 0,
    "use_batchnorm": False,
    "tanh_at_end": None,
    "use_layernorm": False,
}


def is_theano(checkpoint: Checkpoint) -> bool:
    """Whether a file holds Gs of the Theano code's generator of the paper."""
    found = outline(checkpoint)
    return (
        found is not None
        and found.kind == THEANO
        and found.version is None
        and found.build_func_name in _FUNCTIONS
    )


def theano_network(checkpoint: Checkpoint) -> TensorFlowNetwork:
    """The same network as TensorFlow variables, unfused."""
    found = record(checkpoint)
    assert found is not None
    state, file = found.state, checkpoint.path
    spec, values = state.get("build_func_spec"), state.get("param_values")
    if not isinstance(spec, Mapping) or not isinstance(values, (list, tuple)):
        raise StateMismatchError(f"{file}: lacks build_func_spec or a list of param_values")
    part = TensorFlowNetwork(file, "Gs", 2, str(spec.get("func")), dict(spec), {})
    for name, unused in _UNUSED.items():
        value = spec.get(name, unused)
        if not isinstance(value, (bool, int, float, type(None))) or value != unused:
            raise part.refuse(name, repr(unused))
    side = part.integer("resolution", 32)
    if side < 4 or side & (side - 1) or side > 4096:
        raise part.refuse("resolution", "a power of two from 4 to 4096")
    names = _layers(side)
    each = 3 if part.flag("use_wscale", True) else 2
    if len(values) != each * len(names):
        raise StateMismatchError(
            f"{file}: param_values has {len(values)} entries; {_words(part)} of {side} pixels "
            f"has {each * len(names)}"
        )
    arrays = iter(as_array(file, f"param_values[{i}]", value) for i, value in enumerate(values))
    recipes: dict[str, Callable[[], np.ndarray]] = {}
    for name in names:
        recipes |= _layer(part, name, arrays, scaled=each == 3)
    toplevel = state.get("toplevel_params")
    if isinstance(toplevel, Mapping) and "cur_lod" in toplevel:
        lod = as_array(file, "cur_lod", toplevel["cur_lod"])
        recipes["lod"] = lambda: lod
    return TensorFlowNetwork(file, "Gs", 2, "G_paper", part.static_kwargs, Converted(recipes))


def _words(part: TensorFlowNetwork) -> str:
    """The builder and whether its layers have scales, for a message."""
    return (
        f"{part.build_func_name} ({'with' if part.flag('use_wscale', True) else 'without'} wscale)"
    )


def _layers(side: int) -> list[str]:
    """Layers in the order of ``param_values``; RGB outputs from the full resolution down."""
    sides = [4 << i for i in range(side.bit_length() - 2)]
    names = [_name(r, half) for r in sides for half in (0, 1)]
    return names + [f"ToRGB_lod{lod}" for lod in range(len(sides))]


def _layer(
    part: TensorFlowNetwork, name: str, arrays: Iterator[np.ndarray], *, scaled: bool
) -> dict[str, Callable[[], np.ndarray]]:
    weight = next(arrays)
    scale = next(arrays) if scaled else None
    bias = next(arrays)
    axes = 2 if name.startswith("ToRGB") else 4
    if weight.ndim != axes or 0 in weight.shape or (scale is not None and scale.size != 1):
        raise StateMismatchError(
            f"{part.file}: param_values of {name} have shapes {weight.shape} and "
            f"{None if scale is None else scale.shape}, expected {axes} axes and one number"
        )
    factor = 1.0
    if scale is not None:  # theirs is a number in the file, ours is computed
        inputs = weight.shape[0 if axes == 2 else 1]
        kernel = 1 if axes == 2 else 4 if name == "4x4/Dense" else weight.shape[2]
        factor = float(scale.reshape(())) / equalised_scale(inputs, kernel, rgb=axes == 2)

    def rearranged() -> np.ndarray:
        if axes == 2:
            found = weight[np.newaxis, np.newaxis]
        elif name == "4x4/Dense":
            found = weight.transpose(1, 0, 2, 3).reshape(weight.shape[1], -1)
        else:
            found = weight.transpose(2, 3, 1, 0)[::-1, ::-1]
        return found if scale is None else found * factor

    return {f"{name}/weight": rearranged, f"{name}/bias": lambda: bias}


def _name(r: int, half: int) -> str:
    if r == 4:
        return "4x4/Conv" if half else "4x4/Dense"
    return f"{r}x{r}/Conv{half}"
