"""The plan: every name resolved once, defaults filled in, and one list of steps for all ranks."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seeingkit
import seeingkit_adapters
import seeingkit_plugins
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.errors import (
    MissingWeightsError,
    PluginError,
    RunError,
    SourceError,
    UnknownNameError,
    UsageError,
)
from seeingkit.models import recognition, registry, resolved
from seeingkit.models.registry import Registry
from seeingkit.runs.analyze import analysis_config, comparison_config, tally_source
from seeingkit.runs.config import Config, make_config, read_config
from seeingkit.runs.invert import inversion_run_config
from seeingkit.runs.plan import resolve, resolve_source
from seeingkit.runs.sides import open_sides
from seeingkit.weights import checkpoints
from tests.helpers.commands import command

PROGAN = Path("plugins/minichurches/weights/progan-minichurches-64.safetensors")
QUICK = InversionConfig(
    methods=("layered+r",), own=2, patched=2, per_class=1, options={"encoder": "found", "steps": 2}
)


def everywhere(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], called: Callable[..., None]
) -> None:
    """Tell ``called`` of each call of a function, under whatever name a module imported it."""

    def told(*args: Any, **kwargs: Any) -> Any:
        called(*args, **kwargs)
        return function(*args, **kwargs)

    for package in (seeingkit, seeingkit_adapters, seeingkit_plugins):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" not in found.name and ".training" not in found.name:
                with contextlib.suppress(PluginError):  # of an extra that is not installed
                    importlib.import_module(found.name)
    for module in [m for name, m in sys.modules.items() if name.startswith("seeingkit")]:
        for name, value in list(vars(module).items()):
            if value is function:
                monkeypatch.setattr(module, name, told)


@pytest.mark.slow
@pytest.mark.parametrize("own_file", [False, True], ids=["registered", "own file"])
def test_one_analysis_resolves_each_name_once_and_reads_each_file_once(
    own_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    weights = Path(__file__).parents[2] / PROGAN
    calls: Counter[tuple[str, object]] = Counter()

    def count(what: str, key: Callable[..., object]) -> Callable[..., None]:
        return lambda *args, **kwargs: calls.update([(what, key(*args, **kwargs))])

    everywhere(monkeypatch, resolved.resolve, count("resolve", lambda kind, name, **_: name))
    everywhere(monkeypatch, registry.check_options, count("options", lambda spec, _: spec.name))
    everywhere(
        monkeypatch, registry.find_preset, count("preset", lambda name, size=None: (name, size))
    )
    everywhere(monkeypatch, recognition.recognise, count("recognise", lambda path, *_, **__: path))
    everywhere(
        monkeypatch, checkpoints.read_checkpoint, count("read", lambda path: Path(path).name)
    )
    known = Registry.resolve

    def look_up(self: Registry, kind: Any, name: str) -> Any:
        calls["look up", (kind, name)] += 1
        return known(self, kind, name)

    monkeypatch.setattr(Registry, "resolve", look_up)
    seeingkit.analyze(
        "auto" if own_file else "progan",
        "minichurches",
        weights=str(weights) if own_file else None,
        n=16,
        permutations=0,
        out=tmp_path / "run",
        inversion=QUICK,
    )
    assert {what for what, _ in calls} >= {"resolve", "options", "preset", "look up", "read"}
    # An own file is read once to recognise it and once to load it, the encoder for each cut.
    expected: dict[Any, int] = {("read", "layered-progan-minichurches-64.safetensors"): 2}
    if own_file:
        expected |= {("read", weights.name): 2, ("recognise", weights): 1}
    assert {key: n for key, n in calls.items() if n != 1 or key in expected} == expected


def test_gaps_of_a_config_are_filled_from_the_data_set() -> None:
    plan = resolve(analysis_config(None, None))
    config = plan.config
    assert (config.real, config.preset) == ("minichurches", "native")
    assert config.generated == "progan:minichurches"
    assert config.segmenter == "upernet:minichurches"
    assert plan.preset.name == "native"
    assert plan.generated.generator is not None
    assert plan.generated.generator.name == "progan:minichurches"
    given = resolve(analysis_config("progan", None, preset="paper@32", segmenter="upernet"))
    assert given.config.preset == "paper@32" and given.config.segmenter == "upernet"
    assert given.generated.generator is not None
    assert given.generated.generator.name == "progan:minichurches"  # by the data set
    assert given.segmenter is not None and given.segmenter.name == "upernet:minichurches"


def test_a_complete_config_is_its_own_plan(tmp_path: Path) -> None:
    """What a manifest holds gives the same plan again, and the same run directory."""
    first = resolve(analysis_config("progan", "minichurches", n=9)).config
    (tmp_path / "manifest.json").write_text(json.dumps({"config": first.model_dump(mode="json")}))
    again = read_config(tmp_path)
    assert again == first and resolve(again).config == first
    assert again.key() == first.key()


def test_a_manifest_with_gaps_is_refused(tmp_path: Path) -> None:
    whole = resolve(analysis_config("progan", "minichurches")).config.model_dump(mode="json")
    del whole["segmenter"]
    (tmp_path / "manifest.json").write_text(json.dumps({"config": whole}))
    with pytest.raises(RunError, match="segmenter is missing"):
        read_config(tmp_path)


def test_every_missing_file_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path))
    plan = resolve(make_config(command="analyze", real="churches", generated="stylegan"))
    with pytest.raises(MissingWeightsError) as caught:
        open_sides(plan)
    for folder in ("data/minilsun", "weights/stylegan", "weights/upernet/upp"):
        assert f"{tmp_path}/{folder}" in str(caught.value)


def test_files_that_were_given_are_named_together_too(tmp_path: Path) -> None:
    given = {"weights": "gone.pth", "segmenter": "upernet", "segmenter_weights": "lost.pth"}
    for config in (
        analysis_config("progan", "minichurches", **given),
        comparison_config("minichurches", "progan", **given),
    ):
        with pytest.raises(MissingWeightsError, match=r"gone\.pth.*; lost\.pth"):
            open_sides(resolve(config))
    with pytest.raises(MissingWeightsError, match=r"gone\.pth.*; lost\.pth"):
        tally_source(comparison_config("progan", "progan", **given))


def test_a_second_segmenter_without_weights_says_how_to_give_them() -> None:
    plan = resolve(analysis_config(None, None, sensitivity="espnetv2"))
    with pytest.raises(MissingWeightsError, match="give --sensitivity espnetv2:FILE"):
        open_sides(plan)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (analysis_config("nobody", "minichurches"), UnknownNameError, "nobody"),
        (
            analysis_config("nobody", "nowhere/", segmenter="none", preset="x", device="abacus"),
            UsageError,
            r"5 faults: \(1\) no such path: nowhere/; \(2\) .*'nobody'.* \(3\) .*'none'.* "
            r"\(4\) .*'x'.* \(5\) .*'abacus'",
        ),
        (comparison_config("minichurches", "a", preset="x"), UsageError, "preset named 'x'"),
        (comparison_config("minichurches", "a"), SourceError, r"^no such path: a, and no data set"),
        (comparison_config("minichurches", "a", labels="1"), UsageError, "--labels is for a cond"),
        (analysis_config(None, None, gan_options={"x": 1}), UsageError, "no option 'x'"),
        (analysis_config(None, None, segmenter="nobody"), UnknownNameError, "nobody"),
        (analysis_config(None, None, device="abacus"), UsageError, "no device named 'abacus'"),
        (analysis_config(None, None, classes="nope"), UsageError, "nope"),
        (inversion_run_config(["nowhere.png"]), SourceError, "no such path: nowhere.png"),
        (
            inversion_run_config(["minichurches"], inversion=InversionConfig(methods=("magic",))),
            UnknownNameError,
            "magic",
        ),
    ],
)
def test_wrong_names_and_options_are_found_in_the_plan(
    config: Config, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolve(config)


def test_own_images_never_get_the_segmenter_of_a_drawn_data_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"which segmenter\? .*upernet:upp .*336 objects"):
        resolve(comparison_config(str(tmp_path), str(tmp_path)))
    named = resolve(comparison_config(str(tmp_path), str(tmp_path), segmenter="upernet"))
    assert named.segmenter is not None and named.segmenter.name == "upernet:upp"
    own = resolve(comparison_config("minichurches", str(tmp_path), segmenter="upernet"))
    assert own.segmenter is not None and own.segmenter.name == "upernet:minichurches"


def test_a_tally_needs_no_second_side() -> None:
    plan = resolve_source(comparison_config("minichurches", "minichurches"))
    assert plan.generated.data is not None and plan.generated.data.name == "minichurches"
    assert plan.segmenter is not None and plan.segmenter.name == "upernet:minichurches"
    named = {"segmenter": "upernet:minichurches"}
    generated = resolve_source(comparison_config("x", "progan:minichurches", **named))
    assert generated.generated.generator is not None


@pytest.mark.slow
def test_two_processes_find_what_one_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 1 takes the same steps and writes no run; rank 0's results are those of one process."""
    words = ["analyze", "--n", "16", "--permutations", "20", "--own", "2", "--per-class", "1"]
    words += ["--steps", "2", "--patched", "2", "--json"]

    def start(folder: str, **ranks: str) -> subprocess.Popen[str]:
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        environment = {"SEEINGKIT_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1", **ranks}
        return subprocess.Popen(
            [sys.executable, "-m", "seeingkit", *words],
            cwd=home,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    both = [start("both", RANK=str(rank), WORLD_SIZE="2") for rank in (1, 0)]
    other, first = (process.communicate(timeout=300) for process in both)
    assert [process.returncode for process in both] == [0, 0], (other, first)
    assert other[0] == ""
    (tmp_path / "alone").mkdir()
    monkeypatch.chdir(tmp_path / "alone")
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "alone" / "cache"))
    code, alone, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0, said
    expected, found = json.loads(alone), json.loads(first[0])
    for record in (*expected["calibrations"], *found["calibrations"]):
        record.pop("seconds", None)
    assert found == expected
    (run,) = (tmp_path / "both" / "runs").iterdir()
    assert (run / "report.html").exists()
