"""Start-up of the command line against the interpreter's own, and with 50 more plugins.

Targets: ``seeingkit --help`` in 0.3 s; ``seeingkit plugins`` with 50 plugins in 1 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import interleave, ratio, show

CATALOG = """
from seeingkit.specs import GanSpec, hookimpl

@hookimpl
def seeingkit_register(register):
    register(GanSpec(name="made{k}", summary="s", target="json:loads"))
"""


def plugins(folder: Path, count: int) -> None:
    """Write installed-looking packages, each with one entry point."""
    for k in range(count):
        (folder / f"made{k}.py").write_text(CATALOG.format(k=k))
        info = folder / f"made{k}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made{k}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[seeingkit]\nmade{k} = made{k}\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plugins(Path(folder), 50)
        env = {**os.environ, "PYTHONPATH": folder}

        def run(*words: str) -> None:
            subprocess.run([sys.executable, *words], env=env, check=True, capture_output=True)

        seconds = interleave(
            {
                "python -c pass": lambda: run("-c", "pass"),
                "seeingkit --help": lambda: run("-m", "seeingkit", "--help"),
                "seeingkit plugins, 50 more": lambda: run("-m", "seeingkit", "plugins"),
            },
            7,
        )
    show(seconds, "runs", 1)
    slower = ratio(seconds, "python -c pass", "seeingkit --help")
    print(f"--help takes {slower:.1f} times an empty interpreter")


if __name__ == "__main__":
    main()
