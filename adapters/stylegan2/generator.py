"""StyleGAN2 generators (Karras et al., CVPR 2020; ADA, NeurIPS 2020) that can be entered anywhere.

Guarantees that a file's every tensor and setting was accounted for before its first image, and that
an image depends on its own latent, label and noise only. Everything is float32.

Files: ``pickles`` and ``state_dicts`` (NVIDIA, PyTorch), ``tensorflow`` (NVIDIA, TensorFlow),
``rosinality`` (rosinality and rewriting), and our own safetensors.

Boundaries: ``input`` (z), ``w``, ``r4.conv1``, ``r8.conv0``, ``r8.conv1``, …, ``image``; with the
option ``styles`` also ``w.channels`` and, before each layer, its style: ``r4.conv1.style``,
``r4.torgb.style``, ``r8.conv0.style``, …

* x at ``w`` is the whole of ws (N, num_ws, w_dim), truncated already: the layers' inputs, one
  vector each. So truncation is behind the cut, ``W+`` can be searched directly, and adding the same
  number to all vectors stays in ``W``.
* x at ``w.channels`` is the same as one row: w of layer l, number d is channel l * w_dim + d.
* x at ``rK.convJ.style`` and ``rK.torgb.style`` is what the layer's affine map makes of its w, one
  factor for each input channel (N, C): the StyleSpace of Wu et al. (CVPR 2021). The layer's input
  is carried (``map``), so an edit there changes this layer alone.
* x at ``rK.convJ`` is the output of that convolution, before its ToRGB; in the architecture
  ``resnet`` that of ``conv1`` is the residual sum. Carried are ``ws``, the image so far (``rgb``,
  from the first ToRGB on), the residual branch inside a block (``shortcut``), and noise:
  ``noise_seed`` (one number per sample, policy ``per-sample``) and maps that were given.

A latent may also hold ``ws`` (N, num_ws, w_dim), used as they are instead of mapping z; ``c``
(N, classes), soft class vectors instead of ``label``; and ``noise_r8.conv0`` (N, 1, 8, 8), … for
single layers. For the further places of a batch in davidbau/rewriting, whose noise depends on them,
give ``noise.rewriting(side, place)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.models.staged import StagedAdapter, without_styles
from seeingkit.weights import fill, read_checkpoint

from ..catalog.stylegan2 import StyleGAN2Options
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import class_vectors
from .config import StyleGAN2Config
from .files import FAMILY, explain, read, recognise
from .network import StyleGAN2Network, network
from .noise import resolved_noise, seeds_of
from .settings import check_square
from .stages import AVERAGED, NOISE_ENTRY, Stages, estimate_average

__all__ = ["StyleGAN2", "explain", "load", "recognise"]


class StyleGAN2(StagedAdapter):
    """A StyleGAN2 generator that can be entered and left at every layer.

    Args:
        module: ``network.network``, with its numbers.
        options: the user's; ``noise`` None is resolved here.
        weights_sha256: hash of the file.
        licence: licence of the weights.
        name: of the file, for messages.

    Raises:
        UsageError: ``noise=const`` for a network whose file holds no maps.
    """

    module: StyleGAN2Network

    inverted_with = ("ws", "rgb")

    def __init__(
        self,
        module: StyleGAN2Network,
        options: StyleGAN2Options,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
        name: str = FAMILY,
    ) -> None:
        shape = module.config
        self.noise = resolved_noise(shape, options.noise, name)
        resolved: dict[str, Any] = resolved_options(options, "conv_clamp", "styles") | {
            "noise": self.noise
        }
        assumed = shape.unless_told(noise=options.noise)
        if options.truncation != 1.0 and options.cutoff != 0:
            resolved["average"] = "file"
            if module.mapping.w_avg is None:
                estimate_average(module)
                resolved["average"] = f"estimated from {AVERAGED} latents"
                assumed += (f"the average w is that of {AVERAGED} latents",)
        info = GeneratorInfo(
            family=FAMILY,
            resolution=shape.resolution,
            channels=shape.img_channels,
            latent=(LatentSpec(name="z", shape=(shape.z_dim,)),),
            class_names=class_names(shape.c_dim, options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved,
            parameters=sum(p.numel() for p in module.parameters()),
            assumptions=assumed,
        )
        stages = Stages(module, self.noise, options.truncation, options.cutoff)
        way = _boundaries(shape), stages.in_order()
        super().__init__(module, info, *(way if options.styles else without_styles(*way)))
        self.config = shape.model_dump(mode="json")

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z, and whatever was given with it is carried.

        Args:
            latent: ``z`` (N, z_dim); if conditional, ``label`` (N,) int64 or ``c`` (N, classes);
                optionally ``ws`` (then z may be left out) and ``noise_<boundary>`` maps.

        Raises:
            UsageError: an entry is missing, unknown, of another shape, or not a known class.
        """
        shape = self.module.config
        given = {name: value.to(self.device) for name, value in latent.items()}
        ws, z = given.pop("ws", None), given.pop("z", None)
        n = self._rows(z, ws)
        carry: dict[str, Tensor] = {}
        if ws is not None:
            carry["ws"] = self._entry("ws", ws, (n, shape.num_ws, shape.w_dim))
        label, c = given.pop("label", None), given.pop("c", None)
        if ws is None and shape.c_dim:
            carry["c"] = class_vectors(FAMILY, shape.c_dim, n, label=label, c=c)
        for name, value in given.items():
            carry[NOISE_ENTRY + self._layer_of(name)] = self._noise_entry(name, value, n)
        x = torch.zeros(n, shape.z_dim, device=self.device) if z is None else z.float()
        if self.noise == "per-sample":
            carry["noise_seed"] = seeds_of(x if ws is None or z is not None else ws.flatten(1))
        return State("input", x, carry)

    # ------------------------------------------------------------------------- entries of a latent

    def _rows(self, z: Tensor | None, ws: Tensor | None) -> int:
        shape = self.module.config
        if z is None and ws is None:
            raise UsageError(f"{FAMILY}: give z (N, {shape.z_dim})")
        if z is not None:
            self._entry("z", z, (len(z) if z.ndim else -1, shape.z_dim))
            return len(z)
        assert ws is not None
        return len(ws) if ws.ndim else -1

    def _entry(self, name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
        if tuple(value.shape) != shape:
            expected = ", ".join("N" if i == 0 else str(side) for i, side in enumerate(shape))
            raise UsageError(
                f"{FAMILY}: {name} has shape {tuple(value.shape)}, expected ({expected}) with "
                f"N = {shape[0]}"
            )
        return value.float()

    def _layer_of(self, name: str) -> str:
        layers = self.module.config.layers if self.module.config.use_noise else ()
        if name.startswith(NOISE_ENTRY):
            wanted = name.removeprefix(NOISE_ENTRY)
            for boundary in self.boundaries:
                if wanted in (boundary.name, *boundary.aliases) and boundary.name in layers:
                    return boundary.name
        known = ", ".join(["z", "ws", "label", "c", *(NOISE_ENTRY + layer for layer in layers[:3])])
        raise UsageError(f"{FAMILY}: unknown latent {name!r}; there are {known}, …")

    def _noise_entry(self, name: str, value: Tensor, n: int) -> Tensor:
        side = self.module.synthesis.layer(self._layer_of(name)).resolution
        return self._entry(name, value, (n, 1, side, side))


def _boundaries(shape: StyleGAN2Config) -> list[Boundary]:
    """All of them, styles too; aliases are the module paths of the codes that files come from."""
    cuts = [
        Boundary("input", 0, (shape.z_dim,), "latent", aliases=("z",)),
        Boundary("w", 1, (shape.num_ws, shape.w_dim), "latent", aliases=("ws", "mapping")),
        Boundary("w.channels", 2, (shape.num_ws * shape.w_dim,), "style"),
    ]
    for name, width in shape.styles.items():
        affine = f"synthesis.b{name.removeprefix('r')}.affine"
        cuts.append(Boundary(f"{name}.style", len(cuts), (width,), "style", aliases=(affine,)))
        if not name.endswith("torgb"):
            r = shape.side(name)
            size = shape.channels[r], r, r
            cuts.append(Boundary(name, len(cuts), size, "feature", (r, r), _aliases(shape, name)))
    r = shape.resolution
    cuts.append(Boundary("image", len(cuts), (3, r, r), "image", (r, r), aliases=("images_out",)))
    return cuts


def _aliases(shape: StyleGAN2Config, name: str) -> tuple[str, ...]:
    r, second, number = shape.side(name), name.endswith("conv1"), shape.layers.index(name)
    aliases = [f"r{r}", f"synthesis.b{r}"] if second else []
    if not second or r == 4 or shape.architecture != "resnet":  # else: the sum, no layer's own
        tensorflow = "Conv" if r == 4 else "Conv1" if second else "Conv0_up"
        aliases += [f"synthesis.b{r}.conv{int(second)}", f"{r}x{r}/{tensorflow}"]
        aliases += [f"convs.{number - 1}" if number else "conv1", f"layer{number + 2}"]
    return tuple(aliases)


def _clamped(path: Path, shape: StyleGAN2Config, options: StyleGAN2Options) -> StyleGAN2Config:
    """The config with the clamp that the user gives where the file does not hold it."""
    if options.conv_clamp is None:
        return shape
    given = None if options.conv_clamp == "none" else options.conv_clamp
    assumed = shape.unless_told(conv_clamp=options.conv_clamp)
    if assumed == shape.assumed and given != shape.conv_clamp:
        held = "none" if shape.conv_clamp is None else f"{shape.conv_clamp:g}"
        raise UsageError(f"{path}: conv_clamp={options.conv_clamp}, but by the file it is {held}")
    return shape.model_copy(update={"conv_clamp": given, "assumed": assumed})


def load(weights: Path | None, options: StyleGAN2Options) -> StyleGAN2:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above.
        options: ``truncation``, ``cutoff``, ``noise``, ``latents``, ``classes``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or not a StyleGAN2 (names the fault).
        UsageError: an option that this file cannot follow.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE or {FAMILY}:NAME")
    checkpoint = read_checkpoint(weights)
    shape, tensors, where = read(checkpoint, options.key)
    check_square(checkpoint.path, tensors, len(shape.resolutions))
    shape = _clamped(checkpoint.path, shape, options)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = network(shape)
    fill(module, tensors, checkpoint.path)
    return StyleGAN2(
        module,
        options.model_copy(update={"key": where or None}),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
        name=str(checkpoint.path),
    )
