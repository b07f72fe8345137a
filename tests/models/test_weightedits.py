"""Edits of weights as files, and edited generators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from seeingkit import RewrittenGenerator, WeightEdit, load_generator
from seeingkit.analyses.rewriting.assess import targets_of
from seeingkit.analyses.rewriting.effects import edit_effect
from seeingkit.analyses.rewriting.plan import request_record
from seeingkit.analyses.rewriting.regions import PhotoRegion, Request
from seeingkit.contracts import RewritableGenerator, Segmenter
from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.conversion import convert_file
from seeingkit.models.weightedits import edit_of, other_options, rewritable
from seeingkit.report.words.assumptions import assumed
from seeingkit.report.words.rewriting import edit_sentence
from seeingkit.specs import PRESETS
from seeingkit.tallies.record import model_record
from seeingkit.testing import check_generator, check_sites
from tests.helpers.rewriting import request, small
from tests.helpers.toys import FlatSampler, LevelSegmenter

NATIVE = PRESETS["native"]
WEIGHTS = Path("plugins/minichurches/weights/progan-minichurches-64.safetensors")


@pytest.fixture(scope="module")
def progan() -> RewritableGenerator:
    return cast("RewritableGenerator", load_generator("progan:minichurches"))


def edit(
    generator: RewritableGenerator, name: str = "r16.conv1", seed: int = 0, size: float = 0.1
) -> WeightEdit:
    """An edit of two directions, drawn at random."""
    site, source = generator.site(name), torch.Generator().manual_seed(seed)
    outputs, inputs, height, width = site.shape
    factors = size * torch.randn(outputs, 2 * height * width, generator=source)
    return edit_of(generator, site, factors, torch.randn(2, inputs, generator=source))


@pytest.mark.slow
def test_an_edited_generator_is_a_generator(progan: RewritableGenerator) -> None:
    edited = RewrittenGenerator(progan, [edit(progan)])
    check_generator(edited)
    check_sites(edited)
    third = small()
    own = RewrittenGenerator(third, [edit(third, "r8"), edit(third, "r8.up", 1)])
    check_generator(own)
    check_sites(own)
    latent = third.latents([0, 1])
    assert not torch.allclose(own(latent), third(latent), atol=1e-3)


def test_edits_are_in_the_identity_so_no_tally_is_shared(progan: RewritableGenerator) -> None:
    one = edit(progan)
    generators = [
        progan,
        RewrittenGenerator(progan, [one]),
        RewrittenGenerator(progan, [one.at(0.5)]),
        RewrittenGenerator(progan, [one, edit(progan, seed=1)]),
        RewrittenGenerator(progan, [edit(progan, seed=1), one]),
    ]
    fingerprints = [SamplerSource(each, 10).fingerprint for each in generators]
    assert len(set(fingerprints)) == len(generators)
    assert SamplerSource(RewrittenGenerator(progan, []), 10).fingerprint == fingerprints[0]


def test_undo_is_equal_to_the_bit_and_the_network_is_never_touched(
    progan: RewritableGenerator,
) -> None:
    latent = progan.latents([3, 4])
    before, one = progan(latent), edit(progan)
    edited = RewrittenGenerator(progan, [one])
    assert not torch.equal(edited(latent), before)
    assert torch.equal(progan(latent), before)
    assert torch.equal(RewrittenGenerator(progan, [one.at(0)])(latent), before)
    assert torch.equal(RewrittenGenerator(progan, [one, edit(progan, seed=1)]).base(latent), before)


def test_edits_of_one_site_add_up(progan: RewritableGenerator) -> None:
    one, two = edit(progan), edit(progan, seed=1)
    site = progan.site("r16.conv1")
    both = RewrittenGenerator(progan, [one, two]).weight(site)
    assert torch.allclose(both, progan.weight(site) + one.change() + two.change(), atol=1e-6)
    half = RewrittenGenerator(progan, [one.at(0.5)]).weight(site)
    assert torch.allclose(half, progan.weight(site) + one.change() / 2, atol=1e-6)
    later = edit_of(RewrittenGenerator(progan, [one]), site, two.factors, two.directions)
    assert later.about["after"] == [one.digest()]
    RewrittenGenerator(progan, [one, later])
    for wrong in ([later], [two, later], [one, two, later]):
        with pytest.raises(UsageError, match="was planned after 1 others, which are not given"):
            RewrittenGenerator(progan, wrong)


def test_files_keep_everything(tmp_path: Path, progan: RewritableGenerator) -> None:
    one = replace(edit(progan), request={"seed": 1}, about={"solver": "closed"}).at(0.75)
    found = WeightEdit.load(one.save(tmp_path / "edit.safetensors"))
    assert found.digest() == one.digest()
    assert (found.strength, found.request, found.about) == (0.75, {"seed": 1}, one.about)
    assert (
        one.save(tmp_path / "again.safetensors").read_bytes()
        == (tmp_path / "edit.safetensors").read_bytes()
    )
    loaded = load_generator("progan:minichurches", edits=tmp_path / "edit.safetensors")
    latent = progan.latents([0])
    assert torch.equal(loaded(latent), RewrittenGenerator(progan, [one])(latent))
    assert loaded.info.options["edits"] == [one.digest()]


def test_damaged_and_foreign_files_are_refused(tmp_path: Path, progan: RewritableGenerator) -> None:
    path = edit(progan).save(tmp_path / "edit.safetensors")
    for name, data in (
        ("cut", path.read_bytes()[:-5]),
        ("flipped", path.read_bytes()[:-5] + b"\0\1\2\3\4"),
        ("text", b"no edit"),
        ("weights", (Path(__file__).parents[2] / WEIGHTS).read_bytes()),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(RunError, match=f"{name}: no edit of a weight") as caught:
            WeightEdit.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="there is no such file; check --edit"):
        WeightEdit.load(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no such file of an edit; check --edit"):
        load_generator("progan:minichurches", edits=[str(tmp_path / "nothing")])
    with pytest.raises(UsageError, match="an edit of progan, weights c04e.*; this is stylegan2"):
        load_generator("stylegan2:minichurches", edits=path)


def test_edits_that_do_not_fit_are_refused(progan: RewritableGenerator) -> None:
    one = edit(progan)
    with pytest.raises(UnknownNameError, match="no site named 'r9'"):
        RewrittenGenerator(progan, [replace(one, site="r9")])
    with pytest.raises(UsageError, match=r"is of a kernel \(96, 96, 3, 3\); this one is \(48"):
        RewrittenGenerator(progan, [replace(one, site="r32.conv1")])
    with pytest.raises(UsageError, match="do not fit a kernel"):
        replace(one, factors=one.factors[:, :-1])
    with pytest.raises(UsageError, match="holds NaN or Inf"):
        replace(one, factors=one.factors * float("nan"))
    with pytest.raises(UsageError, match="has no sites"):
        rewritable(FlatSampler())
    first, second = small(), small()
    with torch.no_grad():
        next(second.module.parameters()).mul_(2)
    changed = type(second)(second.module, {"r8": "5"}, latent=(12, 1, 1))
    with pytest.raises(UsageError, match="an edit fits the weights it was planned for"):
        RewrittenGenerator(changed, [edit(first, "r8")])


def test_an_edit_is_baked_in(tmp_path: Path, progan: RewritableGenerator) -> None:
    path = edit(progan).save(tmp_path / "edit.safetensors")
    source = Path(__file__).parents[2] / WEIGHTS
    convert_file(source, tmp_path / "baked.safetensors", options={"edits": [str(path)]})
    baked = load_generator(weights=tmp_path / "baked.safetensors")
    edited = load_generator("progan:minichurches", edits=path)
    latent = progan.latents([0, 9])
    assert torch.equal(baked(latent), edited(latent))
    assert "edits" not in baked.info.options
    third = small()
    changed = RewrittenGenerator(third, [edit(third, "r8")])
    with pytest.raises(UsageError, match="cannot be written as safetensors"):
        changed.export()


def test_layers_between_the_same_boundaries_see_each_others_edits(shared: Path) -> None:
    file = shared / "golden/biggan_ajbrock/hier-shared-r64/G_ema.pth"
    biggan = cast("RewritableGenerator", load_generator("biggan", weights=file))
    for name in ("r8.b0.conv1", "r8.b0.conv2"):
        edited = RewrittenGenerator(biggan, [edit(biggan, name, size=0.5)])
        check_sites(edited)
        state = edited.advance(edited.begin(edited.latents([0, 1], labels=[0, 1])), "r4.linear")
        whole = edited.advance(state, "r8.b0").x
        for other in ("r8.b0.conv1", "r8.b0.conv2"):
            site = edited.site(other)
            linear = edited.linear(edited.keys(state, site), site, edited.weight(site))
            assert torch.allclose(edited.finish(state, site, linear).x, whole, atol=1e-4)


@pytest.mark.slow
def test_edits_of_demodulated_layers_and_of_edited_generators() -> None:
    stylegan2 = cast("RewritableGenerator", load_generator("stylegan2:minichurches"))
    one, two = edit(stylegan2), edit(stylegan2, seed=1)
    check_sites(RewrittenGenerator(stylegan2, [one]))
    flat = RewrittenGenerator(stylegan2, [one, two])
    nested = RewrittenGenerator(RewrittenGenerator(stylegan2, [one]), [two])
    latent = stylegan2.latents([0])
    assert torch.equal(flat(latent), nested(latent)) and flat.info == nested.info
    assert nested.base is stylegan2 and len(nested.edits) == 2


def test_strength_0_is_nothing_whatever_the_unit(shared: Path) -> None:
    file = shared / "golden/dcgan/examples-r64/netG.pth"
    dcgan = cast("RewritableGenerator", load_generator("dcgan", weights=file))
    latent = dcgan.latents([0, 1])
    for site in dcgan.sites():
        none = edit(dcgan, site.name).at(0)
        same = RewrittenGenerator(dcgan, [none])(latent)
        assert site.unit != 1 and torch.equal(same, dcgan(latent))


# ------------------------------------------------------------------------------- what an edit does


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    from seeingkit import load_segmenter

    return load_segmenter("upernet:minichurches")


def test_nothing_is_claimed_of_an_edit_that_does_nothing(
    progan: RewritableGenerator, segmenter: Segmenter
) -> None:
    found = edit_effect(progan, [edit(progan).at(0)], segmenter, n=8)
    assert found.moved == 0 and not found.changes
    assert all(one.area_claim == "no evidence" and one.p_area == 1 for one in found.classes)
    assert edit_sentence(found).endswith("and no class surely gains or loses.")


def test_an_edit_that_leaves_only_grey_is_told() -> None:
    third = small()
    site = third.site("image")
    kernel = site.kernel(third.weight(site)) / site.unit
    outputs, inputs, *_ = site.shape
    nothing = edit_of(third, site, -kernel.flatten(1), torch.eye(inputs))
    latent = third.latents([0, 1])
    grey = RewrittenGenerator(third, [nothing])(latent)
    assert float((grey - grey[:1, :, :1, :1]).abs().max()) < 1e-5 and outputs == 3
    found = edit_effect(third, [nothing], LevelSegmenter("thirds"), n=20)
    claims = {one.label: one.area_claim for one in found.classes}
    assert "no evidence" not in claims.values() and "more area" in claims.values()
    assert "Classes that surely change: " in edit_sentence(found)


def test_effects_are_those_of_the_edited_generator(
    tmp_path: Path, progan: RewritableGenerator, segmenter: Segmenter
) -> None:
    from seeingkit.contracts.latents import Series, further_seed
    from seeingkit.tallies.counting import tally

    strong, other = edit(progan, size=3.0), edit(progan, "r8.conv1", 1, 0.5)
    found = edit_effect(progan, [strong], segmenter, n=12, store=tmp_path)
    again = edit_effect(progan, [strong], segmenter, n=12, store=tmp_path)
    assert found == again and list(tmp_path.glob("??/*.safetensors"))
    seed = further_seed(0, Series.REWRITTEN)
    for edits, name in (([], "before"), ([strong], "after")):
        source = SamplerSource(RewrittenGenerator(progan, edits), 12, seed, preset=NATIVE)
        counts = tally(source, segmenter)
        areas = 100 * counts.fractions().mean(0)
        for one in found.classes:
            assert getattr(one, name) == pytest.approx(float(areas[one.index]), abs=1e-4)
    further = edit_effect(RewrittenGenerator(progan, [other]), [strong], segmenter, n=4)
    assert further.n == 4
    with pytest.raises(UsageError, match="no edit to measure"):
        edit_effect(progan, [], segmenter)


def test_other_options_than_those_of_the_plan_are_said_everywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    style = cast("RewritableGenerator", load_generator("stylegan2:minichurches"))
    path = edit(style).save(tmp_path / "edit.safetensors")
    same = load_generator("stylegan2:minichurches", edits=[path])
    assert same.info.assumptions == style.info.assumptions and not caplog.records
    words = (
        "an edit of r16.conv1 that was planned with truncation=1.0 serves truncation=0.5 as well"
    )
    other = load_generator("stylegan2:minichurches", edits=[path], truncation=0.5)
    assert other.info.assumptions == (*style.info.assumptions, words)
    assert [record.getMessage() for record in caplog.records] == [f"it is assumed that {words}"]
    assert assumed([model_record(other.info)])[0].endswith(f"it is assumed: {words}.")
    assert other.info.identity()["options"]["truncation"] == 0.5
    found = WeightEdit.load(path)
    about = {name: value for name, value in found.about.items() if name != "options"}
    bare = cast("RewritableGenerator", load_generator("stylegan2:minichurches", truncation=0.5))
    assert "planned with other options serves these" in other_options(
        replace(found, about=about), bare
    )
    newer = {**found.about["options"], "later": True}
    assert other_options(replace(found, about={"options": newer}), style) == ""


def test_an_assessment_refuses_other_options_where_images_are_numbered() -> None:
    style = cast("RewritableGenerator", load_generator("stylegan2:minichurches"))
    bare = cast("RewritableGenerator", load_generator("stylegan2:minichurches", truncation=0.5))
    found = replace(edit(style), request=request_record(request()))
    assert targets_of(RewrittenGenerator(style, [found]), ["edit"])[0].request is not None
    with pytest.raises(UsageError, match="its request numbers are others then"):
        targets_of(RewrittenGenerator(bare, [found]), ["edit"])
    mask = request().copy.mask
    photo = PhotoRegion(0, mask, "photo.png")
    photos = replace(found, request=request_record(Request(photo, photo, (photo,))))
    assert targets_of(RewrittenGenerator(bare, [photos]), ["edit"])[0].request is not None
