"""The TensorFlow pickle of StyleGAN (NVlabs/stylegan; config A of NVlabs/stylegan2).

Guarantees that every variable was checked under its own name before anything is converted, and that
settings that would change the images are either followed or refused by name.

What the file does not hold (``training/networks_stylegan.py``): the scale of each weight is
gain / sqrt(fan-in), gain sqrt(2) before an activation and 1 otherwise; mapping layers, with their
biases, are multiplied by ``mapping_lrmul`` (0.01); gammas are stored less 1; where upsampling is
fused with the convolution (``fused_scale``, by default from 128 pixels on) the kernel is mirrored.

A network that was still growing when it was saved (``lod`` > 0) is read as it then drew: up to the
resolution reached, blended with the one before, and enlarged.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, check_finite, check_state

from ..tensorflow_networks import (
    STYLEGAN,
    Converted,
    Recipes,
    TensorFlowNetwork,
    as_tensor,
    network,
    outline,
    scaled,
)
from .files import Contents
from .network import StyleGAN1Config

LAYOUT = "NVlabs TensorFlow pickle"
SQRT2 = math.sqrt(2.0)
_FUSED_FROM = 128  # pixels, of fused_scale='auto'
_CONVOLUTION = re.compile(r"(\d+)x\1/Conv1/bias")
_DENSE = re.compile(r"Dense(\d+)/weight")


def is_tensorflow(checkpoint: Checkpoint) -> bool:
    """Whether a file holds Gs of NVlabs/stylegan, or of config A of NVlabs/stylegan2."""
    found = outline(checkpoint)
    return (
        found is not None
        and found.kind == STYLEGAN
        and found.build_func_name == "G_style"
        and found.components.get("synthesis") == "G_synthesis"
    )


def read_tensorflow(checkpoint: Checkpoint) -> Contents:
    """Read a TensorFlow pickle (G, D, Gs).

    Raises:
        StateMismatchError: a variable or setting that does not fit (named).
    """
    return _TensorFlow(checkpoint).contents()


class _TensorFlow:
    """One file while it is read: its three networks, and settings from their arrays."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.whole = network(checkpoint)
        self.mapping = self.whole.component("mapping")
        self.synthesis = self.whole.component("synthesis")
        self.resolutions = self.synthesis.sides(_CONVOLUTION, 9, "a StyleGAN")
        for name in ("use_styles", "const_input_layer"):
            if not self.synthesis.flag(name, True):
                raise self.synthesis.refuse(name, "True (others are not StyleGAN layers)")
        self.use_noise = self.synthesis.flag("use_noise", True)
        self.growing = (
            self.synthesis.text("structure", "auto", ("auto", "linear", "recursive", "fixed"))
            != "fixed"
        )

    def contents(self) -> Contents:
        config = self._config()
        self._check(config)
        shown = config.resolutions[-1]
        recipes: Recipes = {"mean_style": lambda: self.whole.tensor("dlatent_avg")}
        recipes |= self._mapping_recipes(config)
        for number in range(config.layers):
            recipes |= self._layer_recipes(config, number)
        recipes |= self._rgb_recipes("rgb", shown)
        if config.alpha < 1:
            recipes |= self._rgb_recipes("previous_rgb", shown // 2)
        return Contents(LAYOUT, config, Converted(recipes))

    def _config(self) -> StyleGAN1Config:
        mapping, synthesis = self.mapping, self.synthesis
        depth = len([name for name in mapping.variables if _DENSE.fullmatch(name)])
        latent, labels = mapping.shape("Dense0/weight", 2)[0], 0
        if "LabelConcat/weight" in mapping.variables:
            labels, latent = mapping.shape("LabelConcat/weight", 2)
        lod = self._lod()
        shown = self.resolutions[: len(self.resolutions) - math.floor(lod)]
        leaks = {"lrelu": 0.2, "relu": 0.0}
        stored = [name for name in synthesis.variables if re.fullmatch(r"noise\d+", name)]
        instance = synthesis.flag("use_instance_norm", True)
        return StyleGAN1Config.validated(
            self.checkpoint.path,
            {
                "latent": latent,
                "labels": labels,
                "mapping": [mapping.shape(f"Dense{i}/bias", 1)[0] for i in range(depth)],
                "channels": [synthesis.shape(f"{_last_layer(r)}/bias", 1)[0] for r in shown],
                "image_channels": synthesis.shape("ToRGB_lod0/bias", 1)[0],
                "normalize_latents": mapping.flag("normalize_latents", True),
                "mapping_leak": leaks[mapping.text("mapping_nonlinearity", "lrelu", (*leaks,))],
                "leak": leaks[synthesis.text("nonlinearity", "lrelu", (*leaks,))],
                "pixel_norm": synthesis.flag("use_pixel_norm", False),
                "instance_epsilon": 1e-8 if instance else None,
                "blur": self._blur(),
                "noise": "layer" if self.use_noise else "none",
                "stored_noise": self.use_noise and bool(stored),
                "alpha": 1.0 - (lod - math.floor(lod)),
                "upscale": 2 ** math.floor(lod),
            },
        )

    def _lod(self) -> float:
        """How far growing is from the final resolution, in halvings; Gs sets its synthesis's."""
        if not self.growing:
            return 0.0
        lod = self.whole.scalar("lod", self.synthesis.scalar("lod", 0.0))
        if not 0 <= lod <= len(self.resolutions) - 1:
            raise StateMismatchError(
                f"{self.checkpoint.path}: variable 'lod' is {lod:g}, which {self.resolutions[-1]} "
                "pixels cannot be halved by"
            )
        return lod

    def _blur(self) -> tuple[float, ...] | None:
        taps = self.synthesis.static_kwargs.get("blur_filter", (1, 2, 1))
        if taps is None or (isinstance(taps, (list, tuple)) and not taps):
            return None
        listed = isinstance(taps, (list, tuple)) and all(
            isinstance(t, (int, float)) and abs(t) < 1e6 for t in taps
        )
        if listed and math.fsum(taps) != 0:
            return tuple(float(t) for t in taps)
        raise self.synthesis.refuse("blur_filter", "a list of numbers whose sum is not 0")

    def _check(self, config: StyleGAN1Config) -> None:
        """Every variable is where it belongs, of its shape, and finite."""
        w, widths = config.style, config.mapping
        first = config.latent * (2 if config.labels else 1)
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (inputs, outputs) in enumerate(itertools.pairwise((first, *widths))):
            shapes |= {f"Dense{i}/weight": (inputs, outputs), f"Dense{i}/bias": (outputs,)}
        if config.labels:
            shapes["LabelConcat/weight"] = (config.labels, config.latent)
        self._fits(self.mapping, shapes)
        self._fits(self.whole, {"dlatent_avg": (w,)}, optional={"lod": ()})
        shapes, image, inputs = {}, config.image_channels, 0
        for i, r in enumerate(self.resolutions):
            c = self.synthesis.shape(f"{_last_layer(r)}/bias", 1)[0]
            for number in (2 * i, 2 * i + 1):
                name = _layer(r, number % 2)
                if number == 0:
                    shapes[f"{name}/const"] = (1, c, 4, 4)
                else:
                    shapes[f"{name}/weight"] = (3, 3, c if number % 2 else inputs, c)
                shapes[f"{name}/bias"] = (c,)
                shapes |= {f"{name}/StyleMod/weight": (w, 2 * c), f"{name}/StyleMod/bias": (2 * c,)}
                if self.use_noise:
                    shapes[f"{name}/Noise/weight"] = (c,)
                if config.stored_noise:
                    shapes[f"noise{number}"] = (1, 1, r, r)
            if self.growing or r == self.resolutions[-1]:
                shapes[f"{self._rgb(r)}/weight"] = (1, 1, c, image)
                shapes[f"{self._rgb(r)}/bias"] = (image,)
            inputs = c
        self._fits(self.synthesis, shapes, optional={"lod": ()})

    def _fits(
        self,
        part: TensorFlowNetwork,
        shapes: Mapping[str, tuple[int, ...]],
        optional: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        expected = {
            **shapes,
            **{k: v for k, v in (optional or {}).items() if k in part.variables},
        }
        prefix = part.path.removeprefix("Gs").removeprefix(".")
        prefix = f"{prefix}/" if prefix else ""
        check_state(
            self.checkpoint.path,
            {prefix + name: array.shape for name, array in part.variables.items()},
            {prefix + name: shape for name, shape in expected.items()},
        )
        for name, array in part.variables.items():
            check_finite(self.checkpoint.path, prefix + name, as_tensor(array))

    def _rgb(self, r: int) -> str:
        return f"ToRGB_lod{len(self.resolutions) - 1 - self.resolutions.index(r)}"

    def _scale(self, part: TensorFlowNetwork, gain: float, fan_in: int) -> float:
        return gain / math.sqrt(fan_in) if part.flag("use_wscale", True) else 1.0

    def _mapping_recipes(self, config: StyleGAN1Config) -> Recipes:
        part, rate = self.mapping, self.mapping.number("mapping_lrmul", 0.01)
        recipes: Recipes = {}
        if config.labels:
            recipes["mapping.label.weight"] = lambda: part.tensor("LabelConcat/weight").T
        for i in range(len(config.mapping)):
            scale = rate * self._scale(part, SQRT2, part.variables[f"Dense{i}/weight"].shape[0])
            recipes[f"mapping.dense.{i}.weight"] = scaled(part, f"Dense{i}/weight", scale, _matrix)
            recipes[f"mapping.dense.{i}.bias"] = scaled(part, f"Dense{i}/bias", rate)
        return recipes

    def _layer_recipes(self, config: StyleGAN1Config, number: int) -> Recipes:
        part, r = self.synthesis, config.resolutions[number // 2]
        name, ours = _layer(r, number % 2), f"layers.r{r}_conv{number % 2}"
        channels = config.channels[number // 2]
        recipes: Recipes = {f"{ours}.bias": scaled(part, f"{name}/bias", 1.0)}
        if number == 0:
            recipes[f"{ours}.const"] = lambda: part.tensor(f"{name}/const")[0]
        else:
            scale = self._scale(part, SQRT2, 9 * part.variables[f"{name}/weight"].shape[2])
            mirrored = number % 2 == 0 and self._fused(r)
            change = _mirrored_kernel if mirrored else _kernel
            recipes[f"{ours}.weight"] = scaled(part, f"{name}/weight", scale, change)
        if config.noise != "none":
            recipes[f"{ours}.noise_strength"] = scaled(part, f"{name}/Noise/weight", 1.0)
        if config.stored_noise:
            recipes[f"{ours}.noise"] = lambda: part.tensor(f"noise{number}")[0, 0]
        scale = self._scale(part, 1.0, config.style)
        recipes[f"{ours}.style.weight"] = scaled(part, f"{name}/StyleMod/weight", scale, _matrix)

        def style_bias() -> Tensor:
            offset = torch.cat([torch.ones(channels), torch.zeros(channels)])
            return part.tensor(f"{name}/StyleMod/bias") + offset

        recipes[f"{ours}.style.bias"] = style_bias
        return recipes

    def _fused(self, r: int) -> bool:
        value = self.synthesis.static_kwargs.get("fused_scale", "auto")
        if isinstance(value, str) and value == "auto":
            return r >= _FUSED_FROM
        if not isinstance(value, (int, float)) or value not in (True, False):
            raise self.synthesis.refuse("fused_scale", "True, False or 'auto'")
        return bool(value)

    def _rgb_recipes(self, ours: str, r: int) -> Recipes:
        part, name = self.synthesis, self._rgb(r)
        scale = self._scale(part, 1.0, part.variables[f"{name}/weight"].shape[2])
        return {
            f"{ours}.weight": scaled(part, f"{name}/weight", scale, _kernel),
            f"{ours}.bias": scaled(part, f"{name}/bias", 1.0),
        }


def _layer(r: int, half: int) -> str:
    """The file's name of the first or second layer at a resolution."""
    if r == 4:
        return "4x4/Conv" if half else "4x4/Const"
    return f"{r}x{r}/Conv1" if half else f"{r}x{r}/Conv0_up"


def _last_layer(r: int) -> str:
    return _layer(r, 1)


def _matrix(weight: Tensor) -> Tensor:
    """[in, out] to (out, in)."""
    return weight.T


def _kernel(weight: Tensor) -> Tensor:
    """[k, k, in, out] to (out, in, k, k)."""
    return weight.permute(3, 2, 0, 1)


def _mirrored_kernel(weight: Tensor) -> Tensor:
    """As ``_kernel``, for a transposed convolution: the adjoint mirrors the kernel."""
    return _kernel(weight).flip(2, 3)
