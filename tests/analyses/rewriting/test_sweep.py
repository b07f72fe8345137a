"""Sweeps: a generator where one layer is right, and requests that none can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.bench import Bench
from seeingkit.analyses.rewriting.candidates import fitting_sites
from seeingkit.analyses.rewriting.contexts import separation, split
from seeingkit.analyses.rewriting.controls import beyond, controls, shuffled, size
from seeingkit.analyses.rewriting.kept import KeptPlaces
from seeingkit.analyses.rewriting.outcome_parts import OutcomeRows
from seeingkit.analyses.rewriting.outcomes import Outcome
from seeingkit.analyses.rewriting.plan import plan, usual_moments
from seeingkit.analyses.rewriting.sweep import Sweep, sweep
from seeingkit.analyses.rewriting.sweep_settings import SweepSettings
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.report.words.sweeps import HEADER, compared_sentence, sweep_rows, sweep_sentence
from tests.helpers.rewriting import blocks, blocks_request, request, small
from tests.helpers.toys import LevelSegmenter

SETTINGS = SweepSettings(
    sites=("signs", "mark", "image"), ranks=(1, 2), keeps=(5.0, 0.1), images=40, fresh=60,
    key_images=60, budget=1.0,
)  # fmt: skip


def swept(seed: int = 0, *, dark: bool = False, **more: object) -> Sweep:
    given = replace(SETTINGS, **more)  # type: ignore[arg-type]
    wanted = blocks_request(seed, dark=dark)
    return sweep(blocks(), wanted, LevelSegmenter("thirds"), given, wanted=["bright"], seed=seed)


@pytest.fixture(scope="module")
def found() -> Sweep:
    return swept()


def test_the_one_right_layer_is_found(found: Sweep) -> None:
    assert found.edit is not None and found.results.found
    assert found.edit.site == "mark"
    told = found.results.matching
    assert max(told, key=lambda name: told[name]) == "mark" and told["mark"] > 0.9
    chosen = found.results.chosen
    assert chosen is not None and chosen.beyond.low is not None
    assert chosen.success.value is not None and chosen.success.value > 0.5
    assert chosen.beyond.low > 0.3
    rows = found.results.edits
    assert len(rows) == 12 and sum(row.chosen for row in rows) == 1
    assert (found.results.contexts, found.results.held_out) == (6, 2)
    (best,) = (row for row in rows if row.chosen)
    assert best.unbeaten and best.held_out is not None and best.held_out > 0.5


def test_a_sweep_is_repeatable_and_resumes(tmp_path: Path, found: Sweep) -> None:
    assert found.edit is not None
    files: list[dict[Path, int]] = []
    for _ in range(2):
        again = sweep(
            blocks(), blocks_request(), LevelSegmenter("thirds"), SETTINGS, wanted=["bright"],
            folder=tmp_path,
        )  # fmt: skip
        assert again.results == found.results and again.edit is not None
        assert again.edit.digest() == found.edit.digest()
        files.append({f: f.stat().st_mtime_ns for f in tmp_path.glob("??/*.safetensors")})
    assert files[0] == files[1] and len(files[0]) > 12


def test_the_chosen_edit_is_planned_on_all_contexts_and_measured_apart(found: Sweep) -> None:
    assert found.edit is not None and found.outcome is not None
    generator, best = blocks(), next(row for row in found.results.edits if row.chosen)
    moments = usual_moments(generator, generator.site("mark"), images=60)
    edit = plan(
        generator, blocks_request(), best.site, rank=best.rank, keep=best.keep, moments=moments
    )
    assert edit.digest() == found.edit.digest()
    assert found.outcome.sample.seed == 12_000_000 and len(found.outcome.sample) == 60
    given = found.results.chosen
    assert given is not None and given.after.value == found.outcome.after.value
    assert len(found.controls) == given.controls == 3


@pytest.mark.slow
def test_no_layer_does_what_none_can() -> None:
    # what is copied is dark, so nothing becomes bright
    wanted = replace(blocks_request(), copy=blocks_request(dark=True).contexts[0])
    given = replace(SETTINGS, sites=("mark",), keeps=(5.0,), images=20, fresh=20)
    segmenter = LevelSegmenter("thirds")
    nothing = sweep(blocks(), wanted, segmenter, given, wanted=["bright"])
    assert nothing.edit is None and nothing.results.chosen is None and not nothing.results.found
    assert sweep_sentence(nothing.results).startswith(
        "No layer does this: none of 2 edits of 1 layer that changes at most 100"
    )
    # where |a| is not among the keys, matching places gain no more than with edits elsewhere
    blind = swept(1000, sites=("signs", "image"), matching="mark", keeps=(0.1,))
    assert not blind.results.found and list(blind.results.matching) == ["mark"]
    assert sweep_sentence(blind.results).startswith("No layer does this. With the best of 4 edits")


def test_the_sentence_and_the_table_of_a_sweep(found: Sweep) -> None:
    text = sweep_sentence(found.results)
    assert text.startswith(
        "Chosen of 12 edits of 3 layers: mark, rank 1, keep 0.1. In 60 images that"
    )
    assert "bright goes from " in text and " more than with an edit of the same size" in text
    assert "2 of 6 contexts were kept apart" in compared_sentence(found.results)
    rows = sweep_rows(found.results)
    assert len(rows) == 12 and {len(row) for row in rows} == {len(HEADER)}
    assert [row[-1] for row in rows].count("chosen") == 1


@pytest.mark.slow
def test_a_budget_takes_the_most_within_it(found: Sweep) -> None:
    cheap = swept(budget=0.3, fresh=20)
    (row,) = (row for row in cheap.results.edits if row.chosen)
    assert row.labels_outside.value is not None and row.labels_outside.value <= 0.3
    assert [e.success for e in cheap.results.edits] == [e.success for e in found.results.edits]


def test_contexts_are_split_and_shuffled() -> None:
    contexts = blocks_request(contexts=8).contexts
    for many, held in ((1, 0), (2, 1), (3, 1), (6, 2), (8, 2)):
        parts = split(contexts[:many])
        assert (len(parts.planned), len(parts.held)) == (many - held, held)
        assert {id(each) for part in parts for each in part} == {id(c) for c in contexts[:many]}
    own = blocks_request()
    for number in range(3):
        other = shuffled(own, number)
        assert [c.index for c in other.contexts] == [
            c.index for c in shuffled(own, number).contexts
        ]
        assert not {c.index for c in other.contexts} & {c.index for c in own.contexts}
        assert other.copy is own.copy
        for mine, its in zip(own.contexts, other.contexts, strict=True):
            assert mine.mask.shape == its.mask.shape and mine.mask.sum() == its.mask.sum()


def test_controls_have_the_size_of_the_edit() -> None:
    generator, own = blocks(), blocks_request()
    moments = usual_moments(generator, generator.site("mark"), images=60)
    edit = plan(generator, own, "mark", rank=2, moments=moments)
    kept = KeptPlaces(Bench(generator, generator.site("mark")), Sample(range(60), 11_000_000))
    others = controls(generator, own, edit, moments, 2)
    assert len({each.digest() for each in (edit, *others)}) == 3
    for other in others:
        assert size(kept, other) == pytest.approx(size(kept, edit), rel=1e-4)
    assert size(kept, edit.at(-2)) == pytest.approx(2 * size(kept, edit), rel=1e-9)


def test_keys_tell_contexts_where_they_hold_what_makes_them() -> None:
    generator, own = blocks(), blocks_request()
    told = {}
    for name in ("signs", "mark", "image"):
        site = generator.site(name)
        moments = usual_moments(generator, site, images=60)
        told[name] = separation(Bench(generator, site), own.contexts, moments)
    assert told["mark"] > 0.8 > max(told["signs"], told["image"])
    one = own.contexts[:1]
    moments = usual_moments(generator, generator.site("mark"), images=60)
    assert separation(Bench(generator, generator.site("mark")), one, moments) > 0.8


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ranks": ()}, "ranks: a sweep needs at least one"),
    ({"ranks": (0,)}, "rank 0: at least 1"),
    ({"keeps": (0.0,)}, "numbers above 0"),
    ({"images": 5}, "at least 6 images of each kind"),
    ({"budget": 0.0}, "a share of labels in"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_settings_that_cannot_be_right_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SweepSettings(**options)


def test_sites_and_classes_are_checked_before_any_image() -> None:
    generator = small()
    with pytest.raises(UnknownNameError, match="no site named 'r99'"):
        fitting_sites(generator, request(), ["r99"])
    assert [site.name for site in fitting_sites(generator, request(), "all")] == ["r8.up", "r8"]
    with pytest.raises(UnknownNameError, match="no label named 'dragon'"):
        sweep(generator, request(), LevelSegmenter("thirds"), wanted=["dragon"])
    with pytest.raises(UnknownNameError, match="no site named 'r99'"):
        sweep(generator, request(), LevelSegmenter("thirds"), SweepSettings(matching="r99"))


def outcome_of(above: np.ndarray, below: np.ndarray, found: Sweep) -> Outcome:
    """An outcome with these gains at these many matching pixels."""
    assert found.outcome is not None
    zeros = np.zeros(len(above), dtype=np.int64)
    rows = OutcomeRows(*[zeros] * len(OutcomeRows._fields))
    rows = rows._replace(matched=below, wanted_after=above)
    return replace(found.outcome, rows=rows)


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 200])
def test_error_rate_where_the_gain_is_just_not_enough(found: Sweep, n: int) -> None:
    """The edit gains 0.05 more than each of three controls: sizes with a tail, all or nothing."""
    source, sure, runs = np.random.default_rng(5), 0, 2000
    for _ in range(runs):
        below = source.geometric(0.02, n) * (source.random(n) < 0.6)
        shows = source.random(n)
        gains = [below * (shows < 0.35), *(below * (source.random(n) < 0.3) for _ in range(3))]
        own, *others = (outcome_of(gain.astype(np.int64), below, found) for gain in gains)
        sure += beyond(own, others, 0.05).sure
    assert sure / runs <= 0.025


@pytest.mark.slow
def test_error_rate_of_sweeps_where_no_layer_tells_the_places() -> None:
    """Every site that is swept is blind to |a|; places, contexts and choice are as ever."""
    given = {"sites": ("signs", "image"), "matching": "mark"}
    sure = [swept(1000 * seed, **given).results.found for seed in range(40)]
    assert sum(sure) <= 4


@pytest.mark.slow
def test_power_of_sweeps_where_one_layer_does() -> None:
    found = [swept(1000 * seed, fresh=200) for seed in range(10)]
    assert sum(each.edit is not None and each.edit.site == "mark" for each in found) >= 9
    assert sum(each.results.found for each in found) >= 6
