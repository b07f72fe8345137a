"""Options and groups of options, and the modules that a command may import."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from seeingkit.cli import app
from seeingkit.cli.groups import Settings, image_settings, inversion_settings, takes
from seeingkit.cli.options import ConfigDefault
from seeingkit.errors import UsageError
from seeingkit.runs.config import Config, InversionConfig, make_config

Size = Annotated[int, typer.Option(help="Size of a group.")]
OtherSize = Annotated[int, typer.Option("--other", help="Size of a command.")]


def sizes(*, size: Size = 3, twice: bool = False) -> Settings:
    return {"size": 2 * size if twice else size}


def colours(*, colour: str = "red") -> Settings:
    return {"colour": colour}


def test_a_command_takes_the_options_of_its_groups_where_it_takes_their_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {}
    command = typer.Typer(rich_markup_mode=None, add_completion=False)

    @command.command()
    @takes(sizes, colours, size=OtherSize)
    def paint(first: str, *, settings: Settings, last: bool = False) -> None:
        found.update(settings, first=first, last=last)

    names = [parameter.name for parameter in get_command(command).params]
    assert names == ["first", "size", "twice", "colour", "last"]
    command(["wall", "--other", "4", "--twice", "--last"], standalone_mode=False)
    assert found == {"first": "wall", "size": 8, "colour": "red", "last": True}
    command(["--help"], standalone_mode=False)
    assert "Size of a command." in capsys.readouterr().out
    with pytest.raises(KeyError, match="weight"):
        takes(sizes, weight=OtherSize)


def test_defaults_are_those_of_the_config() -> None:
    config = make_config(real="r", generated="g", segmenter="s")
    assert ConfigDefault("permutations")() == config.permutations
    assert str(ConfigDefault("on_bad")) == config.on_bad
    assert ConfigDefault("inversion.own")() == config.inversion.own
    shared = {option.name: option for option in get_command(app).commands["analyze"].params}
    for name, model in (("batch_size", Config), ("pick", InversionConfig)):
        default = shared[name].default
        assert callable(default) and default() == model.model_fields[name].default


def test_settings_of_images_are_fields_of_a_config() -> None:
    settings = image_settings(batch_size=4, on_bad="fail", gan_option=["clamp=false"])
    assert settings["gan_options"] == {"clamp": False}
    assert set(settings) <= set(Config.model_fields)


def test_settings_of_an_inversion_are_fields_of_its_config() -> None:
    given = inversion_settings(
        own=7,
        patched=9,
        method="z, layered",
        cut="r4",
        inversion_preset="paper",
        steps=3,
        inverter_option=["rate=0.5"],
    )
    assert given == {
        "inversion": {
            "methods": ("z", "layered"),
            "cuts": ("r4",),
            "own": 7,
            "patched": 9,
            "label": None,
            "options": {"rate": 0.5, "preset": "paper", "steps": 3},
        }
    }
    assert set(given["inversion"]) <= set(InversionConfig.model_fields)
    with pytest.raises(UsageError, match="'preset' is given twice"):
        inversion_settings(
            own=1, patched=0, inversion_preset="fast", inverter_option=["preset=paper"]
        )


# -------------------------------------------------------------------------------- imported modules

MODULES = """
import sys
from seeingkit.__main__ import main

sys.argv = ["seeingkit", *{words!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
for name in {unwanted!r}:
    assert name not in sys.modules, name + " was imported"
"""


@pytest.mark.parametrize(
    ("words", "also"),
    [
        (["--help"], ["pydantic"]),  # the help of a command needs defaults of the config
        *(([name, "--help"], []) for name in ("analyze", "invert", "weights")),
        (["plugins"], []),
        (["ls", "gans"], []),
        (["weights", "ls"], []),
    ],
)
def test_help_and_listings_import_nothing_heavy(words: list[str], also: list[str]) -> None:
    unwanted = ["torch", "numpy", "scipy", "pyarrow", *also]
    code = MODULES.format(words=words, unwanted=unwanted)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
