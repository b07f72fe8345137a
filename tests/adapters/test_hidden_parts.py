"""Stacks whose keys leave room for parts without tensors: refused, or loaded as an option says.

Each network is made here with torch, and what loads is compared with its own images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.models.loading import load_generator
from seeingkit.weights import write_portable
from tests.adapters.test_dcgan import check_same, examples, open_file, prefixed, randomised
from tests.helpers.goldens import agree, golden


class Resizing(nn.Module):
    """A transposed convolution, then convolutions of maps enlarged in the code (case c01)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.ConvTranspose2d(5, 8, 4, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv3 = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(z)))
        x = F.relu(self.bn2(self.conv2(F.interpolate(x, scale_factor=2))))
        return torch.tanh(self.conv3(F.interpolate(x, scale_factor=2)))


class Mixed(nn.Module):
    """Enlarged by transposed convolutions, and once more before the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.up1, self.bn1 = nn.ConvTranspose2d(5, 8, 4), nn.BatchNorm2d(8)
        self.up2, self.bn2 = nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.bn2(self.up2(F.relu(self.bn1(self.up1(z))))))
        return torch.tanh(self.last(F.interpolate(x, scale_factor=2)))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))


class Residual(nn.Module):
    """Residual blocks between transposed convolutions (case c09)."""

    def __init__(self) -> None:
        super().__init__()
        self.deconv0, self.res0 = nn.ConvTranspose2d(5, 8, 4), Block(8)
        self.deconv1 = nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.deconv1(F.relu(self.res0(F.relu(self.deconv0(z))))))


class Normed(nn.Module):
    """Instance norms, which have no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.up1, self.in1 = nn.ConvTranspose2d(5, 8, 4), nn.InstanceNorm2d(8)
        self.up2 = nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.up2(F.relu(self.in1(self.up1(z)))))


def blocks_with(first: Callable[[], nn.Module] | None) -> nn.Sequential:
    """Blocks of a transposed convolution; the second begins with a module without tensors."""
    before = [] if first is None else [first()]
    return nn.Sequential(
        nn.Sequential(nn.ConvTranspose2d(5, 8, 4), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(*before, nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.ReLU()),
        nn.ConvTranspose2d(6, 3, 4, 2, 1),
        nn.Tanh(),
    )


def sequential(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(5, 8, 4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        *between,
        nn.Tanh(),
    )


def never_growing() -> nn.Sequential:
    one = nn.Conv2d(8, 6, 3, padding=1)
    return sequential(one, nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))


def between_blocks() -> nn.Sequential:
    network = blocks_with(None)
    return nn.Sequential(network[0], nn.Upsample(scale_factor=2), *network[1:])


def taken_out() -> nn.Module:
    """The last layers of a longer stack."""
    return examples(5, (8, 6, 4), 3)


class Noisy(nn.Module):
    """Noise of learned strength, whose tensor has the shape of a PReLU's."""

    def __init__(self) -> None:
        super().__init__()
        self.up1, self.bn1 = nn.ConvTranspose2d(5, 8, 4), nn.BatchNorm2d(8)
        self.noise1 = nn.PReLU(8)
        self.up2 = nn.ConvTranspose2d(8, 3, 4, 2, 1)


def from_features(*between: nn.Module) -> nn.Sequential:
    """A linear layer, its features as a map, perhaps enlarged, and convolutions."""
    return nn.Sequential(
        nn.Linear(5, 8 * 16),
        *between,
        nn.Conv2d(8, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 3, 4, 2, 1),
        nn.Tanh(),
    )


def like_pytorch_gan() -> nn.Module:
    """The convolutions of PyTorch-GAN with another width."""
    network = nn.Module()
    network.l1 = nn.Sequential(nn.Linear(5, 64 * 16))
    conv, last = nn.Conv2d(64, 32, 3, padding=1), nn.Conv2d(32, 3, 3, padding=1)
    up = nn.Upsample(scale_factor=2)
    network.conv_blocks = nn.Sequential(nn.BatchNorm2d(64), up, conv, nn.BatchNorm2d(32), up, last)
    return network


REFUSED: list[tuple[Callable[[], nn.Module], str]] = [
    (Resizing, r"conv2 is a convolution that does not enlarge .*upsampling.* upsample=1,2,2 "),
    (Mixed, r"last is a convolution that does not enlarge its map.* or plain=true"),
    (Residual, r"the block res0 .* a sum with its input"),
    (Normed, r"an instance norm or a pixel norm would have none"),
    (lambda: blocks_with(nn.Identity), r"numbers begin at 1, not 0, at 1\.1: upsampling, a norm"),
    (lambda: blocks_with(lambda: nn.Upsample(scale_factor=2)), r"numbers begin at 1"),
    (between_blocks, r"1 module without tensors between 0\.1 and 2\.0"),
    (
        lambda: from_features(nn.Unflatten(1, (8, 4, 4)), nn.Upsample(scale_factor=2)),
        r"2 is a convolution|3 is a convolution",
    ),
    (like_pytorch_gan, r"conv_blocks\.2 is a convolution that does not enlarge its map"),
    (never_growing, r"the map never grows: it has 4 pixels .* upsampling may be missing"),
    (
        lambda: sequential(nn.ReflectionPad2d(1), nn.Conv2d(8, 3, 3)),
        r"2 modules without tensors stand between 1 and 4: upsampling, a norm, padding",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_room_for_parts_without_tensors_is_refused(tmp_path: Path, number: int) -> None:
    build, message = REFUSED[number]
    torch.save(randomised(build()).state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=message) as caught:
        open_file(tmp_path / "g.pth")
    assert "--gan module:" in str(caught.value) and "plain=true" in str(caught.value)


def test_parts_that_were_taken_out_are_noticed(tmp_path: Path) -> None:
    state = {k: v for k, v in taken_out().state_dict().items() if int(k.split(".")[0]) >= 3}
    torch.save(prefixed(state, "main."), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"numbers begin at 3, not 0, at main\.3"):
        open_file(tmp_path / "g.pth")


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (Resizing, {"upsample": "1,2,2"}),
        (Mixed, {"upsample": [1, 1, 2]}),
        (lambda: blocks_with(lambda: nn.Upsample(scale_factor=2)), {"upsample": "1,2,1"}),
        (lambda: blocks_with(nn.Identity), {"plain": True}),
        (between_blocks, {"upsample": "1,2,1"}),
        (lambda: blocks_with(None), {}),
    ],
)
def test_an_option_says_what_is_there(
    tmp_path: Path, build: Callable[[], nn.Module], options: dict[str, Any]
) -> None:
    network = randomised(build())
    torch.save(network.state_dict(), tmp_path / "g.pth")
    generator = check_same(tmp_path / "g.pth", network, 5, **options)
    said = "; ".join(generator.info.assumptions)
    assert "activation=relu between the layers" in said and "z is drawn from N(0, 1)" in said
    assert ("without tensors" in said) == ("plain" not in options)
    tensors, config = generator.export()
    again = open_file(write_portable(tmp_path / "o.safetensors", tensors, "dcgan", config))
    assert again.info.assumptions == generator.info.assumptions
    assert again.info.identity()["options"] == generator.info.identity()["options"]


@pytest.mark.parametrize("activated", [True, False])
def test_a_linear_layer_and_an_enlarged_map(tmp_path: Path, activated: bool) -> None:
    """The one module left between them is the upsampling, and there is no activation."""
    activation = [nn.ReLU()] if activated else []
    up = [nn.Unflatten(1, (8, 4, 4)), nn.Upsample(scale_factor=2)]
    network = randomised(from_features(*activation, *up))
    torch.save(network.state_dict(), tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5, maps=False, upsample="2,1")


def test_a_sum_is_not_hidden_by_an_upsampling(tmp_path: Path) -> None:
    torch.save(randomised(Residual()).state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match="a sum with its input"):
        open_file(tmp_path / "g.pth", upsample="1,1,1,1")
    with pytest.raises(UsageError, match="upsample has 2 numbers, the file 4 convolutions"):
        open_file(tmp_path / "g.pth", upsample="1,1")


def test_what_is_assumed_follows_the_options(tmp_path: Path) -> None:
    torch.save(examples(6, (8, 4), 3).state_dict(), tmp_path / "g.pth")
    told = open_file(
        tmp_path / "g.pth",
        activation="leaky",
        eps=1e-5,
        final="tanh",
        strides="1,2,2",
        paddings="0,1,1",
        plain=True,
    )
    assert told.info.assumptions == ("z is drawn from N(0, 1)",)
    untold = open_file(tmp_path / "g.pth").info.assumptions
    assert len(untold) == 6 and "strides=1,2,2 and paddings=0,1,1 of zeros" in "; ".join(untold)
    assert (
        told.info.identity()["options"].keys()
        == open_file(tmp_path / "g.pth").info.identity()["options"].keys()
    )


# ------------------------------------------------------------------------------- tables of classes


def with_table(rows: int, columns: int, name: str) -> dict[str, Tensor]:
    state = prefixed(randomised(examples(6, (8, 4), 3)).state_dict(), "main.")
    return {f"{name}.weight": torch.randn(rows, columns), **state}


@pytest.mark.parametrize(
    ("rows", "columns", "name"),
    [(6, 6, "label_emb"), (10, 6, "label_emb"), (6, 6, "fc"), (3, 50, "class_embedding")],
)
def test_a_class_table_is_no_layer(tmp_path: Path, rows: int, columns: int, name: str) -> None:
    torch.save(with_table(rows, columns, name), tmp_path / "g.pth")
    message = rf"{name}\.weight of shape \({rows}, {columns}\) looks like a table of classes"
    with pytest.raises(StateMismatchError, match=message):
        load_generator(weights=tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=message):
        open_file(tmp_path / "g.pth", plain=True)


def test_a_linear_map_of_labels_is_no_layer_of_z(tmp_path: Path) -> None:
    state = prefixed(randomised(examples(6, (8, 4), 3)).state_dict(), "main.")
    front = nn.Linear(10, 6)
    torch.save({**prefixed(front.state_dict(), "label_fc."), **state}, tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"label_fc\.weight .* table of classes"):
        open_file(tmp_path / "g.pth")
    torch.save({**prefixed(front.state_dict(), "second."), **state}, tmp_path / "g.pth")
    assert open_file(tmp_path / "g.pth").info.latent[0].shape == (10,)


def test_scales_and_folded_weights_are_no_layers(tmp_path: Path) -> None:
    torch.save(randomised(Noisy()).state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"noise1\.weight .* strength of added noise"):
        open_file(tmp_path / "g.pth")
    network = examples(6, (8, 4), 3)
    nn.utils.parametrizations.spectral_norm(network[3])
    torch.save(network.state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match="a spectral or weight norm, which is not folded"):
        open_file(tmp_path / "g.pth")


def test_a_first_linear_layer_without_bias_is_one(tmp_path: Path) -> None:
    front = [nn.Linear(5, 8 * 16, bias=False), nn.BatchNorm1d(8 * 16), nn.ReLU()]
    back = [nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1)]
    back.append(nn.Tanh())
    network = randomised(nn.Sequential(*front, nn.Unflatten(1, (8, 4, 4)), *back))
    torch.save(network.state_dict(), tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5, maps=False)


# ------------------------------------------------------------------------------------ shared cases


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("c01-resize-conv-functional/G.pth", "conv2 .* an upsampling before it would leave no"),
        ("c09-residual-deconv/G.pth", "the block res0 gives as many channels as it takes"),
        ("c11-embedding-as-linear/acgan.pth", "label_emb.weight .* table of classes"),
        ("c11-embedding-as-linear/cgan_mlp.pth", "label_emb.weight .* table of classes"),
    ],
)
def test_cases_that_hide_parts(shared: Path, case: str, message: str) -> None:
    with pytest.raises(StateMismatchError, match=message):
        load_generator(weights=shared / "cases" / case)


def test_a_resizing_case_by_its_option(shared: Path) -> None:
    path = shared / "cases/c01-resize-conv-functional/G.pth"
    assert load_generator(weights=path, upsample="1,2,2,2").info.resolution == 32


@pytest.mark.parametrize(
    ("case", "file", "options"),
    [
        ("c04-mlp-leaky-eps", "generator.pth", {}),
        ("c04-mlp-leaky-eps", "generator.pth", {"activation": "leaky", "eps": 0.8}),
        ("c05-leaky-dcgan", "G.pth", {"activation": "leaky"}),
    ],
)
def test_cases_that_draw_what_is_expected(
    shared: Path, case: str, file: str, options: dict[str, Any]
) -> None:
    expected = torch.load(shared / "cases" / case / "expected.pt", weights_only=True)
    generator = load_generator(weights=shared / "cases" / case / file, **options)
    agree(generator({"z": expected["z"].flatten(1)}), expected["y"].expand(-1, 3, -1, -1))


def test_the_activation_of_numbered_layers_is_said_to_be_assumed(shared: Path) -> None:
    generator = load_generator(weights=shared / "cases/c05-leaky-dcgan/G.pth")
    assert "activation=relu between the layers" in generator.info.assumptions


def test_convolutional_generator_of_pytorch_gan(shared: Path) -> None:
    """Upsampling between numbered convolutions, and a first norm with another epsilon."""
    case = golden(shared, "pytorch_gan", "dcgan-upsample-r16")
    generator = load_generator(weights=case.file())
    agree(generator({"z": case.arrays["in.z"]}), case.arrays["out.image"].expand(-1, 3, -1, -1))
    assert "convolutional generator of PyTorch-GAN" in generator.info.assumptions[0]


def test_the_same_without_its_first_norm(tmp_path: Path) -> None:
    """As ebgan and newer versions of lsgan have it."""

    def layers(first: int, second: int) -> list[nn.Module]:
        conv, norm = nn.Conv2d(first, second, 3, padding=1), nn.BatchNorm2d(second, 0.8)
        return [nn.Upsample(scale_factor=2), conv, norm, nn.LeakyReLU(0.2)]

    start = nn.Sequential(nn.Linear(5, 128 * 16))
    last = [nn.Conv2d(64, 3, 3, padding=1), nn.Tanh()]
    blocks = nn.Sequential(*layers(128, 128), *layers(128, 64), *last)
    network = randomised(nn.Sequential(start, nn.Unflatten(1, (128, 4, 4)), blocks))
    state = prefixed(start.state_dict(), "l1.") | prefixed(blocks.state_dict(), "conv_blocks.")
    torch.save(state, tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5, maps=False)
