"""Gates: their grammar, the results at which they fail, and their part in the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.cli.findings import print_failed_gates, print_summary
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.results import (
    ClassResult,
    ConditionResult,
    FSDResult,
    ModelRecord,
    Results,
    SegmenterClass,
    SegmenterShare,
    SkippedItem,
    SourceRecord,
)
from seeingkit.results.gates import (
    OPERATORS,
    NumberGate,
    VerdictGate,
    check_gate_names,
    check_gates,
    parse_gate,
)
from seeingkit.runs.config import Config, make_config, read_config
from tests.helpers import commands

NAMES = ("-", "wall", "person", "traffic sign", "screen door, screen", "boat", "a]b")


def label(name: str, real: float, generated: float, verdict: str, **more: Any) -> ClassResult:
    return ClassResult(
        **{
            "label": name,
            "category": "object",
            "index": NAMES.index(name),
            "real_area": real,
            "generated_area": generated,
            "relative_difference": (generated - real) / real if real else None,
            "ci_low": None,
            "ci_high": None,
            "real_presence": 0.4,
            "generated_presence": 0.1,
            "p_value": 0.001,
            "q_value": 0.002,
            "omitted": verdict == "omitted",
            "verdict": verdict,
            **more,
        }
    )


RESULTS = Results(
    fsd=FSDResult(value=8.125, mean_term=5, cov_term=3.125, bias_reduced=5.0000001, floor=2),
    n_real=1013,
    n_generated=1013,
    segmenter=ModelRecord(name="s", family="s"),
    generator=None,
    data=SourceRecord(name="real", kind="folder", images=1013, fingerprint="r"),
    generated=SourceRecord(name="made", kind="folder", images=1013, fingerprint="g"),
    preset={},
    classes=[
        label("-", 50, 20, "omitted", category="background"),
        label("wall", 30, 70, "excess"),
        label("person", 10, 1, "omitted"),
        label("traffic sign", 6, 4.5, "reduced", because="presence"),
        label("screen door, screen", 4, 0, "omitted"),
        label("a]b", 0, 0.5, "excess"),
    ],
    conditions=[
        ConditionResult(
            label=3,
            name="old church",
            n_real=9,
            n_generated=9,
            against="class",
            fsd=FSDResult(value=4, mean_term=3, cov_term=1),
        )
    ],
    skipped=[SkippedItem(source="real", item="bad.png", reason="broken")],
)
"""Boat occurs in no image."""


def failed(*gates: str, results: Results = RESULTS) -> list[str]:
    return check_gates(gates, results, NAMES)


# ---------------------------------------------------------------------------------- the grammar

KEYS = st.sampled_from(
    ["fsd.value", "class[traffic sign].real_area", "classes.wall.ci_low", "skipped", "omitted"]
)
SPACES = st.sampled_from(["", " ", "  ", "\t"])


@given(KEYS, st.sampled_from(sorted(OPERATORS)), st.floats(-1e9, 1e9), SPACES, SPACES)
def test_a_comparison_is_read_as_written(
    path: str, op: str, limit: float, before: str, after: str
) -> None:
    gate = parse_gate(f"{before}{path}{before}{op}{after}{limit!r}{after}")
    assert isinstance(gate, NumberGate)
    assert (gate.op, gate.limit) == (op, limit)
    assert gate.path == parse_gate(f"{path} == 0").path  # type: ignore[attr-defined]
    assert parse_gate(gate.text) == gate


@given(st.text())
def test_any_text_is_a_gate_or_a_usage_error(text: str) -> None:
    try:
        gate = parse_gate(text)
    except UsageError:
        return
    assert parse_gate(gate.text) == gate


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(OPERATORS)))
def test_a_gate_fails_exactly_where_its_condition_holds(limit: float, op: str) -> None:
    holds = OPERATORS[op](RESULTS.fsd.value, limit)
    reasons = failed(f"fsd.value {op} {limit!r}")
    assert bool(reasons) == holds
    assert all("8.125" in reason and repr(limit) in reason for reason in reasons)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "PATH OP NUMBER"),
        ("fsd.value", "PATH OP NUMBER"),
        ("fsd.value = 5", "PATH OP NUMBER"),
        ("fsd.value > nan", "PATH OP NUMBER"),
        ("fsd.value > 5 %", "PATH OP NUMBER"),
        ("fsd.value > 1e999", "too large"),
        ("fsd.bias_reducd > 5", "did you mean 'bias_reduced'"),
        ("fds.value > 5", "did you mean 'fsd'"),
        ("fsd > 5", "name one of its numbers: value,"),
        ("fsd.value.low > 5", "no number 'low' in fsd.value"),
        ("class[person] > 5", "name one of its numbers: index, real_area,"),
        ("class[person].label > 5", "is not a number"),
        ("preset.size > 5", "no number 'size' in preset"),
        ("pairs.pairs[x].q_value > 5", "no number 'x' in pairs.pairs"),
        ("omitted:", "'omitted: *'"),
        ("omitted: , ", "'omitted: *'"),
        ("omited: person", "did you mean 'omitted'"),
    ],
)
def test_what_cannot_be_right_is_said_before_any_work(text: str, says: str) -> None:
    with pytest.raises(UsageError) as stopped:
        make_config(real="a", generated="b", segmenter="s", fail_if=(text,))
    assert says in str(stopped.value)
    assert len(str(stopped.value).splitlines()) == 1


# ------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ("fsd.value > 8", "fsd.value > 8: it is 8.125"),
        ("fsd.bias_reduced > 5", "fsd.bias_reduced > 5: it is 5.0000001"),  # not "it is 5"
        ("class[person].relative_difference < -0.3", "it is -0.9"),
        ("classes.person.real_area >= 10", "it is 10"),
        ("class[screen door, screen].generated_area == 0", "it is 0"),
        ("class[a]b].generated_area>.25", "it is 0.5"),
        ("class[boat].real_area < 1", "it is 0"),  # in no image: no area, which is known
        ("conditions[old church].fsd.value != 5", "it is 4"),
        ("skipped > 0", "it is 1"),
        ("omitted > 1", "it is 2"),  # "no object" is no class
        ("reduced >= 3", "it is 3"),  # what is omitted is reduced too
    ],
)
def test_numbers_of_every_kind(gate: str, reason: str) -> None:
    (found,) = failed(gate)
    assert found.startswith(f"{gate}: ")
    assert found.endswith(reason)


@pytest.mark.parametrize(
    "gate",
    ["fsd.value > 8.125", "class[boat].real_area > 0", "skipped > 1", "excess > 2", "warnings > 0"],
)
def test_numbers_within_their_limits_pass(gate: str) -> None:
    assert failed(gate) == []


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("fsd.ci_low > 3", "1,013 real and 1,013 generated images"),
        ("fsd.p_value < 0.01", "without permutations"),
        ("scenes.coverage < 0.8", "this run has no scenes"),
        ("scenes.test.p_value < 0.01", "this run has no scenes"),
        ("fidelity.values.FID > 30", "it needs --fidelity"),
        ("resolution.mismatch == 1", "this run has no resolution"),
        ("class[a]b].relative_difference < 0", "no real image shows the class"),
        ("class[boat].relative_difference < 0", "no image shows boat"),
        ("segmenter_share.class[boat].explained > 0.5", "this run has no segmenter share"),
        ("conditions[new church].fsd.value > 3", "new church is not in conditions"),
    ],
)
def test_a_number_that_this_run_does_not_define_never_passes(gate: str, why: str) -> None:
    for text in (gate, gate.replace("<", "==").replace(">", "==")):  # whichever way it is put
        (reason,) = failed(text)
        assert f"is not defined here ({why}" in reason
        assert reason.endswith("so the gate cannot be passed")


def test_intervals_and_keys_of_other_libraries() -> None:
    record = RESULTS.classes[2].model_copy(update={"presence_ci": (-0.9, -0.5)})
    fidelity = {"library": "x 1", "features": "inception", "n_real": 9, "n_generated": 9}
    results = Results.model_validate(
        {
            **RESULTS.model_dump(),
            "classes": [record.model_dump()],
            "fidelity": {**fidelity, "values": {"FID": 31.5, "recall@5": 0.2}},
        }
    )
    (low,) = failed("class[person].presence_ci[0] < -0.8", results=results)
    assert low.endswith("it is -0.9")
    assert failed("class[person].presence_ci[1] > -0.5", results=results) == []
    assert len(failed("fidelity.values.FID > 30", results=results)) == 1
    assert len(failed("fidelity.values[recall@5] < 0.3", results=results)) == 1
    with pytest.raises(UnknownNameError, match="did you mean 'FID'"):
        failed("fidelity.values.FIDs > 30", results=results)


# ------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("gate", "named"),
    [
        ("omitted: person", ["person"]),
        ("omitted", ["person", "screen door, screen"]),
        ("omitted: *", ["person", "screen door, screen"]),
        ("omitted: wall, screen door, screen, boat", ["screen door, screen"]),
        ("omitted: -", ["-"]),  # "no object" only where it is named
        ("reduced: traffic sign", ["traffic sign"]),
        ("reduced: person", ["person"]),
        ("excess: wall,person", ["wall"]),
    ],
)
def test_verdicts(gate: str, named: list[str]) -> None:
    (reason,) = failed(gate)
    assert reason.startswith(f"{gate}: {named[0]} is ")
    assert all(f"{name} is " in reason for name in named)
    assert reason.count(" is ") == len(named)
    assert "q = 0.002" in reason


def test_a_verdict_names_what_it_rests_on() -> None:
    (area,) = failed("omitted: person")
    assert area == (
        "omitted: person: person is omitted, "
        "10 % of the real and 1 % of the generated area (q = 0.002)"
    )
    (presence,) = failed("reduced: traffic sign")
    assert "in 40 % of the real and 10 % of the generated images" in presence
    seen = [
        c.model_copy(update={"real_seen": 0.2, "generated_seen": 0.05}) for c in RESULTS.classes
    ]
    newer = RESULTS.model_copy(update={"classes": seen})
    (specks,) = check_gates(["reduced: traffic sign"], newer)
    assert "above the area threshold in 20 % of the real and 5 % of the generated images" in specks


@pytest.mark.parametrize(
    "gate", ["omitted: wall", "omitted: boat", "omitted: traffic sign, wall", "excess: person"]
)
def test_other_verdicts_and_classes_in_no_image_pass(gate: str) -> None:
    assert failed(gate) == []


@pytest.mark.parametrize("gate", ["omitted: persn", "class[persn].real_area < 1"])
def test_a_class_that_nobody_knows_is_an_error(gate: str) -> None:
    with pytest.raises(UnknownNameError, match="no class named 'persn'; did you mean 'person'"):
        failed(gate)
    with pytest.raises(UnknownNameError, match="persn"):
        check_gate_names([gate], NAMES)


def test_without_the_labels_only_classes_that_occur_are_known() -> None:
    check_gate_names(["omitted: boat, person", "class[boat].real_area < 1", "omitted"], NAMES)
    with pytest.raises(UnknownNameError, match="boat"):
        check_gates(["omitted: boat"], RESULTS)
    assert check_gates(["omitted: wall"], RESULTS) == []


def test_classes_of_one_name_are_all_judged() -> None:
    second = label("wall", 1, 0.25, "omitted")
    results = RESULTS.model_copy(update={"classes": [*RESULTS.classes, second]})
    assert len(failed("omitted: wall", results=results)) == 1
    (reason,) = failed("class[wall].generated_area < 1", results=results)
    assert reason.endswith("it is 0.25")


def test_every_gate_that_fails_has_its_line_in_order() -> None:
    gates = ["fsd.value > 8", "omitted: wall", "omitted: person", "fsd.ci_low > 1"]
    assert [reason.partition(": ")[0] for reason in failed(*gates)] == [
        "fsd.value > 8",
        "omitted",
        "fsd.ci_low > 1",
    ]
    assert failed() == []
    assert isinstance(parse_gate("omitted"), VerdictGate)


# ------------------------------------------------------------------------------ config and keys


def test_gates_are_recorded_but_no_part_of_what_a_run_is(tmp_path: Path) -> None:
    plain = make_config(real="a", generated="b", segmenter="s")
    gated = make_config(
        real="a", generated="b", segmenter="s", fail_if=(" omitted:  person", "omitted: person")
    )
    assert gated.fail_if == ("omitted: person",)
    assert gated.key() == plain.key()
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"config": gated.model_dump(mode="json")}))
    assert read_config(path) == gated
    path.write_text(json.dumps({"config": {**plain.model_dump(mode="json"), "fail_if": ["?"]}}))
    with pytest.raises(RunError, match=r"manifest\.json: gate '\?' cannot be read"):
        read_config(path)
    for changed in ({"force": True}, {"truth": "none"}, {"fidelity": True}, {"sensitivity": "off"}):
        assert make_config(real="a", generated="b", segmenter="s", **changed).key() != plain.key()


@pytest.mark.parametrize("text", ["auto", "off", "scale", "scale:0.5", "upernet", "espnet:camvid"])
def test_sensitivity_as_it_may_be_written(text: str) -> None:
    assert make_config(real="a", generated="b", segmenter="s", sensitivity=text).sensitivity == text


@pytest.mark.parametrize("text", ["", "scale:", "scale:2", "scale:0", "scale:x", "off:1", "auto:s"])
def test_sensitivity_as_it_may_not(text: str) -> None:
    with pytest.raises(UsageError, match="--sensitivity: "):
        make_config(real="a", generated="b", segmenter="s", sensitivity=text)


# ------------------------------------------------------------------------------ the command line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gates")
    for name, seed in (("real", 1), ("made", 2)):
        commands.pictures(place / name, 3, seed, side=32)
    (place / "bad").mkdir()
    for picture in (place / "made").iterdir():
        (place / "bad" / picture.name).write_bytes(picture.read_bytes())
    (place / "bad" / "broken.png").write_text("not a picture")
    return place


@pytest.fixture
def command(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))

    def run(*words: str) -> tuple[int, str, list[str]]:
        code, out, err = commands.command(*words, capsys=capsys, monkeypatch=monkeypatch)
        # The first line of a run says what it is about to do.
        return code, out, [line for line in err.splitlines() if not line.startswith("comparing ")]

    return run


COMPARE = (
    "compare",
    "real",
    "made",
    "--segmenter=upernet:minichurches",
    "--permutations=0",
    "--sensitivity=off",
    "--preset=native",
)


@pytest.mark.slow
def test_a_failed_gate_ends_with_4_after_everything_is_done(place: Path, command: Any) -> None:
    gates = ["--fail-if", "fsd.value >= 0", "--fail-if", "fsd.value < 0"]
    gates += ["--fail-if", "fsd.bias_reduced > 5"]
    code, out, err = command(*COMPARE, *gates, "--out", "run", "--json")
    assert code == 4, err
    found = json.loads(out)
    assert found == json.loads((place / "run/results.json").read_text())
    assert (place / "run/report.html").exists()
    assert [line.partition(": it")[0] for line in err[:1]] == ["gate failed: fsd.value >= 0"]
    assert err[1].startswith(
        "gate failed: fsd.bias_reduced > 5: fsd.bias_reduced is not defined here (3 real and 3 "
    )
    assert len(err) == 2
    # Repeating the run repeats its gates, in a place of its own or the same; more may be added.
    code, out, err = command(
        "analyze", "--config", "run", "--out", "run", "--fail-if", "omitted: *"
    )
    assert code == 4
    assert out.splitlines()[-1] == "report: run/report.html"
    assert [line.split(" ")[2] for line in err] == ["fsd.value", "fsd.bias_reduced"]
    recorded = json.loads((place / "run/manifest.json").read_text())["config"]["fail_if"]
    assert recorded == ["fsd.value >= 0", "fsd.value < 0", "fsd.bias_reduced > 5", "omitted: *"]


@pytest.mark.slow
def test_skipped_images_are_3_and_a_failed_gate_beside_them_4(command: Any) -> None:
    words = ["compare", "real", "bad", *COMPARE[3:], "--out", "skipping"]
    code, out, err = command(*words, "--fail-if", "fsd.value < 0")
    assert (code, err) == (3, [])
    assert "broken.png" in out
    code, out, err = command(*words, "--fail-if", "skipped > 0")
    assert (code, err) == (4, ["gate failed: skipped > 0: it is 1"])
    assert "broken.png" in out


def test_a_class_that_nobody_knows_ends_with_2(command: Any) -> None:
    code, _, err = command(*COMPARE, "--fail-if", "omitted: buildin", "--out", "unknown")
    assert code == 2
    assert err[-1].startswith("seeingkit: no class named 'buildin'; did you mean 'building'")


def test_a_class_that_nobody_knows_hides_no_other_gate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gates = ["omitted: persn", "fsd.value > 8", "omitted: boat"]
    with pytest.raises(UnknownNameError, match="persn"):
        print_failed_gates(gates, RESULTS, NAMES)
    assert capsys.readouterr() == ("", "gate failed: fsd.value > 8: it is 8.125\n")
    assert print_failed_gates(gates[1:], RESULTS, NAMES)
    assert not print_failed_gates(gates[2:], RESULTS, NAMES)


@pytest.mark.parametrize("gate", ["fsd.bias > 5", "omited: person", "nonsense"])
def test_a_gate_that_cannot_be_right_stops_before_any_work(
    place: Path, command: Any, gate: str
) -> None:
    code, out, err = command(*COMPARE, "--fail-if", gate, "--out", "never")
    assert (code, out, len(err)) == (2, "", 1)
    assert repr(gate) in err[0]
    assert not (place / "never").exists()


def test_config_and_other_settings_exclude_each_other(place: Path, command: Any) -> None:
    manifest = place / "one.json"
    config = Config(command="compare", real="real", generated="made", segmenter="s")
    manifest.write_text(json.dumps(config.model_dump(mode="json")))
    code, out, err = command("analyze", "--config", "one.json", "--n", "5", "--truth", "none")
    assert (code, out) == (2, "")
    assert err == ["seeingkit: --config repeats a run as it was; leave --n, --truth out"]


def test_other_processes_of_a_run_judge_no_gate(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert command(*COMPARE, "--fail-if", "fsd.value >= 0") == (0, "", [])


def test_the_summary_marks_what_may_be_the_segmenters(capsys: pytest.CaptureFixture[str]) -> None:
    flagged = SegmenterClass(label="person", flagged=True, why="It reads texture as people.")
    share = SegmenterShare(kind="scale", against="at half of the detail", images=9)
    share = share.model_copy(update={"classes": [flagged]})
    results = RESULTS.model_copy(update={"segmenter_share": share})
    print_summary(results, Path("run/report.html"), shown=1)
    lines = capsys.readouterr().out.splitlines()
    rows = lines[next(k for k, line in enumerate(lines) if line.startswith("class ")) :]
    assert rows[1].split()[0] == "wall"
    assert rows[2].endswith("omitted (!)")
    assert rows[3].startswith("screen door, screen")  # what is missing is named, however small
    assert rows[4] == "… and 2 smaller classes in results.json"
    assert lines[-1] == "report: run/report.html"
    assert not any("\u00a0" in line for line in lines)


def test_the_summary_marks_one_of_two_classes_of_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    walls = [label("wall", 30, 20, "reduced"), label("wall", 30, 20, "reduced", index=40)]
    checks = [SegmenterClass(label="wall", flagged=flagged) for flagged in (False, True)]
    share = SegmenterShare(kind="scale", against="at half of the detail", images=9, classes=checks)
    results = RESULTS.model_copy(update={"classes": walls, "segmenter_share": share})
    print_summary(results, Path("run/report.html"))
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wall ")]
    assert [row.endswith("reduced (!)") for row in rows] == [False, True]


def test_the_summary_rounds_a_loss_to_no_bound(capsys: pytest.CaptureFixture[str]) -> None:
    lost = label("person", 10, 0.03, "omitted", ci_low=-0.998, ci_high=-0.996)
    new = label("boat", 0, 0.5, "excess")
    print_summary(RESULTS.model_copy(update={"classes": [lost, new]}), Path("run/report.html"))
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = {row[0]: [cell.strip() for cell in row if cell.strip()] for row in rows}
    assert cells["person"][3:5] == ["-99.7 %", "-99.8 to -99.6 %"]
    assert cells["boat"][3] == "new"


def test_labels_are_those_of_the_vocabulary() -> None:
    vocabulary = Vocabulary(tuple(map(Label, NAMES)))
    assert check_gates(["omitted: boat"], RESULTS, vocabulary.names) == []


def test_gates_on_images_and_on_differences_of_composition() -> None:
    fewer = label("boat", 1.0, 0.9, "in fewer images", because="presence")
    marked = {"area_claim": "more area", "composition": True}
    more = label("wall", 10.0, 11.0, "excess", rest_ci=(-0.01, 0.02), **marked)
    found = RESULTS.model_copy(update={"classes": [fewer, more]})
    assert failed("omitted: *", "reduced: *", "excess: *", "more: *", results=found) == []
    assert len(failed("fewer: boat", "fewer > 0", results=found)) == 2
    itself = RESULTS.model_copy(update={"classes": [label("wall", 10.0, 11.0, "excess")]})
    unsettled = label("wall", 10.0, 11.0, "excess", rest_ci=(-0.01, 0.09), **marked)
    open_case = RESULTS.model_copy(update={"classes": [unsettled]})
    assert len(failed("excess: wall", results=open_case)) == 1
    assert len(failed("excess: wall", results=itself)) == 1
