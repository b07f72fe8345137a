"""BigGAN and BigGAN-deep generators from ajbrock and Hugging Face files, and our own safetensors.

Guarantees that every key and shape of a file was accounted for before its first image, that
spectral norm is folded into the weights once, and that a row's image depends on its z and class.

Layouts read (bare or in any ``weights.wrappers``):

* ajbrock/BigGAN-PyTorch ``G_ema.pth``, see ``files``;
* pytorch-pretrained-BigGAN ``pytorch_model.bin`` with ``config.json``, see ``huggingface``.
  The folder that holds them will do.

Latents: ``z`` (N, D), and one of ``label`` (N,) int64, ``c`` (N, classes), soft classes that mix
embeddings, or ``embedding`` (N, E), the class embedding itself (where the network shares one).

A file whose class tables have equal rows (BigBiGAN) has one class, which need not be given.

Truncation (Brock et al., ICLR 2019, section 3.1) is 1 here, that is none, because distributions are
measured. In ajbrock files z is then normal, and below 1 from the normal cut off at that value, the
distribution of redrawing the values beyond it. In Hugging Face files (own default: 0.4) z is always
from the normal cut off at 2, as theirs; it is multiplied by the truncation on its way into the
network, whose batch statistics are those of that truncation. Either z is the inverse distribution
function of the usual normal numbers, so both conventions of ``latents`` hold.

Boundaries: ``input``, ``r4.linear``, then each block as ``r8.b0``, ``r16.b0``, ``r16.attention``, …
by the size of its output, ``output.norm``, ``image``. ``rN`` is the last block at N pixels; the
file's own module paths (``blocks.1.0``, ``generator.layers.4``) are aliases. Carried: the class,
then the condition ``y`` of all blocks, or ``y0``, ``y1``, … where each block has its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.models.recognition import weights_file
from seeingkit.models.staged import Carry, StageFunction
from seeingkit.weights import (
    Checkpoint,
    Near,
    fill,
    find_network,
    nearest,
    networks_with,
    portable_config,
    read_checkpoint,
    state_dict,
)

from ..catalog.biggan import BigGANOptions
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import checked_labels, checked_vectors
from ..residual_blocks import alone, block_maps, block_stages, map_boundaries
from ..spectral import divide
from ..truncation import CutOffAdapter
from .config import BigGANConfig
from .files import LAYOUT as AJBROCK
from .files import read_ajbrock
from .huggingface import LAYOUT as HUGGING_FACE
from .huggingface import WEIGHTS_NAME, read_huggingface
from .network import BigGANNetwork
from .parsing import ParsedFile, one_row

CLASS_KEYS = ("label", "c", "embedding")
HUGGING_FACE_BOUND = 2.0  # its z is drawn within two standard deviations


class BigGAN(CutOffAdapter):
    """A BigGAN that can be entered and left at every block.

    Args:
        network: filled.
        options: resolved.
        weights_sha256: hash of the file or files.
        licence: of the weights.
    """

    module: BigGANNetwork

    def __init__(
        self,
        network: BigGANNetwork,
        options: BigGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = network.config
        info = GeneratorInfo(
            family="biggan",
            resolution=config.resolution,
            latent=(LatentSpec(name="z", shape=(config.z_dim,)),),
            class_names=class_names(_conditions(config), options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options, "classes"),
            parameters=sum(p.numel() for p in network.parameters()),
            assumptions=config.assumed,
        )
        ours = config.layout == "ajbrock"
        scale = 1.0 if ours else options.truncation
        if ours:
            self.z_bound = options.truncation if options.truncation < 1 else None
        else:
            self.z_bound = HUGGING_FACE_BOUND
        super().__init__(network, info, _boundaries(config), _stages(network, scale))
        self.config = config.model_dump(mode="json")

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z (N, D), and the class is carried.

        Raises:
            UsageError: z or the class is missing, of another shape or type, or out of range.
        """
        given = [key for key in CLASS_KEYS if key in latent]
        if not given and "z" in latent and not _conditions(self.module.config):
            latent = {**latent, "label": latent["z"].new_zeros(len(latent["z"]), dtype=torch.int64)}
            given = ["label"]
        if len(given) != 1:
            raise UsageError(
                f"biggan: give one of label, c or embedding beside z, not "
                f"{' and '.join(given) or 'none'}"
            )
        (key,) = given
        state = super().begin({"z": latent["z"]} if "z" in latent else {})
        return state.with_carry(**{key: self._class(key, latent[key], state.x)})

    def _class(self, key: str, value: Tensor, z: Tensor) -> Tensor:
        config = self.module.config
        if key == "embedding" and not config.embedding_dim:
            raise UsageError("biggan: this network has no shared embedding; give label or c")
        if key == "label":
            return checked_labels("biggan", value, config.classes, len(z)).to(z.device)
        length = config.classes if key == "c" else config.embedding_dim
        return checked_vectors("biggan", key, value, (len(z), length)).to(z)


def _conditions(config: BigGANConfig) -> int:
    """Number of classes to choose from: none where there is one."""
    return config.classes if config.classes > 1 else 0


# ------------------------------------------------------------------------------ stages, boundaries


def _first(network: BigGANNetwork, scale: float, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    x, conditions = network.conditions(z if scale == 1.0 else z * scale, network.embed(carry))
    return network.first_map(x), conditions


def _image(network: BigGANNetwork, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return network.image(x), carry


def _stages(network: BigGANNetwork, scale: float) -> list[StageFunction]:
    chunks = network.config.condition == "chunks"
    return [
        partial(_first, network, scale),
        *block_stages(network.blocks, chunks=chunks),
        partial(alone, network.output_norm),
        partial(_image, network),
    ]


def _boundaries(config: BigGANConfig) -> list[Boundary]:
    """The cuts; the last map of each size gets the alias ``rN``."""
    theirs = config.layout == "huggingface"
    first, norm = ("generator.gen_z", "generator.bn") if theirs else ("linear", "output_layer.0")
    return map_boundaries(config.z_dim, block_maps(config.bottom, config.blocks, first), norm)


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this is a BigGAN generator, else None. Looks at the keys only."""
    if networks_with(checkpoint, HUGGING_FACE.marks):
        return HUGGING_FACE.name
    found = networks_with(checkpoint, AJBROCK.marks)
    if not found:
        return None
    deep = any("blocks.0.0.conv4.weight" in network.tree for network in found)
    return f"{AJBROCK.name}-deep" if deep else AJBROCK.name


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, (HUGGING_FACE, AJBROCK))


def load(weights: Path | None, options: BigGANOptions) -> BigGAN:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above, or the folder that holds it.
        options: see ``BigGANOptions``.

    Raises:
        WeightsError: the file or its config is missing, unsafe, damaged, or does not fit (names
            the key).
        UsageError: an option that cannot apply to this file.
    """
    if weights is None:
        raise MissingWeightsError("biggan needs weights: give --weights FILE or biggan:NAME")
    checkpoint = read_checkpoint(_file(weights))
    parsed = _of_one_class(_parse(checkpoint, options))
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        network = BigGANNetwork(parsed.config, options.truncation)
    fill(network, parsed.tensors, checkpoint.path)
    divide(network, parsed.divisors, checkpoint.path)
    return BigGAN(
        network,
        parsed.options,
        weights_sha256=parsed.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )


def _file(weights: Path) -> Path:
    """The weights in a folder: Hugging Face's, or the running average of ajbrock's, or the only."""
    if not weights.is_dir():
        return weights
    for pattern in (WEIGHTS_NAME, f"*-{WEIGHTS_NAME}", "G_ema.pth"):
        found = sorted(weights.glob(pattern))
        if len(found) == 1:
            return found[0]
    return weights_file(weights)


def _parse(checkpoint: Checkpoint, options: BigGANOptions) -> ParsedFile:
    config = portable_config(checkpoint, "biggan")
    if config is not None:
        return _portable(checkpoint, config, options)
    for layout, read in ((HUGGING_FACE, read_huggingface), (AJBROCK, read_ajbrock)):
        found = find_network(checkpoint, layout.marks, "BigGAN generator", options.key)
        if found is not None:
            placed = options.model_copy(update={"key": found.where or None})
            return read(checkpoint, state_dict(checkpoint, found.tree, found.where), placed)
    raise StateMismatchError(
        f"{checkpoint.path}: not a BigGAN generator: its keys are neither those of ajbrock's "
        "G_ema.pth nor those of Hugging Face's pytorch_model.bin"
    )


def _of_one_class(parsed: ParsedFile) -> ParsedFile:
    """The same with one class, where all rows of the class tables are equal.

    So is the published BigBiGAN: unconditional, with one dummy label copied to 1,000 rows.
    """
    tables = ["embedding.weight"]
    if not parsed.config.embedding_dim:
        tables = [k for k in parsed.tensors if k.endswith(("gain.weight", "offset.weight"))]
    if not tables or not all(one_row(parsed.tensors[key]) for key in tables):
        return parsed
    classes = parsed.config.classes
    said = f"all {classes:,} rows of the class table are equal: there is one class"
    assumed = (*parsed.config.assumed, said)
    config = parsed.config.model_copy(update={"classes": 1, "assumed": assumed})
    merged = {key: parsed.tensors[key][:1] for key in tables}
    return replace(parsed, config=config, tensors={**parsed.tensors, **merged})


def _portable(
    checkpoint: Checkpoint, values: dict[str, object], options: BigGANOptions
) -> ParsedFile:
    config = BigGANConfig.validated(checkpoint.path, values)
    settled = {"sn_eps": config.spectral_epsilon, "cross_replica_gain": config.gain}
    for name in ("sn_eps", "cross_replica_gain", "standing"):
        if getattr(options, name) not in (None, settled.get(name)):
            raise UsageError(
                f"{checkpoint.path}: option {name} was settled when the file was converted; "
                "convert the original again with it"
            )
    epsilon = options.bn_eps or config.epsilon
    assumed = config.unless_told(bn_eps=options.bn_eps)
    config = config.model_copy(update={"epsilon": epsilon, "assumed": assumed})
    options = options.model_copy(update={"bn_eps": epsilon, "sn_eps": config.spectral_epsilon})
    tensors = state_dict(checkpoint, checkpoint.content)
    return ParsedFile(config, tensors, {}, options, checkpoint.sha256)
