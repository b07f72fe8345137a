"""Executes a notebook of this folder in an empty folder: how its outputs were made.

    python docs/execute_notebook.py docs/notebook.ipynb            # writes its outputs into it
    python docs/execute_notebook.py docs/notebook.ipynb OUT.ipynb  # writes them elsewhere

Progress on stderr is left out of the outputs, and so are times and JPEGs beside PNGs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def execute(source: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of its cells, all executed in ``folder``."""
    notebook = nbformat.read(source, as_version=4)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources=place, record_timing=False
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop("image/jpeg", None)
    notebook.metadata.language_info = {"name": "python"}  # not whose version it was
    return notebook


def main(source: str, target: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("SEEINGKIT_CACHE", f"{folder}/cache")
        # Threads that spin while they wait take four times as long on a busy machine.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        (Path(folder) / "work").mkdir()
        executed = execute(Path(source), Path(folder) / "work")
    nbformat.validate(executed)
    nbformat.write(executed, target or source)


if __name__ == "__main__":
    main(*sys.argv[1:])
