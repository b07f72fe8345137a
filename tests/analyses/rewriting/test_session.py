"""A session of edits by hand: regions, edits on top of each other, undo, redo, strength."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit import AutoStaged, UnitEdit, load_generator
from seeingkit.analyses.rewriting.draft import Draft
from seeingkit.analyses.rewriting.plan import plan, request_record, usual_moments
from seeingkit.analyses.rewriting.regions import Region
from seeingkit.analyses.rewriting.requestfiles import read_request
from seeingkit.analyses.rewriting.session import Session
from seeingkit.errors import RunError, SeeingkitError, UsageError
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit, edit_of
from tests.helpers.rewriting import box, request, small
from tests.models.test_autostaged import Style

SITE = "r8"


def session(**given: Any) -> Session:
    made = Session(small(), key_images=8, **given)
    made.copy(Region(1, box(20, 20, 40, 36)))
    made.paste(Region(2, box(8, 24, 24, 40)))
    made.context(Region(3, box(32, 16, 48, 32)))
    return made


def images(one: Session) -> list[torch.Tensor]:
    return [one.image(index) for index in (0, 2, 3)]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_an_edit_is_that_of_the_plan() -> None:
    one = session()
    edit = one.execute(SITE, 2)
    generator = small()
    moments = usual_moments(generator, generator.site(SITE), 0, images=8)
    wanted = plan(generator, request(), SITE, rank=2, moments=moments)
    assert edit.digest() == wanted.digest()
    assert same(images(one), [RewrittenGenerator(generator, [wanted])(generator.latents([k]))
                              for k in (0, 2, 3)])  # fmt: skip


def test_undo_redo_and_strength_are_exact() -> None:
    one = session()
    before = images(one)
    one.execute(SITE, 2)
    edited = images(one)
    assert not same(before, edited)
    one.strength(0)
    assert same(images(one), before)
    one.strength(0.5)
    assert not same(images(one), before) and not same(images(one), edited)
    one.strength(1)
    assert same(images(one), edited)
    one.undo()
    assert same(images(one), before) and one.generator is one.base
    one.redo()
    assert same(images(one), edited) and not one.undone
    assert same([one.image(2, edited=False)], before[1:2])


def test_edits_stand_on_each_other() -> None:
    one = session()
    one.execute(SITE, 2)
    first = images(one)
    one.copy(Region(4, box(10, 10, 30, 30)))
    one.execute("r8.up", 1)
    assert one.edits[1].about["after"] == [one.edits[0].digest()]
    one.undo()
    assert same(images(one), first)
    one.undo()
    assert len(one.undone) == 2 and not one.edits
    one.redo()
    one.execute(SITE, 1)  # a new edit ends what could be done again
    assert not one.undone and len(one.edits) == 2
    plain, protected = one.edits[1], one
    protected.undo()
    other = protected.execute(SITE, 1, protect=False)
    assert other.digest() != plain.digest()


STEPS = st.sampled_from(["undo", "redo", 0.0, 0.5, 1.0])


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(STEPS, max_size=8))
def test_any_steps_give_the_images_of_their_edits(steps: list[str | float]) -> None:
    generator = small()
    place = generator.site(SITE)
    torch.manual_seed(0)
    planned = [edit_of(generator, place, torch.randn(6, 9), torch.randn(1, 8)) for _ in range(2)]
    one, done, undone = Session(RewrittenGenerator(generator, planned)), planned[:], []
    for step in steps:
        source, target = (undone, done) if step == "redo" else (done, undone)
        if not source:
            with pytest.raises(UsageError):
                one.strength(step) if isinstance(step, float) else getattr(one, step)()
        elif isinstance(step, float):
            one.strength(step)
            done[-1] = done[-1].at(step)
        else:
            getattr(one, step)()
            target.append(source.pop())
    wanted = RewrittenGenerator(generator, done) if done else generator
    assert torch.equal(one.image(1), wanted(generator.latents([1])))
    assert [edit.digest() for edit in one.edits] == [edit.digest() for edit in done]
    assert len(one.undone) == len(undone)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((SITE, 9), "rank 9"),
        ((SITE, 0), "rank 0"),
        ((SITE, 2, -1.0), "keep -1"),
        (("nowhere",), "nowhere"),
    ],
)
def test_a_failing_edit_changes_nothing(asked: tuple[Any, ...], words: str) -> None:
    one = session()
    one.execute(SITE, 2)
    one.undo()
    before, undone, regions = images(one), one.undone, request_record(one.request)
    with pytest.raises(SeeingkitError, match=words):
        one.execute(*asked)
    assert one.undone == undone and one.edits == () and same(images(one), before)
    assert request_record(one.request) == regions


def test_steps_out_of_order_are_refused() -> None:
    one = Session(small(), key_images=8)
    for step, words in (
        (one.undo, "no edit to undo"),
        (one.redo, "no edit was undone"),
        (lambda: one.strength(0.5), "no edit whose strength"),
        (lambda: one.save("x.safetensors"), "no edit to save"),
        (lambda: one.execute(SITE), "nothing is copied yet"),
        (lambda: one.matches(SITE), "nothing to match yet"),
        (lambda: one.remove("context"), "no context 0"),
        (lambda: one.context(Region(1, box(0, 0, 9, 9)), 2), "no context 2"),
        (lambda: one.copy(Region(2**31, box(0, 0, 9, 9))), "numbers of images end"),
    ):
        with pytest.raises(UsageError, match=words):
            step()
    one.copy(Region(1, box(0, 0, 32, 32)))
    with pytest.raises(UsageError, match="no place to change yet"):
        one.execute(SITE)
    one.paste(Region(1, box(0, 0, 32, 32)))
    one.execute(SITE, 1)
    for wrong in (11.0, float("nan")):
        with pytest.raises(UsageError, match="from -10 to 10"):
            one.strength(wrong)


def test_files_of_edits_are_read_again(tmp_path: Path) -> None:
    one = session()
    one.execute(SITE, 2)
    one.strength(0.5)
    one.execute("r8.up", 1)
    paths = one.save(tmp_path / "tree.safetensors")
    assert [path.name for path in paths] == ["tree-1.safetensors", "tree-2.safetensors"]
    other = Session(small())
    other.load(*paths)
    assert same(images(one), images(other))
    begun = Session(RewrittenGenerator(small(), [WeightEdit.load(path) for path in paths]))
    assert same(images(begun), images(one)) and len(begun.edits) == 2
    begun.undo()
    assert len(begun.edits) == 1
    alone = Session(small())
    with pytest.raises(UsageError, match="planned after 1 others"):
        alone.load(paths[1])
    assert alone.edits == ()


def test_a_request_is_read_again(tmp_path: Path) -> None:
    one = session(seed=5)
    path = one.save_request(tmp_path / "request.json")
    assert [region.index for region in read_request(path).contexts] == [2, 3]
    other = Session(small())
    other.load_request(path.read_text())
    assert request_record(other.request) == request_record(one.request)
    assert other.seed == 5 and len(other.contexts) == 1
    with pytest.raises(RunError, match="no edit as the rewriting notebook"):
        other.load_request("[" * 100_000)
    with pytest.raises(UsageError, match="classes"):
        other.load_request(json.dumps({**request_record(one.request), "labels": [3]}))
    assert request_record(other.request) == request_record(one.request)


def test_a_request_whose_paste_is_no_example_stays_as_it_is() -> None:
    record = request_record(request())
    record["key"] = record["key"][1:]
    draft = Draft()
    draft.load_request(json.dumps(record))
    assert request_record(draft.request) == record
    draft.paste(Region(2, box(0, 0, 9, 9)))  # painted by hand, it is one
    assert [region.index for region in draft.examples] == [2, 3]


def test_moments_of_edited_generators_are_not_stored(tmp_path: Path) -> None:
    one = session(folder=tmp_path)
    one.execute(SITE, 2)
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 1
    found = one.moments(one.generator.site(SITE))
    assert one.moments(one.generator.site(SITE)) is found
    assert sorted(tmp_path.rglob("*.safetensors")) == files
    one.undo()
    assert one.moments(one.generator.site(SITE)).made_of != found.made_of
    for _ in range(9):
        one.execute("r8.up", 1)
    assert len(one._moments) == 8


def test_matches_find_the_region_itself() -> None:
    one = Session(small(), key_images=8)
    one.copy(Region(4, box(24, 24, 36, 36)))
    found = one.matches(SITE, 3, images=12, kind="copy")
    assert [len(found), found[0].cells.shape] == [3, (8, 8)]
    assert found[0].match.score >= found[1].match.score >= found[2].match.score
    assert found[0].cells[found[0].match.place]
    everywhere = one.matches(SITE, 12, images=12, kind="copy")
    assert 0 < sum(int(each.cells.sum()) for each in everywhere) <= 0.011 * 12 * 64


def test_units_are_changed_beside_the_edits() -> None:
    one = session()
    one.execute(SITE, 2)
    edited = one.image(2)
    change = UnitEdit(SITE, (1, 3), value=2.0, mask=torch.ones(8, 8))
    assert not torch.equal(one.image(2, change=change), edited)
    assert torch.equal(one.image(2, change=UnitEdit(SITE, (1,), alpha=0.0)), edited)
    assert one.copied is not None
    x = one.base.advance(one.base.begin(one.base.latents([1])), SITE).x[0]
    whole = Region(1, np.full((64, 64), 255, np.uint8))
    assert one.unit_means(SITE, [1, 3], whole) == pytest.approx(x[[1, 3]].mean((1, 2)).tolist())
    for units, layer, words in (([6], SITE, "0 to 5"), ([0], "input", "no map|0 to")):
        with pytest.raises(UsageError, match=words):
            one.unit_means(layer, units, one.copied)


def test_images_of_a_conditional_generator_take_their_classes_in_turn() -> None:
    torch.manual_seed(3)
    layers = {"r4": "b4.conv", "r8": "b8.conv"}
    network = AutoStaged(Style(3), layers, latent=5, class_names=("a", "b", "c"))
    one = Session(network, key_images=4, labels=(2, 1))
    latent = network.latents([3], labels=[1])
    assert torch.equal(one.image(3), network(latent))
    size = network.info.resolution
    one.copy(Region(0, box(0, 0, size // 2, size // 2, size)))
    one.context(Region(3, box(0, 0, size // 2, size, size)))
    edit = one.execute("r8", 1)
    assert edit.request is not None and edit.request["labels"] == [2, 1]
    assert torch.equal(one.image(3), one.generator(latent))
    assert [one.generator.info.class_names, one.request.paste.index] == [("a", "b", "c"), 3]
    with pytest.raises(UsageError, match="classes"):
        Session(network, labels=(3,))


@pytest.mark.slow
def test_the_command_line_gives_the_same_edit(tmp_path: Path) -> None:
    import seeingkit

    one = Session(load_generator("progan:minichurches"), seed=10_000_000, key_seed=0)
    one.copy(Region(3, box(20, 20, 40, 40)))
    one.paste(Region(5, box(20, 20, 40, 40)))
    edit = one.execute("r16.conv1", 3)
    path = one.save_request(tmp_path / "request.json")
    done = seeingkit.rewrite(
        "progan:minichurches", path, "r16.conv1", out=tmp_path / "e.safetensors", rank=3, n=0
    )
    assert done.edit.digest() == edit.digest()
