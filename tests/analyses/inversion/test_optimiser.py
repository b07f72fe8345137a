"""The minimiser against torch's own Adam and against arithmetic; what inversion is judged by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.analyses.inversion.objectives import (
    correlation,
    features_difference,
    mean_absolute,
    mean_square,
    one_minus_cosine,
    psnr,
)
from seeingkit.analyses.inversion.optimiser import Objective, Outcome, minimise
from seeingkit.analyses.inversion.rows import Schedule
from seeingkit.errors import ModelError

DIM = 5
SCALES = {"v": 1.0}
CONSTANT = Schedule(steps=12, rate=0.05)
MILESTONES = Schedule(steps=12, rate=0.05, milestones=(3, 7), decay=0.1)
COSINE = Schedule(steps=12, rate=0.05, cosine=True)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def target(row: int) -> Tensor:
    """Where row ``row`` wants to go, (5,) float64."""
    return torch.from_numpy(np.random.RandomState(100 + row).standard_normal(DIM))


def begin(rows: Sequence[int]) -> dict[str, Tensor]:
    """Each row starts at its own place, (B, 5) float64."""
    draws = [np.random.RandomState(row).standard_normal(DIM) for row in rows]
    return {"v": torch.from_numpy(np.stack(draws))}


def picture(v: Tensor) -> Tensor:
    """An 'image' (B, 3, 2, 2) that shows the first number of v."""
    return v[:, :1, None, None].expand(-1, 3, 2, 2)


def valley(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A smooth loss that is not quadratic: mean of (v - target)² + (v - target)⁴ / 4."""
    away = values["v"] - torch.stack([target(row) for row in rows]).to(values["v"])
    return (away.square() + away**4 / 4).mean(1), picture(values["v"])


def slope(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A loss that never falls and whose gradient is 1: every Adam step is the rate itself."""
    v = values["v"]
    return 3.0 + (v - v.detach()).sum(1), picture(v)


def fall(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Gradient 1, and falls with every step."""
    return 100.0 + values["v"].sum(1), picture(values["v"])


def outcomes(
    rows: Sequence[int],
    objective: Objective = valley,
    schedule: Schedule = COSINE,
    *,
    start: Callable[[Sequence[int]], Mapping[str, Tensor]] = begin,
    batch_size: int = 8,
    frames: Sequence[int] = (),
    scales: Mapping[str, float] = SCALES,
    order: list[int] | None = None,
) -> dict[int, Outcome]:
    """Run and collect; each row is reported once."""
    found: dict[int, Outcome] = {}
    taken = 0

    def done(row: int, outcome: Outcome) -> None:
        assert row not in found
        found[row] = outcome
        if order is not None:
            order.append(row)

    def stepped(steps: int) -> None:
        nonlocal taken
        taken += steps

    minimise(
        rows,
        start,
        objective,
        schedule,
        scales=scales,
        batch_size=batch_size,
        frames=frames,
        done=done,
        stepped=stepped,
    )
    assert sorted(found) == sorted(rows)
    assert taken == sum(outcome.steps for outcome in found.values())
    return found


def same(a: Outcome, b: Outcome) -> None:
    """Equal to the last bit, in everything."""
    assert a.values.keys() == b.values.keys()
    assert all(torch.equal(a.values[name], b.values[name]) for name in a.values)
    assert torch.equal(a.image, b.image)
    assert (a.loss, a.steps, a.converged, a.failed) == (b.loss, b.steps, b.converged, b.failed)
    assert a.history == b.history
    assert [step for step, _ in a.frames] == [step for step, _ in b.frames]
    assert all(torch.equal(x, y) for (_, x), (_, y) in zip(a.frames, b.frames, strict=True))


# -------------------------------------------------------------------------------- steps of Adam


def reference(row: int, schedule: Schedule, rate_at: Callable[[int], float]) -> list[Tensor]:
    """v after 0, 1, … steps of ``torch.optim.Adam`` on this row alone."""
    v = begin([row])["v"].requires_grad_()
    adam = torch.optim.Adam([v], lr=schedule.rate)
    found = [v.detach().clone()]
    for step in range(schedule.steps):
        adam.param_groups[0]["lr"] = rate_at(step)
        adam.zero_grad()
        valley({"v": v}, [row])[0].sum().backward()
        adam.step()
        found.append(v.detach().clone())
    return found


@pytest.mark.parametrize(
    ("schedule", "rate_at"),
    [
        (CONSTANT, lambda k: 0.05),
        (MILESTONES, lambda k: 0.05 * (1, 0.1, 0.01)[(k >= 3) + (k >= 7)]),
        (COSINE, lambda k: 0.025 * (1 + math.cos(math.pi * k / 12))),
    ],
)
def test_every_step_is_a_step_of_adam(schedule: Schedule, rate_at: Callable[[int], float]) -> None:
    rows = [4, 0, 7]
    found = outcomes(rows, schedule=schedule, frames=range(13))
    for row in rows:
        wanted = reference(row, schedule, rate_at)
        steps = [step for step, _ in found[row].frames]
        assert steps == list(range(13))
        for (_, image), v in zip(found[row].frames, wanted, strict=True):
            torch.testing.assert_close(image, picture(v), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found[row].values["v"], wanted[-1], rtol=1e-12, atol=1e-14)
        losses = [float(valley({"v": v}, [row])[0]) for v in wanted]
        assert found[row].history == pytest.approx(losses, rel=1e-12)
        assert found[row].loss == found[row].history[-1]
        assert (found[row].steps, found[row].failed) == (12, None)


def test_the_rate_is_in_units_of_the_scale_of_each_variable() -> None:
    def two(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        return values["a"].flatten(1).sum(1) - values["b"].sum(1), picture(values["b"])

    def zeros(rows: Sequence[int]) -> dict[str, Tensor]:
        n = len(rows)
        return {"a": torch.zeros(n, 2, 3, dtype=torch.float64), "b": torch.zeros(n, 4).double()}

    found = outcomes(
        [0, 1, 2], two, Schedule(steps=7, rate=0.5), start=zeros, scales={"a": 0.1, "b": 3.0}
    )
    for outcome in found.values():
        assert outcome.values["a"].shape == (1, 2, 3)
        torch.testing.assert_close(outcome.values["a"], torch.full((1, 2, 3), -0.35).double())
        torch.testing.assert_close(outcome.values["b"], torch.full((1, 4), 10.5).double())


def test_no_steps_leaves_the_start() -> None:
    found = outcomes([3, 1], schedule=Schedule(steps=0, rate=1.0, cosine=True), frames=(0,))
    for row in (3, 1):
        assert torch.equal(found[row].values["v"], begin([row])["v"])
        assert found[row].steps == 0 and len(found[row].history) == 1
        assert [step for step, _ in found[row].frames] == [0]


def test_frames_and_history() -> None:
    found = outcomes([0, 1, 2], fall, CONSTANT, frames=(0, 5, 11, 40), batch_size=2)
    for row, outcome in found.items():
        assert [step for step, _ in outcome.frames] == [0, 5, 11]
        for step, image in outcome.frames:
            assert image.shape == (1, 3, 2, 2)
            torch.testing.assert_close(image, picture(begin([row])["v"] - 0.05 * step))
        first = 100 + float(begin([row])["v"].sum())
        assert outcome.history == pytest.approx([first - 0.05 * DIM * k for k in range(13)])
        torch.testing.assert_close(outcome.image, picture(outcome.values["v"]))


def test_what_was_kept_does_not_change_afterwards() -> None:
    kept: list[tuple[Tensor, Tensor]] = []

    def remember(row: int, outcome: Outcome) -> None:
        kept.append((outcome.values["v"], outcome.values["v"].clone()))

    def some_fail(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        loss, image = slope(values, rows)
        early = torch.tensor([row < 2 for row in rows])
        return loss.where(~early, torch.nan), image

    minimise(range(6), begin, some_fail, CONSTANT, scales=SCALES, done=remember)
    assert len(kept) == 6
    assert all(torch.equal(now, then) for now, then in kept)


# ------------------------------------------------------------------------------------ schedules


@given(
    steps=st.integers(1, 3000),
    rate=st.floats(1e-6, 10),
    marks=st.lists(st.integers(0, 3000), max_size=4),
    decay=st.floats(0.01, 1),
    kind=st.sampled_from(["constant", "milestones", "cosine"]),
    halved=st.integers(0, 6),
)
def test_rates_are_positive_and_never_rise(
    steps: int, rate: float, marks: list[int], decay: float, kind: str, halved: int
) -> None:
    schedule = Schedule(
        steps,
        rate,
        milestones=tuple(marks) if kind == "milestones" else (),
        decay=decay,
        cosine=kind == "cosine",
    )
    counts = torch.arange(steps, dtype=torch.float64)
    rates = schedule.rates(counts, torch.full_like(counts, halved))
    assert rates.shape == counts.shape and rates.dtype == torch.float64
    assert bool((rates > 0).all())
    assert bool((rates.diff() <= 0).all())
    assert bool((rates <= rate * 0.5**halved).all())
    if 0 not in marks:
        assert float(rates[0]) == pytest.approx(rate * 0.5**halved)
    # Rows have their own counts: the rate of a row does not depend on where the others are.
    torch.testing.assert_close(schedule.rates(counts.flip(0), counts * 0 + halved), rates.flip(0))


def test_rates_by_hand() -> None:
    counts, none = torch.tensor([0.0, 2, 3, 6, 7, 11]).double(), torch.zeros(6).double()
    wanted = torch.tensor([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005]).double()
    torch.testing.assert_close(MILESTONES.rates(counts, none), wanted)
    torch.testing.assert_close(
        COSINE.rates(torch.tensor([0.0, 4, 6, 8, 12]).double(), torch.zeros(5).double()),
        torch.tensor([0.05, 0.0375, 0.025, 0.0125, 0.0]).double(),
    )
    torch.testing.assert_close(
        CONSTANT.rates(torch.zeros(3).double(), torch.tensor([0.0, 1, 3]).double()),
        torch.tensor([0.05, 0.025, 0.00625]).double(),
    )
    assert Schedule(9, 0.1, patience=3).plateau
    for other in (CONSTANT, Schedule(9, 0.1, milestones=(3,), patience=3)):
        assert not other.plateau


def test_a_plateau_halves_the_rate_of_the_row_and_then_ends_it() -> None:
    """The first loss is an improvement; then every 4 steps without one halve the rate."""
    schedule = Schedule(steps=1000, rate=0.1, patience=4, halvings=2)

    def mixed(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        stuck, better = slope(values, rows)[0], fall(values, rows)[0]
        odd = torch.tensor([row % 2 == 1 for row in rows])
        return torch.where(odd, stuck, better), picture(values["v"])

    found = outcomes(range(5), mixed, Schedule(30, 0.1, patience=4, halvings=2), batch_size=3)
    for row, outcome in found.items():
        went = begin([row])["v"] - outcome.values["v"]
        if row % 2:
            assert (outcome.steps, outcome.converged) == (12, True)
            # The rate is already halved in the step that follows the fourth loss in vain.
            total = 0.1 * 4 + 0.05 * 4 + 0.025 * 4
        else:
            assert outcome.steps == 30
            total = 0.1 * 30
        torch.testing.assert_close(went, torch.full_like(went, total), rtol=1e-6, atol=0)
    alone = outcomes([1], mixed, schedule)[1]
    assert (alone.steps, alone.converged) == (12, True)


def test_patience_ends_a_row_under_a_fixed_schedule() -> None:
    def until(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Row k falls k times by 10 %, then stays; v counts the steps down."""
        v = values["v"]
        count, last = -v[:, 0].detach().round(), torch.tensor([float(row) for row in rows])
        return 0.9 ** torch.minimum(count, last) + (v - v.detach()).sum(1), picture(v)

    found = outcomes(
        [0, 3, 2, 8],
        until,
        Schedule(40, 1.0, milestones=(1000,), patience=6, tolerance=0.05, quiet=0.0),
        start=lambda rows: {"v": torch.zeros(len(rows), 1).double()},
        batch_size=2,
    )
    assert {row: o.steps for row, o in found.items()} == {0: 6, 3: 9, 2: 8, 8: 14}
    assert all(o.converged and o.failed is None for o in found.values())
    cosine = outcomes([0, 1], slope, Schedule(40, 0.1, cosine=True, patience=6, quiet=0.0))
    assert [(o.steps, o.converged) for o in cosine.values()] == [(6, True)] * 2
    quiet = outcomes([0, 1], slope, Schedule(40, 0.1, cosine=True, patience=6, quiet=0.3))
    assert [(o.steps, o.converged) for o in quiet.values()] == [(12, True)] * 2


def test_improvement_is_more_than_the_tolerance() -> None:
    def creeping(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        n = values["n"]
        return torch.exp(0.01 * n[:, 0].detach()) + (n - n.detach()).sum(1), picture(n)

    for tolerance, steps in ((0.06, 5), (0.02, 50)):  # every step falls by 1 %, five by 5 %
        schedule = Schedule(50, 1.0, milestones=(1000,), patience=5, tolerance=tolerance, quiet=0.0)
        found = outcomes(
            [0, 1],
            creeping,
            schedule,
            start=lambda rows: {"n": torch.zeros(len(rows), 1).double()},
            scales={"n": 1.0},
        )
        assert [outcome.steps for outcome in found.values()] == [steps, steps]


def by_script(scripts: Mapping[int, Sequence[float]]) -> Objective:
    """Losses that follow a script, whatever the variables do; v counts the steps down."""

    def objective(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        v = values["v"]
        steps = (-v[:, 0].detach()).round().long().tolist()
        losses = [scripts[row][min(k, 20)] for row, k in zip(rows, steps, strict=True)]
        return torch.tensor(losses).double() + (v - v.detach()).sum(1), picture(v)

    return objective


def test_converged_is_a_loss_that_fell_by_less_than_a_hundredth_in_the_last_tenth() -> None:
    down = [10.0 - 0.1 * k for k in range(19)]
    scripts = {
        0: [*down, 8.19, 8.1],  # the last two of 21 losses: 1.2 %
        1: [*down, 8.19, 8.15],  # 0.6 %
        2: [1.0] * 21,
        3: [*down[:-1], 8.2, 8.2, math.nan],
        4: [*down[:-1], 9.0, 8.5, 8.0],
    }
    found = outcomes(
        list(scripts),
        by_script(scripts),
        Schedule(20, 1.0),
        start=lambda rows: {"v": torch.zeros(len(rows), 1).double()},
    )
    converged = {row: outcome.converged for row, outcome in found.items()}
    assert converged == {0: False, 1: True, 2: True, 3: False, 4: False}
    assert found[3].failed and not found[4].failed


def test_variables_that_rest_at_first_then_count_their_own_steps() -> None:
    def two(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        away = values["late"] - torch.stack([target(row) for row in rows])
        loss = away.square().mean(1) + values["v"].sum(1)
        return loss, picture(values["v"])

    def start(rows: Sequence[int]) -> dict[str, Tensor]:
        return {**begin(rows), "late": begin(rows)["v"]}

    scales = {"v": 1.0, "late": 1.0}
    rows, schedule = [0, 1, 2, 3, 4], Schedule(9, 0.05)
    delayed: dict[int, Outcome] = {}
    minimise(
        rows,
        start,
        two,
        schedule,
        scales=scales,
        delays={"late": 4},
        batch_size=2,
        done=delayed.__setitem__,
    )
    shorter = outcomes(rows, two, Schedule(5, 0.05), start=start, scales=scales)
    for row in rows:
        assert torch.equal(delayed[row].values["late"], shorter[row].values["late"])
        went = begin([row])["v"] - delayed[row].values["v"]
        torch.testing.assert_close(went, torch.full_like(went, 9 * 0.05), rtol=1e-6, atol=0)
    never: dict[int, Outcome] = {}
    minimise(rows, start, two, schedule, scales=scales, delays={"late": 9}, done=never.__setitem__)
    for row in rows:
        assert torch.equal(never[row].values["late"], begin([row])["v"])


def test_rows_that_rest_and_rows_that_move_do_not_disturb_each_other() -> None:
    """Refilled batches mix them; each row is what it is alone."""
    schedule = Schedule(20, 0.3, milestones=(10,), patience=3, tolerance=0.05, quiet=0.0)

    def run(rows: Sequence[int], batch_size: int) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        minimise(
            rows,
            begin,
            valley,
            schedule,
            scales=SCALES,
            delays={"v": 2},
            batch_size=batch_size,
            done=found.__setitem__,
        )
        return found

    rows = list(range(7))
    whole, mixed = run(rows, 8), run(rows, 3)
    assert len({outcome.steps for outcome in whole.values()}) > 1
    for row in rows:
        same(mixed[row], whole[row])
        same(run([row], 8)[row], whole[row])


# --------------------------------------------------------------------------- rows among others


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_does_not_depend_on_its_neighbours(dtype: torch.dtype) -> None:
    def start(rows: Sequence[int]) -> dict[str, Tensor]:
        return {"v": begin(rows)["v"].to(dtype)}

    schedule = Schedule(40, 0.3, patience=3, halvings=3, tolerance=0.01)  # rows leave apart
    rows = list(range(8))
    whole = outcomes(rows, schedule=schedule, start=start, frames=(0, 4, 9))
    assert len({outcome.steps for outcome in whole.values()}) > 2
    for row in rows:
        same(outcomes([row], schedule=schedule, start=start, frames=(0, 4, 9))[row], whole[row])
    for other in (
        outcomes(rows, schedule=schedule, start=start, frames=(0, 4, 9), batch_size=3),
        outcomes(rows[::-1], schedule=schedule, start=start, frames=(0, 4, 9)),
        outcomes(rows, schedule=schedule, start=start, frames=(0, 4, 9), batch_size=1),
    ):
        for row in rows:
            same(other[row], whole[row])


def test_no_row_is_ever_computed_alone() -> None:
    sizes = []

    def watched(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        sizes.append((len(values["v"]), len(rows)))
        return valley(values, rows)

    outcomes([5], watched, CONSTANT)
    assert set(sizes) == {(2, 2)}


@settings(max_examples=30)
@given(
    rows=st.lists(st.integers(0, 50), min_size=1, max_size=12, unique=True),
    batch_size=st.integers(1, 6),
    patience=st.sampled_from([None, 1, 3]),
)
def test_every_row_once_in_order_and_never_too_many(
    rows: list[int], batch_size: int, patience: int | None
) -> None:
    asked: list[int] = []
    widest = 0

    def start(fresh: Sequence[int]) -> dict[str, Tensor]:
        asked.extend(fresh)
        return begin(fresh)

    def watched(values: Mapping[str, Tensor], now: Sequence[int]) -> tuple[Tensor, Tensor]:
        nonlocal widest
        widest = max(widest, len(set(now)))
        assert set(now) <= set(asked)
        return valley(values, now)

    schedule = Schedule(9, 0.4, cosine=True, patience=patience, tolerance=0.1)
    order: list[int] = []
    found = outcomes(rows, watched, schedule, start=start, batch_size=batch_size, order=order)
    assert asked == rows
    assert widest == min(batch_size, len(rows))
    if patience is None:  # all take as long, so first come, first served
        assert order == rows
    for row in rows[:2]:
        same(found[row], outcomes([row], schedule=schedule)[row])


def test_a_finished_row_makes_room_at_once() -> None:
    seen: list[tuple[int, ...]] = []

    def watched(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        seen.append(tuple(rows))
        loss, image = slope(values, rows)
        failing = torch.tensor([row == 1 for row in rows])
        return loss.where(~failing, torch.nan), image

    order: list[int] = []
    outcomes([0, 1, 2, 3], watched, Schedule(2, 0.1), batch_size=2, order=order)
    assert seen == [(0, 1), (0, 2), (0, 2), (2, 3), (3, 3), (3, 3)]
    assert order == [1, 0, 2, 3]


@pytest.mark.parametrize("part", ["loss", "image", "gradient"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_leaves_with_the_reason(part: str, bad: float) -> None:
    if part == "gradient":
        bad = math.nan

    def fragile(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        loss, image = valley(values, rows)
        moved = (values["v"] - begin(rows)["v"]).detach().abs().amax(1)
        hit = torch.tensor([row in (2, 5) for row in rows]) & (moved > 0.12)
        if part == "loss":
            loss = loss.where(~hit, bad)
        elif part == "image":
            image = torch.where(hit[:, None, None, None], bad, image)
        else:  # the loss itself stays: sqrt has no slope at zero, and 0 x Inf is NaN
            loss = loss + hit * torch.sqrt(0 * values["v"].sum(1) + (~hit) * 1.0) * 0.0
        return loss, image

    rows = list(range(7))
    schedule = Schedule(10, 0.05)
    undisturbed = outcomes(rows, valley, schedule, frames=(0, 3))
    for batch_size in (3, 8):
        found = outcomes(rows, fragile, schedule, frames=(0, 3), batch_size=batch_size)
        for row in rows:
            if row not in (2, 5):
                same(found[row], undisturbed[row])
                continue
            # Adam's first steps are about the rate: after three, more than 0.12 from the start.
            assert found[row].failed == "NaN or Inf at step 3 of the optimisation"
            assert (found[row].steps, len(found[row].history)) == (3, 4)
            assert found[row].history[:3] == undisturbed[row].history[:3]
            assert bool(torch.isfinite(found[row].values["v"]).all())


# ------------------------------------------------------------------------------- out of memory


def _cuda(_: int) -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def _cpu(size: int) -> Exception:
    return RuntimeError(
        f"[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
        f"memory: you tried to allocate {size} bytes. Error code 12 (Cannot allocate memory)"
    )


@pytest.mark.parametrize("error", [_cuda, _cpu])
@pytest.mark.parametrize("after", [0, 5])
@pytest.mark.parametrize("memory", [2, 3, 5])
def test_out_of_memory_halves_the_batch_and_changes_nothing(
    error: Callable[[int], Exception], after: int, memory: int
) -> None:
    calls, refused = 0, []

    def tight(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        if calls > after and len(rows) > memory:
            refused.append(len(rows))
            raise error(len(rows))
        return valley(values, rows)

    schedule = Schedule(20, 0.3, patience=4, tolerance=0.02, cosine=True)
    rows = list(range(11))
    undisturbed = outcomes(rows, schedule=schedule, frames=(0, 6))
    found = outcomes(rows, tight, schedule, frames=(0, 6))
    assert refused == {2: [8, 4], 3: [8, 4], 5: [8]}[memory]
    for row in rows:
        same(found[row], undisturbed[row])


def test_out_of_memory_with_one_row_says_what_to_do() -> None:
    def never(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        raise _cuda(1)

    with pytest.raises(ModelError, match="single image.*--device cpu"):
        outcomes(range(4), never)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        outcomes(range(4), broken)


# ----------------------------------------------------------------------------------- objectives


def test_psnr_by_hand() -> None:
    zero = torch.zeros(4, 3, 2, 2)
    other = zero.clone()
    other[0] += 0.2  # 10 log10(4 / 0.04) = 20
    other[1] += 2.0  # clamped to 1: 10 log10(4)
    other[2, :, 0, 0] = 0.4  # a quarter of the pixels: mean square 0.04
    found = psnr(zero, other)
    assert found.dtype == torch.float64 and found.shape == (4,)
    assert found.tolist() == pytest.approx([20, 10 * math.log10(4), 20, 100], abs=1e-5)
    white = torch.ones(1, 3, 2, 2)
    assert float(psnr(white, -white)) == pytest.approx(0, abs=1e-12)
    assert torch.equal(psnr(5 * white, 3 * white), torch.tensor([100.0]).double())


@given(st.integers(1, 3), st.floats(1e-3, 1))
def test_psnr_is_symmetric_and_falls_20_db_for_ten_times_the_error(n: int, size: float) -> None:
    base = torch.linspace(-0.5, 0.4, 12).reshape(1, 3, 2, 2).repeat(n, 1, 1, 1).double()
    error = torch.linspace(-1, 1, n * 12).reshape(n, 3, 2, 2).double() * size * 0.5
    near, far = psnr(base, base + error / 10), psnr(base, base + error)
    torch.testing.assert_close(near, (far + 20).clamp_max(100))
    torch.testing.assert_close(psnr(base + error, base), far)


def test_means_by_hand() -> None:
    a = torch.tensor([[[1.0, -2.0]], [[0.0, 0.0]]])
    b = torch.tensor([[[0.0, 2.0]], [[0.5, 0.0]]])
    assert mean_absolute(a, b).tolist() == [2.5, 0.25]
    assert mean_square(a).tolist() == [2.5, 0.0]
    assert features_difference([a, a[:, :, :1]], [b, b[:, :, :1]]).tolist() == [1.75, 0.375]
    with pytest.raises(ValueError):
        features_difference([a], [b, b])
    # mean |b| is 1 and 0.25
    assert features_difference([a], [b], relative=True).tolist() == [2.5, 1.0]
    again = features_difference([100 * a], [100 * b], relative=True)
    torch.testing.assert_close(again, torch.tensor([2.5, 1.0]))


def test_cosine_by_hand() -> None:
    a = torch.tensor([[1.0, 0.0], [2.0, 2.0], [1.0, 0.0]])
    b = torch.tensor([[0.0, 3.0], [5.0, 5.0], [-4.0, 0.0]])
    torch.testing.assert_close(one_minus_cosine(a, b), torch.tensor([1.0, 0.0, 2.0]))
    maps = torch.stack([a[0], a[1]], dim=1)[None, :, :, None]  # two positions of two channels
    others = torch.stack([b[0], b[1]], dim=1)[None, :, :, None]
    torch.testing.assert_close(one_minus_cosine(maps, others), torch.tensor([0.5]))


def test_correlation_is_pearsons() -> None:
    draw = np.random.RandomState(3)
    a, b = draw.standard_normal((2, 4, 7))
    want = float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    assert correlation(ta, tb) == pytest.approx(want)
    assert correlation(ta, 3 * tb - 8) == pytest.approx(want)
    assert correlation(ta, -tb) == pytest.approx(-want)
    assert correlation(ta, 2 * ta + 1) == pytest.approx(1)
    assert math.isnan(correlation(ta, torch.ones(4, 7)))


@pytest.mark.parametrize("look", [3, 50])
def test_asking_less_often_which_rows_have_stopped_changes_no_result(look: int) -> None:
    """Rows that stopped, early or in NaN, stay as they are until they are asked for."""
    schedule = Schedule(20, 0.3, milestones=(10,), patience=3, tolerance=0.05, quiet=0.0)
    steps: dict[int, int] = dict.fromkeys(range(7), 0)

    def some_fail(values: Mapping[str, Tensor], rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        loss, image = valley(values, rows)
        wrong = torch.tensor([row == 5 for row in rows]) & (loss < 4)
        return loss.where(~wrong, torch.nan), image

    def run(look: int) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        minimise(
            list(steps),
            begin,
            some_fail,
            schedule,
            scales=SCALES,
            delays={"v": 2},
            batch_size=3,
            look=look,
            frames=(0, 4, 9, 20),
            done=found.__setitem__,
        )
        return found

    each, seldom = run(1), run(look)
    assert len({outcome.steps for outcome in each.values()}) > 1 and each[5].failed
    for row, outcome in each.items():
        nan = outcome.failed is not None
        assert outcome.history[:-1] == seldom[row].history[:-1]
        if not nan:
            same(outcome, seldom[row])
        assert (outcome.steps, outcome.failed) == (seldom[row].steps, seldom[row].failed)
        assert all(
            torch.equal(outcome.values[name], seldom[row].values[name]) for name in outcome.values
        )
