"""Finished inversions on disk, one file an image, so that no work is ever done twice.

Guarantees: a file is named by the hash of everything that changes it (generator, method, their
code and settings, encoder and features, the photo's pixels, label, seed); it appears whole or not
at all, and holds its name and a digest of all its bytes, which reading checks; an image that failed
leaves its reason, so that a resumed run does not try it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from seeingkit.contracts import Generator, Inversion, Prepared, State
from seeingkit.errors import RunError, StorageError
from seeingkit.models.code import identity_of
from seeingkit.system import seals
from seeingkit.system.addresses import Place, place
from seeingkit.system.cache import cache_folder
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.tensors import about_of, write_sealed_tensors
from seeingkit.system.writing import P, write_text

INVERSION_SCHEMA = 2
"""Version of the files and of the rules that the engine inverts by; 2 added the seal."""

KEY = "seeingkit_inversion"


class InversionStore:
    """A folder of finished inversions, or an address. Many runs and processes may share one."""

    def __init__(self, folder: str | Place | None = None) -> None:
        self.folder = place(cache_folder() / "inversions" if folder is None else folder)

    @property
    def claims(self) -> Claims:
        """The claims of processes that invert images now."""
        return Claims(self.folder / CLAIMS)

    def path(
        self,
        generator: Generator,
        prepared: Prepared,
        image: Tensor,
        *,
        label: int | None = None,
        seed: int = 0,
        code: str = "",
    ) -> Place:
        """The file of the inversion of one image (3, R, R), whether it exists or not.

        ``store.path(generator, inverter.prepare(generator), image)``; ``code`` is the version of
        the inverter's code, where its settings have none.
        """
        text = json.dumps(
            [INVERSION_SCHEMA, identity_of(generator), dict(prepared.settings), code, label, seed],
            sort_keys=True,
            default=str,
        )
        digest = hashlib.sha256(text.encode())
        digest.update(image.detach().cpu().float().numpy().tobytes())
        key = digest.hexdigest()[:32]
        return self.folder / key[:2] / f"{key}.safetensors"


def write_inversion(path: P, inversion: Inversion, made_by: Mapping[str, str] | None = None) -> P:
    """Write one row, whole or not at all; returns the path.

    Args:
        path: in an ``InversionStore``.
        inversion: of one row.
        made_by: registered names of generator and inverter, and the versions of their code.

    Raises:
        RunError: more rows.
    """
    if len(inversion) != 1:
        raise RunError(f"{path}: a file holds one inversion, not {len(inversion)}")
    steps, frames = inversion.frames[0]
    tensors = {
        "images": inversion.images,
        "reconstruction": inversion.reconstruction,
        "initial": inversion.initial,
        "x": inversion.state.x,
        "frames": _small(frames).half(),  # to look at; the reconstruction itself stays float32
        "history": inversion.history[0].float(),
        **{f"carry.{name}": value for name, value in inversion.state.carry.items()},
    }
    if inversion.z is not None:
        tensors["z"] = inversion.z
    about = {
        "name": path.stem,
        "schema_version": INVERSION_SCHEMA,
        "made_by": dict(made_by or {}),
        "method": inversion.method,
        "cut": inversion.cut,
        "loss": float(inversion.loss[0]),
        "psnr": float(inversion.psnr[0]),
        "perceptual": None if inversion.perceptual is None else float(inversion.perceptual[0]),
        "steps": int(inversion.steps[0]),
        "converged": bool(inversion.converged[0]),
        "failed": inversion.failed.get(0),
        "frame_steps": list(steps),
    }
    return write_sealed_tensors(path, tensors, KEY, about)


def _small(frames: Tensor) -> Tensor:
    """Frames of at most 256 pixels a side."""
    factor = 256 / max(frames.shape[-2:])
    if factor >= 1 or not len(frames):
        return frames
    return F.interpolate(frames, scale_factor=factor, mode="area")


def read_inversion(path: Place) -> Inversion:
    """Read a file of ``write_inversion``.

    Raises:
        RunError: it is missing, damaged or another's.
        StorageError: the system does not let it be read.
    """
    try:
        data = seals.read_whole(path)
        about, tensors = inversion_about(data), safetensors.torch.load(data)
        if about["name"] != path.stem:
            raise ValueError("it is of another inversion than its name says")
        if any(len(tensors[name]) != 1 for name in ("images", "reconstruction", "initial", "x")):
            raise ValueError("it holds other than one image")
        carry = {k.removeprefix("carry."): v for k, v in tensors.items() if k.startswith("carry.")}
        perceptual = about["perceptual"]
        return Inversion(
            method=about["method"],
            cut=about["cut"],
            images=tensors["images"],
            reconstruction=tensors["reconstruction"],
            state=State(about["cut"], tensors["x"], carry),
            z=tensors.get("z"),
            initial=tensors["initial"],
            loss=torch.tensor([about["loss"]], dtype=torch.float64),
            psnr=torch.tensor([about["psnr"]], dtype=torch.float64),
            perceptual=None if perceptual is None else torch.tensor([perceptual]),
            steps=torch.tensor([about["steps"]]),
            converged=torch.tensor([about["converged"]]),
            failed={0: about["failed"]} if about["failed"] else {},
            frames=((tuple(about["frame_steps"]), tensors["frames"].float()),),
            history=(tensors["history"],),
        )
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(
            f"{path}: not a readable inversion ({error}); delete it and run again"
        ) from error


def inversion_about(data: bytes) -> dict[str, Any]:
    """The metadata of the file with these bytes, all of which are checked.

    Raises:
        ValueError, LookupError: damaged, or no inversion.
    """
    return about_of(data, KEY)


def note_seconds(paths: Sequence[Place], seconds: float) -> None:
    """Keep wall times beside the files, which hold nothing that differs from run to run."""
    for path in paths:
        text = f"{seconds:.3f} {seals.BLANK}"
        write_text(path.with_suffix(".seconds"), seals.seal(text.encode()).decode())


def seconds_of(paths: Sequence[Place]) -> float:
    """Mean wall time in seconds of stored inversions for which it is known; 0 if of none."""
    known = []
    for path in paths:
        with contextlib.suppress(OSError, StorageError, ValueError):
            data = path.with_suffix(".seconds").read_bytes()
            seals.check_seal(data)
            known.append(float(data.split()[0]))
    return sum(known) / len(known) if known else 0.0
