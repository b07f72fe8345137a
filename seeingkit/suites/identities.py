"""What changes the numbers of a step: hashes of files and of code, without loading a model."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from seeingkit.analyses.inversion import ResolvedInverter
from seeingkit.models.code import code_of, identity_of
from seeingkit.models.resolved import ResolvedModel
from seeingkit.runs.plan import Plan, Side
from seeingkit.runs.sides import open_side, open_whole
from seeingkit.specs import GanSpec
from seeingkit.system.cache import file_sha256
from seeingkit.system.digests import DigestStore, file_stamp
from seeingkit.system.failures import told


class SideIdentities:
    """Identities of models and sides, each found once.

    >>> SideIdentities().files(Path("nothing here"))
    {}
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def model(self, model: ResolvedModel) -> dict[str, Any]:
        """Family, code, options and weights of a model.

        Of a family whose code is the user's own, the model itself is asked: it is loaded.
        """
        options = model.options.model_dump(mode="json")
        about: dict[str, Any] = {"family": model.spec.name, "code": code_of(model.spec)}
        about["options"] = options
        if model.computing is not None:
            about["computing"] = model.computing.options()
        if model.weights_spec is not None:
            hashes = {"name", "sha256", "sha256_prefix", "md5"}
            about["weights"] = [f.model_dump(include=hashes) for f in model.weights_spec.files]
        elif model.weights is not None:
            about["weights"] = self.files(model.weights)
        if model.edits:
            about["edits"] = [self.files(edit) for edit in model.edits]
        if isinstance(model.spec, GanSpec) and model.spec.takes_reference:
            key = json.dumps(about, sort_keys=True, default=str)
            if key not in self._known:
                self._known[key] = identity_of(model.load())
            about["loaded"] = self._known[key]
        return about

    def inverter(self, inverter: ResolvedInverter) -> dict[str, Any]:
        """Name, code and options of a method of inversion."""
        options = inverter.options.model_dump(mode="json")
        return {"name": inverter.spec.name, "code": code_of(inverter.spec), "options": options}

    def files(self, path: Path) -> dict[str, str]:
        """SHA-256 of a file, or of each file of a folder, by name; remembered while unchanged.

        Raises:
            StorageError: one cannot be read.
        """
        folder = path if path.is_dir() else path.parent
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        store = DigestStore(folder)
        found = {}
        for file in inside:
            if file.is_file():
                name = str(file.relative_to(folder))
                with told(file, "cannot be read"):
                    found[name] = store.remembered(
                        f"sha256:{name}", partial(file_stamp, file), partial(file_sha256, file)
                    )
        store.save()
        return found

    def side(self, side: Side, plan: Plan, which: str | int) -> Any:
        """All that changes the images of a side, as many as the plan asks for.

        Args:
            which: ``real``, ``generated``, or the number of a control.

        Raises:
            SourceError, UsageError: images that cannot be used, or too few.
        """
        n, seed = plan.config.n, plan.config.seed
        if side.generator is not None:
            return [self.model(side.generator), n, seed]
        key = json.dumps(
            [side.name, plan.preset.identity(), _options(side), n, seed, which != "generated"],
            default=str,
        )
        if key not in self._known:
            with closing(open_side(side, plan)) as source:
                fingerprint = source.compute_fingerprint()
                self._known[key] = hashlib.sha256(
                    f"{fingerprint} {source.code}".encode()
                ).hexdigest()
        return [self._known[key], which if isinstance(which, int) else 0]

    def size(self, side: Side, plan: Plan) -> int | None:
        """How many images there are; None where there are as many as one asks for."""
        with closing(open_whole(side, plan.preset)) as source:
            return None if source.first(2 * len(source)) is not None else len(source)


def _options(side: Side) -> Any:
    data = None if side.data_options is None else side.data_options.model_dump(mode="json")
    return [data, dict(side.path_options)]
