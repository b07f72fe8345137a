"""Trackers, by the real libraries: what is read back from their files is what the runs have."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seeingkit.errors import PluginError, SeeingkitError, StorageError, UnknownNameError, UsageError
from seeingkit.models.registry import Registry, registry
from seeingkit.report.numbers import RunNumbers, read_numbers
from seeingkit.report.tracking import History, Tracker, tag_of
from seeingkit.results.units import unit_of
from seeingkit.runs.tracking import export_runs, open_tracker
from seeingkit.specs import Options, TrackerSpec
from tests.helpers import wandb_files
from tests.helpers.church_report import church_results
from tests.helpers.paper_runs import comparison

VALUES = {1000: 31.2, 2000: 0.1, 3000: 1e-300}
"""FSD of three snapshots; two of them are no numbers of single precision."""


@pytest.fixture
def runs(tmp_path: Path) -> list[RunNumbers]:
    """Three snapshots of a training, the last one first, and a run with a figure."""
    folders = [comparison(tmp_path / "alone")]
    (folders[0] / "figures").mkdir()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(pixels).save(folders[0] / "figures" / "classes.png")
    for kimg, value in reversed(VALUES.items()):
        fsd = church_results().fsd.model_copy(update={"value": value})
        folder = comparison(tmp_path / f"at{kimg}", fsd=fsd)
        path = folder / "manifest.json"
        weights = f"training/00003/network-snapshot-{kimg:06d}.pkl"
        manifest = json.loads(path.read_text()) | {"config": {"weights": weights, "n": 100}}
        path.write_text(json.dumps(manifest))
        folders.append(folder)
    return [run for folder in folders for run in read_numbers(folder)]


# -------------------------------------------------------------------------- TensorBoard


def events(folder: str) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(
        folder, size_guidance={"scalars": 0, "tensors": 0, "images": 0}
    ).Reload()


def scalars(found: Any, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in found.Scalars(tag)}


def single(value: float) -> float:
    """The number of single precision that is nearest."""
    return float(np.float32(value))


def tensorboard(tmp_path: Path, **options: Any) -> Tracker:
    return open_tracker("tensorboard", {"logdir": str(tmp_path / "logs"), **options})


def test_tensorboard_has_every_number_of_the_runs(runs: list[RunNumbers], tmp_path: Path) -> None:
    alone, training = export_runs(runs, tensorboard(tmp_path))
    assert alone.place == str(tmp_path / "logs" / "alone")
    assert (training.steps, training.unit) == ((1000, 2000, 3000), "kimg")
    found = events(alone.place)
    numbers = {path: x for path, x in runs[0].numbers.items() if x is not None}
    tags = {tag_of(path): float(x) for path, x in numbers.items()}
    written = set(found.Tags()["scalars"])
    assert len(written) == alone.numbers > 50
    for tag in written:
        assert scalars(found, tag) == {0: single(tags[tag])}, tag
    values = {step: single(value) for step, value in VALUES.items()}
    assert scalars(events(training.place), "fsd/value") == values


@pytest.mark.slow
def test_tensorboard_itself_shows_them(runs: list[RunNumbers], tmp_path: Path) -> None:
    export_runs(runs, tensorboard(tmp_path))
    words = ["--logdir", str(tmp_path / "logs"), "--host", "127.0.0.1", "--port", "0"]
    program = [sys.executable, "-m", "tensorboard.main", *words]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = iter(server.stderr.readline, "")
            address = next(m[0] for line in said if (m := re.search(r"http://127[\d.:]+/", line)))
            wanted = f"{address}data/plugin/scalars/scalars?run=00003&tag=fsd%2Fvalue"
            until, shown = time.monotonic() + 60, []
            while not shown and time.monotonic() < until:
                with suppress(OSError), urllib.request.urlopen(wanted) as answer:
                    shown = json.load(answer)
                time.sleep(0.2)
        finally:
            server.terminate()
    assert {step: value for _, step, value in shown} == {k: single(x) for k, x in VALUES.items()}


def test_tensorboard_has_classes_figures_and_settings(
    runs: list[RunNumbers], tmp_path: Path
) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    (alone, training) = export_runs(runs, tensorboard(tmp_path))
    found = events(alone.place)
    (text,) = found.Tensors("classes/table/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert lines[0].startswith("| label ") and "real\\_area (percent)" in lines[0]
    assert any(line.startswith("| person ") and "omitted" in line for line in lines)
    (picture,) = found.Images("figures/classes")
    with Image.open(io.BytesIO(picture.encoded_image_string)) as image:
        assert np.array_equal(np.asarray(image).ravel(), np.arange(48))
    metadata = events(training.place).SummaryMetadata("_hparams_/session_start_info")
    data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    settings = data.session_start_info.hparams
    assert settings["n"].number_value == 100
    assert settings["weights"].string_value.endswith("network-snapshot-003000.pkl")
    assert settings["generator"].string_value == "progan:church"


def test_tensorboard_replaces_what_it_wrote_and_nothing_else(
    runs: list[RunNumbers], tmp_path: Path
) -> None:
    (first,) = export_runs(runs[:1], tensorboard(tmp_path))
    other = Path(first.place) / "events.out.tfevents.1.host.1.0"
    other.write_bytes(b"")
    export_runs(runs[:1], tensorboard(tmp_path, pictures=False))
    assert len(list(Path(first.place).iterdir())) == 2 and other.exists()
    found = events(first.place)
    assert len(found.Scalars("fsd/value")) == 1 and not found.Tags()["images"]


def test_tensorboard_keeps_runs_of_one_name_apart(runs: list[RunNumbers], tmp_path: Path) -> None:
    other = comparison(tmp_path / "other" / "alone", "another")
    exported = []
    for _ in range(2):
        for run in (runs[0], *read_numbers(other)):
            exported += export_runs([run], tensorboard(tmp_path))
    places = [Path(one.place) for one in exported]
    assert places[:2] == places[2:] and places[0].name == "alone"
    assert places[1].name.startswith("alone-")
    for place in places:
        assert len(list(place.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_named(runs: list[RunNumbers], tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(StorageError, match="logs"):
        export_runs(runs[:1], tensorboard(tmp_path))


# --------------------------------------------------------------------- Weights & Biases


@pytest.fixture
def biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    """The tracker; all that the library writes stays in the folder of the test."""
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return open_tracker("wandb", {"logdir": str(tmp_path / "logs"), "project": "churches"})


@pytest.mark.slow
def test_wandb_has_every_number_of_the_runs(
    runs: list[RunNumbers], biases: Tracker, tmp_path: Path
) -> None:
    alone, training = export_runs(runs, biases)
    folder = Path(alone.place)
    assert folder.parent == tmp_path / "logs" / "wandb" and folder.name.startswith("offline-run-")
    (logged,) = wandb_files.history(folder)
    numbers = {path: x for path, x in runs[0].numbers.items() if x is not None}
    tags = {tag_of(path): float(x) for path, x in numbers.items()}
    written = {tag: value for tag, value in logged.items() if tag in tags}
    assert written == {tag: tags[tag] for tag in written}
    assert len(written) == alone.numbers > 50
    points = wandb_files.history(Path(training.place))
    assert {p["training_step"]: p["fsd/value"] for p in points} == VALUES
    assert [p["training_step"] for p in points] == sorted(VALUES)


@pytest.mark.slow
def test_wandb_has_classes_figures_and_settings(
    runs: list[RunNumbers], biases: Tracker, tmp_path: Path
) -> None:
    (alone,) = export_runs(runs[:1], biases)
    folder = Path(alone.place)
    (table,) = folder.rglob("*.table.json")
    content = json.loads(table.read_text(encoding="utf-8"))
    assert content["columns"][0] == "label"
    (person,) = [row for row in content["data"] if row[0] == "person"]
    assert person[2:4] == [0.1, 0.0] and person[-1] == "omitted"
    (picture,) = folder.rglob("*.png")
    with Image.open(picture) as image:
        assert np.array_equal(np.asarray(image).ravel(), np.arange(48))
    (run,) = [r.run for r in wandb_files.records(folder) if r.WhichOneof("record_type") == "run"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (config["n"], config["generator"]) == (10_000, "progan:church")
    assert (run.project, run.display_name) == ("churches", "alone")


def test_wandb_gets_nothing_of_the_machine(runs: list[RunNumbers], biases: Tracker) -> None:
    (alone,) = export_runs(runs[:1], biases)
    folder = Path(alone.place)
    for record in wandb_files.records(folder):
        kind = record.WhichOneof("record_type")
        assert kind not in ("stats", "output", "output_raw", "environment"), kind
        if kind == "run":
            assert record.run.host in ("", "-") and not record.run.HasField("git")
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert not names & {"requirements.txt", "wandb-metadata.json", "output.log"}


def test_an_export_to_wandb_again_has_the_same_id(runs: list[RunNumbers], biases: Tracker) -> None:
    places = [export_runs(runs[:1], biases)[0].place for _ in range(2)]
    files = [path.name for place in places for path in Path(place).glob("run-*.wandb")]
    assert len(files) == 2 and len(set(files)) == 1


def test_a_mode_that_is_none_is_named(
    runs: list[RunNumbers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEEINGKIT_OFFLINE")
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    tracker = open_tracker("wandb", {"logdir": str(tmp_path)})
    with pytest.raises(UsageError, match="WANDB_MODE=dryrun: an export is online or offline"):
        export_runs(runs[:1], tracker)


# ------------------------------------------------------------------------- any tracker


class Careless(Tracker):
    """Fails at every second history."""

    def __init__(self) -> None:
        self.written: list[History] = []

    def write(self, history: History) -> str:
        if len(history.points) > 1:
            raise ZeroDivisionError("of the library\nin two lines")
        self.written.append(history)
        return "here"


def test_a_tracker_that_fails_costs_its_history_alone(runs: list[RunNumbers]) -> None:
    tracker = Careless()
    with pytest.raises(PluginError, match="ZeroDivisionError: of the library in two lines") as told:
        export_runs([*runs[1:], runs[0]], tracker)
    assert [history.name for history in tracker.written] == ["alone"]
    assert "00003 was not exported" in str(told.value) and "the run is kept" in str(told.value)


@pytest.mark.parametrize(
    ("name", "options", "kind", "said"),
    [
        ("tensorbord", {}, UnknownNameError, "did you mean 'tensorboard'"),
        ("tensorboard", {"project": "x"}, UsageError, "there is no option 'project'"),
        ("wandb", {"mode": "never"}, UsageError, "option 'mode'"),
        ("mine", {}, PluginError, "mine needs the package nowhere_to_be_found"),
        ("other", {}, PluginError, "gives no Tracker"),
    ],
)
def test_faults_are_known_before_any_work(
    name: str, options: dict[str, Any], kind: type[SeeingkitError], said: str
) -> None:
    known = Registry()
    for spec in (
        *registry().specs("tracker"),
        TrackerSpec(name="mine", summary="", target="a:b", package="nowhere_to_be_found"),
        TrackerSpec(name="other", summary="", target=f"{__name__}:no_tracker", options=Options),
    ):
        known._specs["tracker", spec.name] = spec
    with pytest.raises(kind, match=said):
        open_tracker(name, options, known=known)


def no_tracker(options: Options) -> Sequence[str]:
    return []


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda n, *a: None if n == name else found(n))
    with pytest.raises(PluginError, match=rf"pip install 'seeingkit\[{name}\]'"):
        open_tracker(name)


def test_listing_trackers_imports_no_library() -> None:
    program = (
        "import sys; from seeingkit.models.registry import registry\n"
        "print([s.name for s in registry().specs('tracker')],"
        " [m for m in ('torch', 'tensorboard', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "['tensorboard', 'wandb'] []"


def test_numbers_keep_their_units(runs: list[RunNumbers]) -> None:
    assert {unit_of(path) for path in runs[0].numbers} >= {"", "percent", "percent^2"}
