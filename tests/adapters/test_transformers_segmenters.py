"""Checkpoints of the transformers library: the library's own labels, and refusals one by one.

Networks are tiny and randomly initialised, saved as ``save_pretrained`` writes them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    ModelError,
    PluginError,
    SeeingkitError,
    StateMismatchError,
    UsageError,
)
from seeingkit.testing import check_segmenter
from seeingkit_adapters.catalog.transformers import TransformersOptions
from seeingkit_adapters.transformers_segmenters.files import read_normalisation
from seeingkit_adapters.transformers_segmenters.segmenter import TransformersSegmenter, load

transformers = pytest.importorskip("transformers", reason="the extra transformers is not installed")

LABELS = {0: "wall", 1: "building", 2: "sky ", 3: "floor", 4: "tree", 5: "tree", 6: "road"}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": 2}
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def named(**values: Any) -> dict[str, Any]:
    return {"id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()}, **values}


def segformer() -> Any:
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        **named(),
    )
    return transformers.SegformerForSemanticSegmentation(config)


def upernet_convnext() -> Any:
    backbone = transformers.ConvNextConfig(
        hidden_sizes=[4, 4, 8, 8], depths=[1, 1, 1, 1], out_features=STAGES
    )
    return _upernet(backbone, 8)


def upernet_swin() -> Any:
    return _upernet(transformers.SwinConfig(out_features=STAGES, **SWIN), 32)


def _upernet(backbone: Any, channels: int) -> Any:
    config = transformers.UperNetConfig(
        backbone_config=backbone,
        hidden_size=16,
        auxiliary_in_channels=channels,
        auxiliary_channels=8,
        **named(),
    )
    return transformers.UperNetForSemanticSegmentation(config)


def dpt() -> Any:
    config = transformers.DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=64,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        **named(),
    )
    return transformers.DPTForSemanticSegmentation(config)


def beit() -> Any:
    config = transformers.BeitConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=64,
        out_indices=[0, 1, 2, 3],
        **named(),
    )
    return transformers.BeitForSemanticSegmentation(config)


def maskformer() -> Any:
    backbone = transformers.SwinConfig(out_features=STAGES, **SWIN)
    decoder = transformers.DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=9,
    )
    config = transformers.MaskFormerConfig(
        backbone_config=backbone,
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=32,
        **named(),
    )
    return transformers.MaskFormerForInstanceSegmentation(config)


def mask2former() -> Any:
    config = transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(out_features=STAGES, **SWIN),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        num_queries=9,
        **named(),
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def oneformer() -> Any:
    config = transformers.OneFormerConfig(
        backbone_config=transformers.SwinConfig(out_features=STAGES, **SWIN),
        num_queries=9,
        text_encoder_width=16,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=80,
        text_encoder_n_ctx=4,
        text_encoder_proj_layers=1,
        max_seq_len=24,
        task_seq_len=24,
        hidden_dim=32,
        mask_dim=32,
        conv_dim=32,
        num_attention_heads=2,
        dim_feedforward=16,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        query_dec_layers=1,
        **named(),
    )
    return transformers.OneFormerForUniversalSegmentation(config)


BUILDERS: dict[str, Callable[[], Any]] = {
    maker.__name__: maker
    for maker in (
        segformer,
        upernet_convnext,
        upernet_swin,
        dpt,
        beit,
        maskformer,
        mask2former,
        oneformer,
    )
}
PROCESSORS = {
    "segformer": "SegformerImageProcessorPil",
    "upernet_convnext": "SegformerImageProcessorPil",
    "upernet_swin": "SegformerImageProcessorPil",
    "dpt": "DPTImageProcessorPil",
    "beit": "BeitImageProcessorPil",
    "maskformer": "MaskFormerImageProcessorPil",
    "mask2former": "Mask2FormerImageProcessorPil",
    "oneformer": None,  # its image processor wants a file of class texts from the hub
}


def save(model: Any, folder: Path) -> Path:
    """A checkpoint folder with lively weights, its preprocessor, and for OneFormer a tokenizer."""
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, 1.5 / tensor[0].numel() ** 0.5)
    model.save_pretrained(folder)
    settings = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    settings |= {"image_mean": MEAN, "image_std": STD, "size": {"height": 512, "width": 512}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if model.config.model_type == "oneformer":
        letters = [*"abcdefghijklmnopqrstuvwxyz"]
        tokens = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({t: k for k, t in enumerate(tokens, 3)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: save(build(), root / name) for name, build in BUILDERS.items()}


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A SegFormer folder to spoil."""
    return Path(shutil.copytree(folders["segformer"], tmp_path / "copy"))


def images(n: int = 2, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(3)) * 2 - 1


def edit(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text())
    content.update(values)
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "remove"}))


def expected_maps(segmenter: TransformersSegmenter, x: torch.Tensor) -> list[torch.Tensor]:
    """The library's own way from images to label maps, spelt out where it cannot be imported."""
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    inputs: dict[str, Any] = {"pixel_values": ((x + 1) / 2 - mean) / std}
    if segmenter.task is not None:
        inputs["task_inputs"] = segmenter.task.expand(len(x), -1)
    with torch.no_grad():
        output = segmenter.network(**inputs)
    name = segmenter.network.config.model_type
    processor = PROCESSORS.get("upernet_swin" if name == "upernet" else name)
    sizes = [tuple(x.shape[-2:])] * len(x)
    if processor is not None:
        made = getattr(transformers, processor)()
        found: list[torch.Tensor] = made.post_process_semantic_segmentation(output, sizes)
        return found
    classes = output.class_queries_logits.softmax(-1)[..., :-1]
    combined = torch.einsum("bqc,bqhw->bchw", classes, output.masks_queries_logits.sigmoid())
    return list(torch.nn.functional.interpolate(combined, sizes[0], mode="bilinear").argmax(1))


# ------------------------------------------------------------------------------- labels and scores


@pytest.mark.parametrize("name", BUILDERS)
def test_labels_are_the_librarys_own(name: str, folders: dict[str, Path]) -> None:
    segmenter = load(folders[name], TransformersOptions())
    x = images(2, 64, 64 if name in ("dpt", "beit") else 96)
    found = segmenter.segment(x)
    assert found.shape == (2, 1, *x.shape[-2:])
    assert found.dtype == torch.int64
    expected = torch.stack(expected_maps(segmenter, x))
    assert len(expected.unique()) > 1, "a network that sees one class everywhere tests nothing"
    assert float((found[:, 0] != expected).float().mean()) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segformer", "maskformer", "oneformer"])
def test_conformance(name: str, folders: dict[str, Path]) -> None:
    check_segmenter(load(folders[name], TransformersOptions()))


@pytest.mark.parametrize("name", BUILDERS)
def test_scores_sum_to_one_and_the_best_is_the_label(name: str, folders: dict[str, Path]) -> None:
    segmenter = load(folders[name], TransformersOptions())
    x = images(1)
    scores = torch.stack([segmenter.score(x, k) for k in range(len(LABELS))], dim=1)
    torch.testing.assert_close(scores.sum(1), torch.ones(1, 64, 64))
    best = scores.topk(2, dim=1).values
    clear = best[:, 0] - best[:, 1] > 1e-5
    assert bool((scores.argmax(1) == segmenter.segment(x)[:, 0])[clear].all())


def test_vocabulary_is_the_configs(folders: dict[str, Path]) -> None:
    vocabulary = load(folders["segformer"], TransformersOptions()).vocabulary
    names = "wall, building, sky, floor, tree (4), tree (5), road"
    assert ", ".join(vocabulary.names) == names
    assert not vocabulary.has_background


@pytest.mark.parametrize("place", [0, 3, 6])
def test_no_object_is_label_0_wherever_the_network_has_it(
    folders: dict[str, Path], copied: Path, place: int
) -> None:
    names = {str(k): "Background" if k == place else f"thing {k}" for k in range(7)}
    edit(copied / "config.json", id2label=names, label2id={v: int(k) for k, v in names.items()})
    found, plain = (load(path, TransformersOptions()) for path in (copied, folders["segformer"]))
    assert found.vocabulary.has_background
    things = [f"thing {k}" for k in range(7) if k != place]
    assert found.vocabulary.names == ("Background", *things)
    x = images(1)
    own = plain.segment(x)
    expected = torch.where(own == place, 0, own + (own < place))
    assert torch.equal(found.segment(x), expected)
    assert len(own.unique()) > 1
    torch.testing.assert_close(found.score(x, 0), plain.score(x, place))
    said = f"output {place} ('Background') means no object"
    assert said in "; ".join(found.info.assumptions)


H01 = {
    "plain": ("wall", "sky", "tree", "road"),
    "order": ("wall", "sky", "tree", "road"),
    "bg_last": ("background", "wall", "sky", "tree"),
    "bg_mid": ("background", "wall", "tree", "road"),
    "dup": ("wall", "sky (1)", "sky (2)", "road"),
    "none_words": ("other", "sky", "tree", "road"),
    "LABEL": ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"),
    "numlabels_only": ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"),
}
H01_REFUSED = {
    "gap": "id2label has 4 names and none for 3",
    "strs": "id2label has 4 names and none for 3",
    "onebased": "id2label counts from 1 to 4",
    "emptyname": "id2label has an empty name for 0",
    "label2id_conflict": "'road' is output 3 by id2label and 0 by label2id",
    "short": "which has 3 classes",
    "long": "label2id names '?(wall|road|sky|tree)|which has 5 classes",
}
SAID = {"plain": 0, "order": 0}  # all others are told how they are read


@pytest.mark.parametrize("name", [*H01, *H01_REFUSED])
def test_label_maps_of_many_kinds(shared: Path, name: str) -> None:
    folder = shared / "cases/h01-id2label" / name
    if name in H01_REFUSED:
        with pytest.raises(StateMismatchError, match=H01_REFUSED[name]) as caught:
            load(folder, TransformersOptions())
        assert "\n" not in str(caught.value)
        return
    segmenter = load(folder, TransformersOptions())
    assert segmenter.vocabulary.names == H01[name]
    assert segmenter.vocabulary.has_background == name.startswith("bg_")
    assert len(segmenter.info.assumptions) == SAID.get(name, 1)


def test_networks_with_a_fixed_input_are_given_it(folders: dict[str, Path]) -> None:
    segmenter = load(folders["dpt"], TransformersOptions())
    assert segmenter.size == (64, 64)
    assert segmenter.segment(images(1, 40, 56)).shape == (1, 1, 40, 56)
    assert load(folders["segformer"], TransformersOptions()).size is None


def test_options_of_size_and_grid(folders: dict[str, Path]) -> None:
    options = TransformersOptions.model_validate({"size": "64x96", "downsample": 2})
    segmenter = load(folders["segformer"], options)
    assert segmenter.prepare(images(1, 80, 80)).shape == (1, 3, 64, 96)
    assert segmenter.segment(images(1, 80, 80)).shape == (1, 1, 40, 40)
    plain = load(folders["segformer"], TransformersOptions())
    assert plain.info.identity() != segmenter.info.identity()
    assert plain.info.weights_sha256 == segmenter.info.weights_sha256


def test_a_row_does_not_depend_on_the_others(folders: dict[str, Path]) -> None:
    segmenter = load(folders["mask2former"], TransformersOptions())
    x = images(3)
    together = segmenter.segment(x)
    alone = torch.cat([segmenter.segment(x[k : k + 1]) for k in range(3)])
    assert float((together != alone).float().mean()) < 1e-3
    assert segmenter.segment(x[:0]).shape == (0, 1, 64, 64)


# ---------------------------------------------------------------------------------------- input


def test_normalisation_follows_the_preprocessor(copied: Path) -> None:
    file = copied / "preprocessor_config.json"
    x = images(1)
    plain = load(copied, TransformersOptions()).prepare(x)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    torch.testing.assert_close(plain, ((x + 1) / 2 - mean) / std)
    edit(file, do_normalize=False)
    torch.testing.assert_close(load(copied, TransformersOptions()).prepare(x), (x + 1) / 2)
    edit(file, do_rescale=False, do_flip_channel_order=True)
    pixels = ((x + 1) / 2 * 255).flip(1)
    torch.testing.assert_close(load(copied, TransformersOptions()).prepare(x), pixels)
    options = TransformersOptions.model_validate({"mean": "128,128,128", "std": "64 64 64"})
    torch.testing.assert_close(load(copied, options).prepare(x), (pixels - 128) / 64)


def test_newer_files_keep_the_image_processor_in_another_file(copied: Path) -> None:
    before = read_normalisation(copied, None, None)
    settings = json.loads((copied / "preprocessor_config.json").read_text())
    (copied / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    (copied / "preprocessor_config.json").unlink()
    assert read_normalisation(copied, None, None) == before


@pytest.mark.parametrize(
    "values",
    [
        {"image_mean": [0.5, 0.5]},
        {"image_std": [0.0, 1.0, 1.0]},
        {"image_std": None},
        {"do_rescale": "yes"},
        {"rescale_factor": -1},
    ],
)
def test_odd_preprocessors_are_refused(copied: Path, values: dict[str, Any]) -> None:
    edit(copied / "preprocessor_config.json", **values)
    with pytest.raises(CorruptFileError, match=next(iter(values))):
        load(copied, TransformersOptions())


# -------------------------------------------------------------------------------------- refusals


def spoil_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def spoil_preprocessor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def spoil_architecture(folder: Path) -> None:
    edit(folder / "config.json", architectures=["SegformerForImageClassification"])


def spoil_type(folder: Path) -> None:
    edit(folder / "config.json", model_type="bert")


def spoil_remote(folder: Path) -> None:
    edit(folder / "config.json", model_type="own", auto_map={"AutoConfig": "code.Config"})


def spoil_missing(folder: Path) -> None:
    rewrite(folder, lambda t: t.pop("decode_head.classifier.weight"))


def spoil_unexpected(folder: Path) -> None:
    rewrite(folder, lambda t: t.update({"decode_head.more.weight": torch.zeros(2)}))


def spoil_nan(folder: Path) -> None:
    rewrite(folder, lambda t: t["decode_head.classifier.bias"].fill_(float("nan")))


def spoil_classes(folder: Path) -> None:
    edit(folder / "config.json", id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})


def spoil_gaps(folder: Path) -> None:
    names = {str(k + 1): str(k) for k in range(7)}
    edit(folder / "config.json", id2label=names, label2id={v: int(k) for k, v in names.items()})


def spoil_bytes(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def spoil_backbone(folder: Path) -> None:
    edit(folder / "config.json", backbone="microsoft/resnet-50", use_pretrained_backbone=True)


def spoil_quantised(folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (spoil_pickle, MissingWeightsError, "pytorch_model.bin is not read"),
        (spoil_preprocessor, MissingWeightsError, "no preprocessor_config.json"),
        (spoil_config, CorruptFileError, "config.json"),
        (spoil_architecture, StateMismatchError, "SegformerForImageClassification"),
        (spoil_type, StateMismatchError, "'bert' is no segmentation network"),
        (spoil_remote, StateMismatchError, "'own' is no segmentation network"),
        (spoil_missing, StateMismatchError, "missing keys decode_head.classifier.weight"),
        (spoil_unexpected, StateMismatchError, "unexpected keys decode_head.more.weight"),
        (spoil_nan, StateMismatchError, "decode_head.classifier.bias holds NaN"),
        (spoil_classes, StateMismatchError, "mis-shaped keys decode_head.classifier"),
        (spoil_gaps, StateMismatchError, "id2label"),
        (spoil_bytes, CorruptFileError, "damaged safetensors file"),
        (spoil_backbone, StateMismatchError, "names its backbone"),
        (spoil_quantised, StateMismatchError, "quantised"),
    ],
)
def test_unfit_checkpoints_are_refused_in_one_line(
    copied: Path, spoil: Callable[[Path], None], error: type[SeeingkitError], says: str
) -> None:
    spoil(copied)
    with pytest.raises(error, match=says) as caught:
        load(copied, TransformersOptions())
    assert str(copied) in str(caught.value)


def test_oneformer_without_its_tokenizer_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["oneformer"], tmp_path / "copy"))
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(MissingWeightsError, match="tokenizer"):
        load(folder, TransformersOptions())


def test_remote_code_beside_a_known_type_is_never_run(copied: Path) -> None:
    edit(copied / "config.json", auto_map={"AutoConfig": "trap.Config"})
    (copied / "trap.py").write_text("raise SystemExit('the code of a checkpoint was run')")
    before = load(copied, TransformersOptions()).segment(images(1))
    assert before.shape == (1, 1, 64, 64)


def test_weights_in_several_files(folders: dict[str, Path], tmp_path: Path) -> None:
    model = transformers.SegformerForSemanticSegmentation.from_pretrained(folders["segformer"])
    folder = Path(shutil.copytree(folders["segformer"], tmp_path / "split"))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    whole = load(folders["segformer"], TransformersOptions())
    split = load(folder, TransformersOptions())
    assert torch.equal(whole.segment(images(1)), split.segment(images(1)))
    assert whole.info.weights_sha256 != split.info.weights_sha256
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"] = dict.fromkeys(content["weight_map"], "../elsewhere.safetensors")
    index.write_text(json.dumps(content))
    with pytest.raises(StateMismatchError, match="elsewhere"):
        load(folder, TransformersOptions())


def test_images_that_cannot_be_segmented(folders: dict[str, Path]) -> None:
    segmenter = load(folders["segformer"], TransformersOptions())
    with pytest.raises(UsageError, match="images are float"):
        segmenter.segment(torch.zeros(1, 1, 64, 64))
    with pytest.raises(UsageError, match="no label 7"):
        segmenter.score(images(1), 7)
    with pytest.raises(ModelError, match="NaN"):
        segmenter.segment(images(1) * float("nan"))
    fixed = load(folders["dpt"], TransformersOptions(size=(96, 32)))
    with pytest.raises(UsageError, match="size=HEIGHTxWIDTH"):
        fixed.segment(images(1))


# ------------------------------------------------------------------------------- names and the hub


def test_the_hub_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    options = TransformersOptions(checkpoint="nobody/nothing-of-this-name")
    with pytest.raises(MissingWeightsError, match="huggingface.co/nobody/nothing-of-this-name"):
        load(None, options)


def test_what_is_asked_for_must_be_clear(copied: Path) -> None:
    with pytest.raises(MissingWeightsError, match="checkpoint=ORG/NAME"):
        load(None, TransformersOptions())
    with pytest.raises(UsageError, match="not both"):
        load(copied, TransformersOptions(checkpoint="a/b"))
    with pytest.raises(MissingWeightsError, match="not a file"):
        load(copied / "config.json", TransformersOptions())
    with pytest.raises(ValueError, match="ORG/NAME"):
        TransformersOptions(checkpoint="../folder")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PluginError, match=r"seeingkit\[transformers\]"):
        load(Path("."), TransformersOptions())


@pytest.mark.slow
def test_nothing_is_printed_and_torchvision_is_not_imported(folders: dict[str, Path]) -> None:
    program = (
        "import sys, torch, warnings; warnings.simplefilter('error')\n"
        "from pathlib import Path\n"
        "from seeingkit_adapters.catalog.transformers import TransformersOptions\n"
        "assert 'transformers' not in sys.modules\n"
        "from seeingkit_adapters.transformers_segmenters.segmenter import load\n"
        f"s = load(Path({str(folders['segformer'])!r}), TransformersOptions())\n"
        "s.segment(torch.zeros(1, 3, 64, 64))\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
