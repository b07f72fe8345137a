"""Photos inverted in two lanes: the numbers of one lane, whatever is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import seeingkit
from seeingkit.analyses.inversion import session
from seeingkit.analyses.inversion.photos import Chosen, invert_source, invert_sources
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.contracts import Generator
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.models.staged import StagedAdapter
from seeingkit.models.weightedits import RewrittenGenerator
from seeingkit.system.lanes import side_by_side


def test_edited_generators_are_not_run_side_by_side() -> None:
    """Their tensors are exchanged for the time of a pass, in the one network that there is."""
    assert StagedAdapter.thread_safe and not RewrittenGenerator.thread_safe


def test_numbers_are_those_of_one_lane_with_its_threads(
    tmp_path: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    assert isinstance(generator, Generator)
    source = seeingkit.open_images("minichurches", n=6)
    inverter = seeingkit.load_inverter("layered+r", encoder="none", perceptual="none", steps=3)
    prepared = inverter.prepare(generator)
    begun = []

    def counted(works: list[object]) -> None:
        begun.append(len(works))
        side_by_side(works)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "side_by_side", counted)
    both = []
    for threads in (2, 1):
        torch.set_num_threads(threads)
        store = InversionStore(tmp_path / str(threads))
        both.append(invert_source(generator, source, inverter, prepared=prepared, store=store))
    assert begun == [2]
    for a, b in zip(both[0].inversions, both[1].inversions, strict=True):
        assert torch.equal(a.reconstruction, b.reconstruction) and torch.equal(a.loss, b.loss)
    assert both[0].rows == both[1].rows == tuple(range(6))
    # What is left after a run that was stopped is in one lane or two, and the same.
    torch.set_num_threads(2)
    again = InversionStore(tmp_path / "2")
    files = both[0].files
    for path in files[1:3]:
        path.unlink()
    found = invert_source(generator, source, inverter, prepared=prepared, store=again)
    assert torch.equal(found.inversions[1].reconstruction, both[0].inversions[1].reconstruction)
    assert torch.equal(found.inversions[4].reconstruction, both[0].inversions[4].reconstruction)


def test_a_module_run_from_records_has_one_lane(
    tmp_path: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are one, whoever runs it: two threads would mix them."""

    def never(works: object) -> None:
        raise AssertionError("side by side")

    monkeypatch.setattr(session, "side_by_side", never)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 3 * 64 * 64), torch.nn.Tanh(), torch.nn.Unflatten(1, (3, 64, 64))
    )
    generator = seeingkit.AutoStaged(network, stages={"mid": "0"}, latent=(4,))
    source = seeingkit.open_images("minichurches", n=2)
    inverter = seeingkit.load_inverter("z", perceptual="none", steps=2)
    found = invert_source(generator, source, inverter, store=InversionStore(tmp_path))
    assert len(found.inversions) == 2


def test_sources_together_give_what_each_gives_alone(tmp_path: Path, two_threads: None) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    scenes = seeingkit.open_images("minichurches", n=5)
    samples = SamplerSource(generator, 3, 7, preset=find_preset("paper", 64))
    inverter = seeingkit.load_inverter("layered+r", encoder="none", perceptual="none", steps=3)
    chosen = [Chosen(scenes, [4, 1, 2]), Chosen(samples), Chosen(scenes, [])]
    store = InversionStore(tmp_path / "together")
    together = invert_sources(generator, chosen, inverter, store=store)
    assert [found.ids for found in together] == [
        tuple(scenes.ids[k] for k in (4, 1, 2)),
        samples.ids,
        (),
    ]
    for each, found in zip(chosen[:2], together[:2], strict=True):
        alone = invert_source(
            generator, each.source, inverter, rows=each.rows, store=InversionStore(tmp_path / "one")
        )
        assert found.rows == alone.rows and torch.equal(found.images, alone.images)
        assert [path.name for path in found.files] == [path.name for path in alone.files]
        for a, b in zip(found.inversions, alone.inversions, strict=True):
            assert torch.equal(a.reconstruction, b.reconstruction) and torch.equal(a.loss, b.loss)


def test_sources_that_cannot_share_a_pass_are_refused(tmp_path: Path) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    scenes = seeingkit.open_images("minichurches", n=2)
    small = seeingkit.open_images("minichurches", n=2, preset="paper@32")
    inverter = seeingkit.load_inverter("z", perceptual="none", steps=1)
    store = InversionStore(tmp_path)
    with pytest.raises(seeingkit.errors.UsageError, match="64 x 64 and 32 x 32 pixels"):
        invert_sources(generator, [Chosen(scenes), Chosen(small)], inverter, store=store)
    both = [Chosen(scenes, labels=[0, 1]), Chosen(scenes)]
    with pytest.raises(seeingkit.errors.UsageError, match="have a class and others have none"):
        invert_sources(generator, both, inverter, store=store)
