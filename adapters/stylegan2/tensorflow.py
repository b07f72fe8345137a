"""StyleGAN2 out of NVIDIA's TensorFlow pickles (stylegan2: version 4; stylegan2-ada: version 5).

Guarantees that each setting a network was built with is either followed, known to have no effect on
what Gs draws, or refused by name; and that every variable finds its place.

Kernels lie there as (k, k, in, out), those of up-sampling layers mirrored; style biases are stored
without their 1. Mirrored kernels are copies, so they are made one at a time, when asked for.

Configs B to D of StyleGAN2 grew while they were trained (``ToRGB_lodK``, one for each resolution).
A grown one (lod 0) draws with the last ToRGB only, which is the architecture ``orig``; the others
are left out. Config A is a StyleGAN, not read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, shown

from ..tensorflow_networks import (
    Converted,
    Recipes,
    TensorFlowNetwork,
    network,
    outline,
    record,
)
from .config import StyleGAN2Config

_HALLMARK = "4x4/Conv/mod_weight"
_ACTIVATIONS = ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish")

# Settings of these networks that change no image of Gs (training, speed, widths that the
# arrays show anyway), and truncation, which is the user's option.
_IDLE = frozenset(
    {
        "fmap_base",
        "fmap_decay",
        "fmap_min",
        "fmap_max",
        "fmap_const",
        "mapping_layers",
        "mapping_fmaps",
        "label_fmaps",
        "dlatent_broadcast",
        "dlatent_avg_beta",
        "fused_modconv",
        "num_fp16_res",
        "randomize_noise",
        "style_mixing_prob",
        "structure",
        "return_dlatents",
        "truncation_psi",
        "truncation_cutoff",
        "truncation_psi_val",
        "truncation_cutoff_val",
        "is_training",
        "is_validation",
        "is_template_graph",
        "mapping_func",
        "synthesis_func",
    }
)
_FOLLOWED = frozenset(
    {
        "latent_size",
        "label_size",
        "dlatent_size",
        "mapping_lrmul",
        "mapping_nonlinearity",
        "normalize_latents",
        "num_channels",
        "resolution",
        "architecture",
        "nonlinearity",
        "resample_kernel",
        "use_noise",
        "conv_clamp",
        "dtype",
    }
)


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout's name, or None if the file is not of it."""
    found = outline(checkpoint)
    if found is None or found.build_func_name != "G_main" or (found.version or 0) < 4:
        return None
    if _HALLMARK not in _synthesis_names(checkpoint):
        return None
    return f"StyleGAN2 .pkl of NVIDIA's TensorFlow code (version {found.version})"


def _synthesis_names(checkpoint: Checkpoint) -> frozenset[str]:
    inert = record(checkpoint)
    components = inert.state.get("components") if inert is not None else None
    part = components.get("synthesis") if isinstance(components, Mapping) else None
    state = getattr(part, "state", None)
    variables = state.get("variables") if isinstance(state, Mapping) else None
    return frozenset(
        pair[0]
        for pair in (variables if isinstance(variables, list | tuple) else ())
        if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
    )


def holds(checkpoint: Checkpoint) -> bool:
    """Whether the file is of NVIDIA's TensorFlow code at all, whatever its network."""
    return outline(checkpoint) is not None


def read(checkpoint: Checkpoint) -> tuple[StyleGAN2Config, Mapping[str, Tensor]]:
    """The config and the tensors by our names.

    Raises:
        WeightsError: something in the file that this network does not compute (names it).
    """
    root = network(checkpoint)
    if root.build_func_name != "G_main":
        raise StateMismatchError(
            f"{root.file}: Gs was built by {root.build_func_name!r}; only G_main is a StyleGAN2"
        )
    mapping, synthesis = root.component("mapping"), root.component("synthesis")
    for part in (root, mapping, synthesis):
        _check_settings(part)
    if _HALLMARK not in synthesis.variables:
        raise StateMismatchError(
            f"{root.file}: synthesis was built by {synthesis.build_func_name!r} and has no "
            f"{_HALLMARK}; no StyleGAN2 (config A is a StyleGAN)"
        )
    recipes = {**_mapping(mapping), **_synthesis(synthesis)}
    for name in sorted(root.variables.keys() - {"lod", "dlatent_avg"}):
        raise StateMismatchError(f"{root.file}: Gs has a variable {name!r} that no StyleGAN2 has")
    if "dlatent_avg" in root.variables:
        recipes["mapping.w_avg"] = _kept(root.tensor("dlatent_avg"))
    tensors = Converted(recipes)
    return _config(root, mapping, synthesis, tensors), tensors


def _check_settings(part: TensorFlowNetwork) -> None:
    for name in part.static_kwargs:
        if name not in _IDLE | _FOLLOWED:
            value = shown(part.static_kwargs[name])
            raise StateMismatchError(
                f"{part.file}: {part.path} was built with {name}={value}, a setting that this "
                "program does not know"
            )
    part.text("dtype", "float32", ("float32",))


def _config(
    root: TensorFlowNetwork,
    mapping: TensorFlowNetwork,
    synthesis: TensorFlowNetwork,
    tensors: Mapping[str, Tensor],
) -> StyleGAN2Config:
    widths = [_rows(root, tensors, name) for name in _numbered(tensors)]
    embed = tensors.get("mapping.embed.weight")
    clamp = synthesis.static_kwargs.get("conv_clamp")
    architecture = "orig"
    if not _grown(synthesis):
        architecture = synthesis.text("architecture", "skip", ("orig", "skip", "resnet"))
    return StyleGAN2Config.validated(
        root.file,
        {
            "z_dim": mapping.integer("latent_size", 512),
            "w_dim": mapping.integer("dlatent_size", 512),
            "c_dim": mapping.integer("label_size", 0),
            "label_style": "embed"
            if embed is None or "mapping.embed.bias" in tensors
            else "concat",
            "embed_features": None
            if embed is None
            else _rows(root, tensors, "mapping.embed.weight"),
            "mapping_widths": widths,
            "lr_multiplier": mapping.number("mapping_lrmul", 0.01),
            "mapping_activation": mapping.text("mapping_nonlinearity", "lrelu", _ACTIVATIONS),
            "normalise_latents": mapping.flag("normalize_latents", True),
            "resolution": synthesis.integer("resolution", 1024),
            "img_channels": synthesis.integer("num_channels", 3),
            "channels": {
                int(match[1]): int(tensors[name].shape[0])
                for name in tensors
                if (match := re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", name))
            },
            "constant_channels": _rows(root, tensors, "synthesis.b4.const"),
            "architecture": architecture,
            "activation": synthesis.text("nonlinearity", "lrelu", _ACTIVATIONS),
            "conv_clamp": None if clamp is None else synthesis.number("conv_clamp", 0),
            "use_noise": any(name.endswith(".noise_strength") for name in tensors),
            "stored_noise": any(name.endswith(".noise_const") for name in tensors),
            "stored_average": "mapping.w_avg" in tensors,
            "scale_weights": True,
            "resample_filter": _filter(synthesis),
        },
    )


def _filter(synthesis: TensorFlowNetwork) -> tuple[float, ...]:
    taps = synthesis.static_kwargs.get("resample_kernel", (1, 3, 3, 1))
    if taps is None:
        return (1.0, 1.0)  # these codes' word for a box
    if not isinstance(taps, list | tuple) or not all(
        isinstance(tap, int | float) and not isinstance(tap, bool) and abs(tap) < 1e6
        for tap in taps
    ):
        raise synthesis.refuse("resample_kernel", "a list of numbers")
    return tuple(float(tap) for tap in taps)


def _numbered(tensors: Mapping[str, Tensor]) -> list[str]:
    count = sum(1 for name in tensors if re.fullmatch(r"mapping\.fc\d+\.weight", name))
    return [f"mapping.fc{i}.weight" for i in range(count)]


def _rows(root: TensorFlowNetwork, tensors: Mapping[str, Tensor], name: str) -> int:
    if name not in tensors:
        raise StateMismatchError(f"{root.file}: Gs lacks the variable of {name}")
    return int(tensors[name].shape[0])


def _kept(tensor: Tensor) -> Callable[[], Tensor]:
    """The recipe of a tensor that is a view of the file, or small."""
    return lambda: tensor


def _mapping(part: TensorFlowNetwork) -> Recipes:
    recipes: Recipes = {}
    for name in part.variables:
        if match := re.fullmatch(r"Dense(\d+)/(weight|bias)", name):
            ours = f"mapping.fc{match[1]}.{match[2]}"
        elif match := re.fullmatch(r"Label(?:Concat/(weight)|Embed/(weight|bias))", name):
            ours = f"mapping.embed.{match[1] or match[2]}"
        else:
            raise _unknown(part, name)
        tensor = part.tensor(name)
        dense = ours.endswith("weight")
        recipes[ours] = _kept(_axes(part, name, tensor, (1, 0)) if dense else tensor)
    return recipes


def _grown(synthesis: TensorFlowNetwork) -> bool:
    return any(name.startswith("ToRGB_lod") for name in synthesis.variables)


def _synthesis(part: TensorFlowNetwork) -> Recipes:
    recipes: Recipes = {}
    if part.scalar("lod", 0.0) != 0.0:
        raise StateMismatchError(
            f"{part.file}: lod of {part.path} is {part.scalar('lod', 0.0):g}: the network was "
            "saved while it was growing; only grown ones (lod 0) are read"
        )
    for name in part.variables:
        if name == "lod" or re.fullmatch(
            r"ToRGB_lod[1-9]\d?/(weight|mod_weight|mod_bias|bias)", name
        ):
            continue
        tensor = part.tensor(name)
        if match := re.fullmatch(r"noise(\d{1,2})", name):
            number = int(match[1]) + 1  # 0: 4x4 Conv, then Conv0_up and Conv1 of each resolution
            layer = f"b{4 << number // 2}.conv{number % 2}"
            noise = _axes(part, name, tensor, (0, 1, 2, 3))[0, 0]
            recipes[f"synthesis.{layer}.noise_const"] = _kept(noise)
        elif name == "4x4/Const/const":
            constant = _axes(part, name, tensor, (0, 1, 2, 3))[0]
            recipes["synthesis.b4.const"] = _kept(constant)
        elif match := re.fullmatch(r"(\d+)x\1/(Conv|Conv0_up|Conv1|ToRGB|Skip)/(\w+)", name):
            ours, recipe = _layer(part, name, int(match[1]), match[2], match[3], tensor)
            recipes[f"synthesis.{ours}"] = recipe
        elif match := re.fullmatch(r"ToRGB_lod0/(\w+)", name):
            side = part.integer("resolution", 1024)
            ours, recipe = _layer(part, name, side, "ToRGB", match[1], tensor)
            recipes[f"synthesis.{ours}"] = recipe
        else:
            raise _unknown(part, name)
    return recipes


def _layer(
    part: TensorFlowNetwork, name: str, side: int, kind: str, what: str, tensor: Tensor
) -> tuple[str, Callable[[], Tensor]]:
    names = {"Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
    if (kind == "Conv") != (side == 4 and kind != "ToRGB"):
        raise _unknown(part, name)
    layer = f"b{side}.{names.get(kind, 'conv1')}"
    match what:
        case "weight":
            kernel = _axes(part, name, tensor, (3, 2, 0, 1))
            if kind == "Conv0_up":
                return f"{layer}.weight", lambda: kernel.flip(2, 3)
            if kind == "Skip":
                kernel = kernel.flip(2, 3)
            # 1x1 kernels are small, and of either layout at once: one layout, one rounding
            whole = kernel.contiguous() if kind in ("ToRGB", "Skip") else kernel
            return f"{layer}.weight", _kept(whole)
        case "mod_weight":
            return f"{layer}.affine.weight", _kept(_axes(part, name, tensor, (1, 0)))
        case "mod_bias":
            return f"{layer}.affine.bias", _kept(tensor + 1.0)
        case "noise_strength":
            strength = tensor.reshape(()) if tensor.numel() == 1 else tensor
            return f"{layer}.noise_strength", _kept(strength)
        case "bias":
            return f"{layer}.bias", _kept(tensor)
    raise _unknown(part, name)


def _axes(part: TensorFlowNetwork, name: str, tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    if tensor.ndim != len(order) or 0 in tensor.shape:
        raise StateMismatchError(
            f"{part.file}: variable {name!r} of {part.path} has shape {tuple(tensor.shape)}, "
            f"expected {len(order)} axes"
        )
    return tensor.permute(order)


def _unknown(part: TensorFlowNetwork, name: str) -> StateMismatchError:
    return StateMismatchError(
        f"{part.file}: {part.path} has a variable {name!r} that no StyleGAN2 has"
    )
