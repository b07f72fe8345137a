"""The run directory: everything a run leaves behind, readable without this library.

``manifest.json`` (how), ``results.json`` (what), ``classes.parquet``, ``images.parquet`` (the
tallies), ``figures/``, ``gallery/`` (pictures of the report), ``report.html``. Files are replaced
whole. A directory is used again only for the same settings, so finished work is never overwritten
by other work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seeingkit.errors import RunError
from seeingkit.system.writing import is_begun, json_text, make_folder, write_text

from .config import Config, read_config


class RunDirectory:
    """One run's folder."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def check(cls, config: Config, out: str | Path | None) -> RunDirectory:
        """The folder named by ``out``, or ``runs/<generated>-<real>-<key>``; nothing is written.

        Raises:
            RunError: it holds something else.
            StorageError: it cannot be made.
        """
        if out is None:
            names = [slug(text) for text in (config.generated, config.real)]
            out = Path("runs") / f"{names[0]}-{names[1]}-{config.key()}"
        run = cls(out)
        manifest = run.path / "manifest.json"
        begun = is_begun(run.path, manifest.name, "run")
        if begun and read_config(manifest).key() != config.key():
            raise RunError(
                f"{run.path}: holds a run with other settings; name another --out or delete it"
            )
        return run

    @classmethod
    def for_config(cls, config: Config, out: str | Path | None) -> RunDirectory:
        """The folder of ``check``, created and claimed.

        Raises:
            RunError: as ``check``, or it cannot be created.
        """
        run = cls.check(config, out)
        make_folder(run.path)
        return run

    def write_json(self, name: str, content: dict[str, Any]) -> Path:
        """Write one JSON file, whole or not at all."""
        return write_text(self.path / name, json_text(content, indent=2) + "\n")


def slug(text: str) -> str:
    """The last part of a path or a name, as part of a folder's name."""
    kept = "".join(c if c.isalnum() else "-" for c in Path(text).name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "images"
