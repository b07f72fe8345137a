"""Stored counts: met again, made again where damaged, shared, and equal to the bit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seeingkit.analyses.interventions import parts
from seeingkit.analyses.interventions.effects import Intervention, Measured, measure
from seeingkit.analyses.interventions.parts import check_counts_file, counted
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.errors import StorageError
from seeingkit.runs.stored import check_stored, stored_files
from tests.helpers.planted import BRIGHT, DARK, NOISE, levels, planted

SAMPLE = Sample(range(40))
EDITS = [Intervention.ablation([unit]) for unit in (BRIGHT, DARK)]
EDITS.append(Intervention((NOISE,), torch.linspace(-1, 1, 40)[:, None]))


def subject() -> Subject:
    return Subject(planted(0.4), levels(), "r4")


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*.safetensors") if path.parent.name != "damaged"]
    return {path.name: path.read_bytes() for path in found}


def same(one: Measured, other: Measured) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_stored_counts_are_those_in_memory_and_are_met_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, kept = (measure(subject(), SAMPLE, EDITS, store=s) for s in (None, tmp_path))
    assert same(plain, kept) and len(files(tmp_path)) == 4 * 3  # edits and none, by three groups
    monkeypatch.setattr(parts, "_made", lambda *_: pytest.fail("made again"))
    assert same(measure(subject(), SAMPLE, EDITS, store=tmp_path), kept)
    # Other edits of the same images share what they have in common.
    assert same(
        measure(subject(), SAMPLE, EDITS[:1], store=tmp_path, tables=1)._replace(),
        (kept._replace(after=kept.after[:1], moved=kept.moved[:1], changes=kept.changes[:1])),
    )


def test_an_edit_of_other_bytes_images_or_rounding_is_other_work(tmp_path: Path) -> None:
    measure(subject(), SAMPLE, EDITS[:1], store=tmp_path)
    known = len(files(tmp_path))
    for other, sample, edit in (
        (subject(), SAMPLE, Intervention((BRIGHT,), 1e-7)),
        (subject(), Sample(range(40), seed=40), EDITS[0]),
        (Subject(planted(0.4), levels(), "r4", eight_bits=False), SAMPLE, EDITS[0]),
    ):
        measure(other, sample, [edit], store=tmp_path)
        assert len(files(tmp_path)) > known
        known = len(files(tmp_path))


def test_a_damaged_file_is_told_and_made_again(tmp_path: Path) -> None:
    first = measure(subject(), SAMPLE, EDITS, store=tmp_path)
    before = files(tmp_path)
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    faults = [fault for _, fault in check_stored(tmp_path) if fault]
    assert len(faults) == 1
    assert same(measure(subject(), SAMPLE, EDITS, store=tmp_path), first)
    assert {k: v for k, v in files(tmp_path).items() if k in before} == before
    other = next(p for p in tmp_path.glob("??/*.safetensors") if p.stem != path.stem)
    moved = other.with_name("0" * 32 + ".safetensors")
    other.rename(moved)
    with pytest.raises(StorageError, match="of another intervention than its name says"):
        check_counts_file(moved)
    kinds = {file.kind for file in stored_files(tmp_path) if file.path.suffix == ".safetensors"}
    assert "intervention" in kinds


def _work(folder: str, pause: float) -> None:
    made = parts._made

    def slowly(*given: object) -> object:
        for each in made(*given):  # type: ignore[arg-type]
            time.sleep(pause)
            yield each

    parts._made = slowly  # type: ignore[assignment]
    list(counted(subject(), SAMPLE, EDITS, title="effect", folder=Path(folder)))


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = measure(subject(), SAMPLE, EDITS, store=tmp_path / "alone")
    folder, made = tmp_path / "interrupted", parts._made

    def stopped(*given: object) -> object:
        yield next(made(*given))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "_made", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure(subject(), SAMPLE, EDITS, store=folder)
    monkeypatch.undo()
    assert len(files(folder)) == 1
    assert same(measure(subject(), SAMPLE, EDITS, store=folder), alone)
    assert files(folder) == files(tmp_path / "alone")


@pytest.mark.slow
def test_a_killed_process_loses_one_edit_and_the_rest_go_on_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    measure(subject(), SAMPLE, EDITS, store=tmp_path / "alone")
    folder = tmp_path / "shared"
    context = multiprocessing.get_context("spawn")
    killed = context.Process(target=_work, args=(str(folder), 0.5))
    killed.start()
    while not files(folder):
        time.sleep(0.02)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert 0 < len(files(folder)) < 9
    found = measure(subject(), SAMPLE, EDITS, store=folder)
    assert same(found, measure(subject(), SAMPLE, EDITS))
    alone, shared = files(tmp_path / "alone"), files(folder)
    assert {name: shared[name] for name in alone} == alone


@pytest.mark.slow
def test_processes_share_the_work(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(str(tmp_path / "all"), 0.1)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    measure(subject(), SAMPLE, EDITS, store=tmp_path / "alone")
    assert files(tmp_path / "all") == files(tmp_path / "alone")
