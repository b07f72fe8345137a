"""Which family reads a file: golden files of every format, our own format, and refusals."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch

from seeingkit.errors import (
    MissingWeightsError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from seeingkit.models.loading import is_generator_name, load_generator
from seeingkit.models.recognition import claims_of, recognise
from seeingkit.models.registry import Registry, registry
from seeingkit.models.resolved import resolve
from seeingkit.specs import GanGroupSpec, GanSpec, WeightFile, WeightsSpec
from seeingkit.weights import Checkpoint, Opaque, outline, read_checkpoint, write_portable
from tests.helpers.plugins import registry_of

FAMILIES = {
    "ali_9310gaurav": "ali",
    "bigbigan_small": "bigbigan",
    "bigbigan_x1": "biggan",
    "biggan_ajbrock": "biggan",
    "biggan_hf": "biggan",
    "dcgan": "dcgan",
    "mnist_mlp_gan": "mlp-gan",
    "progan_pth": "progan",
    "progan_tf_pkl": "progan",
    "stylegan1_rosinality": "stylegan1",
    "stylegan_tf_pkl": "stylegan1",
    "stylegan2_ada_pkl": "stylegan2",
    "stylegan2_rewriting": "stylegan2",
    "stylegan2_rosinality": "stylegan2",
    "stylegan2_sg3repo_pkl": "stylegan2",
    "stylegan2_tf_pkl": "stylegan2",
    "stylegan2ada_tf_pkl": "stylegan2",
    "stylegan3_pkl": "stylegan3",
}
NO_GENERATOR = ("state_dict.pth", "D--300.ckpt", "netE_epoch_90.pth")


def weights_files(folder: Path) -> list[Path]:
    kept = (".pth", ".pt", ".pkl", ".bin", ".ckpt", ".model")
    return [p for p in sorted(folder.glob("*/*")) if p.suffix in kept]


@pytest.mark.parametrize("folder", sorted(FAMILIES))
def test_every_golden_file_is_claimed_by_its_family_alone(shared: Path, folder: str) -> None:
    specs = [s for s in registry().specs("gan") if isinstance(s, GanSpec) and s.recognise]
    for path in weights_files(shared / "golden" / folder):
        found = [claim.spec.name for claim in claims_of(read_checkpoint(path), specs)]
        assert found == ([] if path.name in NO_GENERATOR else [FAMILIES[folder]]), path


def test_segmenters_are_no_generators(shared: Path) -> None:
    for folder in ("semseg", "upernet_upp"):
        for path in weights_files(shared / "golden" / folder):
            with pytest.raises(StateMismatchError, match="no family reads this"):
                recognise(path, registry())


def test_hostile_files_are_refused_by_auto_and_by_name(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "pwned"
    monkeypatch.setenv("SEEINGKIT_PWNED", str(marker))
    families = [s.name for s in registry().specs("gan") if getattr(s, "recognise", None)]
    for path in sorted((shared / "golden" / "hostile").glob("0*")):
        for family in ("auto", "stylegan", *families):
            with pytest.raises(WeightsError) as refused:
                load_generator(family, weights=path)
            assert path.name in str(refused.value)
            assert len(str(refused.value).splitlines()) == 1
    assert not marker.exists()


# ------------------------------------------------------------------------------------ without files


def claims_a(checkpoint: Checkpoint) -> str | None:
    return "a layout" if "a" in checkpoint.content else None


def claims_b(checkpoint: Checkpoint) -> str | None:
    return "b layout" if "b" in checkpoint.content else None


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Families one and two, which read files with a key ``a`` or ``b``; a program; a group."""
    module = types.ModuleType("recognisers")
    module.claims_a, module.claims_b = claims_a, claims_b  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "recognisers", module)
    file = WeightFile(name="w.pth", resource="seeingkit:py.typed")
    specs = [
        GanSpec(name="one", summary="", target="m:load", recognise="recognisers:claims_a"),
        GanSpec(name="two", summary="", target="m:load", recognise="recognisers:claims_b"),
        GanSpec(name="program", summary="", target="m:load", needs_weights=False),
        GanGroupSpec(name="both", summary="", families=("two", "one")),
        WeightsSpec(
            name="x", family="one", kind="gan", summary="", domains=("d", "e"), files=(file,)
        ),
        WeightsSpec(name="y", family="two", kind="gan", summary="", domains=("d",), files=(file,)),
    ]
    return registry_of(*specs)


def saved(tmp_path: Path, *keys: str) -> Path:
    path = tmp_path / "file.pth"
    torch.save({key: torch.zeros(1) for key in keys}, path)
    return path


def test_auto_takes_the_family_that_claims_the_file(tmp_path: Path, known: Registry) -> None:
    choice = resolve("gan", "auto", weights=saved(tmp_path, "a"), known=known)
    assert (choice.name, choice.weights) == ("one", tmp_path / "file.pth")
    assert resolve("gan", "both", weights=saved(tmp_path, "b"), known=known).name == "two"
    with pytest.raises(StateMismatchError, match="one and two both read this file"):
        resolve("gan", "auto", weights=saved(tmp_path, "a", "b"), known=known)
    with pytest.raises(
        StateMismatchError, match=r"no family reads this torch zip file with keys c"
    ):
        resolve("gan", "auto", weights=saved(tmp_path, "c"), known=known)
    with pytest.raises(UsageError, match="give --weights FILE"):
        resolve("gan", "auto", known=known)
    with pytest.raises(UsageError, match="already names weights"):
        resolve("gan", "both:x", weights=saved(tmp_path, "a"), known=known)
    with pytest.raises(MissingWeightsError, match="no such"):
        resolve("gan", "auto", weights=tmp_path / "none.pth", known=known)


def test_a_group_is_its_first_family_with_weights(known: Registry) -> None:
    assert resolve("gan", "both", domain="d", known=known).name == "two:y"
    assert resolve("gan", "both", domain="e", known=known).name == "one:x"
    assert resolve("gan", "both", known=known).name == "two:y"
    assert resolve("gan", "both:x", known=known).name == "one:x"
    with pytest.raises(UnknownNameError, match="no weights of both named 'z'"):
        resolve("gan", "both:z", known=known)
    with pytest.raises(
        MissingWeightsError, match="none of two, one has registered weights for 'f'"
    ):
        resolve("gan", "both", domain="f", known=known)


def test_a_folder_with_one_file_will_do(tmp_path: Path, known: Registry) -> None:
    saved(tmp_path, "a")
    (tmp_path / "config.json").write_text("{}")
    assert recognise(tmp_path, known).spec.name == "one"
    torch.save({}, tmp_path / "other.pth")
    with pytest.raises(MissingWeightsError, match="2 weights files"):
        recognise(tmp_path, known)


def test_our_own_file_says_its_family(tmp_path: Path, known: Registry) -> None:
    path = write_portable(tmp_path / "w.safetensors", {"b": torch.zeros(1)}, "one", {"k": 1})
    found = recognise(path, known)
    assert (found.spec.name, found.layout) == ("one", "seeingkit safetensors")
    other = write_portable(tmp_path / "o.safetensors", {"b": torch.zeros(1)}, "three", {})
    with pytest.raises(StateMismatchError, match="no family reads this safetensors file"):
        recognise(other, known)


def test_words_for_what_a_file_holds() -> None:
    assert outline({f"k{i}": 0 for i in range(6)}) == "keys k0, k1, k2, k3, …"
    assert outline({}) == "no keys"
    assert outline((Opaque("tfutil.Network"), 3)) == "2 objects (tfutil.Network, int)"
    assert outline(Opaque("argparse.Namespace")) == "a argparse.Namespace"


def test_auto_is_a_reserved_name() -> None:
    with pytest.raises(ValueError, match="reserved"):
        GanSpec(name="auto", summary="", target="m:load")
    assert is_generator_name("auto")
    assert is_generator_name("stylegan")
    assert not is_generator_name("minichurches")
