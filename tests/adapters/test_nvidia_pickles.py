"""Networks out of NVIDIA's PyTorch pickles: flat names, typed attributes, refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.errors import CorruptFileError, StateMismatchError, WeightsError
from seeingkit.weights import Checkpoint, Opaque, read_checkpoint
from seeingkit_adapters.nvidia_pickles import NvidiaModule, network, outline
from tests.helpers.nvidia_pickle_writer import Module, snapshot, write_pickle

ADA = "stylegan2_ada_pkl/uncond-skip-r32/network.pkl"


def holding(content: Any) -> Checkpoint:
    """A checkpoint of a content that no writer would give."""
    return Checkpoint(Path("made.pkl"), "pickle", content)


def record(kind: str = "Generator", **state: Any) -> Opaque:
    empty = {"_parameters": {}, "_buffers": {}, "_modules": {}}
    return Opaque(f"persistent:{kind}", (), {**empty, **state})


def small() -> Module:
    inner = Module(
        "SynthesisLayer", parameters={"weight": torch.ones(2, 3), "bias": None}, rate=0.5
    )
    deep = Module(
        "SynthesisBlock", modules={"conv": inner, "none": None}, buffers={"map": torch.eye(2)}
    )
    return Module("Generator", modules={"b4": deep}, buffers={"scale": torch.tensor(2.0)}, size=4)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_network_is_flattened(tmp_path: Path, protocol: int) -> None:
    checkpoint = read_checkpoint(
        write_pickle(tmp_path / "n.pkl", snapshot(small(), G=Module("Generator")), protocol)
    )
    assert outline(checkpoint) == {
        "": "Generator",
        "b4": "SynthesisBlock",
        "b4.conv": "SynthesisLayer",
    }
    found = network(checkpoint)
    assert (found.entry, found.reason, found.file) == ("G_ema", "", tmp_path / "n.pkl")
    assert list(found.modules) == ["", "b4", "b4.conv"]
    assert found.children("") == ("b4",) and found.children("b4") == ("conv",)
    assert set(found.tensors) == {"scale", "b4.map", "b4.conv.weight"}
    assert torch.equal(found.tensors["b4.conv.weight"], torch.ones(2, 3))
    assert found.absent == {"b4.conv.bias"}
    assert found.root.integer("size") == 4
    assert found.module("b4.conv", "SynthesisLayer").number("rate") == 0.5
    assert "rate" in found.module("b4.conv") and "_parameters" not in found.module("b4.conv")
    with pytest.raises(StateMismatchError, match="is a SynthesisBlock, expected a ToRGBLayer"):
        found.module("b4", "ToRGBLayer")
    with pytest.raises(StateMismatchError, match="no module b8"):
        found.module("b8")


def test_golden_files_flatten(shared: Path) -> None:
    found = network(read_checkpoint(shared / "golden" / ADA))
    assert found.children("synthesis")[:3] == ("b4", "b8", "b16")
    assert found.module("synthesis.b8.conv0", "SynthesisLayer").integer("up") == 2
    assert found.tensors["synthesis.b8.conv0.noise_const"].shape == (8, 8)
    assert found.root.init_kwargs["z_dim"] == found.root.integer("z_dim")


def test_the_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    written = write_pickle(tmp_path / "n.pkl", snapshot(small()), 3).read_bytes()
    for name in (b"torch_utils.persistence\n_reconstruct_persistent_obj", b"dnnlib.util\nEasyDict"):
        assert name in written
    assert b"nvidia_pickle_writer" not in written and b"numpy._core" not in written
    assert not {"torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util"} & set(
        sys.modules
    )


def test_which_network(tmp_path: Path) -> None:
    only = network(read_checkpoint(write_pickle(tmp_path / "g.pkl", {"G": small()})))
    assert only.entry == "G" and "holds no G_ema" in only.reason
    nothing = ([], None, {}, {"G": None}, {"G_ema": torch.ones(1)}, {"G_ema": 1, "G": record()})
    for content in nothing:
        assert outline(holding(content)) is None
        with pytest.raises(StateMismatchError, match="neither G_ema nor G"):
            network(holding(content))
    assert outline(holding({"G_ema": Opaque("argparse.Namespace", (), {})})) is None


def test_one_network_pickled_by_itself(shared: Path) -> None:
    whole = read_checkpoint(shared / "golden" / ADA)
    found = network(holding(whole.content["G_ema"]))
    assert (found.entry, "one network" in found.reason) == ("G", True)
    expected = network(whole)
    assert found.tensors.keys() == expected.tensors.keys()
    assert outline(holding(whole.content["G_ema"])) == outline(whole)
    assert outline(holding(whole.content["D"])) is None


def test_cycles_sharing_and_depth_are_refused() -> None:
    own = record()
    own.state["_modules"]["again"] = own
    layer = record("Layer")
    twice = record(_modules={"a": layer, "b": layer})
    deep = record()
    for _ in range(200):
        deep = record(_modules={"x": deep})
    wide = record("Layer")  # 2 ** 40 paths, 40 records
    for _ in range(40):
        wide = record(_modules={"a": wide, "b": wide})
    for root, message in (
        (own, "G_ema.again contains itself or is shared"),
        (twice, "contains itself or is shared"),
        (deep, "deeper than 16"),
        (wide, "deeper|shared"),
    ):
        assert outline(holding({"G_ema": root})) is not None
        with pytest.raises(CorruptFileError, match=message):
            network(holding({"G_ema": root}))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "G_ema has no state"),
        ({"_modules": []}, "_modules of G_ema is not a mapping"),
        ({"_modules": {"a.b": None}}, "plain names"),
        ({"_modules": {1: None}}, "plain names"),
        ({"_modules": {"a": 1}}, "G_ema.a is not a pickled module"),
        ({"_modules": {"a": Opaque("argparse.Namespace", (), {})}}, "not a pickled module"),
        ({"_parameters": {"w": np.ones(2)}}, "G_ema.w is of type ndarray"),
        ({"_buffers": {"w": 1.0}}, "G_ema.w is of type float"),
        ({"_buffers": {"": torch.ones(1)}}, "plain names"),
    ],
)
def test_odd_states_are_named(state: Any, message: str) -> None:
    root = Opaque("persistent:Generator", (), state)
    assert outline(holding({"G_ema": root})) is not None
    with pytest.raises(StateMismatchError, match=message) as caught:
        network(holding({"G_ema": root}))
    assert str(caught.value).startswith("made.pkl: ")


def module(**attributes: Any) -> NvidiaModule:
    return NvidiaModule(Path("made.pkl"), "synthesis.b4", "Block", attributes)


def test_typed_attributes() -> None:
    values = module(
        one=np.float64(3.0),
        two=np.int32(2),
        three=torch.tensor([7]),
        pair=np.array([5, 6]),
        flag=np.bool_(True),
        name="lrelu",
        names=["a", "b"],
        none=None,
        half=0.5,
    )
    assert (values.integer("one"), values.integer("two"), values.integer("three")) == (3, 2, 7)
    assert values.integers("pair", 2) == (5, 6) and values.integers("two", 3) == (2, 2, 2)
    assert values.flag("flag") is True and values.text("name") == "lrelu"
    assert values.texts("names") == ("a", "b")
    assert values.number_or_none("none") is None and values.number_or_none("half") == 0.5


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (lambda m: m.integer("x"), 0.5, "a whole number"),
        (lambda m: m.integer("x"), True, "a whole number"),
        (lambda m: m.integer("x"), "3", "a whole number"),
        (lambda m: m.integer("x"), 10**400, "a whole number"),
        (lambda m: m.integer("x", 1), 0, "1 or more"),
        (lambda m: m.integer("x"), np.array([1, 2]), "a whole number"),
        (lambda m: m.number("x"), float("inf"), "a finite number"),
        (lambda m: m.number("x"), None, "a finite number"),
        (lambda m: m.number("x"), torch.tensor(float("nan")), "a finite number"),
        (lambda m: m.number_or_none("x"), "none", "a finite number"),
        (lambda m: m.flag("x"), 1, "true or false"),
        (lambda m: m.text("x"), b"lrelu", "text"),
        (lambda m: m.integers("x", 2), [1, 2, 3], "2 whole numbers"),
        (lambda m: m.integers("x", 2), [1, 2.5], "2 whole numbers"),
        (lambda m: m.integers("x", 2), {"a": 1}, "2 whole numbers"),
        (lambda m: m.texts("x"), ["a", 1], "a list of names"),
        (lambda m: m.texts("x"), "ab", "a list of names"),
    ],
)
def test_odd_attributes_are_named(
    read: Callable[[NvidiaModule], Any], value: Any, expected: str
) -> None:
    with pytest.raises(StateMismatchError, match=expected) as caught:
        read(module(x=value))
    assert str(caught.value).startswith("made.pkl: x of synthesis.b4 (Block) is ")
    assert len(str(caught.value)) < 200
    with pytest.raises(StateMismatchError, match=r"synthesis\.b4 \(Block\) has no attribute 'x'"):
        read(module(y=value))


_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just(torch.ones(2))
_TREES = st.recursive(
    _LEAVES,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["G", "G_ema", "_modules", "_buffers", "_parameters", "a"]),
            below,
            max_size=4,
        )
        | st.builds(
            lambda state, kind: Opaque(kind, (), state),
            below,
            st.sampled_from(["persistent:Generator", "persistent:", "torch.nn.Linear"]),
        )
    ),
    max_leaves=12,
)


@given(_TREES)
def test_any_tree_is_a_network_or_refused(tree: Any) -> None:
    for content in (tree, {"G_ema": Opaque("persistent:Generator", (), tree)}):
        checkpoint = holding(content)
        kinds = outline(checkpoint)
        try:
            found = network(checkpoint)
        except WeightsError:  # and nothing else
            continue
        assert kinds is not None and kinds[""] == found.root.kind
