"""The digits: their splits, their reader, and generators that are told apart from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import seeingkit
from seeingkit.contracts import Classifier
from seeingkit.errors import (
    DuplicateNameError,
    ModelError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
)
from seeingkit.models.registry import PluginRecord, Registry
from seeingkit.models.wholeimages import WholeImages
from seeingkit.specs import AnnotatorSpec, Options, Register, SegmenterSpec, hookimpl
from seeingkit.testing import check_classifier, check_source
from seeingkit_plugins.digits.catalog import ReaderOptions
from seeingkit_plugins.digits.dataset import StackedDigits
from seeingkit_plugins.digits.pictures import digits, framed
from seeingkit_plugins.digits.reader import DigitReader, load
from seeingkit_plugins.digits.training import ship
from seeingkit_plugins.digits.training.adversarial import RECIPES, Run


@pytest.fixture(scope="module")
def reader() -> DigitReader:
    found = seeingkit.load_annotator("digit-reader:digits")
    assert isinstance(found, DigitReader)
    return found


def test_the_splits_share_no_digit_and_hold_all() -> None:
    train, unseen = digits("train"), digits("unseen")
    together = np.concatenate([train.numbers, unseen.numbers])
    assert sorted(together.tolist()) == list(range(10_000))
    shares = np.bincount(unseen.digits, minlength=10) / len(unseen.digits)
    assert (shares > 0.08).all() and (shares < 0.13).all()


def test_a_frame_is_black_and_keeps_the_digit() -> None:
    picture = digits("unseen").pixels[:1]
    found = framed(picture, 32)[0]
    assert (found[2:-2, 2:-2] == picture[0]).all()
    assert found.sum() == picture.sum()


@pytest.mark.parametrize("name", ["digits", "stacked-digits"])
def test_the_sources_keep_their_contract(name: str) -> None:
    check_source(seeingkit.open_images(name, n=6))


def test_a_stack_is_three_digits_and_knows_its_own_seed() -> None:
    source = seeingkit.open_images("stacked-digits", data_options={"n": 4})
    assert isinstance(source, StackedDigits)
    images, unseen = source.read([2]), digits("unseen")
    for colour, place in enumerate(source.stack(2)):
        digit = framed(unseen.pixels[place : place + 1], 32)[0]
        assert torch.equal(((images[0, colour] + 1) * 127.5).round(), torch.tensor(digit).float())
    other = seeingkit.open_images("stacked-digits", data_options={"n": 4, "seed": 1})
    assert not torch.equal(other.read([2]), images)
    with pytest.raises(UsageError, match="pictures 0 to 3"):
        source.stack(4)


def test_the_reader_passes_the_kit_and_reads_unseen_digits(reader: DigitReader) -> None:
    images = seeingkit.open_images("digits").read(range(64))
    check_classifier(reader, images[:3])
    truth = torch.from_numpy(digits("unseen").digits[:64].copy())
    assert (reader.classify(images) == truth).float().mean() > 0.95
    assert reader.info.confusion is not None and reader.info.confusion.right > 0.98
    bare = images[:, :, 2:-2, 2:-2]  # 28 pixels, as published
    assert torch.equal(reader.classify(bare), reader.classify(images))
    double = torch.nn.functional.interpolate(images, scale_factor=2.0)
    assert (reader.classify(double) == truth).float().mean() > 0.95
    with pytest.raises(ModelError, match="square"):
        reader.classify(images[:, :, :, :30])


def test_the_stacked_reader_reads_each_colour(reader: DigitReader) -> None:
    stacked = seeingkit.load_annotator("digit-reader:stacked-digits")
    assert isinstance(stacked, Classifier) and len(stacked.vocabulary) == 1_000
    images = seeingkit.open_images("digits").read([0, 1, 2])
    mixed = torch.stack([images[k, 0] for k in range(3)])[None]
    word = stacked.vocabulary.names[int(stacked.classify(mixed)[0])]
    assert word == "".join(reader.vocabulary.names[int(k)] for k in reader.classify(images))
    assert stacked.info.confusion is not None and stacked.info.confusion.labels == 1_000


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(seeingkit.errors.WeightsError, match="missing keys"):
        load(tmp_path / "other.pth", ReaderOptions())


def test_masks_of_a_reader_are_whole_images_and_have_no_scores(reader: DigitReader) -> None:
    whole = WholeImages(reader)
    images = seeingkit.open_images("digits").read([0, 1])
    maps = whole.label_maps(images)
    assert maps.shape == (2, 1, 32, 32)
    assert torch.equal(maps[:, 0, 5, 7], reader.classify(images))
    assert bool((maps == maps[:, :, :1, :1]).all())
    with pytest.raises(UsageError, match="no scores"):
        whole.score(images, 0)


def test_images_of_a_classifier_have_one_class(reader: DigitReader) -> None:
    class Both(DigitReader):
        def statistics(self, images: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(images), 10, dtype=torch.int64)

    wrong = Both(reader.network, reader.info, stacked=False)
    with pytest.raises(ModelError, match="each image has one class"):
        seeingkit.tally(seeingkit.open_images("digits", n=3), wrong)


def test_real_against_real_claims_nothing(reader: DigitReader) -> None:
    tally = seeingkit.tally(seeingkit.open_images("digits"), reader)
    halves = [tally.take(np.arange(start, 2_500, 2)) for start in (0, 1)]
    found = seeingkit.compare(*halves, permutations=0).results
    assert {record.verdict for record in found.classes} == {"no evidence"}
    assert found.modes is not None and found.pairs is None
    assert (found.modes.drawn, found.modes.generated_seen) == (10, 10)
    assert found.modes.p_value > 0.01


def test_missing_digits_are_named_and_both_claims_are_one(reader: DigitReader) -> None:
    tally = seeingkit.tally(seeingkit.open_images("digits"), reader)
    some = np.flatnonzero(np.isin(digits("unseen").digits, (2, 3, 8)))
    real, collapsed = tally.take(np.arange(len(some))), tally.take(some)
    found = seeingkit.compare(real, collapsed, permutations=0).results
    modes = found.modes
    assert modes is not None and modes.drawn == 3
    assert {mode.label for mode in modes.modes if mode.drawn} == {"2", "3", "8"}
    for record in found.classes:
        assert record.one_class and not record.composition
        assert (record.area_claim == "less area") == (record.images_claim == "in fewer images")
        assert record.omitted == (record.label not in ("2", "3", "8"))


def test_a_name_means_a_segmenter_or_an_annotator() -> None:
    class Plugin:
        def __init__(self, *kinds: type[AnnotatorSpec | SegmenterSpec]) -> None:
            self.kinds = kinds

        @hookimpl
        def seeingkit_register(self, register: Register) -> None:
            for kind in self.kinds:
                register(kind(name="same", summary="…", target="m:f", options=Options))

    known = Registry()
    with pytest.raises(DuplicateNameError, match="'same' is registered twice"):
        known.add(Plugin(AnnotatorSpec, SegmenterSpec), PluginRecord("a", "a", "", "a"))
    known = Registry()
    known.add(Plugin(AnnotatorSpec), PluginRecord("a", "a", "", "a"))
    assert isinstance(known.annotator("same"), AnnotatorSpec)
    with pytest.raises(UnknownNameError, match="segmenter"):
        known.annotator("other")


def test_commands_that_need_masks_refuse_a_reader() -> None:
    with pytest.raises(UsageError, match="gives counts without masks"):
        seeingkit.dissect("dcgan:digits-collapsed", segmenter="digit-reader:digits", n=160)


@pytest.mark.parametrize("name", ["healthy", "auxiliary", "conditional", "stacked", "packed"])
def test_a_training_goes_on_where_it_stopped(name: str, tmp_path: Path) -> None:
    from dataclasses import replace

    recipe = replace(RECIPES[name], steps=2, batch=4)
    whole = Run(name, recipe, tmp_path / "whole")
    whole.train()
    Run(name, replace(recipe, steps=1), tmp_path / "parts").train()
    again = Run(name, recipe, tmp_path / "parts")
    assert again.step == 1
    again.train()
    ours, theirs = whole.generator.state_dict(), again.generator.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_packed_discriminator_judges_pictures_in_pairs(tmp_path: Path) -> None:
    run = Run("packed", RECIPES["packed"], tmp_path)
    images = torch.rand(6, 3, 32, 32)
    run.judge.eval()
    scores, _ = run._judged(images, torch.zeros(6, dtype=torch.int64))
    assert scores.shape == (3,)
    pair, _ = run.judge(images[2:4].reshape(1, 6, 32, 32))
    assert torch.allclose(scores[1:2], pair, atol=1e-5)


@pytest.mark.parametrize("name", ["dcgan:digits-acgan", "mlp-gan:digits-cgan"])
def test_shipped_conditional_generators_draw_what_is_asked(name: str, reader: DigitReader) -> None:
    generator = seeingkit.load_generator(name)
    asked = torch.arange(100) % 10
    images = generator(generator.latents(range(100), labels=asked.tolist()))
    assert float((reader.classify(images) == asked).float().mean()) > 0.85


@pytest.mark.parametrize(
    ("family", "file", "condition"),
    [("dcgan", "auxiliary", "product"), ("mlp-gan", "conditional", "before")],
)
def test_tables_beside_other_widths_are_read_when_told(
    family: str, file: str, condition: str
) -> None:
    """The file alone leaves open how the class meets z: of PyTorch-GAN's widths it is known."""
    path = Path(ship.__file__).parents[1] / "weights" / f"{file}.safetensors"
    with pytest.raises(StateMismatchError, match="how it meets z is not in the file"):
        seeingkit.load_generator(family, weights=path)
    told = seeingkit.load_generator(family, weights=path, condition=condition)
    shipped = seeingkit.load_generator(
        f"{family}:digits-{'acgan' if file == 'auxiliary' else 'cgan'}"
    )
    latents = told.latents([0, 1], labels=[3, 4])
    assert torch.equal(told(latents), shipped(latents))
