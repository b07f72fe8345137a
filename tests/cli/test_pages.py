"""Help pages, near names, messages, and options that other programs must let through."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from torch.distributed.run import get_args_parser
from typer.main import get_command

from seeingkit.cli import app
from seeingkit.cli.messages import messages_on_stderr
from seeingkit.cli.options import ARTIFACTS, DISSECTION, PANELS, REWRITING, SWEEPING
from seeingkit.cli.pages import did_you_mean
from tests.helpers.commands import command


def commands(group: Any) -> Iterator[Any]:
    for one in group.commands.values():
        yield from commands(one) if hasattr(one, "commands") else [one]


def page(*words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    code, out, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize("columns", [80, 120])
def test_options_stand_in_groups_with_their_defaults(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    told = page("analyze", "-h", capsys=capsys, monkeypatch=monkeypatch)
    assert told == page("analyze", "--help", capsys=capsys, monkeypatch=monkeypatch)
    own = [panel for panel in PANELS if panel not in (ARTIFACTS, DISSECTION, REWRITING, SWEEPING)]
    places = [told.index(f"\n{panel}:\n") for panel in own]
    assert places == sorted(places)
    assert max(map(len, told.splitlines())) <= min(columns, 100)
    words = " ".join(told.split())
    for default in (
        "[default: the data set's own; minichurches: progan:minichurches]",
        "[default: minichurches]",
        "[default: all real images, at most 10,000; minichurches: 2,000]",
        "minichurches: upernet:minichurches; own images: none]",
        "[default: runs/GAN-DATA-HASH]",
        "[default: 20]",
    ):
        assert default in words
    assert told.index("\nGenerator:") < told.index("--gan ") < told.index("\nImages:")


def test_every_command_has_a_short_way_to_its_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in ([], ["weights"], ["weights", "ls"], ["ls"], ["report"], ["compare"]):
        assert page(*words, "-h", capsys=capsys, monkeypatch=monkeypatch).startswith("Usage: ")


def test_bare_commands_say_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = page(capsys=capsys, monkeypatch=monkeypatch)
    assert told.startswith("seeingkit finds what an image generator does not draw")
    assert told.count("\n  seeingkit ") == 3 and "seeingkit COMMAND -h" in told
    assert "inspect" in page("weights", capsys=capsys, monkeypatch=monkeypatch)
    groups = page("ls", capsys=capsys, monkeypatch=monkeypatch)
    assert "seeingkit ls segmenters" in groups
    # Options that several methods have alike are printed once.
    methods = page("ls", "inverters", capsys=capsys, monkeypatch=monkeypatch)
    assert methods.count("encoder_steps = None") == 1
    assert "options of encoder, encoder+z, layered, layered+r, layered+z, z\n" in methods


def test_torchrun_lets_the_first_name_of_every_option_through() -> None:
    """Its parser, which sees all words, takes the start of a name of its own for that name."""
    words = ["--nproc-per-node", "2", "-m", "seeingkit", "tally", "images", "-n", "1000", "--json"]
    taken = get_args_parser().parse_args(words)
    assert (taken.training_script, taken.training_script_args) == ("seeingkit", words[4:])
    for one in commands(get_command(app)):
        for option in one.params:
            if option.param_type_name == "option":
                get_args_parser().parse_args([*words[:5], option.opts[0], "1"])


def test_near_names() -> None:
    known = ["--data", "--n", "--out"]
    assert did_you_mean("--dat", known, {}) == "; did you mean '--data'?"
    assert did_you_mean("--number", known, {"--number": "--n"}) == "; did you mean '--n'?"
    assert did_you_mean("--gpu", known, {"--gpu": "--device"}) == ""  # it has no such option
    assert did_you_mean("--zzz", known, {}) == ""


def test_a_message_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("seeingkit.runs.somewhere")
    before = log.getEffectiveLevel(), list(logging.getLogger("seeingkit").handlers)
    for quiet in (False, True):
        with messages_on_stderr(quiet=quiet):
            for word in ("begun", "begun", "ended"):
                log.info("%s\nnow", word)
                log.warning("%s", word)
    assert capsys.readouterr().err == "begun now\nbegun\nended now\nended\nbegun\nended\n"
    assert (log.getEffectiveLevel(), list(logging.getLogger("seeingkit").handlers)) == before


def test_of_several_processes_rank_0_speaks_and_whoever_takes_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    log = logging.getLogger("seeingkit.system.claims")
    with messages_on_stderr(quiet=False):
        log.warning("of rank 0 alone")
        log.warning("rank 0 ended", extra={"every_rank": True})
    assert capsys.readouterr().err == "rank 0 ended\n"
