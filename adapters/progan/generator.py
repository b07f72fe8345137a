"""ProGAN generators: ganseeing, gandissect, rewriting and TensorFlow files, and our safetensors.

Guarantees that every key and shape of a file was accounted for before its first image: sizes are
inferred from the keys, and misfits are refused by file, key, shape found and expected.

Layouts read (torch zip, legacy torch or safetensors, bare or in any ``weights.wrappers``):

* ``layer1 … layerN.{conv.weight, wscale.b}``, ``output_RxR.{conv.weight, wscale.b}``;
* the old numbering ``features.0 …``, ``output``, whose stored ``wscale.scale`` is dropped, as the
  original does (the scale is recomputed);
* the ablation networks of ganseeing, see ``ablation``;
* torch.hub's PGAN of pytorch_GAN_zoo, see ``gan_zoo``;
* pickles of the TensorFlow and Theano code, see ``tensorflow``.

Boundaries: ``input``, ``r4.conv0``, ``r4.conv1``, ``r8.conv0``, …, ``image``. ``r8`` is the last
layer at 8x8, the paper's r for n = 4 (Bau et al., ICCV 2019, section 3.2); ``layer4`` and
``features.3`` name the same cut. Carried: the class vector ``c`` before the first layer, and the
last map of the previous resolution where a growing network blends.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.models.staged import Carry
from seeingkit.weights import fill, read_checkpoint

from ..catalog.progan import ProGANOptions
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import attribute_vectors
from ..truncation import CutOffAdapter
from .config import ProGANConfig
from .files import FAMILY, build, contents, explain, recognise
from .network import resolutions

__all__ = ["ProGAN", "explain", "load", "recognise"]


class ProGAN(CutOffAdapter):
    """A ProGAN generator that can be entered and left at every layer.

    Args:
        module: ``network.network``, ``ablation.ablation_network`` or
            ``growing.growing_network``.
        sizes: channels that enter, then of each resolution from 4x4 on.
        options: ``clamp`` and ``variant`` are resolved here from ``config`` where they are None.
        weights_sha256: hash of the file.
        licence: licence of the weights.
        config: of the network; None: the published one of these sizes.
    """

    def __init__(
        self,
        module: nn.Sequential,
        sizes: tuple[int, ...],
        options: ProGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
        config: ProGANConfig | None = None,
    ) -> None:
        config = config or ProGANConfig(sizes=sizes, variant=options.variant or "progan")
        clamp = config.clamp if options.clamp is None else options.clamp
        resolved = options.model_copy(update={"clamp": clamp, "variant": config.variant})
        info = GeneratorInfo(
            family=FAMILY,
            resolution=config.resolution,
            channels=config.image_channels,
            latent=(LatentSpec(name="z", shape=(config.latent,)),),
            class_names=(options.classes is None and config.names)
            or class_names(config.classes, options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            # Classes are in class_names; what was stored before there was a truncation stays good.
            options=resolved_options(
                resolved,
                *("classes", "final", "alpha"),
                *(["truncation"] if options.truncation == 1 else []),
            )
            | _settled(config),
            parameters=sum(p.numel() for p in module.parameters()),
            assumptions=config.unless_told(clamp=options.clamp),
        )
        layers = dict(module.named_children())
        previous = layers.pop("previous", None)
        stages = [partial(_stage, layer) for layer in layers.values()]
        stages[0] = partial(_first_stage, module[0])
        if previous is not None:
            stages[-3] = partial(_parting_stage, module[len(stages) - 3])
        stages[-1] = partial(_image_stage, module[len(stages) - 1], previous, config, clamp)
        super().__init__(module, info, _boundaries(config), stages)
        self.config = config.model_dump(mode="json")
        self._attributes = config.attributes or ((config.labels,) if config.labels else ())
        self.z_bound = options.truncation if options.truncation < 1 else None

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z, (N, D); a label becomes the class vector ``c``.

        Args:
            latent: ``z``, and if conditional ``label`` (N,) or ``c`` (N, classes).

        Raises:
            UsageError: z or c has another shape, or a label is missing or out of range.
        """
        z, dim = latent.get("z"), self.info.latent[0].shape[0]
        if z is None or z.ndim != 2 or z.shape[1] != dim:
            shown = f"has shape {tuple(z.shape)}" if z is not None else "is missing"
            raise UsageError(f"{FAMILY}: z {shown}, expected (N, {dim})")
        if not self._attributes:
            return super().begin({"z": z})
        c = latent.get("c")
        label = latent.get("label") if c is None else None  # c stands in for the label beside it
        vectors = attribute_vectors(FAMILY, self._attributes, len(z), label=label, c=c)
        return super().begin({"z": z, "c": vectors})


def _settled(config: ProGANConfig) -> dict[str, Any]:
    """What pytorch_GAN_zoo's files and options say, which makes other pictures; alpha is theirs."""
    if config.first_bias == "channel":
        return {}
    return {"final": config.final, "alpha": 1 - config.alpha}


def _check_final(path: Path, config: ProGANConfig, options: ProGANOptions) -> None:
    """Refuse settings of pytorch_GAN_zoo that differ from a network's own, or are of no use."""
    zoo = config.first_bias == "map"
    alpha = options.alpha is None or (zoo and math.isclose(options.alpha, 1 - config.alpha))
    final = options.final is None or (zoo and options.final == config.final)
    for name, agrees in (("final", final), ("alpha", alpha)):
        if not agrees:
            asked = getattr(options, name)
            raise UsageError(
                f"{path}: {name}={asked} is for files of pytorch_GAN_zoo without their config, "
                "which this is not"
            )


def _stage(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer(x), carry


def _first_stage(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    if "c" in carry:
        x = torch.cat([x, carry["c"]], dim=1)
    return layer(x[:, :, None, None]), {}


def _parting_stage(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """The last resolution's first layer, which keeps the map that the previous one's RGB reads."""
    return layer(x), {**carry, "previous": x}


def _image_stage(
    layer: nn.Module,
    previous: nn.Module | None,
    config: ProGANConfig,
    clamp: bool,
    x: Tensor,
    carry: Carry,
) -> tuple[Tensor, Carry]:
    """RGB; hard tanh as in ganseeing and rewriting, which others leave out."""
    image = layer(x)
    if previous is not None:
        rgb = F.interpolate(previous(carry["previous"]), scale_factor=2.0, mode="nearest")
        image = (1 - config.alpha) * rgb + config.alpha * image
    if config.upscale > 1:
        image = F.interpolate(image, scale_factor=float(config.upscale), mode="nearest")
    if config.final == "tanh":
        image = image.tanh()
    return (image.clamp(-1.0, 1.0) if clamp else image), {}


def _boundaries(config: ProGANConfig) -> list[Boundary]:
    sizes = config.sizes
    cuts = [Boundary("input", 0, (config.latent,), "latent", aliases=("z",))]
    for i, (channels, r) in enumerate(zip(sizes[1:], resolutions(sizes), strict=True)):
        for half in (0, 1):
            k = 2 * i + half + 1
            aliases = (f"layer{k}", f"features.{k - 1}", *((f"r{r}",) if half else ()))
            name = f"r{r}.conv{half}"
            cuts.append(Boundary(name, k, (channels, r, r), "feature", (r, r), aliases))
    drawn, r = resolutions(sizes)[-1], config.resolution
    aliases = (f"output_{drawn}x{drawn}", "output")
    cuts.append(Boundary("image", len(cuts), (3, r, r), "image", (r, r), aliases))
    return cuts


def load(weights: Path | None, options: ProGANOptions) -> ProGAN:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above.
        options: ``clamp``, ``variant``, ``latents``, ``classes``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        UsageError: ``variant`` contradicts the keys.
    """
    if weights is None:
        raise MissingWeightsError("progan needs weights: give --weights FILE or progan:NAME")
    checkpoint = read_checkpoint(weights)
    config, tensors, where = contents(checkpoint, options)
    _check_final(checkpoint.path, config, options)
    if options.variant not in (None, config.variant):
        raise UsageError(
            f"{checkpoint.path}: variant={options.variant} does not fit its keys, which are those "
            f"of {config.variant}"
        )
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = build(config)
    fill(module, tensors, checkpoint.path)
    return ProGAN(
        module,
        config.sizes,
        options.model_copy(update={"key": where or None}),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
        config=config,
    )
