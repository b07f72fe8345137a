"""The interpreter of a page against torch: every operation, and whole networks."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seeingkit
from seeingkit.contracts import Generator
from seeingkit.models.programs import OPERATIONS, Program, program_of
from seeingkit.report.painting import program_data
from seeingkit.report.templates import asset
from tests.helpers.chromium import Chromium
from tests.helpers.painted import Rest, enlarged, toy_generator

pytestmark = pytest.mark.browser

RUN = """([program, inputs]) => Array.from(
  new Network(program, floatsOf(program.weights)).image(inputs.map(floatsOf)))"""


@pytest.fixture(scope="module")
def bench(browser: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    """A page with the interpreter and nothing else."""
    path = tmp_path_factory.mktemp("bench") / "bench.html"
    script = asset("painting_worker.js")
    path.write_text(f'<!DOCTYPE html><html data-ready="true"><script>{script}</script></html>')
    browser.open(path)
    return browser


def data_of(program: Program) -> dict[str, Any]:
    operations = [(one.name, one.args, one.shape) for one in program.operations]
    constants = [(tuple(c.shape), c.numpy().tobytes()) for c in program.constants]
    return program_data(program.inputs, operations, constants)


def in_page(bench: Chromium, program: Program, inputs: list[Tensor]) -> np.ndarray:
    texts = [base64.b64encode(one.contiguous().numpy().tobytes()).decode() for one in inputs]
    return np.array(bench.page.evaluate(RUN, [data_of(program), texts]))


class Parts(nn.Module):
    """Tensors of the toys, drawn once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.plain = nn.Conv2d(6, 5, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3)
        self.up = nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1)
        self.grouped = nn.ConvTranspose2d(6, 6, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.after = nn.Conv2d(6, 3, 3, padding=1)
        self.flat = nn.Linear(96, 192)
        self.norm = nn.BatchNorm2d(6)


PARTS = Parts().eval().requires_grad_(False)


def strides(x: Tensor) -> Tensor:
    small = PARTS.plain(PARTS.wide(x))
    return F.interpolate(small[:, 1:4], scale_factor=4.0, mode="nearest")


def transposed(x: Tensor) -> Tensor:
    return PARTS.up(PARTS.norm(x)) + PARTS.grouped(x)[:, ::2]


def twice(x: Tensor) -> Tensor:
    return PARTS.after(F.interpolate(x, scale_factor=2.0, mode="nearest")).tanh()


def arithmetic(x: Tensor) -> Tensor:
    a, b, c = x[:, :2], x[:, 2:4], x[:, 4:]
    made = torch.cat([a.abs().sqrt() - 2 * b, (c / (1 + b.exp())).neg()], 1)
    made = made * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-3) + (1 - x[:, 1:5])
    made = torch.maximum(made, x[:, :4]).minimum(made + 1) + made.sum((2, 3), keepdim=True) / 16
    made = F.leaky_relu(made, 0.1) + F.relu(made) + F.hardtanh(made, -0.5, 0.5) + made.sigmoid()
    made = torch.addcmul(made, torch.cat([a, a], 1), x[:, 2:], value=0.5).clamp(min=-1)
    made = made + made.add(2).reciprocal() + (made + 3) ** 1.5 + x.mean()
    return F.interpolate(made[:, 1:], scale_factor=2.0, mode="nearest")


def shapes(x: Tensor) -> Tensor:
    y = F.pad(x.flip([2]), (1, 1, -1, 1), value=0.5)[:, :, :, 1:5]
    z = torch.bmm(y.flatten(2), x.flatten(2).transpose(1, 2)).permute(0, 2, 1)
    long = PARTS.flat(x.flatten(1)) + z.sum().expand(1, 192)
    product = torch.mm(x[0, 0], x[0, 1].t()).unsqueeze(0).unsqueeze(0)
    return long.view(1, 3, 8, 8) + F.interpolate(product, scale_factor=2.0, mode="nearest")


TOYS: dict[str, Rest] = {
    rest.__name__: rest for rest in (strides, transposed, twice, arithmetic, shapes, enlarged)
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOYS)
def test_operations_are_those_of_torch(bench: Chromium, name: str) -> None:
    generator = toy_generator(TOYS[name], PARTS)
    program = program_of(generator, "map", (generator.latents([0]), generator.latents([1])))
    state = generator.advance(generator.begin(generator.latents([2])), "map")
    wanted = generator.advance(state).x.flatten().numpy()
    np.testing.assert_allclose(in_page(bench, program, [state.x]), wanted, atol=2e-5, rtol=1e-5)


def test_the_toys_have_nearly_every_operation() -> None:
    found: set[str] = set()
    for rest in TOYS.values():
        generator = toy_generator(rest, PARTS)
        program = program_of(generator, "map", (generator.latents([0]), generator.latents([1])))
        found |= {one.name for one in program.operations}
    same = {"alias", "clone", "contiguous", "detach", "squeeze"}
    assert OPERATIONS - found <= same | {"tanh", "t", "mm"}


NETWORKS = {
    "stylegan2": (lambda shared: {"name": "stylegan2:minichurches"}, "r16.conv1"),
    "dcgan": (
        lambda shared: {
            "name": "dcgan",
            "weights": shared / "real/weights/dcgan-digiface64/weights.tar",
        },
        "r16.act0",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", NETWORKS)
def test_trained_networks_draw_the_same_picture(bench: Chromium, shared: Path, family: str) -> None:
    given, layer = NETWORKS[family]
    generator = seeingkit.load_generator(**given(shared))
    assert isinstance(generator, Generator)
    program = program_of(generator, layer, (generator.latents([0]), generator.latents([1])))
    with torch.no_grad():
        state = generator.advance(generator.begin(generator.latents([2])), layer)
        wanted = generator.advance(state).x.flatten().numpy()
    found = in_page(bench, program, [state.x, *state.carry.values()])
    assert np.abs(found.clip(-1, 1) - wanted.clip(-1, 1)).max() < 1 / 127.5


def test_a_program_of_unknown_operations_is_refused_in_the_page(bench: Chromium) -> None:
    program = program_data([("x", (1, 1))], [("cumsum", ({"value": 0},), (1, 1))], [])
    with pytest.raises(Exception, match="no operation cumsum"):
        bench.page.evaluate(RUN, [program, ["AAAAAA=="]])


@pytest.mark.slow
def test_masks_and_pictures_are_png_files_that_others_read(
    browser: Chromium, tmp_path: Path
) -> None:
    import io

    from PIL import Image

    path = tmp_path / "png.html"
    script = asset("painting_png.js")
    path.write_text(f'<!DOCTYPE html><html data-ready="true"><script>{script}</script></html>')
    page = browser.open(path)
    for shape in ((1, 1), (3, 5), (300, 301), (7, 4, 3)):
        wanted = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        channels = 3 if len(shape) == 3 else 1
        call = "([v, w, h, c]) => pngUri(pngOf(Uint8Array.from(v), w, h, c))"
        uri = page.evaluate(call, [wanted.ravel().tolist(), shape[1], shape[0], channels])
        data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), wanted)
