"""``Translator``: a staged generator whose latent is an image.

Guarantees: images given by hand may have any size that the network's strides divide; those of a
source have the declared one. The fingerprint of the source is part of the model's identity, and so
are statistics and dropout. An image of one channel is shown as grey in three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, ImageSource, Latent, LatentSpec, State
from seeingkit.errors import UsageError
from seeingkit.images.given import open_given
from seeingkit.models.staged import StagedAdapter, StageFunction
from seeingkit.specs import SourceOptions

from ..configs import NetworkConfig, resolved_options

SEEDS = 2**31 - 1
"""Seeds of dropout are numbers below it."""


class Translator(StagedAdapter):
    """A network that turns an image into an image.

    Args:
        family: registered name.
        module: the network.
        config: of the network; becomes ``config``.
        options: resolved.
        cuts: the boundaries, ``input`` and ``image`` among them.
        stages: the way between them.
        colours: channels of the image given and of the image made.
        multiple: sides of images are multiples of it.
        least: shortest side.
        assumed: further assumptions, about options.
        class_names: of a conditional network.
        weights_sha256, licence: of the file.

    Raises:
        UsageError: a resolution that the network cannot take.
        SourceError: no usable images at ``options.source``.
    """

    def __init__(
        self,
        family: str,
        module: nn.Module,
        config: NetworkConfig,
        options: SourceOptions,
        cuts: Sequence[Boundary],
        stages: Sequence[StageFunction],
        *,
        colours: tuple[int, int],
        multiple: int,
        least: int,
        assumed: Sequence[str] = (),
        class_names: tuple[str, ...] = (),
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        size = options.resolution
        self.multiple, self.least = multiple, least
        self._check_sides(family, size, size, "resolution")
        given: ImageSource | None = open_given(options)
        latent = [LatentSpec(name="image", shape=(colours[0], size, size), distribution="image")]
        if getattr(options, "dropout", "off") == "drawn":
            latent.append(
                LatentSpec(name="dropout", shape=(), distribution="discrete", categories=SEEDS)
            )
        super().__init__(
            module,
            GeneratorInfo(
                family=family,
                resolution=size,
                channels=colours[1],
                latent=tuple(latent),
                class_names=class_names,
                weights_sha256=weights_sha256,
                licence=licence,
                options={
                    **resolved_options(options, "classes"),
                    "source": None if given is None else given.fingerprint,
                },
                parameters=sum(p.numel() for p in module.parameters()),
                assumptions=(*config.assumed, *assumed, *_prepared(given)),
            ),
            cuts,
            stages,
        )
        self.given = given
        self.config = config.model_dump(mode="json")

    def begin(self, latent: Latent) -> State:
        """x = the image (N, C, H, W) in [-1, 1], of any size that the strides divide.

        Raises:
            UsageError: no image, one of other channels, or of a size that does not fit.
        """
        family, image = self.info.family, latent.get("image")
        channels = self.info.latent[0].shape[0]
        if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[1] != channels:
            found = "missing" if image is None else f"of shape {tuple(image.shape)}"
            raise UsageError(
                f"{family}: latent 'image' is {found}, expected (N, {channels}, H, W) in [-1, 1]"
            )
        self._check_sides(family, image.shape[2], image.shape[3], "image")
        x = image.to(self.device, torch.float32)
        carry = self._carried(latent, len(image))
        return State("input", x, {name: value.to(self.device) for name, value in carry.items()})

    def _carried(self, latent: Latent, rows: int) -> Mapping[str, Tensor]:
        """What stages need beside x: seeds of dropout where it is drawn."""
        if len(self.info.latent) < 2:
            return {}
        seeds = latent.get("dropout")
        if seeds is None or tuple(seeds.shape) != (rows,) or seeds.is_floating_point():
            raise UsageError(
                f"{self.info.family}: dropout is drawn, so latent 'dropout' is ({rows},) int64, "
                "the seed of each image"
            )
        return {"dropout": seeds}

    def _check_sides(self, family: str, height: int, width: int, what: str) -> None:
        if height % self.multiple or width % self.multiple or min(height, width) < self.least:
            sides = f"{height}" if height == width else f"{height}x{width}"
            raise UsageError(
                f"{family}: {what} of {sides} pixels; this network takes multiples of "
                f"{self.multiple} from {self.least} on"
            )


def _prepared(given: ImageSource | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (
        "images to translate are resized to their shorter side and cropped to the middle square",
    )


def check_told(path: Path, options: Any, *, tracked: bool, drops: bool) -> None:
    """Refuse statistics or dropout that a network does not have.

    Args:
        path: of its file, for the message.
        options, tracked, drops: as of ``said``.

    Raises:
        UsageError: ``statistics=stored`` or ``dropout=drawn`` without any.
    """
    if options.statistics == "stored" and not tracked:
        raise UsageError(f"{path}: statistics=stored, but the norms of this file have none")
    if getattr(options, "dropout", "off") == "drawn" and not drops:
        raise UsageError(f"{path}: dropout=drawn, but this network has no dropout")


def said(options: Any, *, tracked: bool, drops: bool) -> list[str]:
    """The assumptions that the usual values of ``statistics`` and ``dropout`` are.

    Args:
        options: of the family.
        tracked: whether the file holds running statistics that could be used.
        drops: whether the network has dropout.
    """
    found = []
    if tracked and options.statistics == "image":
        found.append(
            "norms use each image's own statistics, as the published test script does "
            "(statistics=stored: those of the file)"
        )
    if drops and options.dropout == "off":
        found.append(
            "dropout is off, unlike in the published test script (dropout=drawn: from each "
            "image's seed)"
        )
    return found
