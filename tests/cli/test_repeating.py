"""The command in a manifest repeats the run: parsed again, it gives the same config."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seeingkit.cli import app
from seeingkit.runs.config import Config, InversionConfig, make_config
from seeingkit.runs.manifest import command_line

Parse = Callable[[str], Config]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Parse:
    """The config that a command would run."""
    plans: list[Config] = []

    def keep(plan: Config, *_: object, **__: object) -> None:
        plans.append(plan)

    monkeypatch.setattr("seeingkit.cli.main._run", keep)
    monkeypatch.setattr("seeingkit.runs.invert.execute_inversion", keep)

    def parsed(command: str) -> Config:
        program, *words = shlex.split(command)
        assert program == "seeingkit"
        app([*words, "--device", "cpu"], standalone_mode=False)
        return plans.pop()

    return parsed


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields, the others as by default."""
    return st.fixed_dictionaries({}, optional=fields)


NAMES = st.sampled_from(["a", "b c", "it's.pth", "d/*.png"])
IMAGES = some(
    segmenter_weights=NAMES,
    n=st.integers(2, 10**6),
    seed=st.integers(0, 2**32 - 1),
    batch_size=st.integers(1, 64),
    on_bad=st.sampled_from(["skip", "fail"]),
    segmenter_options=st.dictionaries(st.sampled_from(["x", "y_z"]), st.integers() | NAMES),
    data_options=st.dictionaries(st.sampled_from(["x", "y_z"]), st.booleans() | st.none()),
)
TALLY = some(
    preset=st.sampled_from(["paper", "native", "paper@128"]),
    labels=st.sampled_from(["uniform", "data", "3,7"]),
    classes=NAMES,
)
EVIDENCE = some(
    level=st.floats(0.001, 0.999),
    permutations=st.integers(0, 10**5),
    truth=st.sampled_from(["none", "data", "b c"]),
    sensitivity=st.sampled_from(["auto", "off", "scale:0.5", "upernet:b c"]),
    fidelity=st.booleans(),
    force=st.booleans(),
    fail_if=st.lists(
        st.sampled_from(["fsd.value > 5", "omitted: person"]), max_size=2, unique=True
    ).map(tuple),
)
INVERSION = some(
    cuts=st.sampled_from([("r4",), ("r4", "r8"), ("all",)]),
    own=st.integers(0, 100),
    patched=st.integers(0, 100),
    label=st.integers(0, 1000),
)
OPTIONS = some(
    preset=st.sampled_from(["fast", "paper"]),
    steps=st.integers(0, 1000),
    perceptual=NAMES,
    rate=st.floats(0.001, 1),
    carry=st.lists(NAMES, max_size=2),
)
PICKING = some(
    per_class=st.integers(1, 9), pick=st.sampled_from(["stratified", "random", "most"])
) | st.just({"pick": "list", "ids": ("a", "b c")})
METHODS = st.sampled_from([("z",), ("layered+r", "encoder"), ("encoder", "z")])

MODELS = {"segmenter": "upernet:minichurches", "weights": None}
repeats = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@repeats
@given(IMAGES, TALLY, EVIDENCE, some(others=st.lists(NAMES, min_size=1, max_size=2).map(tuple)))
def test_compare(
    parse: Parse,
    images: dict[str, Any],
    tally: dict[str, Any],
    evidence: dict[str, Any],
    others: dict[str, Any],
) -> None:
    made = {**MODELS, **images, **tally, **evidence, **others}
    config = make_config(command="compare", real="b c", generated="progan:minichurches", **made)
    assert parse(command_line(config)) == config


@repeats
@given(IMAGES, TALLY, EVIDENCE, INVERSION, OPTIONS, PICKING, METHODS | st.just(()))
def test_analyze(
    parse: Parse,
    images: dict[str, Any],
    tally: dict[str, Any],
    evidence: dict[str, Any],
    inversion: dict[str, Any],
    options: dict[str, Any],
    picking: dict[str, Any],
    methods: tuple[str, ...],
) -> None:
    if inversion.get("label") is not None:  # --label draws that class too
        tally = {**tally, "labels": str(inversion["label"])}
    chosen = {**inversion, **(picking if methods else {}), "methods": methods}
    made = {**MODELS, **images, **tally, **evidence}
    config = make_config(
        real="minichurches",  # its own preset is not the config's default
        generated="progan:minichurches",
        inversion=InversionConfig(options={"encoder": "found", **options}, **chosen),
        **made,
    )
    assert parse(command_line(config)) == config


@repeats
@given(IMAGES, INVERSION, OPTIONS, METHODS, st.sampled_from(["", "minichurches"]))
def test_invert(
    parse: Parse,
    images: dict[str, Any],
    inversion: dict[str, Any],
    options: dict[str, Any],
    methods: tuple[str, ...],
    data: str,
) -> None:
    made = {**MODELS, **images, "segmenter": "none", "weights": "g.pth"}
    config = make_config(
        command="invert",
        real=data,
        generated="progan",
        photos=("b c", "d.png"),
        inversion=InversionConfig(methods=methods, options=options, **inversion),
        **made,
    )
    parsed = parse(command_line(config))
    # The preset is no option of this command: it is the data set's.
    assert parsed.model_copy(update={"preset": config.preset}) == config


def test_the_preset_is_always_told() -> None:
    """A data set may have another default than the config."""
    made = make_config(real="minichurches", generated="g", segmenter="s", preset="paper")
    assert "--preset paper" in command_line(made)
