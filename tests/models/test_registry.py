"""The registry: guards, rollback, names, environment, and no torch."""

from __future__ import annotations

import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from seeingkit.errors import DuplicateNameError, PluginError, UnknownNameError, UsageError
from seeingkit.models.registry import PluginRecord, Registry, check_options, import_target, registry
from seeingkit.models.resolved import resolve
from seeingkit.specs import GanSpec, Options, Preset, SegmenterSpec, WeightFile, WeightsSpec
from tests.helpers.plugins import plugin


def record(name: str) -> PluginRecord:
    return PluginRecord(name, f"dist-{name}", "1", f"{name}.catalog")


def gan(name: str, **more: object) -> GanSpec:
    return GanSpec(name=name, summary="s", target="json:loads", **more)  # type: ignore[arg-type]


def test_names_aliases_and_near_matches() -> None:
    known = Registry()
    known.add(plugin(gan("progan", aliases=("pggan",)), gan("dcgan")), record("a"))
    assert known.resolve("gan", "pggan") is known.resolve("gan", "progan")
    assert [s.name for s in known.specs("gan")] == ["dcgan", "progan"]
    with pytest.raises(UnknownNameError, match="no gan named 'progn'; did you mean 'progan'"):
        known.resolve("gan", "progn")
    with pytest.raises(UnknownNameError, match="none is registered"):
        known.resolve("data", "x")


def test_duplicate_names_name_both_distributions() -> None:
    known = Registry()
    known.add(plugin(gan("x")), record("a"))
    with pytest.raises(DuplicateNameError, match=r"'x' is registered twice, by dist-a .* dist-b"):
        known.add(plugin(gan("y", aliases=("x",))), record("b"))
    with pytest.raises(UnknownNameError):
        known.resolve("gan", "y")  # nothing of the refused plugin stays


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (plugin(gan("half"), error=RuntimeError("boom")), "RuntimeError: boom"),
        (plugin(42), "takes a spec, not a int"),
        (types.ModuleType("empty"), "no seeingkit_register hook"),
    ],
)
def test_a_broken_plugin_is_listed_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, bad: object, reason: str
) -> None:
    modules = {"good_plugin": plugin(gan("good")), "bad_plugin": bad}
    monkeypatch.setattr(EntryPoint, "load", lambda self: modules[self.value])
    points = [EntryPoint(n, n, "seeingkit") for n in ("bad_plugin", "good_plugin")]
    known = Registry()
    known.load(points, {})
    assert [(p.status, reason in p.reason) for p in known.plugins] == [
        ("failed", True),
        ("ok", False),
    ]
    assert known.resolve("gan", "good")
    with pytest.raises(UnknownNameError, match="failed plugins: bad_plugin"):
        known.resolve("gan", "half")
    with pytest.raises(PluginError, match="bad_plugin"):
        Registry().load(points, {"SEEINGKIT_STRICT": "1"})
    blocked = Registry()
    blocked.load(points, {"SEEINGKIT_BLOCK": "bad_plugin", "SEEINGKIT_STRICT": "1"})
    assert [p.status for p in blocked.plugins] == ["blocked", "ok"]
    allowed = Registry()
    allowed.load(points, {"SEEINGKIT_PLUGINS": "bad_plugin"})
    assert [p.status for p in allowed.plugins] == ["failed", "blocked"]


def test_a_plugin_that_cannot_be_imported_is_listed() -> None:
    known = Registry()
    known.load([EntryPoint("gone", "no_such_module_here", "seeingkit")], {})
    assert known.plugins[0].status == "failed"
    assert "ModuleNotFoundError" in known.plugins[0].reason


def test_bad_names_and_targets_are_refused() -> None:
    for name in ("a b", "a:b", "a/b", ""):
        with pytest.raises(ValueError, match="no spaces, colons or slashes"):
            gan(name)
    with pytest.raises(ValueError, match="package.module:callable"):
        GanSpec(name="x", summary="s", target="nowhere")
    with pytest.raises(PluginError, match="cannot import no.such:thing"):
        import_target(GanSpec(name="x", summary="s", target="no.such:thing"))


def test_options_are_checked_by_name() -> None:
    class Mine(Options):
        psi: float = 1.0

    spec = gan("x", options=Mine)
    assert check_options(spec, {"psi": 0.5}).model_dump() == {"psi": 0.5}
    with pytest.raises(UsageError, match="option 'psi': .* options: psi"):
        check_options(spec, {"psi": "much"})
    with pytest.raises(UsageError, match="no option 'phi'; did you mean 'psi'. options: psi"):
        check_options(spec, {"phi": 1})
    with pytest.raises(UsageError, match="x: there is no option 'step'; options: psi"):
        check_options(spec, {"step": 1})


def test_an_option_of_several_types_is_refused_by_its_own_name() -> None:
    class Mine(Options):
        cutoff: Annotated[int, Field(ge=0)] | Literal["all"] | None = "all"

    with pytest.raises(UsageError, match="x: option 'cutoff': .* options: cutoff"):
        check_options(gan("x", options=Mine), {"cutoff": "some"})


def test_presets_come_from_plugins_too() -> None:
    known = Registry()
    known.add(plugin(Preset(name="mine", size=32)), record("a"))
    assert known.preset("mine").size == 32
    assert known.preset("paper").size == 256
    with pytest.raises(UnknownNameError, match="preset"):
        known.preset("min")


def test_choosing_weights(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(b"x")
    known = Registry()
    known.add(
        plugin(
            gan("g"),
            SegmenterSpec(name="free", summary="s", target="json:loads", needs_weights=False),
            WeightsSpec(
                name="church",
                family="g",
                kind="gan",
                summary="s",
                domains=("church",),
                files=(WeightFile(name="c.pth", url="https://example.org/c.pth", sha256="a" * 64),),
            ),
        ),
        record("a"),
    )
    own = resolve("gan", "g", weights=file, known=known)
    assert (own.name, own.weights, own.weights_spec) == ("g", file, None)
    assert resolve("segmenter", "free", known=known).weights is None
    for name, domain in (("g:church", None), ("g", "church"), ("g", None)):
        wanted = r"example.org/c.pth \(sha256 a{64}\) and put it in"
        with pytest.raises(Exception, match=wanted):
            resolve("gan", name, domain=domain, known=known)
    with pytest.raises(Exception, match="no registered weights for 'beds' .*g:church.*--weights"):
        resolve("gan", "g", domain="beds", known=known)
    with pytest.raises(UsageError, match="already names weights"):
        resolve("gan", "g:church", weights=file, known=known)
    with pytest.raises(Exception, match="no such weights file"):
        resolve("gan", "g", weights=tmp_path / "none", known=known)


def test_built_in_plugins_come_through_entry_points() -> None:
    found = {p.name: p for p in registry().plugins}
    assert found["adapters"].status == "ok"
    assert found["minichurches"].status == "ok"
    assert registry().resolve("segmenter", "upp").name == "upernet"


def test_nothing_light_imports_torch() -> None:
    code = (
        "import sys, seeingkit, seeingkit.cli, seeingkit.models.registry, seeingkit.results\n"
        "from seeingkit.models.registry import registry\n"
        "assert len(registry().plugins) >= 2\n"
        "seeingkit.models.registry.registry().specs('gan')\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "assert 'scipy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_source_folders_are_not_importable_under_their_names() -> None:
    root = Path(__file__).parents[2]
    for name in ("adapters", "plugins"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"], cwd=root, capture_output=True, text=True
        )
        assert f"import seeingkit_{name}, not {name}" in done.stderr
