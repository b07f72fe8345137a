"""Precision and compilation of a segmenter: part of its identity, measured, and said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import seeingkit
from seeingkit.contracts import ImageSource, Label, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.computing import Computing, TunedSegmenter, computing_of, tuned
from seeingkit.tallies import Tally, tally

HALF = Computing(precision="bf16")


class Threshold(Segmenter):
    """Label 1 where a product by 1 exceeds ``level``, else 0: bfloat16 rounds what is near it."""

    def __init__(self, level: float) -> None:
        self.vocabulary = Vocabulary((Label("-"), Label("high")))
        self.info = SegmenterInfo(family="threshold", options={"level": level})
        self.level = level
        self.product = torch.nn.Conv2d(1, 1, 1, bias=False)
        torch.nn.init.ones_(self.product.weight)

    def segment(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return (self.product(images[:, :1]).float() > self.level).long()

    def score(self, images: Tensor, label: int) -> Tensor:
        values: Tensor = self.product(images[:, :1])[:, 0]
        return values.clamp(0, 1)


class Flat(ImageSource):
    """An image of each value, 4 x 4 pixels."""

    def __init__(self, values: Sequence[float]) -> None:
        self.name, self.values = "flat", torch.tensor(values)
        self.ids = [str(k) for k in range(len(values))]
        self.fingerprint = f"flat {list(values)}"

    def read(self, indices: Sequence[int]) -> Tensor:
        values = self.values[list(indices)].reshape(-1, 1, 1, 1)
        return values.expand(-1, 3, 4, 4).clone()


# Below 1 bfloat16 has a number at every 2^-8: NEAR is above LEVEL, and rounded to what is below it.
BELOW = 1 - 2**-8
NEAR, LEVEL = BELOW + 2**-10, BELOW + 2**-11


def test_the_precision_reaches_the_network_and_the_score() -> None:
    near = torch.full((1, 3, 2, 2), NEAR)
    plain = Threshold(LEVEL)
    fast = TunedSegmenter(plain, HALF)
    assert plain.segment(near).all()
    assert not fast.segment(near).any()
    assert float(fast.score(near, 1).detach().max()) == BELOW


def test_agreement_is_the_share_of_equal_pixels() -> None:
    """One image of four lies between the level and the number that it is rounded to."""
    images = Flat([0.25, 0.5, -1.0, NEAR]).read(range(4))
    fast = TunedSegmenter(Threshold(LEVEL), HALF)
    assert fast.equal_pixels(images) == (48, 64)


def test_a_tally_measures_the_first_batch_and_keeps_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Flat([0.25, NEAR, 0.5, 0.75] + [NEAR] * 4)
    fast = TunedSegmenter(Threshold(LEVEL), HALF)
    first = tally(source, fast, store=str(tmp_path), batch_size=4)
    assert first.record.agreement is not None
    assert first.record.agreement.model_dump() == {"computing": "bf16", "images": 4, "share": 0.75}
    # Found again, nothing is computed, and it is still known; of the whole tally's file, too.
    again = tally(source, TunedSegmenter(Threshold(LEVEL), HALF), store=str(tmp_path))
    assert again.record.agreement == first.record.agreement
    again.save(tmp_path / "whole.parquet")
    assert Tally.load(tmp_path / "whole.parquet").record.agreement == first.record.agreement
    assert "computes in bf16" not in caplog.text  # it is the comparison that says it


def test_tallies_of_two_precisions_are_never_shared(tmp_path: Path) -> None:
    source = Flat([NEAR] * 4)
    plain = tally(source, Threshold(LEVEL), store=str(tmp_path))
    fast = tally(source, TunedSegmenter(Threshold(LEVEL), HALF), store=str(tmp_path))
    assert plain.record.agreement is None
    assert plain.identity != fast.identity
    assert plain.percent().tolist() != fast.percent().tolist()
    with pytest.raises(seeingkit.errors.TallyError, match="differ in segmenter"):
        seeingkit.compare(plain, fast, permutations=0)


def test_a_comparison_says_how_far_the_labels_agree(tmp_path: Path) -> None:
    sides = [Flat([0.25, NEAR, 0.5, 0.75]), Flat([0.2, 0.3, 0.4, 0.5])]
    tallies = [
        tally(one, TunedSegmenter(Threshold(LEVEL), HALF), store=str(tmp_path)) for one in sides
    ]
    said = [w for w in seeingkit.compare(*tallies, permutations=0).results.warnings if "bf16" in w]
    assert len(said) == 2
    assert "first 4 real images, 75.00 % have the label that they have in float32" in said[0]
    assert "first 4 generated images, 100.00 %" in said[1]


def test_elsewhere_the_first_images_say_it_once(caplog: pytest.LogCaptureFixture) -> None:
    fast = TunedSegmenter(Threshold(0.0), HALF)
    with caplog.at_level(logging.WARNING):
        fast.segment(torch.zeros(2, 3, 4, 4))
        fast.segment(torch.zeros(2, 3, 4, 4))
    assert caplog.text.count("100.00 % of the labels of its first 2 images") == 1
    caplog.clear()
    TunedSegmenter(Threshold(0.0), Computing(precision="float32")).segment(torch.zeros(1, 3, 4, 4))
    assert not caplog.text  # of all bits there is nothing to say


def test_switches_of_the_process_are_as_before() -> None:
    def switches() -> tuple[bool, str]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    before = switches()
    with Computing(precision="tf32").switched():
        assert switches() == (True, "high")
        with Computing(precision="float32").switched():
            assert switches() == (False, "highest")
        with Computing(precision="bf16").switched():
            assert switches() == (True, "high")
        assert switches() == (True, "high")
    assert switches() == before
    with pytest.raises(ZeroDivisionError), Computing(precision="float32").switched():
        raise ZeroDivisionError
    assert switches() == before


def test_switches_hold_while_both_threads_of_a_tally_work(tmp_path: Path) -> None:
    """The generator draws beside the segmenter, and finds the same switches all the time."""
    seen: set[tuple[bool, str]] = set()

    class Watching(Threshold):
        def segment(self, images: Tensor) -> Tensor:
            seen.add((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
            return super().segment(images)

    class WatchedSource(Flat):
        def read(self, indices: Sequence[int]) -> Tensor:
            seen.add((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
            return super().read(indices)

    source = WatchedSource([0.0] * 12)
    computing = Computing(precision="float32")
    tally(source, TunedSegmenter(Watching(0.5), computing), store=str(tmp_path), batch_size=2)
    assert seen == {(False, "highest")}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_shipped_segmenter_takes_it(precision: str) -> None:
    segmenter = seeingkit.load_segmenter("upernet:minichurches", precision=precision)
    assert segmenter.info.options["precision"] == precision
    maps = segmenter.label_maps(torch.zeros(1, 3, 64, 64))
    assert maps.shape == (1, 1, 64, 64)
    found = tuned(segmenter)
    assert found is not None and found.computing == Computing(precision=precision)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "half"}, "take one of float32, tf32, bf16"),
        ({"precision": 16}, "take one of float32, tf32, bf16"),
        ({"compile": "yes"}, "it is true or false"),
        ({"precision": "tf32"}, "of NVIDIA GPUs, and the segmenter is on cpu"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        seeingkit.load_segmenter("upernet:minichurches", **options)


def test_a_classifier_has_no_precision() -> None:
    with pytest.raises(UsageError, match="labels no pixels"):
        seeingkit.load_annotator("digit-reader:digits", precision="bf16")


def test_nothing_chosen_is_the_segmenter_itself() -> None:
    assert computing_of({"compile": False, "precision": None}) is None
    plain = seeingkit.load_segmenter("upernet:minichurches", compile=False)
    assert tuned(plain) is None and "compile" not in plain.info.options


def test_what_cannot_be_compiled_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def broken(_: Tensor) -> Tensor:
        raise TorchDynamoException("no C++ compiler")

    monkeypatch.setattr(torch, "compile", lambda _: broken)
    fast = TunedSegmenter(Threshold(0.5), Computing(compile=True))
    with pytest.raises(ModelError, match="without --compile: no C\\+\\+ compiler"):
        fast.segment(torch.zeros(1, 3, 4, 4))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of its own parts
@pytest.mark.slow  # the compiler takes half a minute
def test_compiled_labels_are_those_of_the_network() -> None:
    segmenter = seeingkit.load_segmenter("upernet:minichurches", compile=True)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    fast = tuned(segmenter)
    assert fast is not None
    equal, pixels = fast.equal_pixels(images)
    assert equal >= 0.999 * pixels
    assert segmenter.info.options["compile"] is True
