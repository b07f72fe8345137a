"""Programs of a generator's rest: what is recorded, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seeingkit.errors import ModelError
from seeingkit.models.programs import OPERATIONS, program_of
from tests.helpers.painted import Rest, enlarged, toy_generator


def record(rest: Rest, module: nn.Module | None = None):  # type: ignore[no-untyped-def]
    generator = toy_generator(rest, module)
    return program_of(generator, "m", (generator.latents([0]), generator.latents([1])))


def test_a_program_has_plain_operations_and_the_layer_s_own_name() -> None:
    program = record(enlarged)
    assert program.layer == "map" and program.inputs == (("x", (1, 6, 4, 4)),)
    assert [one.name for one in program.operations] == ["slice", "upsample_nearest2d", "tanh"]
    assert program.operations[-1].shape == (1, 3, 8, 8) and program.numbers == 0


def test_numbers_that_depend_on_no_input_are_computed_once() -> None:
    layer = nn.Conv2d(6, 3, 1)
    program = record(lambda x: enlarged(torch.conv2d(x, layer.weight * 2, layer.bias)), layer)
    first = program.operations[0]
    assert first.name == "convolution" and program.numbers == 18 + 3
    assert torch.equal(program.constants[first.args[1]["constant"]], layer.weight.detach() * 2)
    assert program.multiplications == 18 * 16


def test_batch_norm_becomes_plain_operations() -> None:
    norm = nn.BatchNorm2d(6).eval()
    norm.running_mean.fill_(0.5)  # type: ignore[union-attr]
    assert {one.name for one in record(lambda x: enlarged(norm(x)), norm).operations} <= OPERATIONS


def noisy(x: Tensor) -> Tensor:
    return enlarged(x + 0.1 * torch.randn(1, 1, 4, 4))


def forks(x: Tensor) -> Tensor:
    return enlarged(x) if float(x.sum()) > 0 else enlarged(-x)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (noisy, "random numbers|on chance"),
        (forks, "depend on the image"),
        (lambda x: enlarged(x.cumsum(1)), "operation cumsum"),
        (lambda x: enlarged(x.argsort(1).float()), "operation"),
        (lambda x: enlarged(nn.functional.interpolate(x, (6, 6))[:, :, :4, :4]), "upsample"),
        (lambda x: enlarged(torch.div(x, 2, rounding_mode="floor")), "operation div"),
        (lambda x: enlarged(x.clamp(min=x.mean())), "operation clamp"),
    ],
)
def test_a_network_that_no_page_can_run_is_refused(rest: Rest, words: str) -> None:
    with pytest.raises(ModelError, match=rf"toy cannot run inside a page .*({words}).*--serve"):
        record(rest)


def test_whole_numbers_that_are_carried_are_refused() -> None:
    generator = toy_generator(enlarged)
    generator.stages = (
        lambda x, carry: (x, {"k": torch.zeros(len(x), dtype=torch.int64)}),
        generator.stages[1],
    )
    with pytest.raises(ModelError, match="whole numbers"):
        program_of(generator, "map", (generator.latents([0]), generator.latents([1])))
