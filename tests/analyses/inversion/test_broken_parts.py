"""Generators, features, encoders and inverters that break their contract are told so at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seeingkit.analyses.inversion.distance_to_data import signatures
from seeingkit.analyses.inversion.objectives import features_difference
from seeingkit.analyses.inversion.photos import invert_source
from seeingkit.analyses.inversion.prepared import Inputs
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.contracts import Encoder, Generator, ImageSource, Inversion, State
from seeingkit.contracts.features import check_features
from seeingkit.errors import ModelError
from tests.helpers.inversion_toys import Mirror, inverter
from tests.testing.test_inverters import GENERATOR, Guess, painter


class Photos(ImageSource):
    name, fingerprint, ids = "photos", "photos", ("a", "b")

    def read(self, indices: Sequence[int]) -> Tensor:
        draw = torch.Generator().manual_seed(0)
        return (torch.rand(2, 3, 8, 8, generator=draw) * 2 - 1)[list(indices)]


class Breaks(Guess):
    """An inverter whose result, row by row, is changed."""

    def __init__(self, change: Callable[[Inversion], Any]) -> None:
        self.change = change

    def _row(self, found: Inversion, row: int) -> Inversion:
        at = slice(row, row + 1)
        one = replace(
            found,
            images=found.images[at],
            reconstruction=found.reconstruction[at],
            initial=found.initial[at],
            state=found.state[at],
            loss=found.loss[at],
            psnr=found.psnr[at],
            steps=found.steps[at],
            converged=found.converged[at],
            frames=(((), found.images[:0]),),
            history=(torch.zeros(1),),
        )
        return self.change(one)  # type: ignore[no-any-return]


class Silent(Guess):
    """Tells of no row."""

    def invert(self, generator: Generator, images: Tensor, **options: Any) -> Inversion:
        return super().invert(generator, images, **{**options, "done": None})


def test_an_inverter_in_form_is_believed(tmp_path: Path) -> None:
    found = invert_source(
        GENERATOR, Photos(), Breaks(lambda one: one), store=InversionStore(tmp_path)
    )
    assert len(found.inversions) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: replace(one, reconstruction=one.reconstruction[..., :4]), "reconstruction"),
        (lambda one: replace(one, reconstruction=one.reconstruction * torch.nan), "NaN or Inf"),
        (lambda one: replace(one, loss=one.loss + torch.inf), "loss holds NaN or Inf"),
        (lambda one: replace(one, loss=one.loss[0]), "loss has shape (), expected (1,)"),
        (lambda one: replace(one, state=State("input", one.state.x)), "at 'input'"),
        (lambda one: replace(one, images=one.images[:0]), "the photos have shape (0, 3, 8, 8)"),
        (lambda one: one.reconstruction, "gave a Tensor, no Inversion"),
    ],
)
def test_a_wrong_inversion_is_not_stored(
    change: Callable[[Inversion], Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as refused:
        invert_source(GENERATOR, Photos(), Breaks(change), store=InversionStore(tmp_path))
    assert str(refused.value).startswith("inverter guess") and said in str(refused.value)
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_an_inverter_that_tells_of_no_row_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="inverter guess did not tell of 2 of 2 images"):
        invert_source(GENERATOR, Photos(), Silent(), store=InversionStore(tmp_path))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([torch.zeros(2, 8)], "features are a list"),
        ((), "features are a tuple, not a tuple of tensors"),
        ((torch.zeros(1, 8),), "expected floats (2, …)"),
        ((torch.zeros(2, 8, dtype=torch.int64),), "tensor 0 is torch.int64"),
        ((torch.zeros(2, 8), torch.full((2, 8), torch.nan)), "tensor 1 holds NaN"),
    ],
)
def test_wrong_features_are_refused(found: object, said: str) -> None:
    with pytest.raises(ModelError) as refused:
        check_features(found, 2, "glass")
    assert said in str(refused.value) and str(refused.value).startswith("glass: ")


class Cracked(Mirror):
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images * torch.nan,)


def test_features_are_checked_where_they_are_used() -> None:
    with pytest.raises(ModelError, match="mirror: tensor 0 holds NaN"):
        signatures(torch.zeros(2, 3, 6, 6), Cracked())
    with pytest.raises(ModelError, match="features of an image are"):
        features_difference([torch.zeros(2, 8)], [torch.zeros(2, 1)])


class Blind(Encoder):
    """An encoder whose latents have another shape."""

    kind, cut, sha256 = "direct", "input", None

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.zeros(len(images), 5), None

    def about(self) -> dict[str, Any]:
        return {}


def test_an_encoder_of_other_latents_is_refused() -> None:
    generator = painter()
    prepared = replace(inverter("z", cut="r4").prepare(generator), encoder=Blind())
    inputs = Inputs(prepared, torch.zeros(1, 3, 8, 8), None, None, 0)
    with pytest.raises(ModelError, match=r"gave a latent of shape \(1, 5\), not \(1, 4, 1, 1\)"):
        inputs.latent_guess(0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: 127.5 * (x + 1), r"the range 0\.\.255"),
        (lambda x: x.double(), r"images of torch\.float64"),
        (lambda x: x[..., :4], "as large as it declares"),
    ],
)
def test_a_generator_is_looked_at_before_anything_is_trained(
    change: Callable[[Tensor], Tensor], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = painter()
    right = type(generator).__call__
    monkeypatch.setattr(type(generator), "__call__", lambda self, z: change(right(self, z)))
    with pytest.raises(ModelError, match=said):
        inverter("z", cut="r4").prepare(generator)
