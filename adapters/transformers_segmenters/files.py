"""The folder that a transformers checkpoint is, read without letting it do anything.

Guarantees that weights are safetensors and nothing else, that no code of the checkpoint is run and
no other checkpoint is fetched on its behalf, and that the image normalisation comes from the
checkpoint's own preprocessor (read here as JSON; the library's image processors want torchvision).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.errors import CorruptFileError, MissingWeightsError, StateMismatchError
from seeingkit.system.cache import file_sha256
from seeingkit.weights import check_safetensors

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
PATTERNS = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    *TOKENIZER,
)
"""Files fetched from a hub repository: never a program, never a pickle."""
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Keys of a config that would have the library fetch or run something.
_ACTIVE = ("auto_map", "attn_implementation", "_attn_implementation", "custom_pipelines")
_LARGEST_JSON = 1 << 26


@dataclass(frozen=True)
class Folder:
    """A checkpoint on this machine.

    Attributes:
        path: the folder.
        config: ``config.json``, without entries that would fetch or run anything.
        sha256: of all files that change the labels.
    """

    path: Path
    config: dict[str, Any]
    sha256: str


@dataclass(frozen=True)
class Normalisation:
    """How pixels become the network's input.

    Attributes:
        mean, std: in the network's order of channels, of pixels times ``scale``.
        scale: of pixels in 0..255: 1/255 unless the preprocessor does not rescale.
        bgr: whether blue comes first.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    bgr: bool = False


def fetch_folder(checkpoint: str, revision: str | None) -> Path:
    """The folder of a hub checkpoint, from the hub's cache or, unless offline, from the hub.

    Raises:
        MissingWeightsError: not here and not to be had; says where to put it by hand.
    """
    hub = importlib.import_module("huggingface_hub")
    offline = os.environ.get("SEEINGKIT_OFFLINE", "") not in ("", "0")
    if not sys.stderr.isatty():
        importlib.import_module("huggingface_hub.utils").disable_progress_bars()
    try:
        folder = hub.snapshot_download(
            checkpoint,
            revision=revision,
            allow_patterns=list(PATTERNS),
            local_files_only=offline,
            etag_timeout=5,
        )
    except Exception as error:  # the library's errors share no base with those of its transport
        reason = "SEEINGKIT_OFFLINE is set" if offline else _first_line(error)
        raise MissingWeightsError(
            f"transformers: {checkpoint} is not on this machine and was not fetched ({reason}); "
            f"get https://huggingface.co/{checkpoint} and give its folder with "
            "--segmenter-weights FOLDER"
        ) from error
    return Path(folder)


def read_folder(path: Path) -> Folder:
    """Read a folder's config, and hash its files.

    Raises:
        MissingWeightsError: no ``config.json`` or no safetensors weights.
        CorruptFileError: JSON that is none.
        StateMismatchError: a checkpoint that cannot be used as it is; says why.
    """
    if not path.is_dir():
        raise MissingWeightsError(
            f"{path}: give the folder with config.json and model.safetensors, not a file"
        )
    if not (path / "config.json").is_file():
        raise MissingWeightsError(f"{path}: no config.json; is this a transformers checkpoint?")
    config = _cleaned(path, read_json(path / "config.json"))
    files = ["config.json", *_weights(path)]
    files += [
        name
        for name in ("preprocessor_config.json", "processor_config.json", *TOKENIZER)
        if (path / name).is_file()
    ]
    lines = [f"{name} {file_sha256(path / name)}\n" for name in sorted(set(files))]
    return Folder(path, config, hashlib.sha256("".join(lines).encode()).hexdigest())


def _weights(path: Path) -> list[str]:
    if (path / _SINGLE).is_file():
        check_safetensors(path / _SINGLE)
        return [_SINGLE]
    if (path / _INDEX).is_file():
        parts = read_json(path / _INDEX).get("weight_map")
        names = sorted(set(parts.values())) if isinstance(parts, dict) and parts else []
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or not _safe(name):
                raise StateMismatchError(f"{path / _INDEX}: {name!r} is no safetensors file beside")
            if not (path / name).is_file():
                raise MissingWeightsError(f"{path / name}: not there, but {_INDEX} names it")
            check_safetensors(path / name)
        if names:
            return [_INDEX, *names]
    others = sorted(p.name for p in path.glob("*.bin")) + sorted(p.name for p in path.glob("*.h5"))
    there = f" ({others[0]} is not read: it may hold programs)" if others else ""
    raise MissingWeightsError(
        f"{path}: no {_SINGLE}{there}; only safetensors weights are read, save the model again "
        "with save_pretrained"
    )


def _safe(name: str) -> bool:
    return name.endswith(".safetensors")


def _cleaned(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    if config.get("quantization_config") is not None:
        raise StateMismatchError(f"{path}: quantised weights are not read; give the float ones")
    if config.get("backbone") is not None and config.get("backbone_config") is None:
        raise StateMismatchError(
            f"{path}: config.json names its backbone ({config['backbone']!r}), which the library "
            "would have to fetch; it must be described in backbone_config"
        )
    found: dict[str, Any] = _inactive(config)
    return found


def _inactive(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: _inactive(v) for k, v in value.items() if k not in _ACTIVE}
        if kept.get("use_pretrained_backbone"):
            kept["use_pretrained_backbone"] = False  # its weights are in this checkpoint
        return kept
    return [_inactive(v) for v in value] if isinstance(value, list) else value


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CorruptFileError: unreadable, or something else.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise CorruptFileError(f"{path}: too large for a JSON file of a checkpoint")
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path}: not readable JSON ({_first_line(error)})") from error
    if not isinstance(content, dict):
        raise CorruptFileError(f"{path}: holds a {type(content).__name__}, not a JSON object")
    return content


def read_normalisation(
    path: Path,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
) -> Normalisation:
    """The normalisation of ``preprocessor_config.json``, or of the options where they are given.

    Resizing, cropping and padding are left out: the preset decides how large images are.

    Raises:
        MissingWeightsError: no such file, and no options that replace it.
        CorruptFileError: a value that cannot be.
    """
    file, settings = _processor(path)
    if file is None:
        if mean is None or std is None:
            raise MissingWeightsError(
                f"{path}: no preprocessor_config.json; give the options mean and std"
            )
        return Normalisation(mean, std)
    scale = 1.0
    if _flag(file, settings, "do_rescale", True):
        factor = settings.get("rescale_factor", 1 / 255)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor <= 1:
            raise CorruptFileError(f"{file}: rescale_factor is {factor!r}, expected up to 1")
        scale = float(factor)
    if not _flag(file, settings, "do_normalize", "image_mean" in settings):
        mean, std = mean or (0.0, 0.0, 0.0), std or (1.0, 1.0, 1.0)
    return Normalisation(
        mean or _three(file, settings, "image_mean"),
        std or _three(file, settings, "image_std", positive=True),
        scale,
        _flag(file, settings, "do_flip_channel_order", False),
    )


def _processor(path: Path) -> tuple[Path | None, dict[str, Any]]:
    file = path / "preprocessor_config.json"
    if file.is_file():
        return file, read_json(file)
    file = path / "processor_config.json"
    if file.is_file() and isinstance(found := read_json(file).get("image_processor"), dict):
        return file, found
    return None, {}


def _flag(file: Path, settings: Mapping[str, Any], name: str, usual: bool) -> bool:
    value = settings.get(name)
    if value is None:
        return usual
    if not isinstance(value, bool):
        raise CorruptFileError(f"{file}: {name} is {value!r}, expected true or false")
    return value


def _three(
    file: Path, settings: Mapping[str, Any], name: str, *, positive: bool = False
) -> tuple[float, float, float]:
    value = settings.get(name)
    numbers: list[Any] = value if isinstance(value, list) else [value] * 3
    fine = len(numbers) == 3 and all(
        isinstance(n, (int, float)) and not isinstance(n, bool) and abs(n) < 1e4 for n in numbers
    )
    if not fine or (positive and min(numbers) <= 0):
        option = name.removeprefix("image_")
        raise CorruptFileError(
            f"{file}: {name} is {value!r}, expected three numbers; or give the option {option}"
        )
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
