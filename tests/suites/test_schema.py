"""The file of a suite: every mistake is named by line and key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.errors import UsageError
from seeingkit.runs.config import Config
from seeingkit.suites.lines import Lines
from seeingkit.suites.schema import (
    DataTable,
    GeneratorTable,
    InversionTable,
    SegmenterTable,
    SuiteFile,
    expand,
    read_suite,
    training_step,
)
from tests.suites.conftest import TOML


def written(folder: Path, text: str) -> Path:
    path = folder / "suite.toml"
    path.write_text(text)
    return path


MISTAKES = {
    "n = 0\n" + TOML.replace("n = 40", "", 1): [
        "line 1: n: input should be greater than or equal to 4"
    ],
    TOML.replace("permutations", "permutation"): [
        "line 3: permutation: no such key; did you mean 'permutations'?"
    ],
    TOML.replace('source = "painter"\nweights', 'sauce = "painter"\nweights'): [
        "line 13: generators.2.source: is missing",
        "line 15: generators.2.sauce: no such key; did you mean 'source'?",
    ],
    TOML.replace('name = "training"', 'name = "Plain"'): [
        "line 14: generators.2.name: 'Plain' stands twice (as 'plain')"
    ],
    TOML.replace('name = "plain"', 'name = "../plain"'): ["line 10: generators.1.name: a name"],
    TOML.replace("n = 40", "n = 40\nseeds = [1, 1]"): ["line 3: seeds: a seed stands twice"],
    TOML.replace("n = 40", "n = 40\nseeds = [40, 1, 0]"): [
        "line 3: seeds: seeds 0 and 1 share 39 of 40 latents",
        "keep them n apart: 0, 40, 80",
    ],
    TOML + "\n[inversion]\npick = 'list'\n": ["line 19: inversion.pick: a suite takes stratified"],
    TOML.replace("[[data]]", "[[data]"): ["is no TOML", "line 6"],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named_by_line_and_key(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read_suite(written(tmp_path, text))
    for part in MISTAKES[text]:
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_all_mistakes_are_one_error(tmp_path: Path) -> None:
    text = TOML.replace("n = 40", "n = 1").replace("permutations = 19", "permutations = -1")
    with pytest.raises(UsageError, match=r"2 faults: \(1\) .*line 2: n: .* \(2\) .*line 3: perm"):
        read_suite(written(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.toml: cannot be read"):
        read_suite(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_suite(tmp_path / "b.toml")


def test_a_pattern_makes_one_entry_a_file_in_the_order_of_training(suite: Path) -> None:
    file, lines = read_suite(suite)
    found = expand(file, lines, suite.parent)
    assert [(one.name, one.series, one.step) for one in found] == [
        ("plain", "", None),
        ("training 100", "training", 100.0),
        ("training 1000", "training", 1000.0),
    ]
    (suite.parent / "run" / "snap-1000-ema.txt").write_text("1")  # of the same step
    (suite.parent / "run" / "snap-last.txt").write_text("1")
    names = [one.name for one in expand(file, lines, suite.parent)]
    assert names[1:] == [
        "training 100",
        "training snap-001000.txt",
        "training snap-1000-ema.txt",
        "training snap-last.txt",
    ]


def test_a_pattern_that_gives_the_name_of_another_is_refused(suite: Path) -> None:
    suite.write_text(TOML.replace('name = "plain"', 'name = "training 100"'))
    file, lines = read_suite(suite)
    with pytest.raises(UsageError, match=r"generators\.2\.name: 'training 100' is the name of"):
        expand(file, lines, suite.parent)
    suite.write_text(TOML.replace('name = "plain"', 'name = "real images 2"'))
    file, lines = read_suite(suite)
    with pytest.raises(UsageError, match=r"line 10: .*'real images 2' is the name of a control"):
        expand(file, lines, suite.parent)


@given(st.integers(0, 10**9), st.text(st.sampled_from("abc-_"), max_size=8))
def test_the_step_is_the_last_number_of_a_name(step: int, words: str) -> None:
    assert training_step(Path(f"run7/{words}3x-{step:07}{words}.pkl")) == (step, "")
    assert training_step(Path(f"run7/network-snapshot-{step:06}-3.pkl")) == (step, "kimg")
    assert training_step(Path(f"7/{words}.pkl")) == (None, "")


def test_lines_of_keys_in_every_form() -> None:
    text = (
        'title = """\nn = 3\n[x]\n"""\n"a b" = 1\n[[t]]\nc.d = 2\n[[t]]\nlist = [\n 1,\n]\n'
        "[u.v]\nw = {y = 1}\n"
    )
    lines = Lines(Path("f"), text)
    asked = ("n", "title", "a b", "t.0.c.d", "t.1.list.0", "u.v.w.y", "u.v", "t")
    assert [lines.number(key) for key in asked] == [None, 1, 5, 7, 9, 13, 12, 6]


def test_the_documented_file_has_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "suites.md").read_text("utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    found = SuiteFile.model_validate(tomllib.loads(shown))
    assert found.inversion is not None and found.inversion.classes == ("person",)
    tables = (SuiteFile, DataTable, SegmenterTable, GeneratorTable, InversionTable)
    for key in {key for table in tables for key in table.model_fields}:
        assert f"`{key}`" in text or re.search(rf"^(\[+)?{key}\b", shown, re.MULTILINE), key


def test_the_embedded_suite_is_read() -> None:
    file, _ = read_suite(Path(__file__).parents[2] / "benchmarks" / "suites" / "minichurches.toml")
    assert file.controls == 2


def test_defaults_and_bounds_are_those_of_single_runs() -> None:
    own = {"n", "inversion"}  # a suite states its n, and inverts nothing unless told to
    for table, config in ((SuiteFile, Config), (InversionTable, InversionConfig)):
        for name in (table.model_fields.keys() & config.model_fields.keys()) - own:
            ours, theirs = table.model_fields[name], config.model_fields[name]
            assert ours.metadata == theirs.metadata, name
            values = [field.get_default(call_default_factory=True) for field in (ours, theirs)]
            assert values[0] == values[1], name
