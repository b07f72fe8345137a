"""What a generator, a segmenter and an image source must be, for every analysis to run on them.

Guarantees that hold for every implementation (``seeingkit.testing`` checks them):

* everything is batch-first, and row ``k`` of a result depends on row ``k`` of the input only;
* ``advance(advance(begin(z), b), "image")`` equals ``advance(begin(z), "image")`` at every
  boundary ``b``; ``advance`` is pure and differentiable in ``state.x`` and ``params``;
* latents depend on (seed, index, label) only, never on the batch they were drawn in;
* images are float32 RGB (N, 3, H, W) with the nominal range [-1, 1], not clamped.

The split follows Bau et al., ICCV 2019, section 3.2: G = G_f ∘ g_n ∘ … ∘ g_1; a ``Boundary`` is a
named cut, ``State.x`` is r there, and ``advance(state, "image")`` is G_f.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from seeingkit.errors import ImageError, SourceError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from seeingkit.tallies import Tally

Latent = Mapping[str, Tensor]
"""Batch-first: ``{"z": (N, D)}``, plus ``{"label": (N,)}`` int64 if the model is conditional."""


# ------------------------------------------------------------------------------- boundaries, state


@dataclass(frozen=True)
class Boundary:
    """A named cut through a generator.

    Attributes:
        name: canonical name by meaning (``input``, ``w``, ``r8.conv0``, ``image``).
        index: 0 = input, then in the order of computation; the last is ``image``.
        shape: shape of one row of x there, without the batch axis.
        kind: ``latent``, ``feature`` or ``image``.
        extent: spatial size (H, W) of a feature map, or None.
        aliases: other names accepted, such as native module paths.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    kind: Literal["latent", "feature", "image"]
    extent: tuple[int, int] | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """Where a batch stands inside a generator.

    Attributes:
        at: name of the boundary.
        x: (N, …) the one differentiable tensor there.
        carry: whatever later stages also need, each tensor batch-first.
    """

    at: str
    x: Tensor
    carry: Mapping[str, Tensor] = field(default_factory=dict)

    def with_x(self, x: Tensor) -> State:
        """The same state with another x (of the same batch size)."""
        return replace(self, x=x)

    def with_carry(self, **tensors: Tensor) -> State:
        """The same state with some carried tensors replaced or added."""
        return replace(self, carry={**self.carry, **tensors})

    def detach(self) -> State:
        """The same values without their history."""
        return replace(
            self, x=self.x.detach(), carry={k: v.detach() for k, v in self.carry.items()}
        )

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __getitem__(self, rows: slice | Sequence[int] | Tensor | int) -> State:
        """Some rows of the batch (an int keeps the batch axis)."""
        if isinstance(rows, int):
            rows = [rows]
        picked: Any = rows if isinstance(rows, (slice, Tensor)) else list(rows)
        return replace(self, x=self.x[picked], carry={k: v[picked] for k, v in self.carry.items()})

    @staticmethod
    def cat(states: Sequence[State]) -> State:
        """One batch out of several at the same boundary."""
        if len({s.at for s in states}) != 1:
            raise UsageError(f"states at different boundaries: {sorted({s.at for s in states})}")
        return State(
            states[0].at,
            torch.cat([s.x for s in states]),
            {k: torch.cat([s.carry[k] for s in states]) for k in states[0].carry},
        )


# -------------------------------------------------------------------------------------- generators


class LatentSpec(BaseModel):
    """One input tensor of a generator: its shape without the batch axis, and its distribution."""

    model_config = ConfigDict(frozen=True)

    name: str = "z"
    shape: tuple[int, ...]
    distribution: Literal["normal"] = "normal"


class GeneratorInfo(BaseModel):
    """What is known of a loaded generator. Everything that changes its images is in here.

    Attributes:
        family: registered name of the adapter.
        resolution: height and width of the images in pixels.
        latent: its random inputs.
        class_names: names of the classes of a conditional model, else empty.
        weights_sha256: hash of the weights file(s).
        options: resolved options (truncation, noise policy, latent convention, …).
        parameters: number of trained numbers.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    resolution: int
    channels: int = 3
    value_range: tuple[float, float] = (-1.0, 1.0)
    latent: tuple[LatentSpec, ...]
    class_names: tuple[str, ...] = ()
    weights_sha256: str | None = None
    licence: str = "unknown"
    options: dict[str, Any] = {}
    parameters: int = 0

    def identity(self) -> dict[str, Any]:
        """What changes the images."""
        return self.model_dump(mode="json", exclude={"licence", "parameters"})


def seeds_latents(indices: Sequence[int], dim: int, seed: int) -> np.ndarray:
    """Row i = ``RandomState(seed + i).randn(dim)``: the convention of NVIDIA's tools, (N, dim)."""
    rows = np.empty((len(indices), dim))
    for row, i in zip(rows, indices, strict=True):
        row[:] = np.random.RandomState((seed + int(i)) % 2**32).randn(dim)
    return rows


@functools.lru_cache(maxsize=4)
def _sequence(seed: int, rows: int, dim: int) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal((rows, dim)).astype(np.float32)


def sequence_latents(indices: Sequence[int], dim: int, seed: int) -> np.ndarray:
    """Row i of ``RandomState(seed).standard_normal((n, dim))``: the paper's code, (N, dim)."""
    if not len(indices):
        return np.empty((0, dim), np.float32)
    rows = 1 << max(10, int(max(indices)).bit_length())  # a prefix does not depend on the size
    picked: np.ndarray = _sequence(seed, rows, dim)[np.asarray(indices)]
    return picked


class Sampler(ABC):
    """Tier 1: latents in, images out. Enough for class statistics and FSD."""

    info: GeneratorInfo

    def latents(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | None = None,
    ) -> Latent:
        """Latents of the given image numbers; row k depends on (seed, indices[k]) only.

        Returns:
            ``{"z": (N, D) float32}`` on the CPU, and ``label`` (N,) int64 if conditional.
        """
        draw = sequence_latents if self.info.options.get("latents") == "sequence" else seeds_latents
        sizes = [int(np.prod(part.shape)) for part in self.info.latent]
        flat = torch.from_numpy(draw(indices, sum(sizes), seed).astype(np.float32))
        latent = {
            part.name: piece.reshape(len(indices), *part.shape)
            for part, piece in zip(self.info.latent, flat.split(sizes, dim=1), strict=True)
        }
        if self.info.class_names:
            if labels is None:
                raise UsageError(f"{self.info.family} is conditional: give labels")
            given = torch.as_tensor(labels, dtype=torch.int64).flatten()
            classes = len(self.info.class_names)
            if len(given) != len(indices) or not bool(((given >= 0) & (given < classes)).all()):
                raise UsageError(
                    f"{self.info.family}: give one label from 0 to {classes - 1} for each of the "
                    f"{len(indices)} images"
                )
            latent["label"] = given
        return latent

    @abstractmethod
    def __call__(self, latent: Latent) -> Tensor:
        """Images (N, 3, H, W) float32, nominal [-1, 1], RGB, as the original gives them."""

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What rebuilds this model: its tensors, and a JSON-able config of all that is no tensor.

        ``seeingkit weights convert`` writes them; the family's target reads them back.

        Raises:
            UsageError: the family has no such form.
        """
        raise UsageError(f"{self.info.family} cannot be written as safetensors")

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return torch.device("cpu")

    def to(self, device: str | torch.device) -> Sampler:
        """Move the model; returns itself."""
        return self


class Generator(Sampler):
    """Tier 2: a generator that can be entered and left at named boundaries.

    Attributes:
        boundaries: in the order of computation.
        inverted_with: carried tensors that belong to r: where x alone does not say what G_f draws
            (styles, a skip image), layer inversion optimises them too, wherever they are carried.
    """

    boundaries: tuple[Boundary, ...]
    inverted_with: tuple[str, ...] = ()

    def boundary(self, name: str) -> Boundary:
        """The boundary of that name or alias.

        Raises:
            UnknownNameError: lists the boundaries that exist.
        """
        for boundary in self.boundaries:
            if name == boundary.name or name in boundary.aliases:
                return boundary
        raise UnknownNameError("boundary", name, [b.name for b in self.boundaries])

    @property
    def default_cut(self) -> str:
        """Where layer inversion cuts unless told otherwise; adapters may know better.

        The last feature map of at most max(4, R / 32) pixels a side. For a ProGAN of 256 pixels
        that is the paper's r, the fourth layer's 8x8 map (Bau et al. 2019, section 4.2).
        """
        most = max(4, self.info.resolution // 32)
        inner = self.boundaries[1:-1]
        small = [b for b in inner if b.extent and max(b.extent) <= most]
        if not inner:
            raise UsageError(f"{self.info.family} has no boundary between input and image to cut")
        return (small[-1] if small else inner[len(inner) // 2]).name

    @abstractmethod
    def begin(self, latent: Latent) -> State:
        """The state at boundary 0 (``input``)."""

    @abstractmethod
    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        """The state at a later boundary. Pure; differentiable in ``state.x`` and ``params``.

        Args:
            state: where to start.
            to: name or alias of the boundary to stop at, not before ``state.at``.
            params: replacements for some of the network's own tensors, by name.
        """

    def __call__(self, latent: Latent) -> Tensor:
        """Images (N, 3, H, W) of the latents, without history."""
        with torch.no_grad():
            return self.advance(self.begin(latent)).x


# -------------------------------------------------------------------------------------- segmenters


class Label(NamedTuple):
    """One label: its name and the kind of thing it is (``object``, ``part``, ``material``)."""

    name: str
    category: str = "object"


@dataclass(frozen=True)
class Vocabulary:
    """The labels a segmenter knows; the number of a label is its place in ``labels``.

    Attributes:
        labels: number 0 means "nothing" where ``has_background`` is true.
        planes: what each plane of a segmentation shows, the first being the objects.
        has_background: whether number 0 is "no object" and is left out of figures and verdicts.
    """

    labels: tuple[Label, ...]
    planes: tuple[str, ...] = ("object",)
    has_background: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of their numbers."""
        return tuple(label.name for label in self.labels)

    def index(self, name: str) -> int:
        """The number of a label."""
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownNameError("label", name, self.names) from None


class SegmenterInfo(BaseModel):
    """What is known of a loaded segmenter; its identity is part of every tally."""

    model_config = ConfigDict(frozen=True)

    family: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    options: dict[str, Any] = {}
    parameters: int = 0

    def identity(self) -> dict[str, Any]:
        """What changes the labels."""
        return self.model_dump(mode="json", exclude={"licence", "parameters"})


class Annotator(ABC):
    """Turns each image into a row of numbers."""

    vocabulary: Vocabulary
    info: SegmenterInfo

    @abstractmethod
    def statistics(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, planes x labels), plane-major."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return torch.device("cpu")

    def to(self, device: str | torch.device) -> Annotator:
        """Move the model; returns itself."""
        return self


class Segmenter(Annotator):
    """Gives every pixel a label."""

    @abstractmethod
    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, planes, H', W') int64; 0 = nothing."""

    @abstractmethod
    def score(self, images: Tensor, label: int) -> Tensor:
        """How sure the segmenter is of one label: (N, H', W') in [0, 1], differentiable."""

    def statistics(self, images: Tensor) -> Tensor:
        """Pixels of each label in each plane: (N, planes x labels) int64, plane-major."""
        maps = self.segment(images)
        n, planes = maps.shape[:2]
        size = len(self.vocabulary)
        offsets = torch.arange(n * planes, device=maps.device).reshape(n, planes, 1, 1) * size
        flat = torch.bincount((maps + offsets).flatten(), minlength=n * planes * size)
        return flat.reshape(n, planes * size)


# ----------------------------------------------------------------------------- perceptual features


class FeaturesInfo(BaseModel):
    """What is known of loaded perceptual features; their identity is part of every inversion.

    Attributes:
        family: registered name of the adapter.
        layer: what is read out of the network, in its own words (``relu4_2``).
    """

    model_config = ConfigDict(frozen=True)

    family: str
    layer: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    options: dict[str, Any] = {}
    parameters: int = 0

    def identity(self) -> dict[str, Any]:
        """What changes the features."""
        return self.model_dump(mode="json", exclude={"licence", "parameters"})


class Features(ABC):
    """Activations of a fixed network, in which two images look alike when they do to people.

    Attributes:
        name: for people: the family and its layer.
    """

    name: str
    info: FeaturesInfo

    @abstractmethod
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images; differentiable, the network itself being constant.

        Args:
            images: (N, 3, H, W) float32, nominal [-1, 1], of any H and W the network can take.

        Returns:
            one or more tensors (N, …); row k depends on row k of the images only.

        Raises:
            UsageError: images of another shape, or too small for the network.
        """

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return torch.device("cpu")

    def to(self, device: str | torch.device) -> Features:
        """Move the network; returns itself."""
        return self


# ----------------------------------------------------------------------------------------- sources


class Skipped(NamedTuple):
    """An image that could not be used: its stable id, and why."""

    item: str
    reason: str


class ImageSource(ABC):
    """Pictures with stable ids: a folder, a zip, a data set, or a Sampler seen as images.

    Attributes:
        name: for people.
        ids: one stable string per image; the same for the same content on every machine.
        fingerprint: hash of everything that changes the pixels (content, preset, options).
        counted: the areas of classes were counted elsewhere and no picture can be read; then
            ``stored_tally`` gives them.
        label_names: names of the true labels that ``read_labels`` gives, by number; empty where
            the source has none.
    """

    name: str
    ids: Sequence[str]
    fingerprint: str
    counted: bool = False
    label_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1], RGB.

        Raises:
            ImageError: naming the first image that cannot be read.
        """

    def load(self, indices: Sequence[int]) -> tuple[Tensor | None, list[int], list[Skipped]]:
        """Like ``read``, but images that cannot be read are named instead of raised.

        Returns:
            images (M, 3, H, W) or None when M = 0, the indices they belong to, and the rest.
        """
        images: list[Tensor] = []
        good: list[int] = []
        skipped: list[Skipped] = []
        for i in indices:
            try:
                images.append(self.read([i]))
                good.append(i)
            except ImageError as error:
                skipped.append(Skipped(error.item, error.reason))
        return (torch.cat(images) if images else None), good, skipped

    def read_labels(self, indices: Sequence[int]) -> Tensor:
        """True labels of the pixels that ``read`` gives.

        Returns:
            (N, H, W) int64: numbers of ``label_names``, or -1 where a pixel has no known label.

        Raises:
            SourceError: this source has no true labels.
        """
        raise SourceError(f"{self.name} has no true labels")

    def stored_side(self, index: int) -> int | None:
        """Shorter side of an image in pixels before the preset, where the source knows it."""
        return None

    def stored_tally(self, vocabulary: Vocabulary) -> Tally:
        """The areas of a source that was counted elsewhere.

        Raises:
            SourceError: this source has pictures; tally them.
            TallyError: the areas are not of this vocabulary.
        """
        raise SourceError(f"{self.name} has pictures; tally them")

    def describe(self) -> dict[str, Any]:
        """What a report says of this source."""
        return {"name": self.name, "images": len(self), "fingerprint": self.fingerprint}

    def close(self) -> None:
        """Let go of files and handles."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """What an inverter found for N photos; row k is about photo k.

    Attributes:
        method: name of the inverter.
        cut: canonical name of the boundary whose x is r.
        images: (N, 3, R, R) float32, the photos.
        reconstruction: (N, 3, R, R) float32, G_f(r), not clamped; NaN where it failed.
        state: r and its carry at the cut.
        z: (N, …) estimate of the latent, or None where the method has none.
        initial: (N, 3, R, R) the image of the initial guess.
        loss: (N,) what was minimised, at the end.
        psnr: (N,) dB, of images clamped to [-1, 1].
        perceptual: (N,) mean absolute difference of perceptual features, or None without any.
        steps: (N,) int64, steps taken; converged: (N,) bool, the loss fell no more.
        failed: why a row has no reconstruction, by row.
        frames: for each row, the steps at which the image was kept and (F, 3, R, R) those images.
        history: for each row, the loss at every step.
    """

    method: str
    cut: str
    images: Tensor
    reconstruction: Tensor
    state: State
    z: Tensor | None
    initial: Tensor
    loss: Tensor
    psnr: Tensor
    perceptual: Tensor | None
    steps: Tensor
    converged: Tensor
    failed: Mapping[int, str] = field(default_factory=dict)
    frames: Sequence[tuple[tuple[int, ...], Tensor]] = ()
    history: Sequence[Tensor] = ()

    def __len__(self) -> int:
        return len(self.images)

    def to_dict(self) -> dict[str, Any]:
        """One record per row with the keys of ``inversions`` in ``results.json``, without files."""
        rows = []
        for k in range(len(self)):
            row: dict[str, Any] = {"method": self.method, "cut": self.cut}
            if k in self.failed:
                rows.append({**row, "failed": self.failed[k]})
                continue
            row |= {"psnr": float(self.psnr[k]), "loss": float(self.loss[k])}
            row |= {"steps": int(self.steps[k]), "converged": bool(self.converged[k])}
            row["perceptual"] = None if self.perceptual is None else float(self.perceptual[k])
            rows.append(row)
        return {"inversions": rows}

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{k}</td><td>{row.get('failed') or format(row['psnr'], '.1f') + ' dB'}</td>"
            f"<td>{row.get('steps', '')}</td></tr>"
            for k, row in enumerate(self.to_dict()["inversions"])
        )
        head = "<tr><th>image</th><th>PSNR</th><th>steps</th></tr>"
        return f"<p>{self.method} at {self.cut}</p><table>{head}{cells}</table>"


class Inverter(ABC):
    """Finds the generator's closest image to a photo (Bau et al. 2019, section 3.2).

    Attributes:
        name: as registered.
        target: what is optimised: ``z``, ``r`` (x at the cut), or ``none``.
    """

    name: str
    target: str

    @abstractmethod
    def prepare(self, generator: Generator) -> dict[str, Any]:
        """Load or train what is needed (encoder, perceptual features), once per generator.

        Returns:
            everything that changes the result beside generator, image, labels and seed.
        """

    @abstractmethod
    def invert(
        self,
        generator: Generator,
        images: Tensor,
        *,
        labels: Sequence[int] | None = None,
        init: Latent | State | None = None,
        seed: int = 0,
        batch_size: int = 8,
        done: Callable[[int, Inversion], None] | None = None,
    ) -> Inversion:
        """Invert images (N, 3, R, R) in [-1, 1]; the result of one does not depend on others.

        Args:
            labels: class of each image, for a conditional generator.
            init: where to start instead of the method's own initial guess.
            seed: of random starts.
            batch_size: images optimised together.
            done: told of each row as soon as it is finished, as an ``Inversion`` of one row.
        """
