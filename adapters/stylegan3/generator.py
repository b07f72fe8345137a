"""StyleGAN3 generators, configurations T and R: NVIDIA's pickles and our own safetensors.

Guarantees that everything the file states about its network is followed or refused by name, and
that every key and shape was accounted for before the first image.

Boundaries, for a network whose layers are 36, 36, 52, …, 32 pixels wide:

* ``input``: z; the class weights, if any, are carried;
* ``w``: one w for each layer, (num_ws, w_dim), truncated as asked;
* ``r36.fourier``: the input features; from here on ws are carried;
* ``r36.l0``, ``r36.l1``, ``r52.l2``, …: the layers (``synthesis.L2_52_1024`` names the same cut,
  ``r36`` the last of 36 pixels; maps are larger than they show, the margin is cut off at the end);
* ``r32.rgb``: the last layer, image channels before the output's scale;
* ``image``;
* with the option ``styles`` also ``w.channels``, all w as one row (number d of layer l is channel
  l * w_dim + d), and before each layer its style, ``r36.l0.style``, …: x is the layer's affine map
  of its w, (N, input channels), before it is normalised; the layer's input is carried (``map``).

There is no noise. An explicit ``ws`` (N, num_ws, w_dim) among the latents skips the mapping
network and truncation.
"""

from __future__ import annotations

import logging
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.models.staged import Carry, StagedAdapter, StageFunction, without_styles
from seeingkit.weights import Checkpoint, fill, read_checkpoint

from ..catalog.stylegan3 import StyleGAN3Options
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import checked_vectors, class_vectors
from .config import StyleGAN3Config
from .files import FAMILY, contents, explain, layout
from .network import Layer, StyleGAN3

__all__ = ["StyleGAN3Generator", "explain", "load", "recognise"]

log = logging.getLogger(__name__)


class StyleGAN3Generator(StagedAdapter):
    """A StyleGAN3 that can be entered and left at every layer.

    Args:
        module: the network.
        options: truncation, cutoff, classes, latents.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    inverted_with = ("ws",)

    def __init__(
        self,
        module: StyleGAN3,
        options: StyleGAN3Options,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = module.config
        self.config = config.model_dump(mode="json")
        self._network = module
        info = GeneratorInfo(
            family=FAMILY,
            resolution=config.resolution,
            channels=config.channels,
            latent=(LatentSpec(name="z", shape=(config.z_dim,)),),
            class_names=class_names(config.c_dim, options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options, "styles"),
            parameters=sum(p.numel() for p in module.parameters()),
        )
        stages: list[StageFunction] = [
            partial(_mapping, module, options.truncation, options.cutoff),
            _flat,
            partial(_fourier, module),
            *chain.from_iterable(_layer_stages(module, k) for k in range(len(config.layers))),
            partial(_image, config.output_scale),
        ]
        way = _boundaries(config), stages
        super().__init__(module, info, *(way if options.styles else without_styles(*way)))

    @property
    def default_cut(self) -> str:
        """The last layer that is still as coarse as the input features, or the middle one.

        There the content of the picture is laid out and its detail is not drawn yet.
        """
        layers = [b for b in self.boundaries if b.kind == "feature"][1:-1]
        coarse = [b for b in layers if b.extent == layers[0].extent]
        return layers[min(len(coarse), (len(layers) + 1) // 2) - 1].name

    def begin(self, latent: Latent) -> State:
        """The state at ``input`` (x = z), or at ``w`` if the latent holds ``ws``.

        Args:
            latent: ``z`` (N, z_dim), and for a conditional model either ``label`` (N,) int64 or
                ``c`` (N, classes), one weight for each class; or ``ws`` (N, num_ws, w_dim).

        Raises:
            UsageError: a shape, number or entry that the model cannot take.
        """
        unknown = set(latent) - {"z", "label", "c", "ws"}
        if unknown:
            raise UsageError(f"{FAMILY} takes no latent {min(unknown)!r}; it takes z, label, c, ws")
        config = self._network.config
        if "ws" in latent:
            ws, sizes = latent["ws"], (config.num_ws, config.w_dim)
            if tuple(ws.shape[1:]) != sizes or not ws.is_floating_point():
                raise UsageError(
                    f"{FAMILY}: ws is {ws.dtype} {tuple(ws.shape)}, expected float "
                    f"(N, {sizes[0]}, {sizes[1]})"
                )
            return State("w", ws.to(self.device, torch.float32), {})
        state = super().begin({"z": latent["z"]} if "z" in latent else {})
        weights = self._class_weights(latent, len(state))
        return state if weights is None else state.with_carry(c=weights)

    def _class_weights(self, latent: Latent, rows: int) -> Tensor | None:
        """(N, classes), or None of an unconditional model."""
        classes = self._network.config.c_dim
        label, c = latent.get("label"), latent.get("c")
        if classes:
            return class_vectors(FAMILY, classes, rows, label=label, c=c).to(self.device)
        if label is not None:
            raise UsageError(f"{FAMILY}: these weights are unconditional and take no label")
        if c is not None:
            checked_vectors(FAMILY, "c", c, (rows, 0))
        return None


def _mapping(
    module: StyleGAN3, psi: float, cutoff: int | None, x: Tensor, carry: Carry
) -> tuple[Tensor, Carry]:
    return module.broadcast(module.mapping(x, carry.get("c")), psi, cutoff), {}


def _flat(x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return x.flatten(1), carry


def _fourier(module: StyleGAN3, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    ws = x.unflatten(1, (module.config.num_ws, -1))
    return module.synthesis.input(ws[:, 0]), {**carry, "ws": ws}


def _layer_stages(module: StyleGAN3, number: int) -> tuple[StageFunction, StageFunction]:
    """From a layer's input to its styles, and on to its output."""
    layer = module.layer(number)
    return partial(_style, layer, number + 1), partial(_layer, layer)


def _style(layer: Layer, number: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.affine(carry["ws"][:, number]), {**carry, "map": x}


def _layer(layer: Layer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    rest = {name: value for name, value in carry.items() if name != "map"}
    return layer.steered(carry["map"], x), rest


def _image(scale: float, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    x = x * scale
    return x.expand(-1, 3, -1, -1).contiguous() if x.shape[1] == 1 else x.contiguous(), carry


def _rates(config: StyleGAN3Config) -> list[float]:
    """Samples a unit of length of the features and of each layer."""
    rates = [config.fourier.sampling_rate]
    for layer in config.layers:
        rates.append(rates[-1] * layer.up / layer.down)
    return rates


def _window(
    config: StyleGAN3Config, rate: float, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Where a map of that many samples a unit lies: all maps and the image share their middle."""
    shown = config.resolution / _rates(config)[-1]
    x, y = (length / rate / shown / 2 for length in size)
    return (0.5 - y, 0.5 - x, 0.5 + y, 0.5 + x)


def _boundaries(config: StyleGAN3Config) -> list[Boundary]:
    rates = _rates(config)
    width, height = config.fourier.size
    cuts = [
        Boundary("input", 0, (config.z_dim,), "latent", aliases=("z",)),
        Boundary("w", 1, (config.num_ws, config.w_dim), "latent", aliases=("ws", "mapping")),
        Boundary("w.channels", 2, (config.num_ws * config.w_dim,), "style"),
        Boundary(
            f"r{width}.fourier",
            3,
            (config.fourier.channels, height, width),
            "feature",
            (height, width),
            ("fourier", "synthesis.input"),
            _window(config, rates[0], config.fourier.size),
        ),
    ]
    last = len(config.layers) - 1
    final = {layer.out_size[0]: k for k, layer in enumerate(config.layers[:-1])}
    for k, layer in enumerate(config.layers):
        width, height = layer.out_size
        own = "rgb" if k == last else f"l{k}"
        aliases = [own, f"synthesis.{layer.name}"]
        if k != last and final[width] == k:
            aliases.append(f"r{width}")
        shape = (layer.out_channels, height, width)
        name = f"r{width}.{own}"
        window = _window(config, rates[k + 1], layer.out_size)
        extent = (height, width)
        affine = f"synthesis.{layer.name}.affine"
        style = f"{name}.style"
        cuts.append(Boundary(style, len(cuts), (layer.in_channels,), "style", aliases=(affine,)))
        cuts.append(Boundary(name, len(cuts), shape, "feature", extent, tuple(aliases), window))
    size = (config.resolution, config.resolution)
    cuts.append(Boundary("image", len(cuts), (3, *size), "image", size, ("synthesis",)))
    return cuts


def recognise(checkpoint: Checkpoint) -> str | None:
    """The name of the file's layout if it holds a StyleGAN3 generator, else None."""
    return layout(checkpoint)


def load(weights: Path | None, options: StyleGAN3Options) -> StyleGAN3Generator:
    """Load a generator.

    Args:
        weights: a pickle of NVIDIA's StyleGAN3 code, or a safetensors file of our own.
        options: truncation, cutoff, classes, latents.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the fault).
        UsageError: class names that do not fit the model.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE or {FAMILY}:NAME")
    checkpoint = read_checkpoint(weights)
    config, tensors, remark, entry = contents(checkpoint, options.key)
    if remark:
        log.warning(remark)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = StyleGAN3(config)
    fill(module, tensors, checkpoint.path)
    return StyleGAN3Generator(
        module,
        options.model_copy(update={"key": entry or None}),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )
