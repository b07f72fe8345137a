"""The run of ``compare`` with several generators: one set of real images, one report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.report import rebuild_report
from seeingkit.results import GeneratorsResults, Results
from seeingkit.runs.analyze import comparison_config, execute
from seeingkit.runs.config import make_config, read_config
from seeingkit.runs.generators import execute_generators
from seeingkit.runs.manifest import command_line
from tests.helpers.commands import command, pictures

TWO = ("progan:minichurches", "stylegan2:minichurches")
UPERNET = {"segmenter": "upernet:minichurches", "permutations": 19}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("generators")
    config = comparison_config("minichurches", *TWO, n=12, permutations=19)
    found = execute_generators(config, out=place / "run", store=place / "store")
    assert found is not None
    assert found.report == place / "run" / "report.html"
    assert found.to_dict() == json.loads((found.run.path / "results.json").read_text())
    return found.run.path


def test_each_generator_has_a_run_of_its_own_with_the_same_real_images(run: Path) -> None:
    results = GeneratorsResults.model_validate_json((run / "results.json").read_text())
    assert [g.name for g in results.generators] == list(TWO)
    assert results.n_real == 12
    singles = []
    for one in results.generators:
        single = Results.model_validate_json((run / one.folder / "results.json").read_text())
        assert single.fsd == one.fsd
        assert single.generator is not None
        assert (run / one.folder / "images.parquet").is_file()
        singles.append(single)
    assert singles[0].data.fingerprint == singles[1].data.fingerprint == results.data.fingerprint


@pytest.mark.slow
def test_a_generator_alone_gives_the_same_numbers(run: Path, tmp_path: Path) -> None:
    config = comparison_config("minichurches", TWO[1], n=12, permutations=19)
    alone = execute(config, out=tmp_path / "alone", store=run.parent / "store")
    assert alone is not None
    beside = json.loads((run / "generators/2-stylegan2-minichurches/results.json").read_text())
    assert alone.to_dict() == beside
    kept = read_config(run / "generators/2-stylegan2-minichurches")
    assert kept.key() == read_config(tmp_path / "alone").key()


def test_the_command_in_the_manifest_names_all_generators(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["command"].startswith(
        "seeingkit compare minichurches progan:minichurches stylegan2:minichurches --segmenter"
    )
    assert manifest["finished"]
    assert command_line(read_config(run)) == manifest["command"]


@pytest.mark.slow
def test_the_page_names_differences_and_makes_no_request(run: Path) -> None:
    page = rebuild_report(run).read_text(encoding="utf-8")
    for words in ("swap test p", "surely nearer", "one half against the other", *TWO):
        assert words in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert (run / "figures" / "classes.svg").stat().st_size > 1000
    single = rebuild_report(run / "generators" / "1-progan-minichurches")
    assert "progan:minichurches" in single.read_text(encoding="utf-8")


@pytest.mark.slow
def test_folders_of_other_sizes_give_as_many_images_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, (name, n) in enumerate((("real", 9), ("a/samples", 7), ("b/samples", 5))):
        Path(name).parent.mkdir(exist_ok=True)
        pictures(tmp_path / name, n, seed)
    config = comparison_config("real", "a/samples", "b/samples", **UPERNET)
    found = execute_generators(config, out="run", store=tmp_path / "store")
    assert found is not None
    results = found.comparison.results
    assert (results.n_real, *(g.n for g in results.generators)) == (5, 5, 5)
    assert [g.name for g in results.generators] == ["a/samples", "b/samples"]
    assert any("5 images of every side" in warning for warning in results.warnings)


@pytest.mark.slow
def test_gates_ask_every_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("real", "a", "b")):
        pictures(tmp_path / name, 4, seed)
    words = ["compare", "real", "a", "b", "--segmenter", "upernet:minichurches"]
    words += ["--permutations", "19", "--fail-if", "fsd.value >= 0"]
    code, out, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 4
    assert [line.split(": ")[1] for line in err.splitlines() if "gate failed" in line] == ["a", "b"]
    assert "swap test p" in out
    assert "a - b" in out


def test_an_option_for_one_generator_is_refused() -> None:
    config = comparison_config("minichurches", *TWO, gan_options={"clamp": True})
    with pytest.raises(UsageError, match="family:FILE"):
        execute_generators(config)
    for option, value in (("groups", "folder"), ("paired", True)):
        with pytest.raises(UsageError, match=f"--{option} is for one generator"):
            execute_generators(comparison_config("minichurches", *TWO, **{option: value}))
    with pytest.raises(UsageError, match="execute_generators"):
        execute(comparison_config("minichurches", *TWO))


def test_missing_files_of_all_generators_are_named_at_once(tmp_path: Path) -> None:
    config = comparison_config("minichurches", "dcgan", "stylegan3", **UPERNET)
    with pytest.raises(MissingWeightsError) as found:
        execute_generators(config, out=tmp_path / "run")
    assert "dcgan" in str(found.value)
    assert "stylegan3" in str(found.value)


def test_settings_of_two_sources_keep_their_key() -> None:
    """Settings that are not given are no part of the key: it is that of a run without them."""
    config = make_config(command="compare", real="a", generated="b", segmenter="s")
    assert config.key() == "2cf312ea"
    assert config.filled(others=("c",)).key() != config.key()
