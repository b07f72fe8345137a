"""The list of runs: all kinds of folders, filters, orders, new and changed runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seeingkit.results import FSDResult, InversionResults, ModelRecord, SourceRecord
from seeingkit.results.inversion import InversionRecord, InversionSettings
from seeingkit.viewing import folders, library
from seeingkit.viewing.access import Secrets
from seeingkit.viewing.choosing import ORDERS, Choice, options
from seeingkit.viewing.folders import find_folders
from seeingkit.viewing.library import Library
from seeingkit.viewing.records import Entry, Run, read_run
from tests.helpers.church_report import HOSTILE, church_results
from tests.helpers.viewer import Cells, Viewer, add_run
from tests.report.test_report_paired import results as paired_results


def fsd(value: float, **changes: Any) -> FSDResult:
    return FSDResult(value=value, mean_term=value / 2, cov_term=value / 2, **changes)


def inversion_results() -> InversionResults:
    model = ModelRecord(name="progan:church", family="progan")
    record = InversionRecord(
        image="a.png", method="layered", psnr=20.0, lost={"car": 0.9}, reconstruction="a.png"
    )
    return InversionResults(
        generator=model,
        data=SourceRecord(name="photos", kind="files", images=1, fingerprint="ab"),
        inversion=InversionSettings(preset="fast"),
        inversions=[record, record.model_copy(update={"cut": "other"})],
    )


# --------------------------------------------------------------------------------- kinds of runs


def test_a_finished_run_in_full(tmp_path: Path) -> None:
    results = church_results(fsd=fsd(31.2, ci_low=22.5, ci_high=30.0))
    add_run(tmp_path / "a", results, config={"command": "analyze"})
    run = read_run(tmp_path / "a", tmp_path)
    assert (run.title, run.state, run.kind, run.note) == ("a", "finished", "analysis", "")
    assert (run.data, run.segmenter) == ("church_outdoor_train", "upernet")
    (entry,) = run.entries
    assert (entry.name, entry.n_real, entry.n_generated) == ("progan:church", 10_000, 10_000)
    assert entry.fsd == results.fsd
    assert entry.omitted == ("person", HOSTILE, "fence", "palm", "signboard", "boat")
    assert "brick" not in entry.omitted  # a material, which findings do not speak of
    assert run.started is not None and run.started.isoformat() == "2026-01-12T09:14:03+00:00"
    told = Cells(Viewer(tmp_path).page().text).run("a")[1:]
    assert told[0].startswith("a 2026-01-12 09:14\u00a0UTC · analysis")
    assert told[1:4] == [
        "progan:church against church_outdoor_train by upernet",
        "10,000",
        "31.2 22.5 to 30.0",
    ]
    assert told[4].startswith("6 person, <script>document.title='stolen'</script>")


@pytest.mark.parametrize(
    ("results", "kind", "entries", "photos"),
    [
        (church_results(), "comparison", 1, 0),
        (paired_results(), "paired comparison", 1, 0),
        (inversion_results(), "inversion", 0, 1),
    ],
)
def test_kinds_of_runs(tmp_path: Path, results: Any, kind: str, entries: int, photos: int) -> None:
    run = read_run(add_run(tmp_path / "runs" / "a", results), tmp_path / "runs")
    assert (run.kind, len(run.entries), run.photos) == (kind, entries, photos)
    viewer = Viewer(tmp_path / "runs")
    assert kind in viewer.page().text
    assert viewer.page(f"run/{viewer.key('a')}").status == 200


def spoil(run: Path, name: str, content: str | None) -> None:
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)


@pytest.mark.parametrize(
    ("spoilt", "state", "words"),
    [
        ({"results.json": None}, "unfinished", "results.json is not there yet"),
        ({"results.json": "{"}, "unreadable", "results.json does not fit as a whole: eof"),
        ({"results.json": "[" * 5000}, "unreadable", "results.json does not fit as a whole"),
        ({"results.json": "{}"}, "unreadable", "results.json does not fit at fsd: field required"),
        ({"results.json": '{"kind": "generators"}'}, "unreadable", "does not fit at data"),
        ({"results.json": "[]"}, "unreadable", "does not fit as a whole"),
        ({"results.json": None, "manifest.json": "x"}, "unreadable", "manifest.json does not fit"),
        ({"manifest.json": None}, "finished", "manifest.json cannot be read"),
        ({"manifest.json": "x"}, "finished", "manifest.json does not fit"),
    ],
)
def test_damaged_runs_are_listed_with_the_reason(
    tmp_path: Path, spoilt: dict[str, str | None], state: str, words: str
) -> None:
    run = add_run(tmp_path / "a")
    for name, content in spoilt.items():
        spoil(run, name, content)
    found = read_run(run, tmp_path)
    assert found.state == state
    assert words.lower() in found.note.lower() and "\n" not in found.note
    viewer = Viewer(tmp_path)
    row = " ".join(Cells(viewer.page().text).run("a"))
    assert words.lower() in row.lower()
    page = viewer.page(f"run/{viewer.key('a')}")
    assert page.status == 200 and words in page.text.replace("EOF", "eof")


def test_results_of_another_version(tmp_path: Path) -> None:
    add_run(tmp_path / "a", church_results(schema_version=2))
    found = read_run(tmp_path / "a", tmp_path)
    assert (found.state, found.entries) == ("unreadable", ())
    assert "has schema_version 2, this version reads 1" in found.note
    newer = json.loads(church_results().model_dump_json()) | {"new\x1b": 1}
    (tmp_path / "a" / "results.json").write_text(json.dumps(newer))
    found = read_run(tmp_path / "a", tmp_path)
    assert found.note.startswith("results.json has new\ufffd, which this version does not know")


def test_a_run_that_has_not_ended_says_how_to_go_on(tmp_path: Path) -> None:
    run = add_run(tmp_path / "my run", finished=None, config={"command": "compare"})
    found = read_run(run, tmp_path)
    assert found.state == "not ended" and len(found.entries) == 1
    again = f"seeingkit compare --config '{run}/manifest.json' --out '{run}'"
    assert found.again == again
    (run / "results.json").unlink()
    assert read_run(run, tmp_path).again == again
    viewer = Viewer(tmp_path)
    assert "goes on with it" in viewer.page(f"run/{viewer.key('my run')}").text


@pytest.mark.parametrize("time", ["yesterday", "", "\x1b[31m", "9" * 40, "2026-01-12"])
def test_odd_dates(tmp_path: Path, time: str) -> None:
    add_run(tmp_path / "a", started=time)
    found = read_run(tmp_path / "a", tmp_path)
    assert found.state == "finished"
    assert (found.started is None) == (time != "2026-01-12")
    assert Viewer(tmp_path).page().status == 200


# -------------------------------------------------------------------------------------- folders


def test_every_folder_is_listed_or_named(tmp_path: Path) -> None:
    add_run(tmp_path / "a")
    add_run(tmp_path / "suite" / "day" / "b")
    add_run(tmp_path / "a" / "inner")  # a part of a, and no run of its own
    for name in ("photos/cats", ".hidden/x", "deep/1/2/3"):
        (tmp_path / name).mkdir(parents=True)
    add_run(tmp_path / "deep/1/2/3/run")
    (tmp_path / "loose.json").touch()
    found = find_folders(tmp_path)
    assert [folder.relative_to(tmp_path).as_posix() for folder in found.runs] == [
        "a",
        "suite/day/b",
    ]
    assert (found.without, found.links, found.cut) == (("deep", "photos"), (), False)
    page = Viewer(tmp_path).page().text
    assert "2 folders without a run in them: deep and photos." in page
    assert "suite/day/b" in page and "hidden" not in find_folders(tmp_path).without


def test_a_run_itself_may_be_named(tmp_path: Path) -> None:
    viewer = Viewer(add_run(tmp_path / "alone", report="<p>"))
    assert ">alone</a>" in viewer.page().text
    (key,) = Library(viewer.root, viewer.secrets).listing().runs
    assert viewer.ask(f"/{key}/report.html").text == "<p>"


def test_the_runs_of_a_suite_are_its_cells(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    suite = root / "suite"
    for name in ("a", "b"):
        add_run(suite / "cells" / "photos" / name)
    for ranking in (suite, suite / "rankings" / "photos"):
        ranking.mkdir(parents=True, exist_ok=True)
        (ranking / "results.json").write_text('{"kind": "suite"}')
    (suite / "suite.json").write_text('{"kind": "suite"}')
    names = ["suite/cells/photos/a", "suite/cells/photos/b"]
    for base, before in ((root, ""), (suite, "suite/")):
        found = find_folders(base)
        assert [before + p.relative_to(base).as_posix() for p in found.runs] == names
        assert not found.without and not found.unread
    assert {read_run(folder, root).state for folder in found.runs} == {"finished"}


def test_the_folder_may_be_a_link(tmp_path: Path) -> None:
    add_run(tmp_path / "real" / "a", report="<p>")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    viewer = Viewer(tmp_path / "link")
    assert viewer.ask(f"/{viewer.key('a')}/report.html").text == "<p>"


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "There is no run in this folder yet" in Viewer(tmp_path).page().text


def test_a_folder_of_very_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_ENTRIES", 5)
    for k in range(9):
        (tmp_path / str(k)).mkdir()
    assert find_folders(tmp_path).cut
    assert "not all of it was searched" in Viewer(tmp_path).page().text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folders_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    found = find_folders(tmp_path)
    assert (found.unread, found.without) == (("closed",), ())


def test_new_and_changed_runs_appear_and_others_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(folder: Path, root: Path) -> Run:
        read.append(folder.name)
        return read_run(folder, root)

    monkeypatch.setattr(library, "read_run", counted)
    add_run(tmp_path / "a")
    viewer = Viewer(tmp_path)
    assert "1 run<" in viewer.page().text
    add_run(tmp_path / "b")
    assert "2 runs<" in viewer.page().text
    assert read == ["a", "b"]
    changed = church_results(fsd=fsd(1.25)).model_dump_json()
    (tmp_path / "a" / "results.json").write_text(changed)
    assert 'data-v="1.25"' in viewer.page().text
    assert read == ["a", "b", "a"]
    shutil.rmtree(tmp_path / "b")
    assert "1 run<" in viewer.page().text
    assert viewer.ask(f"/{viewer.key('b')}/report.html").status == 403


def test_names_that_are_no_text(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/run-\xff\xfe")
    (folder,) = tmp_path.iterdir()
    (folder / "manifest.json").write_text("x")
    viewer = Viewer(tmp_path)
    page = viewer.page()
    assert page.status == 200 and "run-\ufffd\ufffd" in page.text
    assert viewer.page(f"run/{viewer.key(folder.name)}").status == 200


# ------------------------------------------------------------------------------ choice and order


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Viewer:
    """Runs that differ in all that can be asked for."""
    root = tmp_path_factory.mktemp("runs")
    nothing = [c.model_copy(update={"omitted": False}) for c in church_results().classes]
    other = church_results().generator
    assert other is not None
    for title, value, day, changes in (
        ("a", 9.5, 3, {}),
        ("B", 31.2, 1, {"classes": nothing}),
        ("c", 2.25, 2, {"generator": other.model_copy(update={"name": "dcgan:<i>"})}),
    ):
        results = church_results(fsd=fsd(value), **changes)
        add_run(root / title, results, started=f"2026-01-0{day}T00:00:00+00:00")
    add_run(root / "inverted", inversion_results(), started="2026-01-04T00:00:00+02:00")
    return Viewer(root)


def titles(viewer: Viewer, query: str) -> list[str]:
    page = viewer.page(f"?{query}")
    assert page.status == 200
    return [row["data-title"] for row, _ in Cells(page.text).rows if "data-title" in row]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "inverted a c B"),
        ("order=oldest", "B c a inverted"),
        ("order=name", "a B c inverted"),
        ("order=nearest", "c a B inverted"),
        ("order=farthest", "B a c inverted"),
        ("order=omitted", "a c B inverted"),
        ("order=images", "B a c inverted"),
        ("order=nonsense", "inverted a c B"),
        ("generator=dcgan%3A%3Ci%3E", "c"),
        ("generator=progan%3Achurch", "inverted a B"),
        ("generator=unknown", "inverted a c B"),
        ("data=photos", "inverted"),
        ("omitted=palm", "a c"),
        ("omitted=palm&order=name&generator=progan%3Achurch", "a"),
        ("q=DCGAN", "c"),
        ("q=church+palm", "a c"),
        ("q=palm+photos", ""),
        ("q=%00%1b%5b31m", ""),
        ("q=%2e%2e%2f&run=..%2f", ""),
    ],
)
def test_filters_and_orders(viewer: Viewer, query: str, expected: str) -> None:
    assert titles(viewer, query) == expected.split()


def test_every_order_is_offered_and_kept(viewer: Viewer) -> None:
    for name, (words, _, _) in ORDERS.items():
        text = viewer.page(f"?order={name}").text
        assert f'<option value="{name}" selected>{words}</option>' in text


def test_distances_that_are_no_numbers_come_last() -> None:
    def run(title: str, value: float) -> Run:
        entry = Entry("g", 9, 9, fsd(value), ())
        return Run(title=title, folder=Path(title), state="finished", entries=(entry,))

    runs = [run("nan", float("nan")), run("one", 1.0), run("two", 2.0)]
    for order, expected in (("nearest", "one two nan"), ("farthest", "two one nan")):
        chosen = Choice(order=order).chosen(runs)
        assert [found.title for found in chosen] == expected.split()


def test_options_count_runs(viewer: Viewer) -> None:
    runs = list(Library(viewer.root, Secrets()).listing().runs.values())
    found = options(runs)
    assert found["generator"] == {"dcgan:<i>": 1, "progan:church": 3}
    assert found["data"] == {"church_outdoor_train": 3, "photos": 1}
    assert found["omitted"]["palm"] == 2 and "brick" not in found["omitted"]


def test_chosen_runs_stay_chosen_where_the_filter_hides_them(viewer: Viewer) -> None:
    a, c = viewer.key("a"), viewer.key("c")
    text = viewer.page(f"?q=dcgan&run={a}&run={c}&run=unknown").text
    inputs = [found for tag, found in Cells(text).elements if found.get("name") == "run"]
    assert [(found["type"], found["value"]) for found in inputs] == [
        ("hidden", a),
        ("checkbox", c),
    ]
    assert "checked" in inputs[1] and "1 chosen one is hidden by the filter" in text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "\u2044")
    add_run(tmp_path / name, report="<p>", command=HOSTILE, config={"command": HOSTILE})
    add_run(tmp_path / "\u202egnp.exe\x1b[31m")
    viewer = Viewer(tmp_path)
    key = viewer.key(name)
    pages = [
        "",
        f"run/{key}",
        f"compare?run={key}&run={viewer.key(chr(0x202E) + 'gnp.exe' + chr(27) + '[31m')}",
    ]
    for rest in pages:
        page = viewer.page(rest)
        assert page.status == 200
        found = Cells(page.text)
        scripts = [attributes for tag, attributes in found.elements if tag == "script"]
        assert scripts == [{"src": f"/{viewer.secrets.token}/view.js"}]
        assert "\x1b" not in page.text and "\u202e" not in page.text
        for _, attributes in found.elements:
            assert not [attribute for attribute in attributes if attribute.startswith("on")]
            assert "style" not in attributes
            for link in ("href", "src", "action", "formaction"):
                assert attributes.get(link, "/").startswith(("/", "#"))


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    add_run(tmp_path / "a")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from seeingkit.viewing.access import Secrets\n"
        "from seeingkit.viewing.library import Library\n"
        "from seeingkit.viewing.pages import compare_page, run_page, runs_page\n"
        f"library = Library(Path({str(tmp_path)!r}), Secrets())\nlisting = library.listing()\n"
        "assert 'a</a>' in runs_page(listing, library.root, '/', {}, [])\n"
        "((key, run),) = listing.runs.items()\n"
        "assert 'Findings' in run_page(library, key, run, '/')\n"
        "print([m for m in ('torch', 'scipy', 'pyarrow', 'altair', 'vl_convert', 'uvicorn') "
        "if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_manifests_are_json_as_they_stand(tmp_path: Path) -> None:
    add_run(tmp_path / "a")
    viewer = Viewer(tmp_path)
    answer = viewer.ask(f"/{viewer.key('a')}/manifest.json")
    assert json.loads(answer.body) == json.loads((tmp_path / "a/manifest.json").read_bytes())


def test_the_title_of_a_report_is_shown(tmp_path: Path) -> None:
    add_run(tmp_path / "one", config={"command": "analyze", "title": "Night <scenes>"})
    run = read_run(tmp_path / "one", tmp_path)
    assert (run.title, run.named) == ("one", "Night <scenes>")
    text = Viewer(tmp_path).page().text
    assert "Night &lt;scenes&gt;" in text and "<scenes>" not in text
