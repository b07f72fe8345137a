"""A finished run of ``dissect``, read back with the numbers of its groups of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seeingkit.analyses.dissection.counts import Labelled
from seeingkit.errors import RunError
from seeingkit.report.runfiles import read_run
from seeingkit.results import DissectionResults, Manifest
from seeingkit.results.steps import Step, step_of

from .unit_groups import FILE, read_groups


@dataclass(frozen=True, eq=False)
class Dissected:
    """A run and its layers.

    Attributes:
        path: its directory.
        results, manifest: its records.
        layers: with the numbers of their groups; none of a rule without a null.
        digest: SHA-256 of the file of groups, else empty.
    """

    path: Path
    results: DissectionResults
    manifest: Manifest
    layers: Sequence[Labelled]
    digest: str = ""

    @property
    def classes(self) -> str:
        """The file or name of merged classes, as the run was told; empty without."""
        return str(self.manifest.config.get("classes") or "")

    @property
    def step(self) -> Step | None:
        """How far the training of its weights had come, as their file's name tells it."""
        given = self.manifest.config.get("weights") or self.manifest.config.get("generated") or ""
        return step_of(Path(str(given)).name)

    def boundary(self, layer: str) -> str:
        """The boundary of a layer, without the basis that its name states.

        ::

            run.boundary("r8.conv1/random")  # r8.conv1
        """
        basis = self.results.settings.basis
        return layer if basis == "units" else layer.removesuffix(f"/{basis}")


def read_dissected(run: Path) -> Dissected:
    """Read a finished run of ``dissect``; one of a published rule has no layers to compare.

    Args:
        run: its directory.

    Raises:
        RunError: it is not there, not a dissection, or its files do not fit together.

    ::

        read_dissected(Path("runs/church")).layers[0].name
    """
    results, manifest = read_run(run)
    if not isinstance(results, DissectionResults):
        raise RunError(f"{run}: no run of dissect; name the directories of finished ones")
    if not results.settings.tested:
        return Dissected(run, results, manifest, [])
    layers = read_groups(run, results)
    digest = hashlib.sha256((run / FILE).read_bytes()).hexdigest()
    return Dissected(run, results, manifest, layers, digest)
