"""Runs of ``dissect`` compared by their units: which layers, on which images, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import seeingkit
from seeingkit.analyses.dissection.series import SUMS
from seeingkit.errors import RunError, UsageError
from seeingkit.report.figures.series import compared
from seeingkit.runs.compare_units import compare_units, read_all
from seeingkit.runs.dissected import read_dissected
from seeingkit.runs.unit_groups import FILE
from seeingkit.runs.unit_panels import panels_of
from seeingkit.tallies.chunks import read_table, write_table
from seeingkit.viewing.access import Secrets
from seeingkit.viewing.library import Library
from seeingkit.viewing.pages import compare_page, run_page
from tests.helpers.commands import command
from tests.helpers.unit_series import layer_of, strengths, write_run


def layers(seed: int, names: tuple[str, ...] = ("r8",), groups: int = 12) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [layer_of(strengths(rng, 24), rng, groups, name=name) for name in names]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs: two of layers r8 and r16, one of r8 alone, which has no units of trees."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", layers(0, ("r8", "r16")), generator="toy:a")
    write_run(tmp_path / "b", layers(1, ("r8", "r16")), generator="toy:b")
    rng = np.random.default_rng(2)
    truth = strengths(rng, 24)
    truth[:, 1] = -0.02
    write_run(tmp_path / "bare", [layer_of(truth, rng, 12)], generator="toy:bare")
    return tmp_path


@pytest.mark.slow
def test_runs_are_compared_at_the_layers_they_share(runs: Path) -> None:
    found = compare_units("a", "b", out="ab")
    assert [panel.title for panel in found.results.panels] == ["r8", "r16"]
    for panel in found.results.panels:
        assert [layer.name for layer in panel.layers] == ["toy:a", "toy:b"]
        assert (panel.groups, panel.images, panel.tests) == (12, 192, 7)
        for one in panel.quantities:
            for number in one.numbers:
                assert number.low <= number.count <= number.high and number.letters
    table = pq.read_table(runs / "ab/counts.parquet").to_pylist()
    assert [row["count"] for row in table] == list(found.counts["count"])
    own = {layer.name: layer.labelled for layer in read_dissected(Path("a")).results.layers}
    stated = {p.title: p.quantities[0].numbers[0].count for p in found.results.panels}
    assert stated == own
    text = (runs / "ab/report.html").read_text()
    assert "layers that share no letter differ surely" in text
    assert len(list((runs / "ab/figures").iterdir())) == 4
    assert panels_of(read_all(["a", "b"]), [])[0] == found.results.panels
    library = Library(runs, Secrets())
    key, run = next((k, r) for k, r in library.listing().runs.items() if r.title == "ab")
    assert run.kind == "units compared" and run.generator == "toy:a, toy:b"
    assert "figures/unit-counts.svg" in run_page(library, key, run, "/T/")
    status, text = compare_page(library, "/T/", {}, [key])
    assert status == 404 and "a comparison of units has no distance" in text
    assert found.to_dict()["kind"] == "unit contrasts" and "differences are sure" in repr(found)
    with pytest.raises(RunError, match="a run of compare-units compares no areas"):
        compared({runs / "ab": found.results}, most=6)
    with pytest.raises(RunError, match="holds another run"):
        compare_units("a", "bare", out="ab")


@pytest.mark.slow
def test_a_network_without_tree_units_has_surely_fewer(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = command("compare-units", "a", "bare", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (0, "")
    assert "toy:a has surely more units of" in out and "tree" in out.splitlines()[0]
    assert "Not in all runs, so not compared: r16." in out
    assert "report: runs/units-a-bare/report.html" in out
    assert out.count("sure difference of") == 1


def test_one_run_is_compared_among_its_layers(runs: Path) -> None:
    (panel,), n, warnings = panels_of(read_all(["a"]), [])
    assert [layer.name for layer in panel.layers] == ["r8", "r16"] and panel.title == "toy:a"
    assert n == 192 and warnings == []
    with pytest.raises(UsageError, match="one layer is nothing to compare"):
        compare_units("bare")
    with pytest.raises(UsageError, match="has no layer r99; it has r8, r16"):
        compare_units("a", layers="r99")
    assert seeingkit.compare_units is compare_units


def test_layers_of_other_names_are_compared_where_one_of_each_is_left(runs: Path) -> None:
    write_run(runs / "c", layers(4, ("layer4",)), generator="toy:c")
    (panel,), _, _ = panels_of(read_all(["bare", "c"]), [])
    assert [layer.name for layer in panel.layers] == ["toy:bare r8", "toy:c layer4"]
    with pytest.raises(UsageError, match=r"share no layer; choose one of each with --layers"):
        panels_of(read_all(["a", "c"]), [])


def test_bases_of_one_network_are_compared_at_its_layer(runs: Path) -> None:
    write_run(runs / "turned", layers(0, ("r8/random",)), generator="toy:a", basis="random")
    (panel,), _, _ = panels_of(read_all(["a", "turned"]), ["r8"])
    assert [layer.name for layer in panel.layers] == ["toy:a (units)", "toy:a (random)"]
    assert all(
        one.difference == 0 for one in panel.differences
    )  # the same numbers, by construction
    assert not any(one.claimed for one in panel.differences)


def test_snapshots_stand_in_the_order_of_their_training(runs: Path) -> None:
    for kimg in (2000, 400, 10000):
        weights = f"out/network-snapshot-{kimg:06d}.pkl"
        write_run(runs / f"k{kimg}", layers(kimg), generator=f"toy:{kimg}", weights=weights)
    (panel,), _, _ = panels_of(read_all(["k2000", "k400", "k10000"]), [])
    assert [layer.name for layer in panel.layers] == ["toy:400", "toy:2000", "toy:10000"]


def test_unlike_numbers_of_images_are_cut_to_the_first_that_all_have(runs: Path) -> None:
    write_run(runs / "long", layers(5, groups=20), generator="toy:long", n=310)
    (panel,), n, warnings = panels_of(read_all(["bare", "long"]), [])
    assert (n, panel.groups) == (192, 12)
    assert "compared are the first 192 of each" in warnings[0]
    write_run(runs / "odd", layers(6, groups=12), generator="toy:odd", n=184)
    (panel,), _, _ = panels_of(read_all(["long", "odd"]), [])
    assert panel.groups == 11  # the last group of 184 images is no whole one


def test_runs_of_unlike_lengths_share_the_whole_spans_of_their_classes(runs: Path) -> None:
    """200 images of 9 classes are 9 whole groups and 9 shorter ones; 600 are 45 groups."""
    nine = {"of_class": True, "drawn": [f"class {k}" for k in range(9)]}
    write_run(runs / "few", layers(0, groups=18), generator="toy:few", n=200, **nine)
    write_run(runs / "many", layers(1, groups=45), generator="toy:many", n=600, **nine)
    (panel,), n, warnings = panels_of(read_all(["few", "many"]), [])
    assert (n, panel.groups) == (144, 9)
    assert "compared are the first 144 of each" in warnings[0]
    write_run(runs / "alike", layers(1, groups=18), generator="toy:alike", n=200, **nine)
    (panel,), n, warnings = panels_of(read_all(["few", "alike"]), [])
    assert (n, panel.groups, warnings) == (200, 18, [])
    write_run(runs / "least", layers(1, groups=9), generator="toy:least", n=100, **nine)
    with pytest.raises(
        UsageError, match="least: 100 images are fewer than 16 of each of 9 classes"
    ):
        compare_units("few", "least")


def test_bins_of_many_groups_are_compared_with_those_of_fewer(runs: Path) -> None:
    """The longer run has bins of four groups, so whole bins of the shorter one are compared."""
    long = [replace(one, series=one.series.coarser(4)) for one in layers(5, groups=60)]
    write_run(runs / "long", long, generator="toy:long", n=960)
    write_run(runs / "short", layers(6, groups=50), generator="toy:short", n=800)
    (panel,), n, warnings = panels_of(read_all(["long", "short"]), [])
    assert (n, panel.groups) == (768, 48) and "compared are the first 768" in warnings[0]
    write_run(runs / "tiny", layers(6, groups=30), generator="toy:tiny", n=480)
    with pytest.raises(UsageError, match="tiny: 480 images are fewer than 640, .* dissect 640 or"):
        compare_units("long", "tiny")


def test_files_of_an_earlier_version_are_read(runs: Path) -> None:
    """They have a bin for each group, and no sums of squares."""
    path = runs / "a" / FILE
    data = path.read_bytes()
    table = read_table(data)
    about = json.loads(table.schema.metadata[b"seeingkit"])
    for one in about["layers"]:
        assert one.pop("span") == 1
    stated = json.dumps(about | {"schema": 1})
    write_table(path, table.drop(["excess2"]).replace_schema_metadata({"seeingkit": stated}))
    (old,) = read_all(["a"])
    path.write_bytes(data)
    (new,) = read_all(["a"])
    for before, after in zip(old.layers, new.layers, strict=True):
        for name in ("groups", *SUMS):
            np.testing.assert_array_equal(getattr(before.series, name), getattr(after.series, name))


def test_groups_of_unlike_classes_are_not_laid_beside_each_other(runs: Path) -> None:
    write_run(runs / "two", layers(1), generator="toy:two", of_class=True, drawn=["cat", "dog"])
    write_run(runs / "cats", layers(1), generator="toy:cats", of_class=True, drawn=["cat", "cat"])
    write_run(runs / "old", layers(1), generator="toy:old", of_class=True)
    with pytest.raises(UsageError, match=r"classes drawn: cat, dog and cat, cat; .*--labels"):
        compare_units("two", "cats")
    with pytest.raises(UsageError, match="classes drawn: none and cat, dog"):
        compare_units("a", "two")
    with pytest.raises(UsageError, match="old: does not say which classes it drew; make it again"):
        compare_units("old", "two")


def test_labels_that_mean_something_else_are_refused_in_one_error(runs: Path) -> None:
    write_run(runs / "other", layers(3), preset="paper", level_images=64, classes="map.toml")
    with pytest.raises(UsageError) as error:
        compare_units("a", "other")
    said = str(error.value)
    for part in ("--preset", "--level-images", "merged classes: none and map.toml"):
        assert part in said
    write_run(runs / "pnas", layers(3), rule="pnas", tested=False)
    with pytest.raises(UsageError, match="labels of the rule 'pnas' have no null"):
        compare_units("a", "pnas")
    with pytest.raises(UsageError, match="is named twice"):
        compare_units("a", runs / "a")
    with pytest.raises(UsageError, match="name one or more runs"):
        compare_units()
    with pytest.raises(UsageError, match="is a probability"):
        compare_units("a", level=1.0)
    with pytest.raises(RunError, match="no such folder"):
        compare_units("a", "nowhere")
    assert not (runs / "runs").exists()


def test_files_that_do_not_fit_together_are_named(runs: Path) -> None:
    groups = runs / "a/groups.parquet"
    data = groups.read_bytes()
    groups.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    with pytest.raises(RunError, match=r"groups.parquet is damaged"):
        compare_units("a")
    groups.write_bytes((runs / "b/groups.parquet").read_bytes())
    with pytest.raises(RunError, match=r"labels of r\d+ in results.json do not follow from it"):
        compare_units("a")
    groups.unlink()
    with pytest.raises(RunError, match=r"is missing, .* seeingkit dissect --config"):
        compare_units("a")
