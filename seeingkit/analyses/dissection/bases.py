"""Directions in which a layer is looked at: its channels, a rotation, components, or a file's.

Guarantees: what is stored has one content for all processes, so all use the same bytes; a file's
directions are named by their content; nothing of a file is executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from seeingkit.contracts import Boundary
from seeingkit.errors import ModelError, StorageError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.system.addresses import Place
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.digests import key_of
from seeingkit.system.seals import read_whole
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, write_sealed_tensors, write_tensors

from .config import BASES
from .grouping import GROUP
from .observation import Basis, Layer, layer_maps

KEY = "seeingkit_basis"
PCA_IMAGES = 64
"""Images of which principal components are taken."""
PCA_VERSION = 1
GIVEN = "bases"
"""Folder of a store in which directions of Python lie."""
_UNREADABLE = (OSError, EOFError, MemoryError, ValueError, TypeError, safetensors.SafetensorError)


def basis_of(
    kind: str, boundary: Boundary, source: SamplerSource, folder: Place | None = None
) -> Basis:
    """The directions in which a layer is looked at.

    Args:
        kind: ``units``; ``pca``: principal components of the feature vectors of 64 images, by
            falling variance; ``random``: a random rotation of the channels (Zhou et al. 2018, the
            control of Network Dissection); else a file (``read_directions``).
        boundary: the layer.
        source: images for ``pca``.
        folder: where components are stored for all processes; None: nowhere.

    Raises:
        UsageError: a file that cannot be read, or of directions of another layer.

    >>> source = SamplerSource(seeingkit.load_generator("progan:minichurches"), 64)
    >>> basis_of("random", source.sampler.boundary("r8.conv1"), source).matrix.shape
    torch.Size([128, 128])
    """
    channels = boundary.shape[0]
    if kind == "units":
        return Basis()
    if kind == "random":
        draw = torch.Generator().manual_seed(source.seed)
        matrix, triangle = torch.linalg.qr(torch.randn(channels, channels, generator=draw))
        return Basis("random", (matrix * triangle.diagonal().sign()).T.contiguous())
    if kind == "pca":
        found = None if folder is None else _stored_components(boundary, source, folder)
        return Basis("pca", components(boundary, source) if found is None else found)
    matrix = read_directions(kind, boundary)
    digest = hashlib.sha256(matrix.numpy().tobytes() + str(tuple(matrix.shape)).encode())
    return Basis(f"{Path(kind).stem}-{digest.hexdigest()[:8]}", matrix)


def check_basis(kind: str, boundaries: Sequence[Boundary]) -> None:
    """Refuse a file of directions that does not fit these layers, before any image is made.

    Raises:
        UsageError: as ``read_directions``.

    ::

        check_basis("directions.npy", layers_of(generator, ["r8.conv1"]))
    """
    if kind not in BASES:
        for boundary in boundaries:
            read_directions(kind, boundary)


def read_directions(path: str | Path, boundary: Boundary) -> Tensor:
    """The directions of a file.

    Args:
        path: a ``.npy`` file of one matrix, or a ``.safetensors`` file of one, or of one a layer
            by the name of the layer.
        boundary: the layer, of C channels.

    Returns:
        (K, C) float32: direction k is the sum of channels weighted by row k.

    Raises:
        UsageError: no such file; nothing in it that can be read; no matrix for this layer, or one
            of another number of channels, without rows, with numbers that are not finite.

    ::

        numpy.save("directions.npy", numpy.eye(128)[:4])
        read_directions("directions.npy", generator.boundary("r8.conv1")).shape   # (4, 128)
    """
    found, channels = _matrix_in(Path(path), boundary.name), boundary.shape[0]
    if found.ndim != 2 or found.shape[1] != channels or not len(found):
        raise UsageError(
            f"{path}: directions of shape {tuple(found.shape)}; {boundary.name} needs "
            f"(directions, {channels})"
        )
    if found.is_complex() or found.dtype == torch.bool:
        raise UsageError(f"{path}: directions are {found.dtype}; save them as float32")
    matrix = found.float().contiguous()
    if not bool(matrix.isfinite().all()):
        raise UsageError(f"{path}: a direction has a number that is not finite")
    if bool((matrix == 0).all(1).any()):
        raise UsageError(f"{path}: a direction is 0 in every channel")
    return matrix


def _matrix_in(path: Path, layer: str) -> Tensor:
    try:
        if path.suffix == ".npy":
            return _array_in(path)
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file of directions") from error
    except _UNREADABLE as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{path}: no file of directions that can be read ({why})") from error
    if layer in tensors or len(tensors) == 1:
        found: Tensor = tensors[layer if layer in tensors else next(iter(tensors))]
        return found
    raise UsageError(f"{path}: holds {', '.join(sorted(tensors))}, and none is {layer}")


def _array_in(path: Path) -> Tensor:
    """The array of a ``.npy`` file, whose header may promise more than the file holds."""
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError("it holds several arrays")
    return torch.from_numpy(np.array(found))


def write_directions(matrix: ArrayLike | Tensor, folder: Place) -> str:
    """Keep directions of Python in a store, named by their content; returns the path.

    Args:
        matrix: (K, C) numbers.
        folder: the store.

    Raises:
        UsageError: it is no matrix of real numbers.

    ::

        write_directions(torch.eye(128)[:4], dissection_folder())
    """
    try:
        given = matrix if isinstance(matrix, Tensor) else torch.as_tensor(np.asarray(matrix))
    except (ValueError, TypeError) as error:
        raise UsageError("directions are no matrix of numbers; give (directions, channels)") from (
            error
        )
    if given.is_complex() or given.dtype == torch.bool:
        raise UsageError(f"directions are {given.dtype}; give real numbers")
    found = given.detach().cpu().float().contiguous()
    if found.ndim != 2:
        raise UsageError(f"directions of shape {tuple(found.shape)}; give (directions, channels)")
    if not isinstance(folder, Path):
        raise UsageError("directions of Python are kept in a folder of this machine; name a file")
    path = folder / GIVEN / f"{_given_name(found)}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, {"directions": found}, {})
    return str(path)


def check_given(path: Place) -> None:
    """Check that directions of Python in a store are those that their name says.

    Raises:
        StorageError: damaged, or others.

    ::

        check_given(Path(write_directions(torch.eye(128)[:4], dissection_folder())))
    """
    try:
        found = safetensors.torch.load(read_whole(path))["directions"]
    except (ValueError, LookupError, safetensors.SafetensorError) as error:
        raise StorageError(f"{path}: damaged ({error})") from error
    if _given_name(found) != path.stem:
        raise StorageError(f"{path}: its directions are not those that its name says")


def _given_name(matrix: Tensor) -> str:
    data = f"{tuple(matrix.shape)}".encode() + matrix.numpy().tobytes()
    return f"given-{hashlib.sha256(data).hexdigest()[:16]}"


def components(boundary: Boundary, source: SamplerSource) -> Tensor:
    """(C, C) float32: principal components of the feature vectors of a layer, by falling variance.

    ::

        components(generator.boundary("r8.conv1"), SamplerSource(generator, 64))
    """
    channels = boundary.shape[0]
    moment = torch.zeros(channels, channels, dtype=torch.float64)
    mean, count = torch.zeros(channels, dtype=torch.float64), 0
    for start in range(0, min(PCA_IMAGES, len(source)), GROUP):
        indices = range(start, min(start + GROUP, len(source)))
        maps, _ = layer_maps(source, [Layer(boundary)], indices)
        flat = maps[boundary.name].movedim(1, -1).reshape(-1, channels).double().cpu()
        moment, mean, count = moment + flat.T @ flat, mean + flat.sum(0), count + len(flat)
    mean = mean / count
    covariance = moment / count - mean[:, None] * mean
    if not bool(covariance.isfinite().all()):
        raise ModelError(f"{boundary.name}: feature maps hold NaN or Inf; it has no components")
    vectors = torch.linalg.eigh(covariance).eigenvectors.flip(1).T
    signs = torch.take_along_dim(vectors, vectors.abs().argmax(1, keepdim=True), 1).sign()
    found: Tensor = (vectors * signs).float().contiguous()
    return found


def _stored_components(boundary: Boundary, source: SamplerSource, folder: Place) -> Tensor:
    """``components``, done once for all processes and runs that share a store."""
    images = min(PCA_IMAGES, len(source))
    key = key_of(source.identity(), "pca", PCA_VERSION, boundary.name, images)
    path, found = folder / key[:2] / f"{key}.safetensors", list[Tensor]()

    def made_of(tensors: dict[str, Tensor], about: dict[str, object]) -> Tensor:
        if tensors["matrix"].shape != (boundary.shape[0],) * 2:
            raise ValueError("it is of another layer than its name says")
        return tensors["matrix"]

    def is_done(_: int) -> bool:
        stored = read_or_set_aside(path, KEY, made_of)
        found[:] = found if stored is None else [stored]
        return bool(found)

    piece = Piece(key, f"components of {boundary.name} of {source.name}")
    for _ in shared([piece], Claims(folder / CLAIMS), is_done):
        found[:] = [components(boundary, source)]
        generator = source.sampler.info
        made_by = {"of": source.name, "gan": generator.family, "gan_code": generator.code}
        about = {"name": key, "layer": boundary.name, "made_by": made_by}
        write_sealed_tensors(path, {"matrix": found[0]}, KEY, about)
    return found[0]
