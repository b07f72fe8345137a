"""StarGAN generators of yunjey/stargan (``200000-G.ckpt``).

Guarantees the pictures of upstream's test script: it never calls eval(), so norms use the image's
own statistics although the file holds running ones (``statistics=stored`` for these).

A condition is a vector of attributes, of which several may hold (``c``); a class is such a vector.
Unless ``domains`` says otherwise class k is attribute k alone. A latent holds either ``label`` (N,)
or ``c`` (N, attributes).

Source: github.com/yunjey/stargan ``model.py``; Choi et al. 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from seeingkit.contracts import Latent
from seeingkit.errors import MissingWeightsError, UnknownNameError, UsageError
from seeingkit.models.recognition import weights_file
from seeingkit.models.staged import Carry
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Near,
    fill,
    nearest,
    networks,
    portable_config,
    portable_family,
    read_checkpoint,
    state_dict,
)

from .catalog.translation import StarGANOptions
from .class_names import class_names
from .labels import checked_labels, checked_vectors
from .translation.adapter import Translator, check_told, said
from .translation.numbered import (
    Names,
    Numbered,
    candidates,
    read_numbered,
    renamed,
    shapes,
)
from .translation.residual import (
    ResidualConfig,
    ResidualNetwork,
    residual_boundaries,
    residual_stages,
)

FAMILY = "stargan"
NAMES = Names("main", "main", 0, "StarGAN generator")
LAYOUT = Layout("a StarGAN generator", (*NAMES.marks, "main.9.main.0.weight"), NAMES.pattern)
_COLOURS = 3
_INSIDE = (0, 3)


class StarGANConfig(ResidualConfig):
    """The config of a StarGAN generator."""

    KIND: ClassVar[str] = "a StarGAN generator"


class StarGAN(Translator):
    """A translator that is told attributes.

    Args:
        domains: (classes, attributes), the attributes of each class.
        network, config, options, native, names, weights_sha256, licence: as of ``Translator``.
    """

    def __init__(
        self,
        network: ResidualNetwork,
        config: StarGANConfig,
        options: StarGANOptions,
        domains: Tensor,
        names: tuple[str, ...],
        native: Mapping[str, str],
        **about: Any,
    ) -> None:
        self.domains = domains
        self.weighted = options.domains is None
        smallest = 2 ** (len(config.down) - 1)
        super().__init__(
            FAMILY,
            network,
            config,
            options,
            residual_boundaries(config, options.resolution, native),
            residual_stages(network, _with_planes),
            colours=(config.colours_in, config.colours_out),
            multiple=smallest,
            least=2 * smallest,
            assumed=[
                *said(options, tracked=config.tracked, drops=False),
                "attributes that a class does not name are asked to be absent",
            ],
            class_names=names,
            **about,
        )

    def _carried(self, latent: Latent, rows: int) -> Mapping[str, Tensor]:
        given = [key for key in ("label", "c") if key in latent]
        if len(given) != 1:
            raise UsageError(
                f"{FAMILY}: give label (N,) or c (N, {self.domains.shape[1]}) beside the image, "
                f"not {' and '.join(given) or 'neither'}"
            )
        if given == ["c"]:
            shape = rows, self.domains.shape[1]
            return {"c": checked_vectors(FAMILY, "c", latent["c"], shape)}
        label = checked_labels(FAMILY, latent["label"], len(self.domains), rows)
        self.domains = self.domains.to(self.device)  # once
        return {"c": self.domains[label.to(self.device)]}


def _with_planes(x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    c = carry["c"]
    planes = c[:, :, None, None].expand(-1, -1, x.shape[2], x.shape[3])
    return torch.cat([x, planes], 1), {name: v for name, v in carry.items() if name != "c"}


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this is a StarGAN generator, else None. Looks at the keys only."""
    written_for = portable_family(checkpoint)
    if written_for is not None:
        return "seeingkit safetensors" if written_for == FAMILY else None
    return "generator of yunjey/stargan" if candidates(checkpoint, NAMES) else None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    # ``main.N`` is what every other stack is called; blocks inside are StarGAN's.
    blocks = (".main." in str(key) for network in networks(checkpoint) for key in network.tree)
    return nearest(checkpoint, [LAYOUT]) if any(blocks) else None


def load(weights: Path | None, options: StarGANOptions) -> StarGAN:
    """Load a generator.

    Args:
        weights: ``200000-G.ckpt`` or another file of one such network, or of ours.
        options: see ``StarGANOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or holds another network (says why).
        UsageError: an option that does not fit the file.
        SourceError: no usable images at ``options.source``.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights_file(weights))
    stored = portable_config(checkpoint, FAMILY)
    native: dict[str, str] = {}
    if stored is not None:
        config = StarGANConfig.validated(checkpoint.path, stored)
        tensors = state_dict(checkpoint, checkpoint.content)
    else:
        modules, where = read_numbered(checkpoint, NAMES, options.key)
        config = _config(modules)
        tensors, native = renamed(modules, _INSIDE, keep_statistics=config.tracked)
        options = options.model_copy(update={"key": where or None})
    check_told(checkpoint.path, options, tracked=config.tracked, drops=False)
    attributes = class_names(config.conditions, options.classes)
    domains, names = read_domains(options.domains, attributes)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = ResidualNetwork(config, options.statistics)
    fill(module, tensors, checkpoint.path)
    return StarGAN(
        module,
        config,
        options,
        domains,
        names,
        native,
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )


def _config(found: Numbered) -> StarGANConfig:
    values = shapes(found)
    inputs = found.modules[NAMES.first]["weight"].shape[1]
    if inputs <= _COLOURS:
        raise found.refuse(f"its first layer takes {inputs} planes, no colours and attributes")
    kind, tracked, _ = found.norms()
    return StarGANConfig(
        **values,
        colours_in=_COLOURS,
        conditions=inputs - _COLOURS,
        norm=kind,
        tracked=tracked,
        padding="zeros",
        edges="zeros",
    )


def read_domains(text: str | None, attributes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...]]:
    """The classes to draw: attributes joined by ``+``, classes by commas.

    Args:
        text: None: each attribute alone.
        attributes: their names, by number.

    Returns:
        (classes, attributes) float32 of 0 and 1, and the names of the classes.

    Raises:
        UnknownNameError: an attribute that does not exist.
        UsageError: a class twice.

    >>> read_domains("young+blond, none", ("blond", "young"))
    (tensor([[1., 1.],
            [0., 0.]]), ('young+blond', 'none'))
    """
    if text is None:
        return torch.eye(len(attributes)), attributes
    rows, names = [], []
    for part in text.split(","):
        wanted = [name.strip() for name in part.split("+")]
        row = torch.zeros(len(attributes))
        for name in wanted:
            if name == "none" and len(wanted) == 1:
                continue
            if name not in attributes:
                raise UnknownNameError("attribute", name, attributes)
            row[attributes.index(name)] = 1
        rows.append(row)
        names.append("+".join(wanted))
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise UsageError(f"domains: {double!r} is given twice")
    return torch.stack(rows), tuple(names)
