"""Any module as a generator: Python callables, TorchScript and torch.export files."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seeingkit.contracts import Generator, LatentSpec, Sampler
from seeingkit.errors import (
    CorruptFileError,
    ModelError,
    PluginError,
    StateMismatchError,
    UnknownNameError,
    UnsafeFileError,
    UsageError,
)
from seeingkit.models.autostaged import AutoStaged
from seeingkit.testing import generator_checks, sampler_checks
from seeingkit_adapters.catalog.module import ModuleOptions
from seeingkit_adapters.module.generator import ProgramSampler, load

PROGRAM = '''
import torch
from torch import nn
import sibling_of_the_program

class Net(nn.Module):
    """DCGAN of 8 pixels, or with a label."""
    def __init__(self, nz=5, nc=3, classes=0):
        super().__init__()
        self.stem = nn.ConvTranspose2d(nz, 8, 4)
        self.embed = nn.Embedding(classes, 8) if classes else None
        self.main = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(True))
        self.up = nn.ConvTranspose2d(8, nc, 4, 2, 1)

    def forward(self, z, label=None):
        x = self.main(self.stem(z.reshape(len(z), -1, 1, 1)))
        if label is not None:
            x = x * self.embed(label)[:, :, None, None]
        return torch.tanh(self.up(x))

class Chance(Net):
    def forward(self, z):
        return super().forward(z + 0.1 * torch.randn_like(z))

class Pair(Net):
    def forward(self, z):
        return super().forward(z), None

def make(seed=0, cls=Net, **options):
    torch.manual_seed(seed)
    return cls(**options)

def chance(): return make(cls=Chance)
def pair(): return make(cls=Pair)
def unit(): return nn.Sequential(make(), nn.Sigmoid())
def wrong(): raise ValueError("out of luck")
def number(): return 3
READY = make()
'''


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "sibling_of_the_program.py").write_text("x = 1\n")
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(autouse=True)
def _clean_imports() -> Any:
    before = set(sys.modules)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name.startswith(("sibling_", "package_of_a_test")):
            del sys.modules[name]


def open_module(weights: Path | None = None, **options: Any) -> Sampler:
    return load(weights, ModuleOptions(**options))


def names(generator: Sampler) -> list[str]:
    assert isinstance(generator, Generator)
    return [b.name for b in generator.boundaries]


# ---------------------------------------------------------------------------------------- callables


def test_file_and_callable(program: Path) -> None:
    generator = open_module(reference=f"{program}:make")
    assert names(generator) == ["input", "stem", "main", "up", "image"]
    assert generator.info.latent == (LatentSpec(shape=(5,)),)  # found by trying
    assert generator.info.resolution == 8
    assert generator.info.options["reference"] == "program.py:make"  # no path of this machine
    for _, check in generator_checks():
        check(generator)


def test_arguments_stages_and_grey(program: Path) -> None:
    options: dict[str, Any] = {"reference": f"{program}:Net", "arguments": {"nz": 7, "nc": 1}}
    generator = open_module(stages="r4=main.1, r8=up", latent="7,1,1", **options)
    assert names(generator) == ["input", "r4", "r8", "image"]
    assert isinstance(generator, Generator)
    assert generator.boundary("main.1").extent == (4, 4)
    assert generator.info.channels == 1
    images = generator(generator.latents(range(2)))
    assert images.shape == (2, 3, 8, 8) and torch.equal(images[:, 0], images[:, 2])
    assert names(open_module(stages="", **options)) == ["input", "image"]
    with pytest.raises(UnknownNameError, match=r"no module named 'main\.9'"):
        open_module(stages="main.9", **options)


def test_package_in_the_working_folder(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "package_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    generator = open_module(reference="package_of_a_test.nets:make")
    assert names(generator)[1] == "stem"
    assert generator.info.options["reference"] == "package_of_a_test.nets:make"
    again = open_module(reference=f"{program}:make")
    latent = generator.latents(range(2))
    assert torch.equal(generator(latent), again(latent))


def test_conditional(program: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"reference": f"{program}:make", "arguments": {"classes": 3}}
    (tmp_path / "names.txt").write_text("cat\ndog\ncow\n")
    generator = open_module(class_count=3, classes=str(tmp_path / "names.txt"), **options)
    assert generator.info.class_names == ("cat", "dog", "cow")
    assert names(generator) == ["input", "stem", "main", "embed", "up", "image"]
    for _, check in generator_checks():
        check(generator)
    with pytest.raises(UsageError, match="3 class names, the model has 2"):
        open_module(class_count=2, classes=str(tmp_path / "names.txt"), **options)


def test_ranges_tuples_and_objects(program: Path) -> None:
    plain = open_module(reference=f"{program}:make")
    latent = plain.latents(range(3))
    for name in ("pair", "READY"):
        assert torch.equal(open_module(reference=f"{program}:{name}")(latent), plain(latent))
    unit = open_module(reference=f"{program}:unit", range="0..1")
    raw = open_module(reference=f"{program}:unit")(latent)
    assert float(raw.min()) > 0
    torch.testing.assert_close(unit(latent), 2 * raw - 1)


def test_a_generator_of_our_contracts_is_used_as_it_is(program: Path) -> None:
    program.write_text(
        PROGRAM + "\nfrom seeingkit import AutoStaged\n"
        "def whole(): return AutoStaged(make(), {'cut': 'up'}, latent=5)\n"
    )
    generator = open_module(reference=f"{program}:whole")
    assert isinstance(generator, AutoStaged) and names(generator) == ["input", "cut", "image"]
    with pytest.raises(UsageError, match="returns a whole generator, which takes no latent"):
        open_module(reference=f"{program}:whole", latent=5)


def test_weights_of_a_callable_are_read_as_data(program: Path, tmp_path: Path) -> None:
    reference = f"{program}:make"
    other = open_module(reference=reference, arguments={"seed": 3})
    assert isinstance(other, AutoStaged)
    state = {f"module.{k}": v for k, v in other.module.state_dict().items()}
    path = tmp_path / "weights.pth"
    torch.save({"netG": state, "netD": {"a": torch.zeros(2)}, "epoch": 3}, path)
    loaded = open_module(path, reference=reference)
    plain = open_module(reference=reference)
    latent = other.latents(range(2))
    assert torch.equal(loaded(latent), other(latent))
    assert not torch.equal(loaded(latent), plain(latent))
    hashes = {model.info.weights_sha256 for model in (other, plain)}
    assert len(hashes) == 2 and loaded.info.weights_sha256 in hashes
    with pytest.raises(StateMismatchError, match=r"weights\.pth: missing keys"):
        open_module(path, reference=reference, key="netD")
    del state["module.up.bias"]
    torch.save(state, path)
    with pytest.raises(StateMismatchError, match=r"missing keys up\.bias"):
        open_module(path, reference=reference)
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(UnsafeFileError, match="refused"):
        open_module(path, reference=reference)


def test_the_hash_covers_the_program(program: Path) -> None:
    first = open_module(reference=f"{program}:make").info
    assert open_module(reference=f"{program}:make").info == first
    program.write_text(PROGRAM.replace("torch.tanh(", "torch.sin("))
    assert open_module(reference=f"{program}:make").info.weights_sha256 != first.weights_sha256


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("wrong", ModelError, r"wrong\(\) raised ValueError: out of luck"),
        ("number", ModelError, "returned a int, not an nn.Module"),
        ("nothing", UnknownNameError, "no callable in .*'nothing'"),
        ("__doc__", PluginError, "is a NoneType"),
        ("chance", ModelError, "changes? from call to call"),
    ],
)
def test_refused_callables(program: Path, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_module(reference=f"{program}:{name}")


def test_refused_references(program: Path) -> None:
    program.write_text("import no_such_module_anywhere\n")
    for reference, error, message in (
        (f"{program}:make", PluginError, r"program\.py cannot be run: ModuleNotFoundError"),
        ("no.such.package:make", PluginError, "cannot be imported: ModuleNotFoundError"),
        ("/no/such/file.py:make", UsageError, "no such Python file"),
        ("make", UsageError, "module:package.file:callable"),
        ("torch.nn:Identity", UsageError, r"no images from z of shape .* give latent="),
    ):
        with pytest.raises(error, match=message):
            open_module(reference=reference)
    with pytest.raises(UsageError, match="name code"):
        open_module()


# ------------------------------------------------------------------------------------ program files


class Network(nn.Module):
    """4 pixels, then 8; takes (N, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(6, 8, 4),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.main(z[:, :, None, None])
        return image


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    made = Network().eval()
    norm = made.main[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    norm.running_mean.normal_()
    return made


def script(module: nn.Module, path: Path, example: Tensor | None = None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch announces TorchScript's end
        made = torch.jit.script(module) if example is None else torch.jit.trace(module, example)
        torch.jit.save(made, path)
    return path


def exported(module: nn.Module, path: Path, example: Tensor, batch: int | None) -> Path:
    shapes = None if batch else ({0: torch.export.Dim("batch", min=1, max=4096)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("traced", [False, True])
def test_torchscript(network: Network, tmp_path: Path, traced: bool) -> None:
    path = script(network, tmp_path / "g.pt", torch.randn(2, 6) if traced else None)
    generator = open_module(path)
    assert names(generator) == ["input", "image"]
    latent = generator.latents(range(3))
    with torch.no_grad():
        torch.testing.assert_close(generator(latent), network(latent["z"]))
    for _, check in generator_checks():
        check(generator)


def test_a_scripted_sequential_is_staged(network: Network, tmp_path: Path) -> None:
    generator = open_module(script(network.main, tmp_path / "g.pt"), stages="r4=2,3")
    assert names(generator) == ["input", "r4", "3", "image"]
    assert generator.info.latent[0].shape == (6, 1, 1)
    for _, check in generator_checks():
        check(generator)


@pytest.mark.slow
def test_exported_programs_are_staged(network: Network, tmp_path: Path) -> None:
    path = exported(network, tmp_path / "g.pt2", torch.randn(3, 6), None)
    generator = open_module(path)
    assert names(generator) == ["input", "main.0", "main.1", "main.2", "main.3", "image"]
    assert generator.info.latent[0].shape == (6,)
    latent = generator.latents(range(3))
    with torch.no_grad():
        torch.testing.assert_close(generator(latent), network(latent["z"]))
    for _, check in generator_checks():
        check(generator)
    assert names(open_module(path, stages="r4=main.2")) == ["input", "r4", "image"]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_programs_of_one_batch_size(network: Network, tmp_path: Path, batch: int) -> None:
    """Called in batches of that size; the last is padded."""
    sampler = open_module(exported(network, tmp_path / "g.pt2", torch.randn(batch, 6), batch))
    assert isinstance(sampler, ProgramSampler) and not isinstance(sampler, Generator)
    latent = sampler.latents(range(5))
    with torch.no_grad():
        torch.testing.assert_close(sampler(latent), network(latent["z"]))
    for _, check in sampler_checks():
        check(sampler)
    with pytest.raises(UsageError, match="takes no latent 'label'"):
        sampler({**latent, "label": torch.zeros(5, dtype=torch.int64)})


def test_identity_of_a_program_file(network: Network, tmp_path: Path) -> None:
    import hashlib

    path = script(network, tmp_path / "g.pt")
    info = open_module(path).info
    assert info.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert info.options["latent"] == [6] and info.parameters == sum(
        p.numel() for p in network.parameters()
    )


def test_files_that_are_no_programs(shared: Path, network: Network, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "g.pth")
    (tmp_path / "text.pt").write_text("no program")
    for name in ("g.pth", "text.pt"):
        with pytest.raises(UsageError, match=rf"{name}: no TorchScript or torch.export program"):
            open_module(tmp_path / name)
    for path in sorted((shared / "golden/hostile").glob("*.p*")):
        with pytest.raises(UsageError, match="no TorchScript"):
            open_module(path)


def test_damaged_program(network: Network, tmp_path: Path) -> None:
    import zipfile

    path = script(network, tmp_path / "g.pt")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "bad.pt", "w") as other:
        for member in archive.namelist():
            content = archive.read(member)
            other.writestr(member, content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match=r"bad\.pt: torch cannot load this torchscript"):
        open_module(tmp_path / "bad.pt")


# ----------------------------------------------------------------------------- through the registry


def test_through_the_public_name(program: Path) -> None:
    from seeingkit import load_generator

    generator = load_generator(f"module:{program}:make", arguments={"seed": 4})
    assert generator.info.family == "module"
    latent = generator.latents(range(2))
    expected = open_module(reference=f"{program}:make", arguments={"seed": 4})(latent)
    assert torch.equal(generator(latent), expected)


def test_auto_never_runs_a_program(network: Network, tmp_path: Path) -> None:
    from seeingkit import load_generator

    for path in (
        script(network, tmp_path / "g.pt"),
        exported(network, tmp_path / "g.pt2", torch.randn(2, 6), None),
    ):
        with pytest.raises((StateMismatchError, UnsafeFileError, CorruptFileError)):
            load_generator("auto", weights=path)


def test_the_documented_example(tmp_path: Path) -> None:
    import re

    page = Path(__file__).parents[2] / "docs" / "your-own-generator.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "mygan.py"
    path.write_text(code)
    generator = open_module(reference=f"{path}:Generator", arguments={"width": 6})
    assert names(generator) == ["input", "start", "middle", "end", "image"]
    assert generator.info.resolution == 16
    named = open_module(reference=f"{path}:Generator", latent=100, stages="r4=start,r8=middle")
    assert names(named) == ["input", "r4", "r8", "image"]
