"""What a loader assumed reaches findings, method card and printed lines, and no identity."""

from __future__ import annotations

import pytest

from seeingkit.cli.findings import print_tally
from seeingkit.contracts import GeneratorInfo, LatentSpec
from seeingkit.report import summarise
from seeingkit.report.sections.method import method_card
from seeingkit.report.words.assumptions import assumed
from seeingkit.results import ModelRecord
from seeingkit.tallies.record import model_record
from tests.helpers.church_report import church_manifest, church_results

SAID = ("activation=relu between the layers", "z is drawn from N(0, 1)")
SENTENCE = (
    "The weights file of dcgan does not say, and it is assumed: activation=relu between the "
    "layers; z is drawn from N(0, 1)."
)


def info() -> GeneratorInfo:
    return GeneratorInfo(
        family="dcgan", resolution=8, latent=(LatentSpec(shape=(3,)),), assumptions=SAID
    )


def test_assumptions_are_no_part_of_the_identity() -> None:
    plain = info().model_copy(update={"assumptions": ()})
    assert info().identity() == plain.identity()
    assert model_record(info()).assumptions == SAID


def test_they_are_among_the_cautions_and_on_the_method_card() -> None:
    results = church_results(generator=model_record(info()))
    assert SENTENCE in summarise(results).cautions
    card = dict(method_card(results, church_manifest()))
    assert [value for name, value in card["Generator"] if name.startswith("assumed")] == list(SAID)
    nothing = church_results()
    assert not any("is assumed" in text for text in summarise(nothing).cautions)
    assert not any(name.startswith("assumed") for name, _ in dict(card)["Segmenter"])


def test_both_models_have_a_sentence() -> None:
    other = ModelRecord(name="espnet", family="espnet", assumptions=("vocabulary=camvid",))
    assert len(assumed([model_record(info()), None, other])) == 2


def test_a_tally_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    record = model_record(info()).model_dump(mode="json")
    print_tally({"n": 2, "classes": [], "skipped": [], "generator": record})
    assert f"! {SENTENCE}" in capsys.readouterr().out
