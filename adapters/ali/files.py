"""Files of 9310gaurav/ali-pytorch (``netG_epoch_N.pth``, ``netE_epoch_N.pth``): config and tensors.

Guarantees that every key of a file was accounted for, and that kernels, which alone tell what the
strides are, have the sizes that the original fixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, Layout, check_finite, check_state

from ..catalog.ali import ALIEncoderOptions
from ..configs import check_colours
from .network import ENCODER_KERNELS, KERNELS, SIZE, ALIConfig, ALIEncoderConfig

GENERATOR = Layout(
    "ALI generator",
    ("output_bias", "main.0.weight", "main.1.running_mean", "main.18.weight"),
    r"output_bias|main\.\d+\.\w+",
)
ENCODER = Layout(
    "ALI encoder",
    ("main1.0.weight", "main2.0.weight", "main3.0.weight", "main4.0.weight"),
    r"main[1-4]\.\d+\.\w+",
)
_PLACES = tuple(f"main.{3 * k}" for k in range(7))
_ENCODER_PLACES = (*(f"main1.{3 * k}" for k in range(4)), "main2.0", "main3.0", "main4.0")
_COUNTER = ".num_batches_tracked"
ASSUMED = (
    "by its keys it is ali-pytorch's: leaky ReLU of slope 0.01, batch norms of epsilon 1e-05, no "
    "padding"
)


def read_generator(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor]
) -> tuple[ALIConfig, dict[str, Tensor]]:
    """Config and tensors, by our names, of a generator's state dict.

    Raises:
        StateMismatchError: a key is missing, unexpected, mis-shaped or not finite (names it), or
            kernels are of other sizes than the original's.
    """
    path = checkpoint.path
    shapes = [_shape(path, tensors, f"{place}.weight") for place in _PLACES]
    _check_kernels(path, _PLACES, shapes, KERNELS)
    widths = tuple(shape[1] for shape in shapes)
    check_colours(path, widths[-1])
    config = ALIConfig.validated(
        path,
        {
            "latent": shapes[0][0],
            "widths": widths,
            "assumed": (f"{ASSUMED}, strides 1,2,1,2,1,1,1, a sigmoid after the last",),
        },
    )
    inputs = (config.latent, *widths[:-1])
    expected: dict[str, tuple[int, ...]] = {
        f"{place}.weight": (before, width, kernel, kernel)
        for place, before, width, kernel in zip(_PLACES, inputs, widths, KERNELS, strict=True)
    }
    names = {f"layers.{k}.main.weight": f"{place}.weight" for k, place in enumerate(_PLACES)}
    for k, width in enumerate(widths[:-1]):
        _expect_norm(expected, names, f"main.{3 * k + 1}", f"layers.{k}.norm", width)
    expected["output_bias"] = (config.colours, SIZE, SIZE)
    names["output_bias"] = "output_bias"
    return config, _taken(path, tensors, expected, names)


def read_encoder(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], options: ALIEncoderOptions
) -> tuple[ALIEncoderConfig, dict[str, Tensor]]:
    """Config and tensors, by our names, of an encoder's state dict; errors as ``read_generator``.

    Args:
        options: ``latent``; without it the outputs are taken to be mean and log sigma.
    """
    path = checkpoint.path
    shapes = [_shape(path, tensors, f"{place}.weight") for place in _ENCODER_PLACES]
    _check_kernels(path, _ENCODER_PLACES, shapes, ENCODER_KERNELS)
    widths, assumed = tuple(shape[0] for shape in shapes), [ASSUMED]
    latent = options.latent
    if latent is None:
        latent = widths[-1] // 2 if widths[-1] % 2 == 0 else widths[-1]
        if latent != widths[-1]:
            assumed.append(
                f"latent={latent}: its {widths[-1]} outputs are mean and log sigma of {latent}"
            )
    colours = shapes[0][1]
    check_colours(path, colours)
    config = ALIEncoderConfig.validated(
        path, {"latent": latent, "colours": colours, "widths": widths, "assumed": tuple(assumed)}
    )
    inputs = (colours, *widths[:-1])
    expected, names = dict[str, tuple[int, ...]](), dict[str, str]()
    for k, (place, before, width, kernel) in enumerate(
        zip(_ENCODER_PLACES, inputs, widths, ENCODER_KERNELS, strict=True)
    ):
        expected[f"{place}.weight"] = (width, before, kernel, kernel)
        names[f"convolutions.{k}.weight"] = f"{place}.weight"
        if k < len(widths) - 1:
            group, _, number = place.partition(".")
            _expect_norm(expected, names, f"{group}.{int(number) + 1}", f"norms.{k}", width)
    expected["main4.0.bias"] = (widths[-1],)
    names[f"convolutions.{len(widths) - 1}.bias"] = "main4.0.bias"
    return config, _taken(path, tensors, expected, names)


def _expect_norm(
    expected: dict[str, tuple[int, ...]], names: dict[str, str], place: str, own: str, width: int
) -> None:
    for part in ("weight", "bias", "running_mean", "running_var"):
        expected[f"{place}.{part}"] = (width,)
        names[f"{own}.{part}"] = f"{place}.{part}"


def _shape(path: Path, tensors: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    if key not in tensors:
        raise StateMismatchError(f"{path}: missing key {key}")
    shape = tuple(tensors[key].shape)
    if len(shape) != 4 or 0 in shape:
        raise StateMismatchError(f"{path}: {key} has shape {shape}, expected that of a convolution")
    return shape


def _check_kernels(
    path: Path,
    places: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    kernels: Sequence[int],
) -> None:
    for place, shape, kernel in zip(places, shapes, kernels, strict=True):
        if shape[2:] != (kernel, kernel):
            raise StateMismatchError(
                f"{path}: {place}.weight has kernels of {shape[2]}x{shape[3]}, ALI's are "
                f"{kernel}x{kernel}: strides, which no file holds, are known for these alone"
            )


def _taken(
    path: Path,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
    names: Mapping[str, str],
) -> dict[str, Tensor]:
    """The tensors by our names, once all of them are as expected; counters of norms are logs."""
    found = {
        key: tensor
        for key, tensor in tensors.items()
        if not (key.endswith(_COUNTER) and f"{key.removesuffix(_COUNTER)}.running_mean" in expected)
    }
    check_state(path, found, expected)
    for key, tensor in found.items():
        check_finite(path, key, tensor)
        if key.endswith(".running_var") and bool((tensor < 0).any()):
            raise StateMismatchError(f"{path}: {key} holds negative variances; it is damaged")
    return {own: found[name] for own, name in names.items()}
