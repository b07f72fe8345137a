"""The notebook of the documents runs from its first cell to its last, and says what it says."""

from __future__ import annotations

import ast
import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
SAME = "same"
"""Tag of cells whose text is the same on every machine: names, counts, no measured number."""

Cell = dict[str, Any]


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(cell: Cell) -> list[str]:
    """What a cell printed and returned."""
    printed = ["".join(one["text"]) for one in cell["outputs"] if "text" in one]
    data = [one["data"] for one in cell["outputs"] if "data" in one]
    return [*printed, *("".join(one["text/plain"]) for one in data if "text/plain" in one)]


def kinds(cell: Cell) -> list[list[str]]:
    """The forms of each output of a cell."""
    return [sorted(one.get("data", {one.get("name"): ""})) for one in cell["outputs"]]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The notebook executed now, in an empty folder, as nobody in particular."""
    place = tmp_path_factory.mktemp("notebook")
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**os.environ, **{name: str(place / name.lower()) for name in own}}
    env |= {"SEEINGKIT_CACHE": str(place / "cache"), "TMPDIR": str(place)}
    script, target = DOCS / "execute_notebook.py", place / "out.ipynb"
    words = [sys.executable, str(script), str(NOTEBOOK), str(target)]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return read(target)


@pytest.mark.slow
def test_every_cell_runs_and_gives_what_the_document_shows(executed: dict[str, Any]) -> None:
    shown, now = code_cells(read(NOTEBOOK)), code_cells(executed)
    assert [cell["source"] for cell in shown] == [cell["source"] for cell in now]
    assert [kinds(cell) for cell in shown] == [kinds(cell) for cell in now]
    same = [k for k, cell in enumerate(shown) if SAME in cell["metadata"].get("tags", [])]
    assert len(same) >= 5
    assert [texts(shown[k]) for k in same] == [texts(now[k]) for k in same]


def test_the_answer_is_that_of_the_embedded_generator() -> None:
    (cell,) = (c for c in code_cells(read(NOTEBOOK)) if c["source"] == ["comparison.omitted"])
    assert SAME in cell["metadata"]["tags"]
    assert {"person", "car", "boat"} <= set(ast.literal_eval(texts(cell)[0]))


def test_the_document_was_executed_in_order_and_holds_nothing_of_a_machine() -> None:
    notebook, text = read(NOTEBOOK), NOTEBOOK.read_text(encoding="utf-8")
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all({"tags"} >= cell["metadata"].keys() for cell in cells)
    assert notebook["nbformat"] == 4
    assert not re.search(r"/(home|root|tmp|work|Users)/|Traceback|stderr", text)


def test_its_pictures_are_small_and_whole() -> None:
    pictures = [
        data
        for cell in code_cells(read(NOTEBOOK))
        for output in cell["outputs"]
        for kind, data in output.get("data", {}).items()
        if kind.startswith("image/")
    ]
    assert len(pictures) == 3
    assert sum(len("".join(data)) for data in pictures) < 300_000
    for data in pictures:
        if not "".join(data).startswith("<svg"):
            Image.open(io.BytesIO(base64.b64decode("".join(data)))).load()


def test_its_links_lead_somewhere() -> None:
    words = ["".join(c["source"]) for c in read(NOTEBOOK)["cells"] if c["cell_type"] == "markdown"]
    links = re.findall(r"\]\(([^)#]+)", "\n".join(words))
    assert links and all((DOCS / link).exists() for link in links)
