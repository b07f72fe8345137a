"""The conformance kit of inverters: what is right passes, and each check can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seeingkit import AutoStaged, load_inverter
from seeingkit.contracts import Generator, Inversion, Inverter, Prepared, State
from seeingkit.testing import check_inverter, inverter_checks


def painter() -> AutoStaged:
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 4), nn.Tanh(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()
    )
    return AutoStaged(layers, {"r4": "1"}, latent=(4, 1, 1))


GENERATOR = painter()


class Guess(Inverter):
    """Reconstructs every photo as the image of one fixed r: no optimisation, yet all is in form."""

    name, target = "guess", "none"

    def prepare(self, generator: Generator) -> Prepared:
        return Prepared(cut="r4", settings={"method": self.name}, start="average")

    def invert(
        self,
        generator: Generator,
        images: Tensor,
        *,
        prepared: Prepared | None = None,
        done: Callable[[int, Inversion], None] | None = None,
        **_: Any,
    ) -> Inversion:
        n = len(images)
        r = State("r4", torch.full((n, 6, 4, 4), 0.25))
        with torch.no_grad():
            picture = generator.advance(r).x
        found = Inversion(
            method=self.name,
            cut="r4",
            images=images,
            reconstruction=picture,
            state=r,
            z=None,
            initial=picture,
            loss=torch.zeros(n, dtype=torch.float64),
            psnr=torch.zeros(n),
            perceptual=None,
            steps=torch.zeros(n, dtype=torch.int64),
            converged=torch.ones(n, dtype=torch.bool),
        )
        for row in range(n) if done is not None else ():
            done(row, self._row(found, row))
        return found

    def _row(self, found: Inversion, row: int) -> Inversion:
        at = slice(row, row + 1)
        return replace(found, images=found.images[at])


class NoTarget(Guess):
    target = "w"


class OldSettings(Guess):
    """As before the contract had ``Prepared``."""

    def prepare(self, generator: Generator) -> Prepared:
        return {"method": "guess"}  # type: ignore[return-value]


class SetSettings(Guess):
    def prepare(self, generator: Generator) -> Prepared:
        return Prepared(cut="r4", settings={"which": {1, 2}})


class CutAtImage(Guess):
    def prepare(self, generator: Generator) -> Prepared:
        return Prepared(cut="image", settings={})


class Counts(Guess):
    calls = 0

    def prepare(self, generator: Generator) -> Prepared:
        self.calls += 1
        return Prepared(cut="r4", settings={"call": self.calls})


class Changed(Guess):
    """One field of the result is not as it must be."""

    def change(self, found: Inversion) -> Inversion:
        raise NotImplementedError

    def invert(self, generator: Generator, images: Tensor, **options: Any) -> Inversion:
        return self.change(super().invert(generator, images, **options))


class Nowhere(Changed):
    def change(self, found: Inversion) -> Inversion:
        return replace(found, state=replace(found.state, at="input"))


class NotFinite(Changed):
    def change(self, found: Inversion) -> Inversion:
        return replace(found, reconstruction=found.reconstruction * torch.nan)


class OtherPicture(Changed):
    def change(self, found: Inversion) -> Inversion:
        return replace(found, reconstruction=found.reconstruction * 0.5)


class ByPlace(Changed):
    def change(self, found: Inversion) -> Inversion:
        shift = torch.arange(len(found))[:, None, None, None] * 0.1
        return replace(found, reconstruction=found.reconstruction + shift)


class Silent(Guess):
    def invert(self, generator: Generator, images: Tensor, **options: Any) -> Inversion:
        return super().invert(generator, images, **{**options, "done": None})


class Meddles(Guess):
    def invert(self, generator: Generator, images: Tensor, **options: Any) -> Inversion:
        assert isinstance(generator, AutoStaged)
        with torch.no_grad():
            generator.module[0].weight += 0.01  # type: ignore[operator, union-attr]
        return super().invert(generator, images, **options)


BROKEN: list[tuple[str, type[Inverter], str]] = [
    ("target_is_known", NoTarget, "target is 'w'"),
    ("prepared_names_the_settings", OldSettings, "prepare() gave a dict, no Prepared"),
    ("prepared_names_the_settings", SetSettings, "settings cannot be written as JSON"),
    ("prepared_names_the_settings", CutAtImage, "the cut 'image' leaves nothing to find"),
    ("prepared_is_of_its_generator", Counts, "settings change from call to call"),
    ("results_have_their_form", Nowhere, "the state is at 'input', not the cut"),
    ("results_have_their_form", NotFinite, "reconstruction holds NaN or Inf"),
    ("reconstruction_is_of_r", OtherPicture, "row 0: differs"),
    ("rows_stand_alone", ByPlace, "image 1 alone: differs"),
    ("rows_are_told", Silent, "done was told of []"),
    ("generator_untouched", Meddles, "images of the generator: differs"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BROKEN)
def test_each_check_of_an_inverter_can_fail(
    name: str, broken: type[Inverter], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        dict(inverter_checks(painter()))[name](broken())
    text = str(caught.value)
    assert text.startswith(f"{name}: guess: ") and message in text and "\n" not in text


def test_every_check_of_an_inverter_has_a_broken_variant() -> None:
    assert {name for name, _ in inverter_checks(GENERATOR)} == {name for name, _, _ in BROKEN}


def test_an_inverter_in_form_passes() -> None:
    check_inverter(Guess(), GENERATOR)


@pytest.mark.parametrize("method", ["z", "layered+r"])
def test_the_built_in_methods_pass(method: str) -> None:
    options: dict[str, Any] = {"encoder": "none"} if method == "layered+r" else {}
    check_inverter(
        load_inverter(method, steps=3, perceptual="none", cut="r4", **options), GENERATOR
    )
