"""Moments, directions and the least squares against closed forms and planted edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit import RewrittenGenerator, load_generator
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.bench import Bench
from seeingkit.analyses.rewriting.closed import Equations, basis, constrained, tapwise
from seeingkit.analyses.rewriting.directions import (
    context_keys,
    directions,
    mean_key,
    query_direction,
    strongest_units,
)
from seeingkit.analyses.rewriting.goals import Wanted, pasted
from seeingkit.analyses.rewriting.kept import KeptPlaces
from seeingkit.analyses.rewriting.moments import KeyMoments, key_moments, patch_of
from seeingkit.analyses.rewriting.plan import plan, protected, usual_moments
from seeingkit.analyses.rewriting.published import PublishedSettings, projected
from seeingkit.analyses.rewriting.regions import Region, Request
from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import UsageError
from tests.helpers.rewriting import box, request, small


@pytest.fixture(scope="module")
def bench() -> Bench:
    generator = small()
    return Bench(generator, generator.site("r8"))


@pytest.fixture(scope="module")
def moments(bench: Bench) -> KeyMoments:
    return key_moments(bench.generator, bench.site, Sample(range(30), 9), patch=True)


# -------------------------------------------------------------------------------------- moments


def test_moments_are_means_of_products(bench: Bench) -> None:
    keys = torch.cat([bench.keys(index) for index in range(4)])
    rows = keys.double().movedim(1, -1).flatten(0, 2)
    found = KeyMoments.of(keys[:1]) + KeyMoments.of(keys[1:])
    assert found.count == 4 * 64 and found.patch == 1
    assert torch.allclose(found.covariance, rows.T @ rows / len(rows), atol=1e-12)
    patches = KeyMoments.of(keys, (3, 3))
    assert patches.patch == 9
    middle = torch.arange(8) * 9 + 4  # the middle of each channel's patch
    assert torch.allclose(patches.covariance[middle][:, middle], found.covariance, atol=1e-12)


def test_effective_rank() -> None:
    assert KeyMoments(1, torch.eye(5).double(), 5).effective_rank == pytest.approx(5)
    one = torch.zeros(5, 5).double()
    one[2, 2] = 7
    assert KeyMoments(1, one, 5).effective_rank == pytest.approx(1)


def test_null_directions_are_dropped_not_amplified() -> None:
    moments = KeyMoments(1, torch.diag(torch.tensor([4.0, 1.0, 0.0])).double(), 3)
    assert moments.power(-1).diagonal().tolist() == [0.25, 1.0, 0.0]
    assert float(moments.power(-0.5, None).max()) > 1e15  # as the original has it
    key = torch.tensor([1.0, 0.0, 1.0]).double()
    assert query_direction(moments, key).tolist() == [1.0, 0.0, 0.0]


def test_parts_are_stored_met_again_and_made_again(tmp_path: Path, bench: Bench) -> None:
    given = bench.generator, bench.site, Sample(range(70), 4)
    plain = key_moments(*given)
    first = key_moments(*given, folder=tmp_path)
    files = sorted(tmp_path.glob("*/*.safetensors"))
    stamps = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2  # 64 images and 6
    again = key_moments(*given, folder=tmp_path)
    for found in (first, again):
        assert found.count == plain.count and torch.equal(found.second, plain.second)
    assert [file.stat().st_mtime_ns for file in files] == stamps
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"x")
    mended = key_moments(*given, folder=tmp_path)
    assert torch.equal(mended.second, plain.second)
    other = bench.generator.site("r8.up")
    key_moments(bench.generator, other, Sample(range(70), 4), folder=tmp_path)
    assert len(list(tmp_path.glob("??/*.safetensors"))) == 4


def test_too_few_images_are_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match="1 images have 64 keys at 'r8', fewer than a key has"):
        key_moments(bench.generator, bench.site, Sample(range(1)), patch=True)


# ------------------------------------------------------------------------------------ closed forms


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), pairs=st.integers(1, 3))
def test_the_constrained_change_meets_its_values_and_is_the_least(seed: int, pairs: int) -> None:
    source = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    root = normal(6, 9)
    covariance = root @ root.T / 9 + 0.01 * torch.eye(6).double()
    inverse = torch.linalg.inv(covariance)
    weight, keys, values = normal(4, 6), normal(6, pairs), normal(4, pairs)
    factors = constrained(weight, inverse, keys, values)
    change = factors @ (inverse @ keys).T
    assert torch.allclose((weight + change) @ keys, values, atol=1e-8)
    cost = torch.einsum("oi,ij,oj->", change, covariance, change)
    for _ in range(3):  # any other change that meets them costs more
        free = normal(4, 6)
        free = free - free @ keys @ torch.linalg.solve(keys.T @ keys, keys.T)
        other = change + 0.1 * free
        assert torch.allclose((weight + other) @ keys, values, atol=1e-8)
        assert float(torch.einsum("oi,ij,oj->", other, covariance, other) - cost) > -1e-9


def test_one_key_gives_the_direction_of_its_inverse(bench: Bench, moments: KeyMoments) -> None:
    single = key_moments(bench.generator, bench.site, Sample(range(30), 9))
    keys, weights = context_keys(bench, (Region(2, box(20, 20, 22, 22, 64)),))
    one, weight = keys[:1], weights[:1]
    found = directions(single, one, weight)
    expected = query_direction(single, mean_key(one, weight))
    assert float(found[0] @ expected) == pytest.approx(1, abs=1e-9)


def test_directions_are_orthonormal_and_ranks_are_checked(
    bench: Bench, moments: KeyMoments
) -> None:
    single = key_moments(bench.generator, bench.site, Sample(range(30), 9))
    keys, weights = context_keys(bench, request().contexts)
    found = directions(single, keys, weights, 5)
    assert torch.allclose(found @ found.T, torch.eye(5).double(), atol=1e-9)
    assert torch.allclose(projected(projected(bench.kernel, found.float()), found.float()),
                          projected(bench.kernel, found.float()), atol=1e-5)  # fmt: skip
    with pytest.raises(UsageError, match="rank 9: the context has .* of 8 numbers; take 1 to 8"):
        directions(single, keys, weights, 9)
    with pytest.raises(UsageError, match="take 1 to 1"):
        directions(single, keys, weights, 2, method="mean")


def test_the_penalty_is_the_mean_square_of_the_responses(bench: Bench) -> None:
    along = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    sample = torch.cat([bench.keys(index) for index in range(6)])
    own = KeyMoments.of(sample, patch_of(bench.site))
    kernels = basis(along, (3, 3))
    responses = F.conv2d(sample, kernels * bench.site.unit, padding=1)
    rows = responses.movedim(1, -1).flatten(0, 2).double()
    expected = rows.T @ rows / len(rows)
    assert torch.allclose(tapwise(own, along, bench.site), expected, atol=1e-4)
    measured = KeptPlaces(bench, Sample(range(6))).energy(kernels)
    assert torch.allclose(measured, expected, atol=1e-4)
    single = KeyMoments.of(sample)
    with pytest.raises(UsageError, match="directions of patches need the moments of patches"):
        tapwise(single, torch.ones(1, 8, 3, 3), bench.site)
    # of places: the taps by themselves, which bound the whole kernel
    bound = 9 * tapwise(single, along, bench.site) - measured
    assert float(torch.linalg.eigvalsh(bound).min()) > -1e-9


@pytest.mark.parametrize("name", ["r8.up", "r8"])
def test_kept_places_are_those_of_the_sample(name: str) -> None:
    generator = small()
    bench = Bench(generator, generator.site(name))
    kernels = torch.randn(4, *bench.site.shape[1:], generator=torch.Generator().manual_seed(2))
    kept = KeptPlaces(bench, Sample(range(20), 7))
    assert kept.indices == list(range(20))
    own = replace(bench, seed=7)
    everywhere = torch.ones(1, *bench.site.values, dtype=torch.bool)
    rows = torch.cat([own.responses(own.keys(k), kernels, everywhere) for k in range(20)])
    assert torch.allclose(kept.energy(kernels), rows.T @ rows / len(rows), rtol=1e-4, atol=1e-6)
    assert torch.equal(kept.energy(kernels), kept.energy(kernels))
    edited = bench.kernel + kernels.sum(0)  # the same change of every channel
    moved = torch.cat(
        [bench.linear(own.keys(k), edited) - bench.linear(own.keys(k)) for k in range(20)]
    )
    mean = float(kept.energy(kernels).sum())
    assert float(moved[:, 0].square().mean()) == pytest.approx(mean, rel=1e-3)


def test_places_of_large_maps_are_of_all_phases() -> None:
    generator = cast("RewritableGenerator", load_generator("progan:minichurches"))
    kept = KeptPlaces(Bench(generator, generator.site("r64.conv1")), Sample(range(400)))
    assert len(kept.indices) == 64 and len(set(kept.indices)) == 64
    rows, columns = kept._marked()[0].nonzero().T
    assert 800 < len(rows) <= 1024
    for part in (rows, columns):
        assert 0.4 < float((part % 2).float().mean()) < 0.6


# --------------------------------------------------------------------------------- least squares


def planted(bench: Bench, along: Tensor) -> tuple[Wanted, Tensor]:
    """Values that a known edit of these directions gives at all places of two images."""
    kernels = basis(along, (bench.site.shape[2], bench.site.shape[3])).float()
    source = torch.Generator().manual_seed(1)
    factors = torch.randn(bench.site.shape[0], len(kernels), generator=source)
    wanted = pasted(bench, request().copy, request().contexts)
    edited = bench.kernel + torch.einsum("oj,jiyx->oiyx", factors, kernels)
    change = bench.linear(wanted.keys, edited) - bench.linear(wanted.keys)
    everywhere = torch.ones_like(wanted.share)
    return wanted._replace(change=change, share=everywhere), factors


@pytest.mark.parametrize("name", ["r8.up", "r8"])
def test_a_planted_edit_is_found(name: str) -> None:
    generator = small()
    bench = Bench(generator, generator.site(name))
    own = key_moments(generator, bench.site, Sample(range(30), 9))
    along = directions(own, *context_keys(bench, request().contexts), 2)
    wanted, factors = planted(bench, along)
    equations = Equations.of(bench, wanted, along, tapwise(own, along, bench.site))
    found = equations.solution(1e-9)
    assert torch.allclose(found.float(), factors, atol=2e-2 * float(factors.abs().max()))
    assert float(equations.solution(1e9).abs().max()) < 1e-4
    first = Equations.of(bench, wanted, along[:1], tapwise(own, along[:1], bench.site))
    assert torch.allclose(equations.solution(2.0, rank=1), first.solution(2.0), atol=1e-9)
    with pytest.raises(UsageError, match="keep = -1"):
        equations.solution(-1)


@pytest.mark.parametrize("name", ["progan:minichurches", "stylegan2:minichurches", "small"])
def test_an_object_pasted_onto_itself_changes_nothing(name: str) -> None:
    loaded = small() if name == "small" else load_generator(name)
    generator = cast("RewritableGenerator", loaded)
    site = "r8" if name == "small" else "r16.conv1"
    region = Region(1, box(20, 20, 41, 36))
    itself = Request(region, region, (region,))
    bench = Bench(generator, generator.site(site))
    own = KeyMoments.of(torch.cat([bench.keys(index) for index in range(6)]))
    for polish in (None, 3):
        edit = plan(generator, itself, site, rank=1, moments=own, polish=polish)
        assert not bool(edit.change().any())


def test_a_plan_is_repeatable_reaches_its_contexts_and_keeps_the_rest() -> None:
    generator = small()
    moments = usual_moments(generator, generator.site("r8"), images=40)
    tensors = {name: value.clone() for name, value in generator.module.state_dict().items()}
    plans = [plan(generator, request(), "r8", rank=2, keep=0.1, moments=moments) for _ in range(2)]
    assert plans[0].digest() == plans[1].digest()
    for name, value in generator.module.state_dict().items():
        assert torch.equal(value, tensors[name])
    bench = Bench(generator, generator.site("r8"))
    wanted = pasted(bench, request().copy, request().contexts)
    change = bench.linear(wanted.keys, bench.kernel + plans[0].change()) - bench.linear(wanted.keys)
    weight = wanted.share * wanted.slope.square()

    def missed(found: Tensor | float) -> float:
        return float((weight * (wanted.change - found).square()).sum())

    assert missed(change) < 0.8 * missed(0.0)
    published = plan(generator, request(), "r8", solver="published", moments=moments)
    assert published.about["steps"] == 2001 and published.rank == 1
    assert plan(generator, request(), "r8", moments=moments).rank == 6


def test_patch_directions_give_an_edit_of_whole_kernels() -> None:
    generator = small()
    moments = usual_moments(generator, generator.site("r8"), images=40, patch=True)
    edit = plan(generator, request(), "r8", rank=3, moments=moments)
    assert edit.directions.shape == (3, 8, 3, 3) and edit.factors.shape == (6, 3)
    with pytest.raises(UsageError, match="takes moments of places"):
        plan(generator, request(), "r8", solver="published", moments=moments)


WRONG: list[tuple[dict[str, object], str]] = [
    ({"solver": "paper"}, "no solver named 'paper'; there are: closed, published"),
    ({"rank": 9}, "rank 9: keys of 'r8' have 8 numbers"),
    ({"rank": 0}, "rank 0: keys"),
    ({"solver": "published", "erase": 9}, "erase 9: keys of 'r8' have 8 units"),
    ({"solver": "published", "erase": -1}, "erase -1"),
    ({"erase": 1}, "take solver published"),
    ({"solver": "published", "keep": 1.0}, "keep 1.0: the published solver has none"),
    ({"keep": float("nan")}, "keep nan: at least 0 is needed"),
    ({"solver": "published", "published": PublishedSettings(steps=0)}, "0 steps"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_plans_that_cannot_be_right_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(small(), request(), "r8", **options)


def test_moments_of_other_keys_are_refused() -> None:
    generator = small()
    moments = usual_moments(generator, generator.site("r8"), images=40)
    edit = plan(generator, request(), "r8", rank=1, moments=moments)
    for other, site in ((generator, "r8.up"), (RewrittenGenerator(generator, [edit]), "r8")):
        with pytest.raises(UsageError, match="moments of other keys"):
            plan(other, request(), site, rank=1, moments=moments)


def test_protected_contexts_move_less() -> None:
    generator = small()
    bench = Bench(generator, generator.site("r8"))
    moments = usual_moments(generator, bench.site, images=40)
    earlier = Request(request().copy, Region(9, box(0, 0, 30, 30)))
    keys = bench.keys(9)[:, :, :3, :3]
    moved = {}
    for name, protect in (("free", ()), ("kept", (earlier,))):
        edit = plan(generator, request(), "r8", rank=2, moments=moments, protect=protect)
        response = bench.linear(keys, bench.kernel + edit.change()) - bench.linear(keys)
        moved[name] = float(response.square().mean())
    assert moved["kept"] < 0.7 * moved["free"]
    assert protected(moments, bench, ()).count == moments.count


def test_units_are_erased_by_the_published_solver() -> None:
    generator = small()
    moments = usual_moments(generator, generator.site("r8"), images=40)
    settings = PublishedSettings(steps=60, tight=False)
    given = {"moments": moments, "rank": 2, "erase": 3, "published": settings}
    edit = plan(generator, request(), "r8", solver="published", **given)
    assert edit.about["erased"] == 3 and bool(edit.change().any())
    bench = Bench(generator, generator.site("r8"))
    keys = bench.keys(2)
    without = keys.clone()
    context = context_keys(bench, request().contexts)
    without[:, strongest_units(moments, *context, 3)] = 0
    goal = bench.linear(without)
    before = float((bench.linear(keys) - goal).abs().mean())
    after = float((bench.linear(keys, bench.kernel + edit.change()) - goal).abs().mean())
    assert after < 0.9 * before
    dead = KeyMoments(1, torch.diag(torch.tensor([1.0, 0.0])).double(), 2)
    assert (
        strongest_units(dead, torch.tensor([[1.0, 0.0]]).double(), torch.ones(1).double(), 2)[0]
        == 0
    )


def test_a_conditional_generator_has_its_classes_in_turn(shared: Path) -> None:
    file = shared / "golden/biggan_ajbrock/hier-shared-r64/G_ema.pth"
    biggan = cast("RewritableGenerator", load_generator("biggan", weights=file))
    site, classes = biggan.site("r16.b0.conv2"), len(biggan.info.class_names)
    own = Bench(biggan, site, labels=(2,)).keys(1)
    assert torch.equal(Bench(biggan, site).keys(1), Bench(biggan, site, labels=(0, 1)).keys(1))
    assert not torch.allclose(Bench(biggan, site).keys(1), own) and classes > 2
    wanted = replace(request(), labels=(2,))
    edit = plan(biggan, wanted, site.name, rank=1)
    assert bool(edit.change().any()) and edit.about["keys"] == 400 * 16 * 16
    assert edit.request is not None and edit.request["labels"] == [2]
