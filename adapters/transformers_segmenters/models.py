"""Networks of the transformers library, loaded from a folder that was checked before.

Guarantees that every number of the network came from the checkpoint (missing, unexpected and
mis-shaped keys are named), that nothing is fetched and no code of the checkpoint is run, and that
the library stays quiet: what matters in its reports is checked and raised here.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    PluginError,
    StateMismatchError,
)

from .files import TOKENIZER, Folder

TASK = "the task is semantic"
"""The task given to OneFormer (Jain et al. 2022, section 3.1)."""
# Position embeddings of these fit one input size; others take any.
_FIXED_INPUT = (
    "beit",
    "data2vec-vision",
    "dpt",
    "eomt",
    "eomt_dinov3",
    "sapiens2",
    "tipsv2_dpt",
)
_VIDEO = ("videomt",)
_TRAINING_ONLY = ("criterion.", "auxiliary_head.", "decode_head.auxiliary", "model.text_mapper.")


def library() -> Any:
    """The library.

    Raises:
        PluginError: it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise PluginError(
            f"transformers is not installed ({error}); pip install 'seeingkit[transformers]'"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The library's reports and bars stay off; what matters in them is checked and raised here."""
    logging = importlib.import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_model(library: Any, folder: Folder) -> tuple[Any, bool]:
    """The network of a folder, float32, and whether it is a universal one (masks with classes).

    Raises:
        StateMismatchError: no segmentation network, or weights that do not fit its config.
        CorruptFileError: files that the library cannot read.
        PluginError: a package that the network needs is missing.
    """
    modeling_auto = importlib.import_module("transformers.models.auto.modeling_auto")
    kind = str(folder.config.get("model_type"))
    semantic = dict(modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES)
    universal = dict(modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES)
    name = semantic.get(kind) or universal.get(kind)
    if name is None or kind in _VIDEO:
        raise StateMismatchError(
            f"{folder.path}: model_type {kind!r} is no segmentation network that this version of "
            f"transformers ({library.__version__}) knows"
        )
    meant = folder.config.get("architectures") or [name]
    if name not in meant:
        raise StateMismatchError(f"{folder.path}: holds a {meant[0]}, expected a {name}")
    try:
        config = library.CONFIG_MAPPING[kind].from_dict(folder.config)
        model, report = getattr(library, name).from_pretrained(
            folder.path,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named and refused below
        )
    except ImportError as error:
        raise PluginError(
            f"{folder.path}: needs a package that is missing: {first_line(error)}"
        ) from error
    except Exception as error:  # whatever the library makes of a damaged or unfit checkpoint
        raise CorruptFileError(f"{folder.path}: cannot be loaded ({first_line(error)})") from error
    _check_loaded(folder, model, report)
    return model, kind in universal


def _check_loaded(folder: Folder, model: Any, report: dict[str, Any]) -> None:
    """Every weight of the network came from the file, and every number of the file was used."""
    mismatched = [str(entry[0]) for entry in report.get("mismatched_keys") or ()]
    for what, keys in (
        ("missing", sorted(report.get("missing_keys") or ())),
        ("mis-shaped", sorted(mismatched)),
        ("unexpected", sorted(_unused(folder, report.get("unexpected_keys") or ()))),
    ):
        keys = [key for key in keys if not key.startswith(_TRAINING_ONLY)]
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise StateMismatchError(
                f"{folder.path}: {what} keys {', '.join(keys[:3])}{more}; the weights are not of "
                f"this config, which has {model.config.num_labels} classes"
            )
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise StateMismatchError(f"{folder.path}: {key} holds NaN or Inf; the file is damaged")


def _unused(folder: Folder, keys: Any) -> list[str]:
    """Unexpected keys but for tables of whole numbers, which older versions stored."""
    import safetensors

    wanted, found = set(keys), []
    for file in sorted(folder.path.glob("*.safetensors")) if wanted else []:
        with safetensors.safe_open(str(file), framework="pt") as opened:
            for key in wanted & set(opened.keys()):
                if opened.get_slice(key).get_dtype().startswith(("F", "BF")):
                    found.append(key)
                wanted.discard(key)
    return [*found, *wanted]


def fixed_size(config: Any) -> tuple[int, int] | None:
    """Input (height, width) of a network that takes no other, or None."""
    if config.model_type not in _FIXED_INPUT:
        return None
    size = config.image_size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def task_tokens(library: Any, folder: Folder, model: Any) -> Tensor | None:
    """OneFormer's task as token ids, padding zeroed as ``OneFormerProcessor`` has it.

    Returns:
        (1, T) int64, or None for other networks.

    Raises:
        MissingWeightsError: no tokenizer in the folder.
        CorruptFileError: one that cannot be read.
    """
    if model.config.model_type != "oneformer":
        return None
    there = {name for name in TOKENIZER if (folder.path / name).is_file()}
    if "tokenizer.json" not in there and not {"vocab.json", "merges.txt"} <= there:
        # The library would make one without words, and the network would be told something else.
        raise MissingWeightsError(
            f"{folder.path}: OneFormer needs its tokenizer: tokenizer.json, or vocab.json and "
            "merges.txt"
        )
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=False
        )
        tokens = tokenizer(
            [TASK],
            padding="max_length",
            max_length=model.config.task_seq_len,
            truncation=True,
            return_tensors="pt",
        )
    except Exception as error:  # as above
        raise CorruptFileError(
            f"{folder.path}: its tokenizer cannot be read ({first_line(error)})"
        ) from error
    found: Tensor = tokens["input_ids"] * tokens["attention_mask"]
    return found


def first_line(error: BaseException) -> str:
    """The message of another library's error, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
