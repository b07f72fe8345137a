"""ProGAN generators from ganseeing, gandissect and rewriting files, and our own safetensors.

Guarantees that every key and shape of a file was accounted for before its first image: sizes are
inferred from the keys, and what does not fit is refused by file, key, shape found and expected.

Layouts read (torch zip, legacy torch or safetensors, bare or wrapped in ``state_dict``):

* ``layer1 … layerN.{conv.weight, wscale.b}``, ``output_RxR.{conv.weight, wscale.b}``;
* the old numbering ``features.0 …``, ``output``, whose stored ``wscale.scale`` is dropped, as the
  original does (the scale is recomputed);
* the ablation networks of ganseeing, see ``progan_ablation``.

Boundaries: ``input``, ``r4.conv0``, ``r4.conv1``, ``r8.conv0``, …, ``image``. ``r8`` is the last
layer at 8x8, the paper's r for n = 4 (Bau et al., ICCV 2019, section 3.2); ``layer4`` and
``features.3`` name the same cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.staged import Carry, StagedAdapter
from seeingkit.weights import WeightsFile, check_state, read_state_dict

from .catalog import ProGANOptions
from .progan_ablation import Variant, ablation_network, recognise
from .progan_network import network, resolutions

_LAYER = re.compile(r"(?:layer|features\.)(\d+)\.")
_STORED_SCALE = re.compile(r"(?:features\.\d+|output)\.wscale\.scale")


class ProGAN(StagedAdapter):
    """A ProGAN generator that can be entered and left at every layer.

    Args:
        module: ``progan_network.network`` or ``progan_ablation.ablation_network``.
        sizes: channels of z, then of each resolution from 4x4 on.
        options: resolved options; ``variant`` is not None.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    def __init__(
        self,
        module: nn.Sequential,
        sizes: tuple[int, ...],
        options: ProGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        size = resolutions(sizes)[-1]
        info = GeneratorInfo(
            family="progan",
            resolution=size,
            latent=(LatentSpec(name="z", shape=(sizes[0],)),),
            weights_sha256=weights_sha256,
            licence=licence,
            options=options.model_dump(mode="json"),
            parameters=sum(p.numel() for p in module.parameters()),
        )
        layers = list(module)
        stages = [partial(_stage, layer) for layer in layers]
        stages[0] = partial(_first_stage, layers[0])
        if options.clamp:
            stages[-1] = partial(_clamped_stage, layers[-1])
        super().__init__(module, info, _boundaries(sizes), stages)

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z, (N, D).

        Raises:
            UsageError: z has another shape.
        """
        z, dim = latent["z"], self.info.latent[0].shape[0]
        if z.ndim != 2 or z.shape[1] != dim:
            raise UsageError(f"progan: z has shape {tuple(z.shape)}, expected (N, {dim})")
        return super().begin(latent)


def _stage(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer(x), carry


def _first_stage(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer(x[:, :, None, None]), carry


def _clamped_stage(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """Hard tanh as in ganseeing and rewriting; gandissect leaves the same output raw."""
    return layer(x).clamp(-1.0, 1.0), carry


def _boundaries(sizes: tuple[int, ...]) -> list[Boundary]:
    cuts = [Boundary("input", 0, (sizes[0],), "latent", aliases=("z",))]
    for i, (channels, r) in enumerate(zip(sizes[1:], resolutions(sizes), strict=True)):
        for half in (0, 1):
            k = 2 * i + half + 1
            aliases = (f"layer{k}", f"features.{k - 1}", *((f"r{r}",) if half else ()))
            name = f"r{r}.conv{half}"
            cuts.append(Boundary(name, k, (channels, r, r), "feature", (r, r), aliases))
    r = resolutions(sizes)[-1]
    aliases = (f"output_{r}x{r}", "output")
    cuts.append(Boundary("image", len(cuts), (3, r, r), "image", (r, r), aliases))
    return cuts


def load(weights: Path | None, options: ProGANOptions) -> ProGAN:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above.
        options: ``clamp``, ``variant``, ``latents``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        UsageError: ``variant`` contradicts the keys.
    """
    if weights is None:
        raise MissingWeightsError("progan needs weights: give --weights FILE or progan:NAME")
    file = read_state_dict(weights)
    old = "features.0.conv.weight" in file.tensors
    if not old and "layer1.conv.weight" not in file.tensors:
        found = ", ".join(sorted(file.tensors)[:3]) or "none"
        raise StateMismatchError(
            f"{file.path}: not a ProGAN generator: neither layer1.conv.weight nor "
            f"features.0.conv.weight among its keys ({found}, …)"
        )
    variant = _variant(file, options, old)
    tensors = dict(file.tensors)
    if variant == "progan" and old:
        tensors = _without_stored_scales(file)
    sizes = _sizes(file.path, tensors, old)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = network(sizes) if variant == "progan" else ablation_network(sizes, variant)
    names = {key: _file_name(key) if old else key for key in module.state_dict()}
    check_state(
        file.path, tensors, {names[key]: value for key, value in module.state_dict().items()}
    )
    module.load_state_dict(
        {key: _as_loaded(file.path, names[key], tensors[names[key]]) for key in names},
        assign=True,
    )
    return ProGAN(
        module,
        sizes,
        options.model_copy(update={"variant": variant}),
        weights_sha256=file.sha256,
        licence=file.metadata.get("licence", "unknown"),
    )


def _variant(file: WeightsFile, options: ProGANOptions, old: bool) -> Variant:
    if old:
        return recognise(file.path, file.tensors, options.variant)
    if options.variant not in (None, "progan"):
        raise UsageError(
            f"{file.path}: variant={options.variant} does not fit its keys, which are those of "
            "progan"
        )
    return "progan"


def _without_stored_scales(file: WeightsFile) -> dict[str, Tensor]:
    kept = {}
    for key, tensor in file.tensors.items():
        if _STORED_SCALE.fullmatch(key) is None:
            kept[key] = tensor
        elif tuple(tensor.shape) != (1,):
            raise StateMismatchError(
                f"{file.path}: {key} has shape {tuple(tensor.shape)}, expected (1,)"
            )
    return kept


def _sizes(path: Path, tensors: Mapping[str, Tensor], old: bool) -> tuple[int, ...]:
    """Channels of z, 4x4, 8x8, …: input of the first layer, then outputs of every other one."""
    numbers = {int(m[1]) + old for key in tensors if (m := _LAYER.match(key))}
    count = max(numbers)
    sizes: list[int] = []
    for k in range(1, count + 1, 2):
        key = f"features.{k - 1}.conv.weight" if old else f"layer{k}.conv.weight"
        if key not in tensors:
            raise StateMismatchError(f"{path}: missing key {key}; the last layer is {count}")
        shape = tuple(tensors[key].shape)
        if len(shape) != 4 or 0 in shape:
            raise StateMismatchError(
                f"{path}: {key} has shape {shape}, expected (C_out, C_in, k, k)"
            )
        sizes += [shape[0]] if sizes else [shape[1], shape[0]]
    return tuple(sizes)


def _file_name(key: str) -> str:
    """The old numbering's name of a tensor: layer K is ``features.{K-1}``."""
    layer, _, rest = key.partition(".")
    if layer.startswith("output"):
        return f"output.{rest}"
    return f"features.{int(layer.removeprefix('layer')) - 1}.{rest}"


def _as_loaded(path: Path, key: str, tensor: Tensor) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return tensor
    if not tensor.is_floating_point():
        raise StateMismatchError(f"{path}: {key} is {tensor.dtype}, expected floating point")
    tensor = tensor.to(torch.float32)
    if tensor.ndim == 4:  # channels-last kernels: 1.7 times the images/s of the usual order on CPU
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()
