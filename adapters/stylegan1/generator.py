"""StyleGAN (v1) generators: NVlabs TensorFlow pickles, rosinality .model files, our safetensors.

Guarantees the original's images with its noise maps: truncation is off unless asked for, and noise
is the file's, a function of the sample's own z, given, or none, but never drawn anew at each call.

Boundaries: ``input``, ``w`` (one w a layer, after truncation), ``r4.conv0`` (the constant after
noise and style), ``r4.conv1``, ``r8.conv0``, …, ``image``. Carried: ``ws`` (N, layers, w), given
noise maps still to come, one number a sample that other maps are drawn from, and the previous
resolution's RGB where a growing network blends.

With the option ``styles`` also ``w.channels`` (all w as one row: number d of layer l is channel
l * w + d) and, before each layer's output, ``r4.conv0.style``, …: x is (N, 2 C), the factor of each
channel of the normalised map, which is carried (``map``), then the shift of each.

A latent may hold, besides z and label: ``c`` (N, classes) instead of the label; ``ws`` (N, layers,
w), which skips mapping and truncation; ``noise_r8.conv0`` (N, 1, 8, 8), …, or ``noise_r8`` for both
layers at 8x8 (rosinality has one map a resolution, so only the latter); ``mean_style`` (N, w), what
truncation draws towards instead of the file's mean (NVIDIA) or our estimate of it (rosinality).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from seeingkit.contracts import GeneratorInfo, Latent, LatentSpec, State, sequence_latents
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.models.staged import StagedAdapter, without_styles
from seeingkit.weights import (
    Checkpoint,
    Near,
    fill,
    nearest,
    networks_with,
    portable_config,
    read_checkpoint,
)

from ..catalog.stylegan1 import StyleGAN1Options
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import class_vectors
from ..stylegan2.noise import seeds_of
from .files import Contents
from .network import StyleGAN1Config, StyleGAN1Network
from .rosinality import LAYOUT as ROSINALITY
from .rosinality import NAMES, find_rosinality, read_rosinality
from .stages import boundaries, entries, stages
from .tensorflow import LAYOUT as TENSORFLOW
from .tensorflow import is_tensorflow, read_tensorflow

FAMILY = "stylegan1"
MEAN_SAMPLES = 4096
"""Latents of seed 0 whose mean w stands in where a file has none (rosinality takes 10,240)."""

Noise = Literal["const", "none", "per-sample"]


class StyleGAN1(StagedAdapter):
    """A StyleGAN generator that can be entered and left at z, at w and after every layer.

    Args:
        module: the network, filled.
        options: ``noise`` resolved.
        assumptions: what the file does not say, in words.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    inverted_with = ("ws",)

    def __init__(
        self,
        module: StyleGAN1Network,
        options: StyleGAN1Options,
        *,
        assumptions: tuple[str, ...] = (),
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = module.config
        info = GeneratorInfo(
            family=FAMILY,
            resolution=config.resolution,
            channels=config.image_channels,
            latent=(LatentSpec(name="z", shape=(config.latent,)),),
            class_names=class_names(config.labels, options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options, "classes", "styles"),  # classes: in class_names
            parameters=sum(p.numel() for p in module.parameters()),
            assumptions=assumptions,
        )
        way = boundaries(config), stages(module, options)
        super().__init__(module, info, *(way if options.styles else without_styles(*way)))
        self.config = config.model_dump(mode="json")
        self._network = config
        self._per_sample = options.noise == "per-sample"

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z (N, D), or zeros where only ``ws`` is given.

        Raises:
            UsageError: an entry is missing, unknown, or of another shape; a label out of range.
        """
        config, known = self._network, entries(self._network)
        for name, value in latent.items():
            if name not in known:
                raise UsageError(
                    f"{FAMILY}: no latent {name!r} here; there are: {', '.join(known)}"
                )
            if tuple(value.shape[1:]) != known[name] or value.ndim != len(known[name]) + 1:
                raise UsageError(
                    f"{FAMILY}: {name} has shape {tuple(value.shape)}, expected "
                    f"(N{''.join(f', {size}' for size in known[name])})"
                )
        given = {name: value.to(self.device) for name, value in latent.items()}
        source = given.get("z", given.get("ws"))
        if source is None:
            raise UsageError(f"{FAMILY}: latent 'z' is missing")
        rows = len(source)
        for name, value in given.items():
            if len(value) != rows:
                raise UsageError(f"{FAMILY}: {name} has {len(value)} rows, others have {rows}")
        carry = {
            name: given[name] for name in given if name.startswith(("ws", "mean_style", "noise_"))
        }
        if config.labels and "ws" not in given:
            c = given.get("c")
            label = given.get("label") if c is None else None  # c stands in for the label beside it
            carry["c"] = class_vectors(FAMILY, config.labels, rows, label=label, c=c)
        if self._per_sample:
            carry["noise_seed"] = seeds_of(source)
        z = given.get("z")
        return State("input", source.new_zeros(rows, config.latent) if z is None else z, carry)


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout of a file of this family, or None."""
    if is_tensorflow(checkpoint):
        return TENSORFLOW
    return ROSINALITY if networks_with(checkpoint, NAMES.marks) else None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, [NAMES])


def load(weights: Path | None, options: StyleGAN1Options) -> StyleGAN1:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above.
        options: see ``StyleGAN1Options``; ``truncation`` is off by default, where a call of the
            original has psi 0.7 and cutoff 8 (NVIDIA) or none (rosinality).

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        UsageError: an option contradicts the file, or a rosinality file came without resolution.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE or {FAMILY}:NAME")
    checkpoint = read_checkpoint(weights)
    contents = _contents(checkpoint, options)
    config = contents.config
    resolved = options.model_copy(
        update={
            "noise": _noise(checkpoint, config, options.noise),
            "resolution": config.resolution,
            "step": config.resolution.bit_length() - 3,
            "alpha": config.alpha,
            "key": contents.where or None,
        }
    )
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = StyleGAN1Network(config)
    fill(module, contents.tensors, checkpoint.path)
    assumed = config.unless_told(noise=options.noise, alpha=options.alpha)
    if not contents.mean:
        if options.truncation != 1.0:
            assumed += (f"the average w is that of {MEAN_SAMPLES} latents",)
        module.mean_style.copy_(_estimated_mean(module))
    return StyleGAN1(
        module,
        resolved,
        assumptions=assumed,
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )


def _contents(checkpoint: Checkpoint, options: StyleGAN1Options) -> Contents:
    values = portable_config(checkpoint, FAMILY)
    asked = _asked_resolution(options)
    network = find_rosinality(checkpoint, options.key) if values is None else None
    if network is not None:
        alpha = 1.0 if options.alpha is None else options.alpha
        return read_rosinality(checkpoint, network, asked, alpha)
    if values is not None:
        config = StyleGAN1Config.validated(checkpoint.path, values)
        contents = Contents("seeingkit safetensors", config, checkpoint.content)
    elif is_tensorflow(checkpoint):
        contents = read_tensorflow(checkpoint)
    else:
        raise StateMismatchError(
            f"{checkpoint.path}: not a StyleGAN (v1) generator: neither a TensorFlow pickle of "
            "G_style nor a rosinality .model; try --gan auto"
        )
    config = contents.config
    for name, wanted, found in (
        ("resolution", asked, config.resolution),
        ("alpha", options.alpha, config.alpha),
    ):
        if wanted is not None and wanted != found:
            raise UsageError(f"{checkpoint.path}: {name} is {found} in this file, not {wanted}")
    return contents


def _asked_resolution(options: StyleGAN1Options) -> int | None:
    if options.step is None:
        return options.resolution
    side = 4 << min(options.step, 32)
    if options.resolution not in (None, side):
        raise UsageError(
            f"step={options.step} means {side} pixels, resolution={options.resolution} another size"
        )
    return side


def _noise(checkpoint: Checkpoint, config: StyleGAN1Config, asked: Noise | None) -> Noise:
    if asked is None:
        if config.noise == "none":
            return "none"
        return "const" if config.stored_noise else "none"
    if asked != "none" and config.noise == "none":
        raise UsageError(f"{checkpoint.path}: noise={asked}: this network has no noise inputs")
    if asked == "const" and not config.stored_noise:
        raise UsageError(
            f"{checkpoint.path}: noise=const: the file holds no noise maps; use per-sample or none"
        )
    return asked


def _estimated_mean(module: StyleGAN1Network) -> Tensor:
    """The mean w of ``MEAN_SAMPLES`` latents, (style,)."""
    z = torch.from_numpy(sequence_latents(range(MEAN_SAMPLES), module.config.latent, 0))
    with torch.no_grad():
        ws = [module.mapping(part).double().sum(0) for part in z.split(512)]
    return torch.stack(ws).sum(0).div(MEAN_SAMPLES).float()
