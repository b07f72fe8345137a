"""The TensorFlow pickle of ProGAN (tkarras/progressive_growing_of_gans), and its Theano forerunner.

Guarantees that every variable was checked under its own name before anything is converted, and that
settings that would change the images are either followed or refused by name.

The network is ``network``'s: pixel norm after each activation here is the pixel norm before
the next block there. Weights are stored unscaled in both, with the same scales. What changes is
axes: the first layer's matrix becomes a padded convolution (mirrored), and an upsampling layer
fused with its convolution (``Conv0_up``, [3, 3, out, in]) becomes an ordinary kernel (mirrored),
after which nearest x2 and convolution are the same numbers (``networks.py``).

A network that was still growing when it was saved (``lod`` > 0) is read as it then drew: up to the
resolution reached, blended with the one before, and enlarged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, check_finite, check_state

from ..tensorflow_networks import (
    PROGAN,
    THEANO,
    Converted,
    Recipes,
    TensorFlowNetwork,
    as_tensor,
    network,
    outline,
    scaled,
)
from .config import ProGANConfig
from .network import equalised_scale, layer_shapes
from .theano import LAYOUT as THEANO_LAYOUT
from .theano import is_theano, theano_network

LAYOUT = "tkarras TensorFlow pickle"
_LAST = re.compile(r"(\d+)x\1/Conv1/weight")


def layout(checkpoint: Checkpoint) -> str | None:
    """Which of the two layouts a file has, or None."""
    if is_theano(checkpoint):
        return THEANO_LAYOUT
    found = outline(checkpoint)
    if found is None or found.kind not in (PROGAN, THEANO):
        return None
    return LAYOUT if found.version is not None and found.build_func_name == "G_paper" else None


def read_tensorflow(checkpoint: Checkpoint) -> tuple[ProGANConfig, Mapping[str, Tensor]]:
    """Config and tensors, under the names of ``growing_network``, of a file of either layout.

    Raises:
        StateMismatchError: a variable, parameter or setting that does not fit (named).
    """
    if is_theano(checkpoint):
        return _read(theano_network(checkpoint))
    return _read(network(checkpoint))


def _read(part: TensorFlowNetwork) -> tuple[ProGANConfig, Mapping[str, Tensor]]:
    sides = part.sides(_LAST, 10, "a ProGAN")
    fused = "8x8/Conv0_up/weight" in part.variables
    dense = part.shape("4x4/Dense/weight", 2)[0]
    widths = {r: part.shape(f"{_name(r, 1, fused)}/bias", 1)[0] for r in sides}
    image = part.shape("ToRGB_lod0/bias", 1)[0]
    shapes: dict[str, tuple[int, ...]] = {"4x4/Dense/weight": (dense, 16 * widths[4])}
    below = 0
    for i, r in enumerate(sides):
        c, first, second = widths[r], _name(r, 0, fused), _name(r, 1, fused)
        if r > 4:
            shapes[f"{first}/weight"] = (3, 3, c, below) if fused else (3, 3, below, c)
        shapes |= {f"{first}/bias": (c,), f"{second}/weight": (3, 3, c, c), f"{second}/bias": (c,)}
        rgb = f"ToRGB_lod{len(sides) - 1 - i}"
        shapes |= {f"{rgb}/weight": (1, 1, c, image), f"{rgb}/bias": (image,)}
        below = c
    found = {name: array.shape for name, array in part.variables.items() if name != "lod"}
    check_state(part.file, found, shapes)
    for name, array in part.variables.items():
        check_finite(part.file, name, as_tensor(array))
    config = _config(part, dense, [widths[r] for r in sides], image)
    return config, Converted(_recipes(part, config, sides, fused))


def _name(r: int, half: int, fused: bool) -> str:
    if r == 4:
        return "4x4/Conv" if half else "4x4/Dense"
    if half:
        return f"{r}x{r}/Conv1"
    return f"{r}x{r}/Conv0_up" if fused else f"{r}x{r}/Conv0"


def _config(part: TensorFlowNetwork, dense: int, widths: Sequence[int], image: int) -> ProGANConfig:
    labels = part.integer("label_size", 0)
    latent = part.static_kwargs.get("latent_size")
    if not 0 <= labels < dense or latent not in (None, dense - labels):
        raise StateMismatchError(
            f"{part.file}: 4x4/Dense/weight takes {dense} numbers, but the network was built with "
            f"latent_size={latent} and label_size={labels}"
        )
    lod = part.scalar("lod", 0.0)
    if not 0 <= lod <= len(widths) - 1:
        raise StateMismatchError(
            f"{part.file}: variable 'lod' is {lod:g}, which {2 << len(widths)} pixels cannot be "
            "halved by"
        )
    halvings = math.floor(lod)
    return ProGANConfig.validated(
        part.file,
        {
            "sizes": [dense, *widths[: len(widths) - halvings]],
            "network": "growing",
            "labels": labels,
            "image_channels": image,
            "normalize_latents": part.flag("normalize_latents", True),
            "pixel_norm": part.flag("use_pixelnorm", True),
            "epsilon": part.number("pixelnorm_epsilon", 1e-8),
            "leak": 0.2 if part.flag("use_leakyrelu", True) else 0.0,
            "alpha": 1.0 - (lod - halvings),
            "upscale": 2**halvings,
            "clamp": False,
        },
    )


def _recipes(
    part: TensorFlowNetwork, config: ProGANConfig, sides: Sequence[int], fused: bool
) -> Recipes:
    """Weights as the file has them; without equalised learning rate, over the scale put on them."""
    scaled_already = not part.flag("use_wscale", True)
    recipes: Recipes = {}

    def put(ours: str, name: str, inputs: int, kernel: int, change: Callable[..., Tensor]) -> None:
        scale = equalised_scale(inputs, kernel, rgb=kernel == 1)
        factor = 1.0 / scale if scaled_already else 1.0
        recipes[f"{ours}.conv.weight"] = scaled(part, f"{name}/weight", factor, change)
        recipes[f"{ours}.wscale.b"] = scaled(
            part, f"{name}/bias", 1.0, _rgb_bias if kernel == 1 else None
        )

    for k, (inputs, _, kernel) in enumerate(layer_shapes(config.sizes), start=1):
        r, half = sides[(k - 1) // 2], (k - 1) % 2
        change = _dense if k == 1 else _fused_kernel if fused and not half else _kernel
        put(f"layer{k}", _name(r, half, fused), inputs, kernel, change)
    r = sides[len(config.sizes) - 2]
    lod = len(sides) - len(config.sizes) + 1
    put(f"output_{r}x{r}", f"ToRGB_lod{lod}", config.sizes[-1], 1, _rgb)
    if config.alpha < 1:
        put("previous", f"ToRGB_lod{lod + 1}", config.sizes[-2], 1, _rgb)
    return recipes


def _dense(weight: Tensor) -> Tensor:
    """[in, C*16] to the kernel (C, in, 4, 4) that meets a single pixel padded by 3."""
    return weight.reshape(weight.shape[0], -1, 4, 4).transpose(0, 1).flip(2, 3)


def _kernel(weight: Tensor) -> Tensor:
    """[k, k, in, out] to (out, in, k, k)."""
    return weight.permute(3, 2, 0, 1)


def _fused_kernel(weight: Tensor) -> Tensor:
    """[k, k, out, in] of a transposed convolution to (out, in, k, k) of a convolution."""
    return weight.permute(2, 3, 0, 1).flip(2, 3)


def _rgb(weight: Tensor) -> Tensor:
    """[1, 1, in, 3 or 1] to (3, in, 1, 1): grey is three equal channels."""
    return _kernel(weight).expand(3, -1, -1, -1)


def _rgb_bias(bias: Tensor) -> Tensor:
    return bias.expand(3)
