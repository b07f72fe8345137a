"""Conversion of a generator of any layout to safetensors, checked to lose nothing.

Guarantees: the file appears under its name only after it was read back and drew the same image, to
the bit; it carries family, config, the source's hash and layout, and the licence if it is known.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Sampler
from seeingkit.errors import MissingWeightsError, ModelError, StorageError, UsageError
from seeingkit.specs import WeightsSpec
from seeingkit.system.cache import file_sha256
from seeingkit.system.writing import atomic_write
from seeingkit.weights import write_portable

from .hub.places import weights_folder
from .inspection import source_layout
from .loading import load_generator
from .probe import trial_latents
from .registry import registry

log = logging.getLogger(__name__)
SUFFIX = ".safetensors"


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    gan: str = "auto",
    options: Mapping[str, Any] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write a generator as safetensors: ``convert_file("g.pkl", "g.safetensors")``.

    Args:
        source: a file of any layout, or a folder where the family takes one.
        target: the file to write.
        gan: the family, or ``auto``.
        options: of the family; those that the file does not determine are kept in its config;
            ``edits``: files of edits, which are baked in.
        force: whether an existing target is replaced.

    Returns:
        source, target, family, layout, resolution, tensors, parameters, sha256 of the target.

    Raises:
        UsageError: the target exists, is the source, or is not called ``.safetensors``; or the
            family cannot be written so.
        WeightsError: the source does not load.
        StorageError: the target cannot be written.
        ModelError: the written file draws another image.
    """
    source, target, options = Path(source), Path(target), dict(options or {})
    _check_target(source, target, force)
    generator = load_generator(gan, weights=source, **options)
    family = generator.info.family
    tensors, config = generator.export()
    if isinstance(generator, Generator) and generator.own_encoder is not None:
        log.warning(
            "%s: the encoder that came with the generator is not in it; give it with --encoder %s",
            target,
            generator.own_encoder.weights,
        )
    layout = source_layout(source, family)
    known = {
        "seeingkit.source_layout": layout,
        "seeingkit.source_sha256": generator.info.weights_sha256,
        "licence": _licence(source, generator),
    }
    extra = {key: text for key, text in known.items() if text}
    with atomic_write(target) as stream:  # which appears only if the check passes
        part = Path(stream.name)
        try:
            write_portable(part, tensors, family, config, **extra)
        except StorageError as error:  # which names the part; people know the target
            message = str(error).replace(str(part), str(target))
            raise StorageError(message, error.errno) from error
        # as its user will load it: without the options that its config holds
        baked = {*config, "edits"}
        wanted = {name: value for name, value in options.items() if name not in baked}
        _check_same(generator, load_generator(family, weights=part, **wanted), target)
    return {
        "source": str(source),
        "target": str(target),
        "family": family,
        "layout": layout,
        "resolution": generator.info.resolution,
        "tensors": len(tensors),
        "parameters": generator.info.parameters,
        "sha256": file_sha256(target),
    }


def _check_target(source: Path, target: Path, force: bool) -> None:
    if target.suffix != SUFFIX:
        raise UsageError(f"{target}: name the new file with {SUFFIX} at its end")
    if not source.exists():
        raise MissingWeightsError(f"{source}: no such weights file")
    if target.exists():
        if target.is_dir() or target.samefile(source):
            raise UsageError(f"{target}: is {'a folder' if target.is_dir() else 'the source'}")
        if not force:
            raise UsageError(f"{target}: exists; --force replaces it")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder")


def _licence(source: Path, generator: Sampler) -> str | None:
    """Of the registered weights, if the source lies in their place, else that in the file."""
    for spec in registry().specs("weights"):
        if isinstance(spec, WeightsSpec) and not spec.files[0].resource:
            folder = weights_folder(spec)
            if source.absolute() in (folder, *(folder / file.name for file in spec.files)):
                return spec.licence
    return None if generator.info.licence == "unknown" else generator.info.licence


def _check_same(first: Sampler, second: Sampler, target: Path) -> None:
    a, b = _image(first), _image(second)
    if a.shape != b.shape or not torch.equal(a, b):
        gap = float((a - b).abs().max()) if a.shape == b.shape else float("inf")
        differs = f"its image of seed 0 differs by {gap:.3g} from the source's"
        report = "please report this with the layout of the source"
        raise ModelError(f"{target}: not written, {differs}; {report}")


def _image(generator: Sampler) -> Tensor:
    try:
        with torch.inference_mode():
            return generator(trial_latents(generator, [0]))
    except RuntimeError as error:
        reason = f"cannot draw an image ({str(error).splitlines()[0]})"
        raise ModelError(f"{generator.info.family}: {reason}") from error
