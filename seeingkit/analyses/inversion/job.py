"""``Job``: one call of ``invert``, from initial guesses through the objective to the result.

Guarantees: photos enter one by one and share nothing but passes through the networks; a row that
fails has NaN for its picture and the reason beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Inversion, State
from seeingkit.contracts.features import check_features
from seeingkit.errors import UsageError
from seeingkit.models.edits import AddEdit, run
from seeingkit.system.devices import fetched
from seeingkit.system.lanes import check_halted

from .objectives import features_difference, mean_absolute, mean_square, psnr
from .optimiser import Outcome, minimise
from .prepared import Inputs
from .rows import Values
from .samples import latent_state

ON_CPU = 4
"""Images of every pass on a CPU: where there are fewer, one is repeated, for kernels for few rows
round otherwise. Eight are no faster, and all of a batch end at about the same time, so the fewer
there are, the less is lost when a run is interrupted."""

LOOK = 20
"""Steps on a GPU between two questions which photos are finished: the host waits for the device
once for all of them, and a photo that is finished costs at most as many steps more."""


@dataclass(eq=False)
class _Photo:
    """The data of one photo while it is in work."""

    truth: tuple[Tensor, ...] = ()  # its perceptual features, each (1, …)
    first: Tensor | None = None  # the latent guess, if there is one
    base: State | None = None  # where the residuals begin, if there are any
    begun: Tensor | None = None  # image of the initial guess, from the first step on


class Job:
    """One call of ``invert``."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs, self.prepared = inputs, inputs.prepared
        self.generator, self.preset = self.prepared.generator, self.prepared.preset
        # Boundaries with residuals that cost something, and with those that are free.
        self.places, self.free = [self.prepared.cut], list[str]()
        if inputs.from_latent:  # the boundaries before the cut, or up to it; never none
            cut = self.generator.boundary(self.prepared.cut).index
            last = cut if self.preset.residuals == "all" or cut == 1 else cut - 1
            self.places = [b.name for b in self.generator.boundaries[1 : last + 1]]
            if self.preset.free_latent:
                self.free = [self.generator.boundaries[0].name]
        self.photos: dict[int, _Photo] = {}  # by row

    def run(
        self, batch_size: int, finished: Callable[[int, Inversion], None]
    ) -> dict[int, Inversion]:
        """All photos' inversions by row; ``finished`` is called with each as it is done."""
        found: dict[int, Inversion] = {}
        schedule, preset = self.prepared.schedule, self.preset
        units = {"z": 1.0, self.generator.boundaries[0].name: preset.latent_rate}
        units |= {name: self.prepared.unit(name) for name in self.places}
        units |= {f"carry.{name}": 1.0 for name in self.prepared.carried}
        delays = {}
        if self.prepared.target == "r" and self.free:  # residuals wait until z0 has settled
            delays = dict.fromkeys(self.places, round(preset.settle * schedule.steps))

        def done(row: int, outcome: Outcome) -> None:
            found[row] = self._result(row, outcome)
            del self.photos[row]
            finished(row, found[row])

        on_cpu = self.generator.device.type == "cpu"
        minimise(
            range(len(self.inputs.images)),
            self._start,
            self._objective,
            schedule,
            scales=units,
            delays=delays,
            batch_size=min(batch_size, ON_CPU) if on_cpu else batch_size,
            least=ON_CPU if on_cpu else 2,
            look=LOOK if self.generator.device.type == "cuda" else 1,
            frames=_frame_steps(schedule.steps, self.prepared.options.frames),
            done=done,
            stepped=lambda _: check_halted(),
        )
        return found

    def _start(self, rows: Sequence[int]) -> Values:
        """Variables of rows that enter the batch."""
        parts = [self._begin(row) for row in rows]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _begin(self, row: int) -> Values:
        photo = self.photos[row] = _Photo()
        features = self.prepared.features
        with torch.no_grad():
            if features is not None:
                photo.truth = check_features(features(self.inputs.photos([row])), 1, features.name)
            if not self.inputs.from_latent:
                return self._residuals(photo, self.inputs.state_guess(row).detach())
            photo.first = z = self.inputs.latent_guess(row)
            if self.prepared.target != "r":
                return {"z": z}
            state = self._enter(z, [row])
            if not self.free:  # g_1(z0) never changes
                state = self.generator.advance(state, self.places[0])
            return self._residuals(photo, state)

    def _enter(self, z: Tensor, rows: Sequence[int]) -> State:
        return latent_state(self.generator, z, self.inputs.classes(rows))

    def _residuals(self, photo: _Photo, state: State) -> Values:
        """Residuals of zero at each place, and of each carried tensor that is optimised."""
        photo.base = state
        values = {
            name: torch.zeros(1, *self.generator.boundary(name).shape, device=state.x.device)
            for name in (*self.free, *self.places)
        }
        for name in self.prepared.carried:
            carried = state.carry.get(name)
            if carried is not None and carried.is_floating_point():
                values[f"carry.{name}"] = torch.zeros_like(carried)
            elif self.prepared.options.carry is not None:  # else it is of a later boundary
                known = ", ".join(k for k, v in state.carry.items() if v.is_floating_point())
                raise UsageError(
                    f"no carried tensor {name!r} at {state.at}; there are: {known or 'none'}"
                )
        return values

    def _forward(self, values: Values, rows: Sequence[int]) -> tuple[State, Tensor, Tensor]:
        """State at the cut, image, and the regulariser (B,)."""
        cut = self.prepared.cut
        if "z" in values:
            r = self.generator.advance(self._enter(values["z"], rows), cut)
            image = self.generator.advance(r).x
            return r, image, torch.zeros(len(rows), device=image.device)
        state = State.cat([base for row in rows if (base := self.photos[row].base) is not None])
        names = [name for name in self.prepared.carried if f"carry.{name}" in values]
        if names:
            state = state.with_carry(**{n: state.carry[n] + values[f"carry.{n}"] for n in names})
        edits = [AddEdit(name, values[name]) for name in (*self.free, *self.places)]
        r, _ = run(self.generator, state, cut, edits=edits)
        image = self.generator.advance(r).x
        squares = [mean_square(values[n] / self.prepared.unit(n)) for n in self.places]
        return r, image, torch.stack(squares).sum(0)

    def _objective(self, values: Values, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Losses (B,) and images of some rows."""
        _, image, penalty = self._forward(values, rows)
        loss = mean_absolute(image, self.inputs.photos(rows))
        loss = loss + self.preset.residual_weight * penalty
        features, weight = self.prepared.features, self.preset.perceptual_weight
        if features is not None and weight:
            found, truth = features(image), self._truth(rows)
            relative = self.preset.relative_features
            loss = loss + weight * features_difference(found, truth, relative=relative)
        for k, row in enumerate(rows):
            if self.photos[row].begun is None:
                self.photos[row].begun = image.detach()[k : k + 1].clone()
        return loss, image

    def _truth(self, rows: Sequence[int]) -> tuple[Tensor, ...]:
        """Perceptual features of some photos."""
        layers = zip(*(self.photos[row].truth for row in rows), strict=True)
        return tuple(torch.cat(layer) for layer in layers)

    def _result(self, row: int, outcome: Outcome) -> Inversion:
        features, photo = self.prepared.features, self.inputs.images[row : row + 1]
        with torch.no_grad():
            r, _, _ = self._forward(outcome.values, [row])
            image = torch.full_like(photo, torch.nan) if outcome.failed else outcome.image
            perceptual = None
            if features is not None:
                perceptual = fetched(features_difference(features(image), self._truth([row])))
        z, begun = outcome.values.get("z", self.photos[row].first), self.photos[row].begun
        assert begun is not None  # the objective was evaluated at least once
        return Inversion(
            method=self.prepared.method,
            cut=self.prepared.cut,
            images=fetched(photo),
            reconstruction=fetched(image),
            state=State(r.at, fetched(r.x), {k: fetched(v) for k, v in r.carry.items()}),
            z=None if z is None else fetched(z),
            initial=fetched(begun),
            loss=torch.tensor([outcome.loss], dtype=torch.float64),
            psnr=fetched(psnr(image, photo)),
            perceptual=perceptual,
            steps=torch.tensor([outcome.steps]),
            converged=torch.tensor([outcome.converged]),
            failed={0: outcome.failed} if outcome.failed else {},
            frames=(self._frames(outcome),),
            history=(torch.tensor(outcome.history),),
        )

    def _frames(self, outcome: Outcome) -> tuple[tuple[int, ...], Tensor]:
        """Steps and images (F, 3, R, R) that were kept, ending with the last one."""
        kept = list(outcome.frames)
        wanted = self.prepared.options.frames > 0 and outcome.failed is None
        if wanted and (not kept or kept[-1][0] != outcome.steps):
            kept.append((outcome.steps, outcome.image))
        if not kept:
            return (), fetched(self.inputs.images[:0])
        return tuple(step for step, _ in kept), fetched(torch.cat([image for _, image in kept]))


def _frame_steps(steps: int, count: int) -> list[int]:
    """Steps at which images are kept: they crowd towards the beginning, and the last is among them.

    Step k of ``count`` is (k / (count - 1))² of the way, rounded.
    """
    if count < 2:
        return []
    return sorted({round(steps * (k / (count - 1)) ** 2) for k in range(count)})
