"""The conformance kit passes what is right, and each of its checks fails on what is wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import (
    Annotator,
    AnnotatorInfo,
    Boundary,
    Classifier,
    ClassifierInfo,
    Generator,
    GeneratorInfo,
    ImageSource,
    Label,
    Latent,
    LatentSpec,
    Sampler,
    Segmenter,
    SegmenterInfo,
    Skipped,
    State,
    Vocabulary,
)
from seeingkit.contracts.given import SmoothImages
from seeingkit.errors import UsageError
from seeingkit.models.autostaged import AutoStaged
from seeingkit.models.staged import StagedAdapter
from seeingkit.results import ConfusionTable
from seeingkit.testing import (
    annotator_checks,
    check_generator,
    check_sampler,
    check_segmenter,
    check_source,
    checks_for,
    classifier_checks,
    failures,
    generator_checks,
    parametrize_with_checks,
    sampler_checks,
    segmenter_checks,
    source_checks,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are tiny; more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --------------------------------------------------------------------------------- a generator


class Network(nn.Module):
    """Two stages with a carried label embedding; one cut is used again by the second stage."""

    def __init__(self) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(1)
        self.lift = nn.Linear(5, 6 * 16)
        self.embed = nn.Embedding(2, 6)
        self.paint = nn.Conv2d(6, 3, 3, padding=1)
        self.extra = nn.BatchNorm2d(6)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=source) * 0.4

    def first(self, z: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        x = torch.tanh(self.lift(z)).reshape(-1, 6, 4, 4)
        return x, {"style": self.embed(carry["label"])}

    def second(self, x: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        x = self.extra(x) * (1 + carry["style"][:, :, None, None])
        return self.paint(F.interpolate(x, scale_factor=2)), {}


INFO = GeneratorInfo(
    family="toy", resolution=8, latent=(LatentSpec(shape=(5,)),), class_names=("day", "night")
)
CUTS = (
    Boundary("input", 0, (5,), "latent"),
    Boundary("r4", 1, (6, 4, 4), "feature", (4, 4), aliases=("lift",)),
    Boundary("image", 2, (3, 8, 8), "image", (8, 8)),
)


class Toy(StagedAdapter):
    """What the broken variants below break."""

    def __init__(self, info: GeneratorInfo = INFO, cuts: Sequence[Boundary] = CUTS) -> None:
        network = Network()
        super().__init__(network, info, cuts, [network.first, network.second])


def unconditional() -> AutoStaged:
    torch.manual_seed(5)
    layers = [
        nn.ConvTranspose2d(6, 8, 4),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(8, 8, 4, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 3, 3, padding=1),
        nn.Tanh(),
    ]
    return AutoStaged(nn.Sequential(*layers), {"r4": "2", "r8.conv": "3"}, latent=(6, 1, 1))


class OnlyImages(Sampler):
    """Tier 1: no boundaries."""

    def __init__(self) -> None:
        self.generator = Toy()
        self.info = INFO

    def __call__(self, latent: Latent) -> Tensor:
        return self.generator(latent)


# ---------------------------------------------------------------------------- broken generators


class BadIdentity(Toy):
    def __init__(self) -> None:
        super().__init__(INFO.model_copy(update={"resolution": 0}))


class LatentsByPlace(Toy):
    """Draws from the place in the batch instead of the index."""

    def latents(self, indices: Sequence[int], **options: Any) -> Latent:
        return super().latents(range(len(indices)), **options)


class LatentsWithoutSeed(Toy):
    def latents(self, indices: Sequence[int], *, seed: int = 0, **options: Any) -> Latent:
        return super().latents(indices, seed=0, **options)


class IgnoresLabel(Toy):
    def begin(self, latent: Latent) -> State:
        return super().begin({**latent, "label": torch.zeros_like(latent["label"])})


class OtherLabels(Toy):
    def latents(self, indices: Sequence[int], **options: Any) -> Latent:
        drawn = super().latents(indices, **options)
        return {**drawn, "label": drawn["label"].int()}


PICTURES = GeneratorInfo(
    family="toy",
    resolution=8,
    latent=(LatentSpec(name="image", shape=(3, 8, 8), distribution="image"),),
    class_names=("day", "night"),
)


class Tint(StagedAdapter):
    """Translates images, told by weights of two classes how much red and green to add."""

    weighted = True

    def __init__(self) -> None:
        torch.manual_seed(0)
        network = nn.Conv2d(3, 3, 3, padding=1)
        cuts = (
            Boundary("input", 0, (3, 8, 8), "image", (8, 8)),
            Boundary("image", 1, (3, 8, 8), "image", (8, 8)),
        )

        def stage(x: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
            return torch.tanh(network(x) + F.pad(carry["c"], (0, 1))[:, :, None, None]), {}

        super().__init__(network, PICTURES, cuts, [stage])

    def begin(self, latent: Latent) -> State:
        state = super().begin(latent)
        c = latent["c"] if "c" in latent else F.one_hot(latent["label"], 2).float()
        return State(state.at, state.x, {"c": c})


class IgnoresPicture(Tint):
    def begin(self, latent: Latent) -> State:
        return super().begin({**latent, "image": torch.zeros_like(latent["image"])})


class OtherPictures(Tint):
    def given_ids(self, indices: Sequence[int], seed: int = 0) -> list[str] | None:
        return super().given_ids([k + 1 for k in indices], seed)


class HardWeights(Tint):
    def begin(self, latent: Latent) -> State:
        if "c" in latent:
            latent = {"image": latent["image"], "label": latent["c"].argmin(1)}
        return super().begin(latent)


class DoubleImages(Toy):
    def __call__(self, latent: Latent) -> Tensor:
        return super().__call__(latent).double()


class ImagesOfBytes(Toy):
    def __call__(self, latent: Latent) -> Tensor:
        return 127.5 * (super().__call__(latent).tanh() + 1)


class ImagesFromZero(Toy):
    def __call__(self, latent: Latent) -> Tensor:
        images = super().__call__(latent).flatten(1)
        low, high = images.aminmax(dim=1, keepdim=True)
        return ((images - low) / (high - low)).reshape(len(images), 3, *[self.info.resolution] * 2)


class Training(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.module.extra.train()


class WithHistory(Toy):
    def __call__(self, latent: Latent) -> Tensor:
        return self.advance(self.begin({**latent, "z": latent["z"].clone().requires_grad_()})).x


class Noisy(Toy):
    def __call__(self, latent: Latent) -> Tensor:
        return super().__call__(latent) + torch.rand(()) * 1e-3


class BatchMean(Toy):
    """Normalises over the batch, as batch norm in training mode."""

    def __call__(self, latent: Latent) -> Tensor:
        images = super().__call__(latent)
        return images - images.mean(0, keepdim=True)


class BadOrder(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.boundaries = (*CUTS[:2], replace(CUTS[2], index=7))


class BadStart(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.boundaries = (replace(CUTS[0], name="z"), *CUTS[1:])


class BadShape(Toy):
    def __init__(self) -> None:
        super().__init__(cuts=(CUTS[0], replace(CUTS[1], shape=(6, 16)), CUTS[2]))


class BadExtent(Toy):
    def __init__(self) -> None:
        super().__init__(cuts=(CUTS[0], replace(CUTS[1], extent=(8, 8)), CUTS[2]))


class CarryNotBatchFirst(Toy):
    def __init__(self) -> None:
        network = Network()

        def first(z: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
            x, carry = network.first(z, carry)
            return x, {"style": carry["style"].T.contiguous()}

        def second(x: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
            return network.second(x, {"style": carry["style"].T})

        StagedAdapter.__init__(self, network, INFO, CUTS, [first, second])


class DeafAlias(Toy):
    """``boundary`` knows the alias, ``advance`` stays under the alias's name."""

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        end = super().advance(state, to, **options)
        return replace(end, at=to)


class DoubledWork(Toy):
    """Stopping half-way normalises once more than going through."""

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        end = super().advance(state, to, **options)
        return end.with_x(end.x * (1 + 1e-6)) if self.boundary(to).name == "r4" else end


class Detached(Toy):
    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        end = super().advance(state, to, **options)
        return end if end.at == "image" else end.detach()


class NoGradient(Toy):
    @torch.no_grad()
    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        return super().advance(state, to, **options)


class InPlace(Toy):
    """Changes the x it was given."""

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        end = super().advance(state, to, **options)
        if state.at == "r4" and end.at == "image":
            with torch.no_grad():
                state.x.relu_()
        return end


class Remembers(Toy):
    """Changes its own network as it goes."""

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        end = super().advance(state, to, **options)
        self.module.extra.num_batches_tracked += 1
        return end


class TimeTraveller(Toy):
    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        if self.boundary(to).index < self.boundary(state.at).index:
            return state
        return super().advance(state, to, **options)


class Silent(Toy):
    """Does not say which boundaries there are."""

    def boundary(self, name: str) -> Boundary:
        try:
            return super().boundary(name)
        except UsageError:
            raise KeyError(name) from None


class CutsRows(Toy):
    """Keeps the carry of the last state it made, and so mixes up rows."""

    last: Mapping[str, Tensor] | None = None

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        if state.at == "r4" and self.last is not None:
            state = replace(state, carry={"style": self.last["style"][: len(state)]})
        end = super().advance(state, to, **options)
        if end.at == "r4":
            self.last = end.carry
        return end


class IgnoresX(Toy):
    """Goes on from the x it computed instead of the x it is given."""

    mine: Tensor | None = None

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        if state.at == "r4" and self.mine is not None and len(self.mine) == len(state):
            state = state.with_x(self.mine)
        end = super().advance(state, to, **options)
        if end.at == "r4":
            self.mine = end.x
        return end


class Shifted(Toy):
    """A map whose cells show one cell further down than it says."""

    def advance(self, state: State, to: str = "image", **options: Any) -> State:
        if state.at == "r4" and to == "image":
            return super().advance(state.with_x(state.x.roll(1, 2)), to, **options)
        return super().advance(state, to, **options)


class Margin(Toy):
    """A map whose cells lie farther apart than it says, as of one with a margin."""

    def __init__(self) -> None:
        super().__init__(cuts=[CUTS[0], replace(CUTS[1], window=(0.4, 0.4, 0.6, 0.6)), CUTS[2]])


class IgnoresParams(Toy):
    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        return super().advance(state, to)


class KeepsParams(Toy):
    """Copies params into its own network."""

    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        end = super().advance(state, to, params=params)
        with torch.no_grad():
            for name, value in (params or {}).items():
                self.module.get_parameter(name).copy_(value)
        return end


class LeavesLatent(Toy):
    """Leaves what it is given where another pass finds it."""

    def begin(self, latent: Latent) -> State:
        self.latent = latent
        time.sleep(0.002)
        return super().begin(self.latent)


BROKEN: list[tuple[str, type[Generator], str]] = [
    ("identity_is_json", BadIdentity, "resolution is 0"),
    ("latents_by_index", LatentsByPlace, "'z' drawn reversed: differs"),
    ("latents_by_index", LatentsWithoutSeed, "'z' ignores the seed"),
    ("label_policy", IgnoresLabel, "images ignore the label"),
    ("label_policy", OtherLabels, "became torch.int32"),
    ("class_weights", HardWeights, "images of weights: differs by"),
    ("given_images", IgnoresPicture, "images ignore 'image'"),
    ("given_images", OtherPictures, "rows 0, 1, … are named ['smooth001'"),
    ("image_format", DoubleImages, "images are torch.float64"),
    ("image_format", Training, "extra is in training mode"),
    ("image_format", WithHistory, "images carry a gradient"),
    ("images_in_range", ImagesOfBytes, "the range 0..255"),
    ("images_in_range", ImagesFromZero, "the range 0..1: none of 16 images has a dark pixel"),
    ("images_repeat", Noisy, "the same latents again: differs by"),
    ("batch_invariance", BatchMean, "row 0 alone: differs by"),
    ("images_side_by_side", LeavesLatent, "images while another thread asks: differs by"),
    ("boundary_order", BadOrder, "indices are [0, 1, 7]"),
    ("boundary_order", BadStart, "the first boundary is 'z'"),
    ("boundary_shapes", BadShape, "at 'r4': x is (3, 6, 4, 4), declared (N, 6, 16)"),
    ("boundary_shapes", BadExtent, "at 'r4': extent is (8, 8)"),
    ("boundary_shapes", CarryNotBatchFirst, "at 'r4': carried 'style' is (6, 3)"),
    ("aliases_resolve", DeafAlias, "at 'lift': the state says it is at 'lift'"),
    ("resume_exact", DoubledWork, "at 'r4': image after a stop: differs by"),
    ("gradients", Detached, "at 'input': no gradient reaches the latent"),
    ("gradients", NoGradient, "at 'input': no gradient leads from the image back to x"),
    ("advance_pure", InPlace, "at 'r4': x of the state given: differs by"),
    ("advance_pure", Remembers, "tensor 'extra.num_batches_tracked' of the network"),
    ("backwards_refused", TimeTraveller, "at 'r4': going back to 'input' must raise UsageError"),
    ("unknown_boundary", Silent, "boundary('no/such cut') must raise UnknownNameError"),
    ("state_rows", CutsRows, "at 'r4': images of rows joined: differs by"),
    ("edits_by_hand", IgnoresX, "at 'r4': UnitEdit leaves the image as it was"),
    ("maps_lie_in_their_window", Shifted, "cells further down than its window says"),
    ("maps_lie_in_their_window", Margin, "times as far apart down as its window says"),
    ("params_override", IgnoresParams, "no gradient leads from the image to params"),
    ("params_override", KeepsParams, "image after params were replaced once: differs by"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN)
def test_each_check_of_a_generator_can_fail(
    name: str, broken: type[Generator], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(generator_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: toy: ") and message in text and "\n" not in text


def test_every_check_of_a_generator_has_a_broken_variant() -> None:
    assert {name for name, _ in generator_checks()} == {name for name, _, _ in BROKEN}
    assert {name for name, _ in sampler_checks()} < {name for name, _ in generator_checks()}


# --------------------------------------------------------------------------------- a segmenter


VOCABULARY = Vocabulary(
    (Label("nothing"), Label("dark"), Label("bright"), Label("red", "material")),
    planes=("object", "material"),
)


class ToySegmenter(Segmenter):
    """Objects by brightness at half size, materials by the red channel."""

    vocabulary = VOCABULARY
    info = SegmenterInfo(family="levels")
    planes = 2

    def logits(self, images: Tensor) -> Tensor:
        level = F.avg_pool2d(images.mean(1, keepdim=True), 2)
        return torch.cat([-4 * level.square() + 0.2, -3 * level, 3 * level], 1)

    def segment(self, images: Tensor) -> Tensor:
        red = (F.avg_pool2d(images[:, 0], 2) > 0.3).long() * 3
        return torch.stack([self.logits(images).argmax(1), red], 1)

    def score(self, images: Tensor, label: int) -> Tensor:
        if label == 3:
            return torch.sigmoid(F.avg_pool2d(images[:, 0], 2) - 0.3)
        return self.logits(images).softmax(1)[:, label]


class LeavesMap(ToySegmenter):
    """Leaves a feature map as a hook does, and reads that of another pass."""

    thread_safe = True

    def segment(self, images: Tensor) -> Tensor:
        self.features = images * 1
        time.sleep(0.002)
        return super().segment(self.features)


class SetInfo(SegmenterInfo):
    def identity(self) -> dict[str, Any]:
        return {"which": {1, 2}}


class SetIdentity(ToySegmenter):
    info = SetInfo(family="levels")


class DoubleLabel(ToySegmenter):
    vocabulary = replace(
        VOCABULARY, labels=(*VOCABULARY.labels[:2], Label("dark"), VOCABULARY.labels[3])
    )


class ByteLabels(ToySegmenter):
    def segment(self, images: Tensor) -> Tensor:
        return super().segment(images).to(torch.uint8)


class BeyondLabels(ToySegmenter):
    def segment(self, images: Tensor) -> Tensor:
        return super().segment(images) + 1


class OnePlane(ToySegmenter):
    def segment(self, images: Tensor) -> Tensor:
        return super().segment(images)[:, :1]


class Wavering(ToySegmenter):
    calls = 0

    def segment(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().segment(images).roll(self.calls, dims=3)


class ByBatch(ToySegmenter):
    def logits(self, images: Tensor) -> Tensor:
        return super().logits(images - images.mean())


class ForgetsPixels(ToySegmenter):
    def statistics(self, images: Tensor) -> Tensor:
        counts = super().statistics(images)
        counts[:, 0] = 0
        return counts


class FloatCounts(ToySegmenter):
    def statistics(self, images: Tensor) -> Tensor:
        return super().statistics(images).float()


class SwapsCounts(ToySegmenter):
    def statistics(self, images: Tensor) -> Tensor:
        return super().statistics(images)[:, [0, 2, 1, 3, 4, 5, 6, 7]]


class RawScores(ToySegmenter):
    def score(self, images: Tensor, label: int) -> Tensor:
        return self.logits(images)[:, min(label, 2)]


class HardScores(ToySegmenter):
    def score(self, images: Tensor, label: int) -> Tensor:
        return (super().score(images, label) > 0.5).float()


class FlatScores(ToySegmenter):
    def score(self, images: Tensor, label: int) -> Tensor:
        return super().score(images, label) * 0 + 0.5


class OtherOrder(ToySegmenter):
    def scores(self, images: Tensor, labels: Sequence[int]) -> Tensor:
        return super().scores(images, sorted(labels))


class Scribbles(ToySegmenter):
    def segment(self, images: Tensor) -> Tensor:
        maps = super().segment(images)
        images.clamp_(-0.5, 0.5)
        return maps


BROKEN_SEGMENTERS: list[tuple[str, type[Segmenter], str]] = [
    ("identity_is_json", SetIdentity, "info.identity() cannot be written as JSON"),
    ("vocabulary_unique", DoubleLabel, "object 'dark' twice"),
    ("statistics_fit_the_unit", FloatCounts, "pixels are torch.float32, not int64"),
    ("labels_in_range", ByteLabels, "labels are torch.uint8"),
    ("statistics_side_by_side", LeavesMap, "statistics while another thread asks: differs by"),
    ("labels_in_range", BeyondLabels, "labels go from 1 to 4, there are 4"),
    ("planes_as_declared", OnePlane, "a segmentation is (3, 1, 64, 64), declared (3, 2, H, W)"),
    ("labels_repeat", Wavering, "labels of the same images: differs"),
    ("batch_invariance", ByBatch, "image 0 alone:"),
    ("statistics_count_pixels", ForgetsPixels, "it has 4096 pixels"),
    ("statistics_count_pixels", SwapsCounts, "counts of label 1: differs"),
    ("score_in_range", RawScores, "score of label"),
    ("score_differentiable", HardScores, "has no gradient"),
    ("score_differentiable", FlatScores, "the gradient of every score is zero"),
    ("scores_of_several_labels", OtherOrder, "scores of label"),
    ("images_untouched", Scribbles, "images after segment: differs"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN_SEGMENTERS)
def test_each_check_of_a_segmenter_can_fail(
    name: str, broken: type[Segmenter], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(segmenter_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: levels: ") and message in text and "\n" not in text


def test_every_check_of_a_segmenter_has_a_broken_variant() -> None:
    assert {name for name, _ in segmenter_checks()} == {name for name, _, _ in BROKEN_SEGMENTERS}


# ------------------------------------------------------------------------------------- a source


class ToySource(ImageSource):
    """Pictures that show their own number."""

    def __init__(self) -> None:
        self.name, self.fingerprint = "numbers", "0" * 64
        self.ids: Sequence[str] = [f"{i:03d}.png" for i in range(20)]

    def read(self, indices: Sequence[int]) -> Tensor:
        levels = torch.tensor(indices, dtype=torch.float32) / 20
        return levels[:, None, None, None].expand(-1, 3, 4, 6).clone()


class TwinIds(ToySource):
    def __init__(self) -> None:
        super().__init__()
        self.ids = ["a.png"] * 20


class Bytes(ToySource):
    def read(self, indices: Sequence[int]) -> Tensor:
        return super().read(indices) * 255


class Sorts(ToySource):
    def read(self, indices: Sequence[int]) -> Tensor:
        return super().read(sorted(indices))


class LosesImages(ToySource):
    def load(self, indices: Sequence[int]) -> tuple[Tensor | None, list[int], list[Skipped]]:
        return None, [], []


class NewPrint(ToySource):
    def read(self, indices: Sequence[int]) -> Tensor:
        self.fingerprint += "1"
        return super().read(indices)


class OtherPrint(ToySource):
    def compute_fingerprint(self, progress: Callable[[int, int], None] | None = None) -> str:
        return "1" * 64


class OneDigest(ToySource):
    def digest(
        self, indices: Sequence[int], progress: Callable[[int, int], None] | None = None
    ) -> str:
        return self.fingerprint


class ForgetsSeed(ToySource):
    """Says where it comes from, and ``first`` loses it."""

    def first(self, n: int) -> ImageSource:
        few = ToySource()
        few.ids = self.ids[:n]
        self.seed = 7
        return few


class LastOnes(ToySource):
    def first(self, n: int) -> ImageSource:
        few = ToySource()
        few.ids = self.ids[n:]
        return few


class StrayCondition(ToySource):
    def condition(self, index: int) -> int | None:
        return -3


class NamedPreset(ToySource):
    preset = "paper"  # type: ignore[assignment]


class BadDescription(ToySource):
    def describe(self) -> dict[str, Any]:
        return {"ids": set(self.ids)}


BROKEN_SOURCES: list[tuple[str, type[ImageSource], str]] = [
    ("ids_unique", TwinIds, "19 ids occur twice"),
    ("images_in_range", Bytes, "image '001.png' goes from 12.75 to 12.75"),
    ("order_is_kept", Sorts, "image '019.png' in a batch: differs"),
    ("load_agrees", LosesImages, "0 images and 0 skipped of 1"),
    ("fingerprint_is_stable", NewPrint, "the fingerprint changed"),
    ("fingerprint_has_one_value", OtherPrint, "gives another value than the fingerprint"),
    ("fingerprint_has_one_value", OneDigest, "does not tell images and their order apart"),
    ("first_images_stay", ForgetsSeed, "first(10) has another seed"),
    ("first_images_stay", LastOnes, "first(10) has other ids"),
    ("optional_members", StrayCondition, "image 0 has class -3"),
    ("optional_members", NamedPreset, "preset is str"),
    ("description_is_json", BadDescription, "describe() cannot be written as JSON"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN_SOURCES)
def test_each_check_of_a_source_can_fail(
    name: str, broken: Callable[[], ImageSource], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(source_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: numbers: ") and message in text and "\n" not in text


def test_every_check_of_a_source_has_a_broken_variant() -> None:
    assert {name for name, _ in source_checks()} == {name for name, _, _ in BROKEN_SOURCES}


# ---------------------------------------------------------------------------------- annotators


class ToyClassifier(Annotator):
    """The probability that an image is dark or bright."""

    vocabulary = Vocabulary(
        (Label("dark"), Label("bright")), has_background=False, unit="probability"
    )
    info = AnnotatorInfo(family="classifier")

    def statistics(self, images: Tensor) -> Tensor:
        bright = torch.sigmoid(images.mean((1, 2, 3)))
        return torch.stack([1 - bright, bright], 1)


class Percent(ToyClassifier):
    def statistics(self, images: Tensor) -> Tensor:
        return super().statistics(images) * 100


class NotANumber(ToyClassifier):
    def statistics(self, images: Tensor) -> Tensor:
        return super().statistics(images) / 0


class OneColumn(ToyClassifier):
    def statistics(self, images: Tensor) -> Tensor:
        return super().statistics(images)[:, :1]


class Counts(ToyClassifier):
    vocabulary = replace(ToyClassifier.vocabulary, unit="count")

    def statistics(self, images: Tensor) -> Tensor:
        return -super().statistics(images)


class Drifts(ToyClassifier):
    calls = 0

    def statistics(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().statistics(images) / self.calls


class ByRank(ToyClassifier):
    def statistics(self, images: Tensor) -> Tensor:
        return super().statistics(images - images.mean())


class SetClassifier(ToyClassifier):
    info = SetInfo(family="classifier")


class TwinLabels(ToyClassifier):
    vocabulary = replace(ToyClassifier.vocabulary, labels=(Label("dark"), Label("dark")))


class LeavesImages(ToyClassifier):
    thread_safe = True

    def statistics(self, images: Tensor) -> Tensor:
        self.images = images
        time.sleep(0.002)
        return super().statistics(self.images)


BROKEN_ANNOTATORS: list[tuple[str, type[Annotator], str]] = [
    ("identity_is_json", SetClassifier, "info.identity() cannot be written as JSON"),
    ("vocabulary_unique", TwinLabels, "object 'dark' twice"),
    ("statistics_fit_the_unit", Percent, "a probability is at most 1"),
    ("statistics_fit_the_unit", NotANumber, "statistics hold NaN or Inf"),
    ("statistics_fit_the_unit", OneColumn, "statistics are (3, 1), expected (3, 2)"),
    ("statistics_fit_the_unit", Counts, "a count is not negative"),
    ("statistics_repeat", Drifts, "statistics of the same images: differs"),
    ("statistics_side_by_side", LeavesImages, "statistics while another thread asks: differs by"),
    ("statistics_by_image", ByRank, "image 0 alone: differs"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN_ANNOTATORS)
def test_each_check_of_an_annotator_can_fail(
    name: str, broken: type[Annotator], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(annotator_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: classifier: ") and message in text and "\n" not in text


def test_every_check_of_an_annotator_has_a_broken_variant() -> None:
    assert {name for name, _ in annotator_checks()} == {name for name, _, _ in BROKEN_ANNOTATORS}


# ---------------------------------------------------------------------------------- classifiers


class ToyReader(Classifier):
    """Whether an image is dark or bright."""

    vocabulary = Vocabulary((Label("dark"), Label("bright")), has_background=False, unit="class")
    info = ClassifierInfo(family="reader", confusion=ConfusionTable(counts=((9, 1), (0, 9))))

    def classify(self, images: Tensor) -> Tensor:
        return (images.mean((1, 2, 3)) > 0).long()


class SetReaderInfo(ClassifierInfo):
    def identity(self) -> dict[str, Any]:
        return {"which": {1, 2}}


class SetReader(ToyReader):
    info = SetReaderInfo(family="reader")


class TwinReader(ToyReader):
    vocabulary = replace(ToyReader.vocabulary, labels=(Label("dark"), Label("dark")))


class BothReader(ToyReader):
    def statistics(self, images: Tensor) -> Tensor:
        return torch.ones(len(images), 2, dtype=torch.int64)


class DriftingReader(ToyReader):
    calls = 0

    def classify(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().classify(images) * 0 + self.calls // 2


class RankReader(ToyReader):
    def classify(self, images: Tensor) -> Tensor:
        return torch.arange(len(images)) % 2


class FloatReader(ToyReader):
    def classify(self, images: Tensor) -> Tensor:
        return super().classify(images).float()


class ColumnReader(ToyReader):
    def classify(self, images: Tensor) -> Tensor:
        return super().classify(images)[:, None]


class UnknownReader(ToyReader):
    def classify(self, images: Tensor) -> Tensor:
        return super().classify(images) + 2


class PixelReader(ToyReader):
    vocabulary = replace(ToyReader.vocabulary, unit="pixels")


class ContraryReader(ToyReader):
    def statistics(self, images: Tensor) -> Tensor:
        return 1 - super().statistics(images)


class LeavesPicture(ToyReader):
    thread_safe = True

    def classify(self, images: Tensor) -> Tensor:
        self.images = images
        time.sleep(0.002)
        return (self.images[:, 0, 0, 0] > self.images[:, 0, 0, -1]).long()


class OtherTable(ToyReader):
    info = ClassifierInfo(family="reader", confusion=ConfusionTable(counts=((1,),)))


BROKEN_CLASSIFIERS: list[tuple[str, type[Classifier], str]] = [
    ("identity_is_json", SetReader, "info.identity() cannot be written as JSON"),
    ("vocabulary_unique", TwinReader, "object 'dark' twice"),
    ("statistics_fit_the_unit", BothReader, "an image of a classifier has one class"),
    ("statistics_repeat", DriftingReader, "statistics of the same images: differs"),
    ("statistics_side_by_side", LeavesPicture, "while another thread asks: differs by"),
    ("statistics_by_image", RankReader, "image 1 alone: differs"),
    ("classes_are_numbers", FloatReader, "classes are torch.float32, not int64"),
    ("classes_are_numbers", ColumnReader, "classes are (3, 1), expected (3,)"),
    ("classes_are_numbers", UnknownReader, "classes go from 2 to 3, there are 2"),
    ("classes_are_numbers", PixelReader, "its vocabulary says pixels"),
    ("statistics_are_the_classes", ContraryReader, "other classes than classify"),
    ("confusion_fits", OtherTable, "a confusion of 1 labels, of 2"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN_CLASSIFIERS)
def test_each_check_of_a_classifier_can_fail(
    name: str, broken: type[Classifier], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(classifier_checks())[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: reader: ") and message in text and "\n" not in text


def test_every_check_of_a_classifier_has_a_broken_variant() -> None:
    assert {n for n, _ in classifier_checks()} == {name for name, _, _ in BROKEN_CLASSIFIERS}


# ------------------------------------------------------------------------------ other latents


class Mixed(Sampler):
    """Levels of a category, a uniform shift and a normal one."""

    info = GeneratorInfo(
        family="mixed",
        resolution=4,
        latent=(
            LatentSpec(name="z", shape=(2,)),
            LatentSpec(name="shift", shape=(3,), distribution="uniform", low=0.0, high=0.5),
            LatentSpec(name="kind", shape=(), distribution="discrete", categories=4),
        ),
    )

    def __call__(self, latent: Latent) -> Tensor:
        level = latent["z"].mean(1) + latent["shift"].mean(1) + latent["kind"]
        return torch.tanh(level)[:, None, None, None].expand(-1, 3, 4, 4).clone()


class BeyondBounds(Mixed):
    def latents(self, indices: Sequence[int], **options: Any) -> Latent:
        drawn = super().latents(indices, **options)
        return {**drawn, "shift": drawn["shift"] + 1}


class FloatCategories(Mixed):
    def latents(self, indices: Sequence[int], **options: Any) -> Latent:
        drawn = super().latents(indices, **options)
        return {**drawn, "kind": drawn["kind"].float()}


def test_latents_of_other_distributions_are_checked() -> None:
    check_sampler(Mixed())
    check = dict(sampler_checks())["latents_by_index"]
    with pytest.raises(AssertionError, match=r"'shift' goes from 1.* declared 0 to 0.5"):
        check(BeyondBounds())
    with pytest.raises(AssertionError, match="'kind' is torch.float32"):
        check(FloatCategories())


# ---------------------------------------------------------------------------------- what passes


@parametrize_with_checks(
    {
        "staged": Toy(),
        "auto": unconditional(),
        "images": OnlyImages(),
        "segmenter": ToySegmenter(),
        "annotator": ToyClassifier(),
        "classifier": ToyReader(),
        "source": ToySource(),
    }
)
def test_what_is_right_passes(subject: object, check: Callable[[object], None]) -> None:
    check(subject)


def test_whole_kits_pass_and_report() -> None:
    check_generator(Toy())
    check_sampler(OnlyImages())
    check_segmenter(ToySegmenter(), torch.rand(2, 3, 16, 16) * 2 - 1)
    check_source(ToySource())
    assert failures(Toy()) == {}
    found = failures(IgnoresX())
    assert set(found) >= {"edits_by_hand"} and "resume_exact" not in found
    with pytest.raises(AssertionError, match=r"^latents_by_index: toy: "):
        check_generator(LatentsByPlace())


def test_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="a str is no Sampler"):
        checks_for("progan")


def test_unexpected_errors_name_check_and_boundary() -> None:
    class Explodes(Toy):
        def advance(self, state: State, to: str = "image", **options: Any) -> State:
            if to == "r4":
                raise RuntimeError("out of\nmemory")
            return super().advance(state, to, **options)

    with pytest.raises(AssertionError) as caught:
        dict(generator_checks())["boundary_shapes"](Explodes())
    assert str(caught.value) == "boundary_shapes: toy: at 'r4': raised RuntimeError: out of"


def test_the_kit_is_imported_without_pytest() -> None:
    code = "import sys, seeingkit.testing as t; assert 'pytest' not in sys.modules; t.check_source"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_translator_passes_on_made_pictures_and_on_its_own() -> None:
    check_generator(Tint())
    given = Tint()
    given.given = SmoothImages((8, 8), count=7)
    check_generator(given)
