"""Commands, code and links in the documents work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_a_third_party_package_as_documented(tmp_path: Path) -> None:
    catalog, model, encoder, images = blocks("docs/adding-a-model.md", "python")
    (toml,) = blocks("docs/adding-a-model.md", "toml")
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "catalog.py").write_text(catalog)
    (package / "model.py").write_text(model)
    (package / "encoder.py").write_text(encoder)
    (package / "images.py").write_text(images)
    info = tmp_path / "mypackage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    entry = toml.replace("[project.entry-points.seeingkit]", "[seeingkit]").replace('"', "")
    (info / "entry_points.txt").write_text(entry)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.ConvTranspose2d(16, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh()
    )
    torch.save(network.state_dict(), tmp_path / "g.pth")
    network = nn.Sequential(
        nn.Conv2d(3, 4, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Identity(), nn.Linear(64, 32)
    )
    torch.save(network.state_dict(), tmp_path / "e.pth")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "SEEINGKIT_STRICT": "1"}
    listed = subprocess.run(
        [sys.executable, "-m", "seeingkit", "plugins", "--json"],
        env=env,
        capture_output=True,
        check=True,
    )
    mine = next(p for p in json.loads(listed.stdout) if p["name"] == "mygan")
    assert (mine["status"], mine["distribution"], mine["version"]) == ("ok", "mypackage", "1.0")
    check = (
        "import seeingkit; from seeingkit.testing import check_generator\n"
        "generator = seeingkit.load_generator('mygan', weights='g.pth', truncation=0.5)\n"
        "check_generator(generator)\n"
        "assert [b.name for b in generator.boundaries] == ['input', 'r4', 'image']\n"
        "assert generator.info.options == {'truncation': 0.5}\n"
        "assert generator.info.images_sha256\n"
        "from mypackage.encoder import SPEC\n"
        "from seeingkit.models.registry import PluginRecord, registry\n"
        "from seeingkit.testing import check_encoder\n"
        "import seeingkit.specs as specs, types\n"
        "plugin = types.ModuleType('more')\n"
        "plugin.seeingkit_register = specs.hookimpl(lambda register: register(SPEC))\n"
        "registry().add(plugin, PluginRecord('more', 'mypackage', '1.0', 'more'))\n"
        "encoder = seeingkit.load_encoder(weights='e.pth', generator=generator)\n"
        "check_encoder(encoder)\n"
        "assert encoder.estimate(generator(generator.latents([0])))[0].shape == (1, 16, 1, 1)\n"
    )
    subprocess.run([sys.executable, "-c", check], env=env, cwd=tmp_path, check=True)
    check = (
        "import seeingkit; from seeingkit.testing import check_annotator, check_source\n"
        "from mypackage.images import Darkness, Greys\n"
        "check_source(Greys(100)); check_annotator(Darkness())\n"
        "found = seeingkit.tally(Greys(100), Darkness(), n=50, store='store')\n"
        "assert found.ids == tuple(f'grey-{k}' for k in range(50))\n"
        "assert found.vocabulary.unit == 'probability'\n"
    )
    subprocess.run([sys.executable, "-c", check], env=env, cwd=tmp_path, check=True)


def test_readme_names_real_commands_options_and_files() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = "".join(
        subprocess.run(
            [sys.executable, "-m", "seeingkit", *command, "--help"],
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in (
            ["analyze"],
            ["dissect"],
            ["intervene"],
            ["trace"],
            ["rewrite"],
            ["figure"],
            ["suite", "run"],
            ["suite", "table"],
            ["export"],
        )
    )
    theirs = {"--nproc-per-node"}  # torchrun's
    for option in set(re.findall(r"(--[a-z][a-z-]+)", "".join(blocks("README.md", "")))) - theirs:
        assert option in shown, option
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (demo|suite|test|slow|check|lint|types)", text):
        assert f"\n{target}:" in makefile


DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    for link in re.findall(r"\]\(([^)#]+)", (ROOT / document).read_text(encoding="utf-8")):
        assert link.startswith("https://") or (folder / link).exists(), link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_blocks_parse(document: str) -> None:
    for block in blocks(document, "python"):
        compile(block, document, "exec")


def test_architecture_names_rooms_that_exist_and_all_of_them() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [
        *(ROOT / "seeingkit").glob("*.py"),
        *(p.parent for p in (ROOT / "seeingkit").glob("*/__init__.py")),
    ]
    for room in rooms:
        name = room.name if room.suffix else f"{room.name}/"
        if not name.startswith("__"):
            assert name in text, f"ARCHITECTURE.md does not mention {name}"
