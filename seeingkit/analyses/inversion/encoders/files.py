"""Trained encoders and their files: tensors, and in the metadata the generator they belong to.

Guarantee: an encoder is used only with the generator it was trained for. Its file names the
generator's identity (weights hash and options), and another generator is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from seeingkit.contracts import Encoder, Generator, GeneratorInfo
from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    ModelError,
    StateMismatchError,
    WeightsError,
)
from seeingkit.models.hub import weights_path
from seeingkit.models.registry import registry
from seeingkit.specs import WeightsSpec
from seeingkit.system import seals
from seeingkit.system.addresses import Place
from seeingkit.system.cache import cache_folder
from seeingkit.system.tensors import write_sealed_tensors
from seeingkit.weights import load_into, read_state_dict

from .networks import ImageEncoder, LayeredEncoder

Kind = Literal["layered", "direct"]
KEY = "seeingkit_encoder"
SCHEMA = 1


def generator_key(info: GeneratorInfo) -> str:
    """Hash of a generator's identity, 16 hexadecimal digits; without the latent convention."""
    identity = info.identity()
    del identity["code"]  # an encoder gives a start, which other code of the generator refines
    identity["options"] = {k: v for k, v in identity["options"].items() if k != "latents"}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class TrainedEncoder(Encoder):
    """An encoder network trained on a generator's samples.

    Attributes:
        kind, cut, sha256: see ``Encoder``.
        network: ``LayeredEncoder`` or ``ImageEncoder``, in eval mode.
        generator: ``generator_key`` of its generator.
        architecture: arguments of the network.
        record: recipe, losses by stage, and quality on samples that training did not use.
        path: of its file, once it has one.
    """

    kind: Kind
    cut: str
    network: nn.Module
    generator: str
    architecture: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    path: Path | None = None

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """See ``Encoder.estimate``; x is None for a direct encoder."""
        if self.kind == "direct":
            return self.network(images), None
        z, r = self.network(images)
        return z, r

    def save(self, path: Path, *, half: bool = False) -> Path:
        """Write the encoder, whole or not at all; ``half`` keeps 16 bits of each number.

        Raises:
            ModelError: a number is not finite, or too large for 16 bits.
        """
        tensors = {
            name: t.half() if half and t.is_floating_point() else t
            for name, t in self.network.state_dict().items()
        }
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                more = " in 16 bits" if half else ""
                raise ModelError(f"{path}: not written, {name} would hold NaN or Inf{more}")
        about = {k: v for k, v in self.about().items() if k != "sha256"}
        about |= {"schema_version": SCHEMA, "architecture": dict(self.architecture)}
        about["name"] = path.stem
        return write_sealed_tensors(path, tensors, KEY, about)

    def about(self) -> dict[str, Any]:
        """See ``Encoder.about``: kind, cut, generator, hash and training record."""
        return {
            "kind": self.kind,
            "cut": self.cut,
            "generator": self.generator,
            "sha256": self.sha256,
            "record": dict(self.record),
        }

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move the network; returns itself."""
        self.network.to(device)
        return self


def build_network(
    kind: Kind, generator: Generator, cut: str, architecture: Mapping[str, Any]
) -> nn.Module:
    """An untrained encoder network for a generator.

    Raises:
        ModelError: the generator has several random inputs, of which only one can be inverted; or
            styles among its boundaries.
    """
    info = generator.info
    if len(info.latent) != 1:
        names = ", ".join(part.name for part in info.latent)
        raise ModelError(f"{info.family}: encoders invert one random input, this has {names}")
    options = dict(architecture)
    if kind == "direct":
        options.pop("pixelnorm", None)
        return ImageEncoder(info.resolution, generator.boundaries[0].shape, normal=True, **options)
    stop = generator.boundary(cut).index
    if any(boundary.kind == "style" for boundary in generator.boundaries[:stop]):
        raise ModelError(f"{info.family}: load it without styles; encoders invert maps")
    return LayeredEncoder(generator.boundaries[: stop + 1], info.resolution, **options)


def read_encoder(path: str | Path, generator: Generator) -> TrainedEncoder:
    """Read an encoder file and check that it is for this generator; on the CPU, in eval mode.

    Raises:
        WeightsError: missing, damaged, not an encoder, or of other shapes.
        StateMismatchError: trained for another generator (both identities are named).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f"{path}: no such encoder file; check --encoder")
    file = read_state_dict(path)
    try:
        about = json.loads(file.metadata[KEY])
        kind, cut, key = about["kind"], str(about["cut"]), str(about["generator"])
        architecture, record = dict(about["architecture"]), dict(about["record"])
        if "digest" in about:
            seals.check_seal(seals.read_whole(path))
        if about["schema_version"] != SCHEMA or kind not in ("layered", "direct"):
            raise ValueError("another version")
    except seals.BrokenSealError as error:
        raise CorruptFileError(f"{path}: damaged ({error}); train it again") from error
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path}: not an encoder of this version ({type(error).__name__}: {error}); train one "
            "with --encoder train"
        ) from error
    mine = generator_key(generator.info)
    if key != mine:
        whose = record.get("family", "another generator")
        raise StateMismatchError(
            f"{path}: trained for generator {key} ({whose}), this one is {mine} "
            f"({generator.info.family}); use its own encoder or --encoder train"
        )
    try:
        with torch.random.fork_rng([]):  # its random weights are replaced at once
            network = build_network(kind, generator, cut, architecture)
    except TypeError as error:
        raise CorruptFileError(f"{path}: its architecture is not understood ({error})") from error
    load_into(network, file)
    network = network.float().eval().requires_grad_(False)
    return TrainedEncoder(kind, cut, network, key, architecture, record, file.sha256, path)


def find_encoder(
    generator: Generator, kind: Kind, cut: str, recipe_key: str, *, shipped: bool = True
) -> Path | None:
    """A shipped encoder of this generator, or one trained here earlier by the same recipe.

    A layered encoder of another cut is not taken: its e_f reaches another feature map.
    """
    wanted = {"generator": generator_key(generator.info), "kind": kind}
    if kind == "layered":
        wanted["cut"] = cut
    for spec in registry().specs("weights") if shipped else ():
        if not isinstance(spec, WeightsSpec) or spec.kind != "inverter":
            continue
        if wanted.items() <= spec.options.items():
            try:
                return weights_path(spec, fetch=False)
            except MissingWeightsError:  # published, but not on this machine
                continue
    path = encoder_path(generator, kind, cut, recipe_key)
    return path if is_whole(path) else None


def is_whole(path: Path) -> bool:
    """Whether an encoder of the cache is there; one that is damaged is set aside."""
    if not path.is_file():
        return False
    try:
        check_encoder_file(path)
    except (ValueError, LookupError, TypeError) as error:
        seals.set_aside(path, error)
        return False
    return True


def check_encoder_file(path: Place) -> None:
    """Check all bytes of an encoder in the cache, and that it is the one of its name.

    Raises:
        ValueError, LookupError, TypeError: damaged, or another encoder.
    """
    data = seals.read_whole(path)
    seals.check_seal(data)
    length = int.from_bytes(data[:8], "little")
    if json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])["name"] != path.stem:
        raise ValueError("it is another encoder than its name says")


def encoder_path(generator: Generator, kind: Kind, cut: str, recipe_key: str) -> Path:
    """Where an encoder trained here is kept."""
    where = cut if kind == "layered" else "input"
    info = generator.info
    code = f"-{info.code}" if info.code else ""
    name = f"{info.family}-{generator_key(info)}{code}-{kind}-{where}-{recipe_key}"
    return cache_folder() / "encoders" / f"{name}.safetensors"
