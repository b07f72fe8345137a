"""CycleGAN, pix2pix and StarGAN: goldens, networks nested as their repositories nest them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from seeingkit.contracts import Boundary, Generator, Sampler
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import StateMismatchError, UnknownNameError, UsageError
from seeingkit.images import InputImages, SamplerSource
from seeingkit.models.conversion import convert_file
from seeingkit.models.loading import load_generator
from seeingkit.models.probe import on_trial
from seeingkit.models.recognition import claims_of, recognise, recognisers
from seeingkit.models.registry import registry
from seeingkit.specs import PRESETS
from seeingkit.testing import check_source, generator_checks
from seeingkit.weights import read_checkpoint
from seeingkit_adapters.dcgan import recognise as dcgan_recognises
from tests.helpers.goldens import agree, golden
from tests.helpers.translators import as_tested, cyclegan, stargan, unet

SIZE = 32


GOLDENS = [
    ("cyclegan_junyanz", "resnet9-instance-r64", "image", "out.image"),
    ("cyclegan_junyanz", "resnet9-instance-old-r32-legacyfile", "image", "out.image"),
    ("pix2pix_junyanz", "unet128-batch-dropout", "image", "out.image_batch_of_one_statistics"),
    ("pix2pix_junyanz", "unet128-batch-dropout", "stored", "out.image"),
    ("stargan_yunjey", "celeba5-r32", "image", "out.image"),
    ("stargan_yunjey", "celeba5-r32", "stored", "out.image_running_statistics"),
]


@pytest.mark.parametrize(("family", "name", "statistics", "expected"), GOLDENS)
def test_pictures_are_the_originals(
    shared: Path, family: str, name: str, statistics: str, expected: str
) -> None:
    case = golden(shared, family, name)
    generator = load_generator(weights=case.file(), statistics=statistics)
    latent = {"image": case.arrays["in.image"]}
    if "in.domain" in case.arrays:
        latent["c"] = case.arrays["in.domain"]
    agree(generator(latent), case.arrays[expected])


# ------------------------------------------------------------------------------- other networks


def saved(network: nn.Module, folder: Path) -> Path:
    path = folder / "net_G.pth"
    torch.save(network.state_dict(), path)
    return path


def photos(n: int = 2, colours: int = 3, size: int = SIZE) -> Tensor:
    return torch.randn(n, colours, size, size, generator=torch.Generator().manual_seed(4)).tanh()


def shown(image: Tensor) -> Tensor:
    return image.expand(-1, 3, -1, -1)


CYCLEGANS: list[dict[str, Any]] = [
    {"ngf": 3},
    {"ngf": 3, "norm": "batch"},
    {"blocks": 6, "norm": "batch", "dropout": True},
    {"blocks": 1, "dropout": True},
    {"norm": "tracked instance"},
    {"norm": "none"},
    {"colours": (1, 3)},
    {"colours": (3, 1), "norm": "batch"},
    {"padding": "zero", "dropout": True},
    {"padding": "zero"},
]


@pytest.mark.parametrize("made", CYCLEGANS, ids=str)
def test_cyclegans_of_every_setting(made: dict[str, Any], tmp_path: Path) -> None:
    network = cyclegan(**made)
    path, x = saved(network, tmp_path), photos(2, made.get("colours", (3, 3))[0])
    assert recognise(path, registry()).spec.name == "cyclegan"
    found = load_generator(weights=path)({"image": x})
    agree(found, shown(as_tested(network, x)))


def test_padding_of_blocks_that_no_file_holds_is_said(tmp_path: Path) -> None:
    network = cyclegan(padding="replicate")
    path, x = saved(network, tmp_path), photos()
    assert "padding=reflect in the residual blocks" in load_generator(weights=path).info.assumptions
    told = load_generator(weights=path, padding="replicate")
    agree(told({"image": x}), as_tested(network, x))
    assert not told.info.assumptions
    zeros = saved(cyclegan(padding="zero"), tmp_path)
    with pytest.raises(UsageError, match="the keys say zeros"):
        load_generator(weights=zeros, padding="reflect")


UNETS: list[dict[str, Any]] = [
    {"depth": 5},
    {"depth": 6, "norm": "instance"},
    {"depth": 5, "norm": "tracked instance"},
    {"depth": 5, "colours": (1, 1)},
    {"depth": 7, "ngf": 1},
    {"depth": 8, "ngf": 1, "norm": "none"},
]


@pytest.mark.parametrize("made", UNETS, ids=str)
def test_unets_of_every_setting(made: dict[str, Any], tmp_path: Path) -> None:
    network = unet(**made)
    size = 2 ** max(made["depth"], 6)
    path, x = saved(network, tmp_path), photos(2, made.get("colours", (3, 3))[0], size)
    assert recognise(path, registry()).spec.name == "pix2pix"
    agree(load_generator(weights=path)({"image": x}), shown(as_tested(network, x.clone())))


@pytest.mark.parametrize("made", [{"attributes": 1}, {"width": 3, "blocks": 6, "attributes": 15}])
def test_stargans_of_every_setting(made: dict[str, Any], tmp_path: Path) -> None:
    network = stargan(**made)
    path, x = saved(network, tmp_path), photos()
    c = torch.eye(2, made["attributes"]) + 0.5
    assert recognise(path, registry()).spec.name == "stargan"
    agree(load_generator(weights=path)({"image": x, "c": c}), as_tested(network, x, c))


MADE = {
    "cyclegan": lambda: cyclegan(ngf=3, norm="batch", dropout=True),
    "pix2pix": lambda: unet(depth=6, ngf=1),
    "stargan": lambda: stargan(width=3),
}


@pytest.mark.parametrize("family", MADE)
def test_no_other_family_reads_or_advises(family: str, tmp_path: Path) -> None:
    path = saved(MADE[family](), tmp_path)
    checkpoint = read_checkpoint(path)
    assert [c.spec.name for c in claims_of(checkpoint, recognisers(registry()))] == [family]
    assert dcgan_recognises(checkpoint) is None
    with pytest.raises(StateMismatchError, match=f"read by {family}"):
        load_generator("dcgan", weights=path)


@pytest.mark.parametrize("family", MADE)
def test_conversion_keeps_pictures_and_options(family: str, tmp_path: Path) -> None:
    path = saved(MADE[family](), tmp_path)
    target = tmp_path / "g.safetensors"
    convert_file(path, target)
    latent = _latent(load_generator(weights=path, resolution=64), 64)
    for statistics in ("image", "stored"):
        before = load_generator(weights=path, statistics=statistics)
        after = load_generator(weights=target, statistics=statistics)
        assert torch.equal(before(latent), after(latent))
    assert not torch.equal(before(latent), load_generator(weights=path)(latent))


def _latent(generator: Sampler, size: int = SIZE) -> dict[str, Tensor]:
    label = {"label": torch.tensor([0, 1])} if generator.info.class_names else {}
    return {"image": photos(2, 3, size), **label}


@pytest.mark.parametrize("family", MADE)
def test_generators_and_critics_in_one_file(family: str, tmp_path: Path) -> None:
    state, other = MADE[family]().state_dict(), copy.deepcopy(MADE[family]().state_dict())
    for value in other.values():
        if value.is_floating_point():
            value.mul_(1.5)
    bare = tmp_path / "bare.pth"
    torch.save(state, bare)
    layers = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(8, 1, 4))
    critic = {f"model.{key}": value for key, value in layers.state_dict().items()}
    latent = _latent(load_generator(weights=bare, resolution=64), 64)
    expected = load_generator(weights=bare)(latent)
    for content in (
        {"netG_A": {f"module.{k}": v for k, v in state.items()}, "netD_A": critic},
        {"state_dict": {f"netG.{k}": v for k, v in state.items()}, "epoch": 3},
        {"G": other, "G_ema": state, "D": critic},
    ):
        torch.save(content, tmp_path / "wrapped.pth")
        assert torch.equal(load_generator(weights=tmp_path / "wrapped.pth")(latent), expected)
    torch.save({"netG_A": state, "netG_B": other}, tmp_path / "both.pth")
    with pytest.raises(UsageError, match="holds more than one .* choose one with key="):
        load_generator(weights=tmp_path / "both.pth")
    chosen = load_generator(weights=tmp_path / "both.pth", key="netG_A")
    assert torch.equal(chosen(latent), expected)
    flat = {f"module.{key}": value.clone() for key, value in state.items()}
    safetensors.torch.save_file(flat, tmp_path / "g.safetensors")
    assert torch.equal(load_generator(weights=tmp_path / "g.safetensors")(latent), expected)


def test_files_that_are_none(tmp_path: Path) -> None:
    state = cyclegan().state_dict()
    path = tmp_path / "net_G.pth"
    del state["model.12.weight"]
    torch.save(state, path)
    with pytest.raises(StateMismatchError, match="convolutions have the numbers"):
        load_generator(weights=path)
    torch.save({**cyclegan().state_dict(), "model.99.gamma": torch.ones(1)}, path)
    with pytest.raises(StateMismatchError, match=r"model\.99\.gamma. has no place"):
        load_generator(weights=path)
    torch.save(cyclegan(colours=(4, 3)).state_dict(), path)
    with pytest.raises(StateMismatchError, match="RGBA"):
        load_generator(weights=path)
    state = unet().state_dict()
    state["model.model.7.weight"] = torch.ones(3)
    torch.save(state, path)
    with pytest.raises(StateMismatchError, match=r"model\.model\.7. has no place"):
        load_generator(weights=path)


# -------------------------------------------------------------------------- options and dropout


def test_statistics_and_dropout_that_a_file_lacks(tmp_path: Path) -> None:
    path = saved(cyclegan(), tmp_path)
    with pytest.raises(UsageError, match="statistics=stored, but the norms"):
        load_generator(weights=path, statistics="stored")
    with pytest.raises(UsageError, match="no dropout"):
        load_generator(weights=path, dropout="drawn")
    with pytest.raises(UsageError, match="resolution of 30 pixels"):
        load_generator(weights=path, resolution=30)
    with pytest.raises(UsageError, match="multiples of 4 from 8 on"):
        load_generator(weights=path)({"image": photos(size=30)})
    with pytest.raises(UsageError, match=r"expected \(N, 3, H, W\)"):
        load_generator(weights=path)({"z": photos()})


def test_dropout_is_each_images_own(tmp_path: Path) -> None:
    path = saved(unet(depth=6), tmp_path)
    generator = on_trial(load_generator(weights=path, dropout="drawn", resolution=64))
    latent = dict(generator.latents([0, 1]))
    same = {**latent, "image": latent["image"][:1].expand(2, -1, -1, -1)}
    both = generator(same)
    assert not torch.equal(both[0], both[1])
    alone = generator({name: value[1:] for name, value in same.items()})
    agree(alone, both[1:])
    off = on_trial(load_generator(weights=path, resolution=64))
    assert any("dropout is off" in text for text in off.info.assumptions)
    drawn = load_generator(weights=path, dropout="drawn", resolution=64)
    many = {"image": latent["image"][:1].expand(96, -1, -1, -1), "dropout": torch.arange(96)}
    plain = {"image": latent["image"][:1]}
    state = off.advance(off.begin(plain), "r4.dec").x
    mean = drawn.advance(drawn.begin(many), "r4.dec").x.mean(0, keepdim=True)
    assert float((mean - state).abs().mean()) < 0.25 * float(state.abs().mean())


def test_attributes_make_classes(tmp_path: Path) -> None:
    path = saved(stargan(), tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("blond\nyoung\nmale\n", encoding="utf-8")
    plain = load_generator(weights=path, classes=str(names))
    assert plain.info.class_names == ("blond", "young", "male")
    several = load_generator(weights=path, classes=str(names), domains="young+male, none")
    assert several.info.class_names == ("young+male", "none")
    x = photos()
    by_class = several({"image": x, "label": torch.tensor([0, 1])})
    c = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert torch.equal(by_class, plain({"image": x, "c": c}))
    assert several.info.identity() != plain.info.identity()
    with pytest.raises(UnknownNameError, match="old"):
        load_generator(weights=path, classes=str(names), domains="old")
    with pytest.raises(UsageError, match="give label"):
        plain({"image": x})
    with pytest.raises(UsageError, match="takes one class an image"):
        on_trial(several).latents([0], labels=torch.ones(1, 2))


# ------------------------------------------------------------------------------------- a source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    for k, image in enumerate(photos(9, 3, 40)):
        levels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(levels[:, : 40 - k]).save(made / f"photo{k}.png")
    return made


def test_images_are_translations_of_the_source_by_name(folder: Path, tmp_path: Path) -> None:
    path = saved(cyclegan(), tmp_path)
    generator = load_generator(weights=path, source=str(folder), resolution=SIZE)
    source = SamplerSource(generator, 9, preset=PRESETS["native"])
    assert list(source.ids) == [f"photo{k}.png" for k in range(9)]
    before = InputImages(generator, 9, preset=PRESETS["native"])
    assert before.ids == source.ids and before.generator is None
    assert generator.given is not None
    assert torch.equal(before.read([3, 8]), generator.given.read([3, 8]))
    check_source(before)
    drawn = generator({"image": generator.given.read([8])})
    assert float((source.read([8]) - drawn).abs().max()) <= 1 / 255 + 1e-5
    with pytest.raises(UsageError, match=r"10 images asked for, 9 can be translated"):
        SamplerSource(generator, 10)
    with pytest.raises(UsageError, match="say which with source=PATH"):
        SamplerSource(load_generator(weights=path), 1)
    assert source.first(4).ids == source.ids[:4]
    assert before.first(4).fingerprint != source.first(4).fingerprint


def test_the_source_is_part_of_the_identity(folder: Path, tmp_path: Path) -> None:
    path = saved(cyclegan(), tmp_path)
    first = load_generator(weights=path, source=str(folder), resolution=SIZE).info.identity()
    again = load_generator(weights=path, source=str(folder), resolution=SIZE).info.identity()
    assert first == again and str(folder) not in str(first)
    Image.new("RGB", (40, 40), "red").save(folder / "photo3.png")
    other = load_generator(weights=path, source=str(folder), resolution=SIZE).info.identity()
    assert first != other


def test_a_photo_that_cannot_be_read_is_skipped_on_both_sides(folder: Path, tmp_path: Path) -> None:
    (folder / "photo4.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    path = saved(cyclegan(), tmp_path)
    generator = load_generator(weights=path, source=str(folder), resolution=SIZE)
    for source in (SamplerSource(generator, 9), InputImages(generator, 9)):
        _, good, skipped = source.load(range(9))
        assert good == [0, 1, 2, 3, 5, 6, 7, 8]
        assert [one.item for one in skipped] == ["photo4.png"]


def test_what_is_chosen_and_what_is_measured_are_other_photos(folder: Path, tmp_path: Path) -> None:
    generator = load_generator(
        weights=saved(cyclegan(), tmp_path), source=str(folder), resolution=SIZE
    )
    levels = SamplerSource(generator, 5, further_seed(0, Series.LEVELS))
    effects = SamplerSource(generator, 4, further_seed(0, Series.EFFECT))
    own = SamplerSource(generator, 4)
    assert not set(levels.ids) & {*effects.ids, *own.ids}
    with pytest.raises(UsageError, match="half are kept"):
        SamplerSource(generator, 5, further_seed(0, Series.EFFECT))


def test_grey_networks_get_the_luma_of_pillow(folder: Path, tmp_path: Path) -> None:
    path = saved(cyclegan(colours=(1, 1)), tmp_path)
    generator = load_generator(weights=path, source=str(folder), resolution=40)
    grey = generator.latents([0])["image"]
    with Image.open(folder / "photo0.png") as picture:
        luma = torch.tensor(list(picture.convert("L").get_flattened_data())).reshape(1, 1, 40, 40)
    assert torch.equal(((grey + 1) * 127.5).round().long(), luma)


# ------------------------------------------------------------------------------------ boundaries


def test_boundaries_are_named_by_meaning(tmp_path: Path) -> None:
    generator = load_generator(weights=saved(cyclegan(), tmp_path), resolution=SIZE)
    assert isinstance(generator, Generator)
    assert [b.name for b in generator.boundaries] == [
        *("input", "r32.enc", "r16.enc", "r8.enc", "block0", "block1"),
        *("r16.dec", "r32.dec", "image"),
    ]
    assert generator.boundary("model.10").name == "block0"
    assert generator.boundaries[0] == Boundary("input", 0, (3, 32, 32), "image", (32, 32))
    deep = load_generator(weights=saved(unet(depth=5), tmp_path), resolution=64)
    assert isinstance(deep, Generator)
    state = deep.advance(deep.begin({"image": photos(1, 3, 64)}), "r2.enc")
    assert set(state.carry) == set(deep.inverted_with) == {f"skip{k}" for k in range(4)}
    assert not deep.advance(state, "r32.dec").carry.keys() - {"skip0"}


@pytest.mark.slow
@pytest.mark.parametrize("family", MADE)
def test_conformance(family: str, tmp_path: Path) -> None:
    made = {"cyclegan": cyclegan(blocks=1), "pix2pix": unet(depth=6), "stargan": stargan(blocks=1)}
    options = {
        "cyclegan": {"resolution": 32},
        "pix2pix": {"resolution": 64, "dropout": "drawn"},
        "stargan": {"resolution": 16},
    }
    generator = load_generator(weights=saved(made[family], tmp_path), **options[family])
    for _, check in generator_checks():
        check(generator)
