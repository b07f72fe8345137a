"""The pretended device refuses what a GPU refuses, notes each transfer, and computes as the CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.contracts import (
    Boundary,
    GeneratorInfo,
    Label,
    LatentSpec,
    Segmenter,
    SegmenterInfo,
    Vocabulary,
)
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.staged import StagedAdapter
from seeingkit.system.devices import fetched, sent
from seeingkit.testing.devices import device_checks, no_transfers, transfers_of
from seeingkit.testing.pretended import DEVICE, PretendedTensor, pretended_device

READS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.max()),
    "bool": lambda x: bool((x > 0).any()),
    "int as an index": lambda x: [0, 1, 2, 3, 4, 5][x.argmin()],
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "to of another": lambda x: x.to(torch.zeros(1)),
    "nonzero": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 0],
    "where without values": lambda x: torch.where(x > 0),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "bincount": lambda x: torch.bincount(x.long().abs().flatten()),
    "masked_select": lambda x: x.masked_select(x > 0),
    "text": lambda x: f"{x.sum():.2f}",
    "repr": lambda x: repr(x),
    "copy into the CPU": lambda x: torch.zeros(2, 3).copy_(x),
}
UPLOADS: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "as_tensor": lambda x: torch.as_tensor([1.0, 2.0], device=x.device),
    "new_tensor": lambda x: x.new_tensor([1.0]),
    "to": lambda x: torch.zeros(3).to(x.device),
    "to of another": lambda x: torch.zeros(3).to(x),
    "cuda": lambda x: torch.zeros(3).cuda(),
    "a list as an index": lambda x: x[:, [0, 2]],
    "an index of the CPU": lambda x: x[torch.tensor([1])],
    "copy": lambda x: x.clone().copy_(torch.zeros(2, 3)),
}
QUIET: dict[str, Callable[[Tensor], Any]] = {
    "slices": lambda x: x[:, 1:, None] + x[0, 0],
    "numbers": lambda x: x * 2 + torch.tensor(3.0),
    "zeros": lambda x: torch.zeros(2, device=x.device) + x.new_zeros(2) + torch.zeros_like(x[:, 0]),
    "arange": lambda x: torch.arange(3, device=x.device) * x,
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "a mask that is filled": lambda x: x.clone().__setitem__(x > 0, 1.0),
    "an index of the device": lambda x: x[:, x[0].argsort()],
    "interpolate": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "page-locked memory": lambda x: torch.zeros(3).pin_memory().to(x.device, non_blocking=True),
    "another type": lambda x: x.to(torch.float64).half(),
}
REFUSED: dict[str, Callable[[Tensor], Any]] = {
    "a sum": lambda x: x + torch.zeros(3),
    "a scalar of the device": lambda x: torch.zeros(3) * x.sum(),
    "cat": lambda x: torch.cat([x, torch.zeros(1, 3)]),
    "a product": lambda x: x @ torch.zeros(3, 2),
    "in place": lambda x: torch.zeros(2, 3).add_(x),
    "numpy": lambda x: x.numpy(),
    "numpy.asarray": np.asarray,
    "a random generator": lambda x: torch.randn(
        2, device=x.device, generator=torch.Generator().manual_seed(0)
    ),
    "a random generator in place": lambda x: x.clone().normal_(generator=torch.Generator()),
}


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        *(pytest.param("read", work, id=f"read by {name}") for name, work in READS.items()),
        *(pytest.param("upload", work, id=f"upload by {name}") for name, work in UPLOADS.items()),
        *(pytest.param(None, work, id=f"nothing by {name}") for name, work in QUIET.items()),
    ],
)
def test_transfers_are_noted_where_they_are_asked_for(
    kind: str | None, work: Callable[[Tensor], Any]
) -> None:
    with pretended_device() as device:
        x = sent(torch.tensor([[1.0, -2.0, 3.0], [0.0, 5.0, -6.0]]), DEVICE)
        device.transfers.clear()
        work(x)
        assert {transfer.kind for transfer in device.transfers} == ({kind} if kind else set())
        places = {transfer.place for transfer in device.transfers}
        assert all(place.startswith("testing/test_pretended.py:") for place in places), places
        assert not any(transfer.named for transfer in device.transfers)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_gpu_refuses_is_refused(name: str) -> None:
    with pretended_device(), pytest.raises((RuntimeError, TypeError), match=r"cuda"):
        REFUSED[name](torch.ones(2, 3, device="cuda"))


def test_batches_that_are_sent_and_fetched_are_named() -> None:
    with pretended_device() as device:
        x = sent(torch.ones(2), DEVICE)
        assert fetched(x * 2).tolist() == [2.0, 2.0]
        assert device.unnamed() == [] and device.named("read") == 1
        assert [transfer.kind for transfer in device.transfers] == ["read"]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 3))
def test_values_and_gradients_are_those_of_the_cpu(seed: int, rows: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2, inplace=True)),
        *(nn.Upsample(scale_factor=2), nn.ConvTranspose2d(4, 2, 4, 2, 1), nn.Tanh()),
    )
    network.eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw)
    x = torch.randn(rows, 2, 4, 4, generator=draw)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        given = x.clone().requires_grad_()
        image = network(given)
        return image.detach(), torch.autograd.grad(image.square().sum(), given)[0]

    wanted, weight = both(x), network[0].weight
    with pretended_device():
        network.to("cuda")
        assert network[0].weight is weight and weight.is_cuda
        assert network[1].running_mean.device == DEVICE
        found = both(x.to("cuda"))
        assert all(isinstance(part, PretendedTensor) for part in found)
        there = copy.deepcopy(network)
        assert {p.device for p in there.parameters()} == {DEVICE}
        back = [part.cpu() for part in found]
        network.to("cpu")
    assert network[0].weight is weight and not weight.is_cuda
    for part, want in zip(back, wanted, strict=True):
        assert torch.equal(part, want)
    assert torch.equal(both(x)[0], wanted[0])


def test_a_tensor_that_outlives_the_pretence_says_so() -> None:
    with pretended_device():
        x = torch.ones(2, device="cuda")
    with pytest.raises(RuntimeError, match="after its end"):
        x + 1


# --------------------------------------------------------------------------------------- mistakes


class Network(nn.Module):
    """A linear layer; ``scale`` is a buffer only where it is registered."""

    def __init__(self, registered: bool) -> None:
        super().__init__()
        self.lift = nn.Linear(4, 3 * 4)
        if registered:
            self.register_buffer("scale", torch.full((3, 1, 1), 0.5))
        else:
            self.scale = torch.full((3, 1, 1), 0.5)


INFO = GeneratorInfo(family="planted", resolution=2, latent=(LatentSpec(shape=(4,)),))
CUTS = [
    Boundary("input", 0, (4,), "latent"),
    Boundary("r2", 1, (3, 2, 2), "feature", (2, 2)),
    Boundary("image", 2, (3, 2, 2), "image", (2, 2)),
]


def planted(
    change: Callable[[Tensor], Tensor] = lambda x: x, registered: bool = True
) -> StagedAdapter:
    """A generator with a mistake in its last stage."""
    torch.manual_seed(0)
    network = Network(registered)
    return StagedAdapter(
        network,
        INFO,
        CUTS,
        [
            lambda x, carry: (network.lift(x).reshape(-1, 3, 2, 2), carry),
            lambda x, carry: (torch.tanh(change(x) * network.scale), carry),
        ],
    )


MIXING: dict[str, Callable[[], StagedAdapter]] = {
    "a tensor made on the CPU": lambda: planted(lambda x: x + torch.zeros(2, 2)),
    "a buffer that is not registered": lambda: planted(registered=False),
    "noise drawn on the CPU": lambda: planted(lambda x: x + 0 * torch.randn(x.shape)),
}
WAITING: dict[str, Callable[[Tensor], Tensor]] = {
    "item": lambda x: x * min(1.0, x.abs().max().item()),
    "a float of a tensor": lambda x: x / float(x.detach().std()),
    "a question": lambda x: x if bool(x.isfinite().all()) else x.nan_to_num(),
    "a mask": lambda x: x + 0 * x[x > 0].sum(),
    "a constant that is sent": lambda x: x * torch.tensor([1.0, 2.0], device=x.device),
    "numbers of the CPU": lambda x: x[:, [2, 1, 0]],
}


def test_a_right_generator_passes() -> None:
    assert transfers_of(planted()) == []
    for _, check in device_checks():
        check(planted())


@pytest.mark.parametrize("name", MIXING)
def test_tensors_of_two_devices_are_found(name: str) -> None:
    subject = MIXING[name]()
    for check, run in device_checks():
        with pytest.raises(AssertionError, match=f"^{check}: planted: raised RuntimeError: Expec"):
            run(subject)
    assert {p.device.type for p in subject.module.parameters()} == {"cpu"}


@pytest.mark.parametrize("name", WAITING)
def test_waiting_and_sending_in_a_pass_are_found(name: str) -> None:
    subject = planted(WAITING[name])
    (_, same), (_, quiet) = device_checks()
    same(subject)
    with pytest.raises(AssertionError, match=r"in a pass: .* at testing/test_pretended\.py:\d+ in"):
        quiet(subject)


def test_other_numbers_on_another_device_are_found() -> None:
    subject = planted(lambda x: x * (1.0 if x.device.type == "cpu" else 2.0))
    with pytest.raises(AssertionError, match=r"result 0 on another device: differs by"):
        device_checks()[0][1](subject)


def test_only_models_on_a_cpu_can_be_asked() -> None:
    with pytest.raises(UsageError, match="no model"):
        transfers_of(object())  # type: ignore[arg-type]
    with pretended_device():
        there = planted().to("cuda")
        with pytest.raises(UsageError, match="it is on cuda"):
            no_transfers(there, torch.zeros(2, 3, 8, 8))


class Wrong(Segmenter):
    """Gives a label that it does not have, at one pixel."""

    vocabulary = Vocabulary((Label("-"), Label("tree")), planes=("object", "part"))
    info = SegmenterInfo(family="wrong")

    def __init__(self, label: int) -> None:
        self.weight, self.label = torch.ones(1), label

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def to(self, device: str | torch.device) -> Wrong:
        self.weight = self.weight.to(device)
        return self

    def segment(self, images: Tensor) -> Tensor:
        maps = (images[:, :2] > 0).long()
        maps[0, 0, 0, 0] = self.label
        return maps

    def score(self, images: Tensor, label: int) -> Tensor:
        return images[:, 0].sigmoid()


@pytest.mark.parametrize("label", [-1, 2, 7])
def test_a_wrong_label_is_refused_where_counts_come_from_a_device(label: int) -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = Wrong(1).statistics(images)
    with pretended_device() as device:
        right, wrong = Wrong(1).to("cuda"), Wrong(label).to("cuda")
        there = images.to("cuda")
        device.transfers.clear()
        assert torch.equal(right.statistics(there), wanted)
        assert device.unnamed() == [] and device.named("read") == 1
        with pytest.raises(ModelError, match=f"label {label} is not in its vocabulary"):
            wrong.statistics(there)
