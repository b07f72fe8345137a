"""``seeingkit weights``: list, fetch, verify, inspect, convert."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch

from seeingkit import load_generator
from seeingkit.cli import weights as commands
from seeingkit.errors import ExitCode, SeeingkitError, UsageError
from seeingkit.models.hub import weights_folder
from seeingkit.models.inspection import tensors_in
from seeingkit.models.registry import registry
from seeingkit.specs import WeightFile, WeightsSpec
from seeingkit.weights import read_checkpoint
from seeingkit_adapters.progan.network import network
from tests.helpers.http_server import Page, Server, running, sha256

CONTENT = b"tensors" * 1000


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("SEEINGKIT_OFFLINE", raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> WeightsSpec:
    """Weights of our own among those of the registry."""
    server.pages["/toy.pth"] = Page(CONTENT)
    spec = WeightsSpec(
        name="toy",
        family="progan",
        kind="gan",
        summary="for tests",
        licence="CC0",
        domains=("toys",),
        files=(WeightFile(name="toy.pth", url=server.url("/toy.pth"), sha256=sha256(CONTENT)),),
    )
    monkeypatch.setitem(registry()._specs, ("weights", spec.full_name), spec)
    return spec


def weights(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the sub-command in this process: exit code, stdout, stderr."""
    capsys.readouterr()
    try:
        code = commands.app(list(words), standalone_mode=False)
    except SeeingkitError as error:
        print(f"seeingkit: {error}", file=sys.stderr)
        code = error.exit_code
    found = capsys.readouterr()
    return int(code or 0), found.out, found.err


# ------------------------------------------------------------------------------- ls, fetch, verify


def test_ls_names_family_domain_licence_and_state(
    published: WeightsSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = weights("ls", "progan", capsys=capsys)
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("progan:toy ")]
    assert line.split() == ["progan:toy", "toys", "-", "-", "CC0"]
    assert "stylegan" not in out
    (shipped,) = [line for line in out.splitlines() if line.startswith("progan:minichurches ")]
    assert "here" in shipped and "2.0 MB" in shipped
    records = json.loads(weights("ls", "--json", capsys=capsys)[1])
    (mine,) = [record for record in records if record["name"] == "progan:toy"]
    assert mine["here"] is False and mine["domains"] == ["toys"]
    assert mine["published"] == {"toy.pth": f"sha256 {sha256(CONTENT)}"}
    assert mine["folder"] == str(weights_folder(published))
    assert {"stylegan2:church", "upernet:upp"} <= {record["name"] for record in records}


def test_ls_of_a_group_and_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    records = json.loads(weights("ls", "stylegan", "--json", capsys=capsys)[1])
    assert {record["family"] for record in records} == {"stylegan1", "stylegan2", "stylegan3"}
    code, out, err = weights("ls", "stylgan", capsys=capsys)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "no family with weights named 'stylgan'; did you mean 'stylegan" in err


def test_fetch_then_verify(published: WeightsSpec, capsys: pytest.CaptureFixture[str]) -> None:
    path = weights_folder(published) / "toy.pth"
    code, out, err = weights("fetch", "progan:toy", capsys=capsys)
    assert (code, out) == (0, f"progan:toy  {path}\n")
    assert err.startswith("fetching toy.pth (7.0 kB) from 127.0.0.1 into ")
    assert path.read_bytes() == CONTENT
    assert weights("fetch", "progan:toy", "--json", "--yes", capsys=capsys) == (
        0,
        json.dumps([{"name": "progan:toy", "path": str(path), "error": None}], indent=2) + "\n",
        "",
    )
    code, out, _ = weights("verify", "progan:toy", capsys=capsys)
    assert code == 0 and sha256(CONTENT) in out
    listed = json.loads(weights("verify", "--json", capsys=capsys)[1])
    assert {r["name"] for r in listed if r["ok"]} >= {"progan:toy", "progan:minichurches"}
    path.write_bytes(CONTENT[::-1])
    code, out, _ = weights("verify", capsys=capsys)
    assert code == ExitCode.FAILED
    (line,) = [line for line in out.splitlines() if line.startswith("progan:toy ")]
    assert line.split()[1] == "wrong" and "delete the file and get it again" in line


def test_fetch_goes_on_after_a_failure_and_says_so(
    published: WeightsSpec,
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = published.model_copy(
        update={
            "name": "gone",
            "files": (WeightFile(name="gone.pth", url=server.url("/gone.pth")),),
        }
    )
    monkeypatch.setitem(registry()._specs, ("weights", gone.full_name), gone)
    code, out, err = weights("fetch", "progan:gone", "progan:toy", "--json", capsys=capsys)
    assert code == ExitCode.FAILED
    first, second = json.loads(out)
    assert first["path"] is None and "answered 404" in first["error"]
    assert second["path"].endswith("toy.pth")
    assert "seeingkit: progan:gone: gone.pth is not on this machine" in err


def test_fetch_offline_and_of_unknown_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    code, out, err = weights("fetch", "stylegan:church", capsys=capsys)
    assert (code, out) == (ExitCode.FAILED, "")
    assert len(err.splitlines()) == 1
    for words in ("stylegan2:church", "stylegan2-church-config-f.pkl", "no published hash"):
        assert words in err
    code, _, err = weights("fetch", "progan:churhc", capsys=capsys)
    assert code == ExitCode.USAGE and "did you mean 'progan:church'" in err
    assert weights("fetch", capsys=capsys)[0] == ExitCode.USAGE


# ---------------------------------------------------------------------------------------- inspect


def a_progan(path: Path, sizes: tuple[int, ...] = (8, 6, 4)) -> Path:
    torch.manual_seed(0)
    torch.save({"state_dict": network(sizes).state_dict()}, path)
    return path


def test_inspect_says_what_a_file_is_and_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_progan(tmp_path / "anything.bin")
    code, out, err = weights("inspect", str(path), "--json", capsys=capsys)
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    assert found["container"] == "torch zip" and found["sha256"] == sha256(path.read_bytes())
    assert [claim["family"] for claim in found["families"]] == ["progan"]
    assert (found["loads"], found["resolution"]) == ("yes", 8)
    first = found["tensors"][0]
    assert first == {
        "name": "state_dict.layer1.conv.weight",
        "shape": [6, 8, 4, 4],
        "dtype": "float32",
    }
    expected = sum(tensor.numel() for tensor in network((8, 6, 4)).state_dict().values())
    assert found["values"] == expected
    code, out, _ = weights("inspect", str(path), capsys=capsys)
    assert code == 0 and "state_dict.layer1.conv.weight" in out and "6x8x4x4" in out
    said = "clamp=true, the hard tanh of ganseeing (gandissect has none)"
    assert found["assumptions"] == [said]
    assert [line.split(None, 1) for line in out.splitlines() if said in line] == [["assumes", said]]


def test_inspect_lists_few_tensors_unless_it_is_asked_for_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_progan(tmp_path / "anything.bin")
    monkeypatch.setattr("seeingkit.cli.weights._FEW", 2)
    few = weights("inspect", str(path), capsys=capsys)[1]
    every = weights("inspect", str(path), "--all", capsys=capsys)[1]
    listed = every.count("\nstate_dict.")
    assert few.count("\nstate_dict.") == 2 < listed
    assert few.endswith(f"… and {listed - 2} more: --all lists them\n")


def test_inspect_describes_what_nobody_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.pth"
    torch.save({"a": [torch.zeros(2, 3), {"b": torch.ones((), dtype=torch.int64)}]}, path)
    found = json.loads(weights("inspect", str(path), "--json", capsys=capsys)[1])
    assert found["families"] == [] and found["loads"].startswith("no")
    assert [(t["name"], t["shape"], t["dtype"]) for t in found["tensors"]] == [
        ("a.0", [2, 3], "float32"),
        ("a.1.b", [], "int64"),
    ]


def test_inspect_names_tensors_of_pickled_modules_as_their_state_dict(shared: Path) -> None:
    path = shared / "golden" / "stylegan2_ada_pkl" / "cond-resnet-r16" / "network.pkl"
    names = [name for name, _ in tensors_in(read_checkpoint(path).content)]
    assert "G_ema.synthesis.b8.conv0.affine.weight" in names and "G_ema.mapping.w_avg" in names
    assert not [name for name in names if "._" in name]


def test_inspect_of_every_hostile_file_is_one_line(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(p for p in (shared / "golden/hostile").iterdir() if p.suffix != ".md")
    assert len(files) >= 8
    for path in files:
        code, out, err = weights("inspect", str(path), capsys=capsys)
        if code == 0:  # wrong for its family, harmless as a file
            assert "loads" in out and "no: " in out, path
        else:
            assert code == ExitCode.FAILED and len(err.splitlines()) == 1 and path.name in err


def test_inspect_reads_every_golden_layout(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {
        "progan_pth/plain-r32": "progan",
        "stylegan2_tf_pkl/config-f-r32": "stylegan2",
        "stylegan3_pkl/t-r32": "stylegan3",
    }
    for case, family in wanted.items():
        files = [
            p
            for p in sorted((shared / "golden" / case).iterdir())
            if p.suffix in (".pkl", ".pth", ".pt")
        ]
        found = json.loads(weights("inspect", str(files[0]), "--json", capsys=capsys)[1])
        assert [claim["family"] for claim in found["families"]] == [family]
        assert found["loads"] == "yes" and found["values"] > 0
        if family == "stylegan2":  # names of TensorFlow variables, not numbers of list items
            assert any(t["name"].endswith("4x4/Const/const") for t in found["tensors"])


# ---------------------------------------------------------------------------------------- convert


def test_convert_writes_a_file_that_draws_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = a_progan(tmp_path / "g.pth"), tmp_path / "g.safetensors"
    code, out, err = weights("convert", str(source), str(target), "--json", capsys=capsys)
    assert (code, err) == (0, "")
    done = json.loads(out)
    assert (done["family"], done["resolution"]) == ("progan", 8)
    assert done["sha256"] == sha256(target.read_bytes())
    with safetensors.safe_open(str(target), framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["seeingkit.family"] == "progan"
    assert metadata["seeingkit.source_sha256"] == sha256(source.read_bytes())
    assert metadata["seeingkit.source_layout"] not in ("", "unknown")
    assert isinstance(json.loads(metadata["seeingkit.config"]), dict)
    a, b = load_generator("progan", weights=source), load_generator("auto", weights=target)
    with torch.no_grad():
        assert torch.equal(a(a.latents(range(3))), b(b.latents(range(3))))
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["g.pth", "g.safetensors"]


def test_convert_refuses_what_would_lose_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = a_progan(tmp_path / "g.pth"), tmp_path / "g.safetensors"
    target.write_text("precious")
    code, _, err = weights("convert", str(source), str(target), capsys=capsys)
    assert code == ExitCode.USAGE and "--force" in err
    assert target.read_text() == "precious"
    assert weights("convert", str(source), str(target), "--force", capsys=capsys)[0] == 0
    assert target.stat().st_size > 100
    for out, words in (
        (source, "name the new file with .safetensors"),
        (tmp_path / "none" / "g.safetensors", "no such folder"),
    ):
        code, _, err = weights("convert", str(source), str(out), capsys=capsys)
        assert code == ExitCode.USAGE and words in err
    code, _, err = weights("convert", str(target), str(target), "--force", capsys=capsys)
    assert code == ExitCode.USAGE and "is the source" in err
    missing = str(tmp_path / "none.pth")
    code, _, err = weights("convert", missing, str(tmp_path / "x.safetensors"), capsys=capsys)
    assert code == ExitCode.FAILED and "no such weights file" in err


def test_a_file_that_draws_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seeingkit.models.staged import StagedAdapter

    source, target = a_progan(tmp_path / "g.pth"), tmp_path / "g.safetensors"
    honest = StagedAdapter.export

    def careless(self: StagedAdapter) -> Any:
        tensors, config = honest(self)
        return {name: tensor * 2 for name, tensor in tensors.items()}, config

    monkeypatch.setattr(StagedAdapter, "export", careless)
    code, _, err = weights("convert", str(source), str(target), capsys=capsys)
    assert code == ExitCode.FAILED and "its image of seed 0 differs by" in err
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["g.pth"]


def test_the_licence_of_published_weights_goes_with_them(
    tmp_path: Path, published: WeightsSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = weights_folder(published)
    folder.mkdir(parents=True)
    source, target = a_progan(folder / "toy.pth"), tmp_path / "g.safetensors"
    assert weights("convert", str(source), str(target), capsys=capsys)[0] == 0
    with safetensors.safe_open(str(target), framework="pt") as opened:
        assert opened.metadata()["licence"] == "CC0"


def test_convert_of_a_conditional_generator_and_of_options_the_file_lacks(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        "biggan_ajbrock/hier-shared-r64/G_ema.pth": [],
        "stylegan1_rosinality/bare-step3/checkpoint.model": ["--gan-option", "step=3"],
    }
    for number, (file, options) in enumerate(cases.items()):
        source = shared / "golden" / file
        target = tmp_path / f"{number}.safetensors"
        code, out, err = weights("convert", str(source), str(target), *options, capsys=capsys)
        assert code == 0, err
        assert "the image of seed 0 is the same" in out
        assert load_generator("auto", weights=target).info.resolution > 0


def test_question_is_asked_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert commands.confirm("fetch it?") is True
    found = capsys.readouterr()
    assert found.out.strip() == "" and "fetch it?" in found.err


def test_usage_error_type() -> None:
    with pytest.raises(UsageError):
        commands._named("nothing:at-all")
