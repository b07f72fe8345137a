"""Class lists: what a file may say, and that merging tallies is exact."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch import Tensor

from seeingkit import Tally
from seeingkit.analyses.comparison.compare import compare, fsd
from seeingkit.contracts import Label, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.errors import TallyError, UnknownNameError, UsageError
from seeingkit.tallies import TallyIdentity
from seeingkit.tallies.vocabularies import BUILT_IN, ClassMap, read_classes
from seeingkit.tallies.vocabularies.classmap import normalised
from seeingkit.tallies.vocabularies.merging import (
    DROPPED,
    MappedSegmenter,
    apply_classes,
    merge_into,
    shared_classes,
)
from seeingkit.testing import check_segmenter
from seeingkit_adapters.espnet.labels import CAMVID, CITYSCAPES, VOC
from seeingkit_adapters.semseg.labels import ADE20K
from seeingkit_plugins.minichurches.palette import OBJECTS

COARSE = """
name = "coarse"
[classes]
vegetation = ["tree", "grass"]
sky = ["sky"]
nothing = ["-"]
[options]
unmapped = "other"
"""
FINE = ("-", "sky", "tree", "grass", "car", "wall")


def vocabulary(names: tuple[str, ...] = FINE, *, background: bool | None = None) -> Vocabulary:
    labels = tuple(Label(name) for name in names)
    return Vocabulary(labels, has_background=names[0] == "-" if background is None else background)


def a_tally(
    counts: np.ndarray | list[list[int]], names: tuple[str, ...] = FINE, *, pixels: int = 100
) -> Tally:
    rows = np.asarray(counts)
    return Tally(
        tuple(f"image {k}" for k in range(len(rows))),
        sparse.csr_array(rows),
        np.full(len(rows), float(pixels)),
        vocabulary(names),
        TallyIdentity(source="s", segmenter={"family": "toy"}, preset={}),
    )


def by_name(tally: Tally) -> dict[str, list[int]]:
    columns = tally.counts.toarray().T
    return {n: c.tolist() for n, c in zip(tally.vocabulary.names, columns, strict=True)}


def listed(unmapped: str = "other", missing: str = "error", **classes: list[str]) -> ClassMap:
    return ClassMap.model_validate(
        {"name": "test", "classes": classes, "unmapped": unmapped, "missing": missing}
    )


# -------------------------------------------------------------------------------------- the file


def test_a_file_merges_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "coarse.toml"
    file.write_text(COARSE)
    merged = apply_classes(
        a_tally([[5, 10, 20, 30, 15, 20], [0, 100, 0, 0, 0, 0]]), read_classes(file)
    )
    assert by_name(merged) == {
        "nothing": [5, 0],
        "vegetation": [50, 0],
        "sky": [10, 100],
        "other": [35, 0],
    }
    assert merged.vocabulary.has_background
    assert merged.pixels.tolist() == [100, 100]
    assert merged.counts.dtype == np.int64
    assert merged.to_dict()["class_list"]["name"] == "coarse"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("sky = ", "sky = [1]\nground = "), "classes.sky.0"),
        (('["sky"]', '["sky", "grass"]'), "'grass' is in the classes"),
        (('["sky"]', "[]"), "class 'sky' lists no labels"),
        (('["sky"]', '[" "]'), "empty name"),
        (('"other"', '"pool"'), "unmapped"),
        (("[options]", "[option]"), "option"),
        (("unmapped =", "unmaped ="), "did you mean 'unmapped'"),
        (("[classes]", "[classes"), "not valid TOML"),
        (('unmapped = "other"', 'background = "void"'), "'void' is no class"),
        ((COARSE, 'name = "coarse"\n[classes]\n'), "no classes"),
        (("[options]", '[aliases]\nsky = ["tree"]\n[options]'), "'tree' is an alias of 'sky'"),
    ],
)
def test_odd_files_are_refused_by_name(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(COARSE.replace(*change))
    with pytest.raises(UsageError) as caught:
        read_classes(file)
    assert says in str(caught.value)
    assert "odd.toml" in str(caught.value)


def test_unknown_lists_and_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'street'"):
        read_classes("stret")
    with pytest.raises(UsageError, match="gone.toml"):
        read_classes(tmp_path / "gone.toml")
    (tmp_path / "noise.toml").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="noise.toml"):
        read_classes(tmp_path / "noise.toml")


def test_reading_a_list_imports_no_torch() -> None:
    program = (
        "import sys\nfrom seeingkit.tallies.vocabularies import read_classes\n"
        "print(read_classes('street').identity()['name'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["street", "False"], done.stderr


# ------------------------------------------------------------------------------------------ names


def test_a_misspelt_label_lists_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="'vegetation'.*'tre'.*did you mean 'tree'"):
        merge_into(listed(vegetation=["tre"]), vocabulary())


def test_names_match_in_order_of_their_strength() -> None:
    names = (
        "toilet, can, commode, pot, stool",
        "pot, flowerpot",
        "stool",
        "screen door, screen",
        "person, individual",
        "Street_Light",
        "traffic-sign",
        "building;edifice",
    )
    numbers = merge_into(
        listed(
            pot=["pot"],
            seat=["stool"],
            screen=["screen"],
            people=["individual"],
            light=["street light"],
            sign=["traffic sign"],
            house=["edifice"],
        ),
        vocabulary(names),
    ).numbers
    assert numbers == (0, 1, 2, 3, 4, 5, 6, 7)


def test_aliases_stand_for_each_other() -> None:
    classes = ClassMap.model_validate(
        {
            "name": "people",
            "classes": {"people": ["person"], "sky": ["sky"]},
            "aliases": {"person": ["pedestrian", "individual"]},
        }
    )
    for names in (("person", "sky"), ("pedestrian", "sky"), ("human, individual", "sky")):
        assert merge_into(classes, vocabulary(names)).numbers == (1, 2)


def test_a_category_tells_labels_of_one_name_apart() -> None:
    both = Vocabulary((Label("glass"), Label("glass", "material"), Label("sky")))
    assert merge_into(listed(glass=["glass"]), both).numbers == (1, 1, 0)
    assert merge_into(listed(glass=["material: glass"]), both).numbers == (0, 1, 0)


def test_one_label_under_two_names_in_two_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="'person, individual' is in the classes 'a' and 'b'"):
        merge_into(listed(a=["person"], b=["individual"]), vocabulary(("person, individual", "x")))


# --------------------------------------------------------------------------------- unmapped labels


@pytest.mark.parametrize(
    ("unmapped", "expected"),
    [
        ("other", {"other": [60], "vegetation": [40]}),
        ("drop", {"-": [0], "vegetation": [40]}),
        ("keep", {"-": [5], "vegetation": [40], "sky": [10], "car": [20], "wall": [25]}),
    ],
)
def test_what_becomes_of_unmapped_labels(unmapped: str, expected: dict[str, list[int]]) -> None:
    classes = listed(unmapped, vegetation=["tree", "grass"])
    merged = apply_classes(a_tally([[5, 10, 20, 20, 20, 25]]), classes)
    assert by_name(merged) == expected
    assert merged.vocabulary.has_background
    assert merged.pixels.tolist() == [100]


def test_unmapped_labels_can_be_refused() -> None:
    with pytest.raises(UsageError, match="no class has '-', 'sky', 'car', 'wall'"):
        merge_into(listed("error", vegetation=["tree", "grass"]), vocabulary())


def test_a_class_nobody_can_see_is_left_out_and_named() -> None:
    merge = merge_into(listed(missing="allow", sky=["sky"], dog=["dog"]), vocabulary())
    assert merge.coarse.names == ("other", "sky")
    assert merge.absent == ("dog",)
    with pytest.raises(UsageError, match="no class has a label of this segmenter"):
        merge_into(listed(missing="allow", dog=["dog"]), vocabulary())


def test_a_kept_label_never_hides_behind_a_class() -> None:
    with pytest.raises(UsageError, match="class 'car' lacks the label of that name"):
        merge_into(listed("keep", car=["wall"]), vocabulary())


def test_planes_are_merged_one_by_one() -> None:
    labels = Vocabulary(
        (Label("-"), Label("house"), Label("brick", "material"), Label("door", "part")),
        ("object", "material", "part"),
    )
    counts = [[4, 6, 0, 0, 3, 0, 7, 0, 8, 0, 0, 2]]
    tally = Tally(("a",), sparse.csr_array(counts), np.array([10.0]), labels)
    merged = apply_classes(tally, listed(building=["house", "door"], stone=["brick"]))
    assert merged.vocabulary.names == ("other", "building", "stone")
    assert merged.counts.toarray().tolist() == [[4, 6, 0, 3, 0, 7, 8, 2, 0]]
    assert [label.category for label in merged.vocabulary] == ["object", "object", "material"]


# -------------------------------------------------------------------------------------- properties

COUNTS = st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=5)
ASSIGNMENT = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=6, max_size=6)


def assigned(owners: list[str | None], names: tuple[str, ...], unmapped: str) -> ClassMap | None:
    classes: dict[str, list[str]] = {}
    for name, owner in zip(names, owners, strict=True):
        if owner is not None:
            classes.setdefault(owner, []).append(name)
    return listed(unmapped, **classes) if classes else None


@given(counts=COUNTS, owners=ASSIGNMENT, unmapped=st.sampled_from(["other", "keep"]))
def test_no_pixel_is_lost_or_made(
    counts: list[list[int]], owners: list[str | None], unmapped: str
) -> None:
    classes = assigned(owners, FINE, unmapped)
    if classes is None:
        return
    tally = a_tally(counts)
    merged = apply_classes(tally, classes)
    assert merged.counts.sum(axis=1).tolist() == tally.counts.sum(axis=1).tolist()
    assert merged.ids == tally.ids
    for name, members in classes.classes.items():
        expected = sum(np.array(by_name(tally)[member]) for member in members)
        assert by_name(merged)[name] == expected.tolist()


@given(counts=COUNTS, background=st.booleans())
def test_the_list_of_every_label_alone_changes_nothing(
    counts: list[list[int]], background: bool
) -> None:
    names = FINE if background else ("x", *FINE[1:])
    tally = a_tally(counts, names)
    for classes in (listed("keep"), listed("keep", **{name: [name] for name in names[1:]})):
        merged = apply_classes(tally, classes)
        assert by_name(merged) == by_name(tally)
        assert merged.vocabulary.has_background == background


@given(
    counts=COUNTS,
    owners=ASSIGNMENT,
    second=st.lists(st.sampled_from(["x", "y"]), min_size=3, max_size=3),
)
def test_merging_in_two_steps_is_merging_at_once(
    counts: list[list[int]], owners: list[str | None], second: list[str]
) -> None:
    first = assigned(owners, FINE, "other")
    if first is None:
        return
    then = dict(zip("abc", second, strict=True))
    later = {n: [k for k in first.classes if then[k] == n] for n in ("x", "y")}
    at_once = assigned([then[o] if o else None for o in owners], FINE, "other")
    assert at_once is not None
    two = apply_classes(
        apply_classes(a_tally(counts), first), listed(**{k: v for k, v in later.items() if v})
    )
    assert by_name(two) == by_name(apply_classes(a_tally(counts), at_once))


@given(counts=COUNTS, owners=ASSIGNMENT, order=st.permutations(range(6)))
def test_the_order_of_labels_and_names_does_not_matter(
    counts: list[list[int]], owners: list[str | None], order: list[int]
) -> None:
    names = ("x", *FINE[1:])
    classes = assigned(owners, names, "other")
    if classes is None:
        return
    shuffled = assigned([owners[k] for k in order], tuple(names[k] for k in order), "other")
    assert shuffled is not None
    columns = np.asarray(counts)[:, order]
    plain = by_name(apply_classes(a_tally(counts, names), classes))
    other = apply_classes(a_tally(columns, tuple(names[k] for k in order)), shuffled)
    assert by_name(other) == plain


def test_areas_of_fractions_merge_too() -> None:
    tally = Tally.from_fractions([[0.25, 0.5, 0.25]], ("sky", "tree", "grass"))
    merged = apply_classes(tally, listed(green=["tree", "grass"], sky=["sky"]))
    assert merged.percent().tolist() == [[0.0, 75.0, 25.0]]


# --------------------------------------------------------------------------------------- identity


def test_the_identity_is_of_the_content() -> None:
    one, two = listed(sky=["sky"], tree=["tree"]), listed(sky=["sky"], tree=["tree", "grass"])
    assert one.identity() == listed(sky=["sky"], tree=["tree"]).identity()
    assert one.identity() != two.identity()
    assert one.identity() != listed("keep", sky=["sky"], tree=["tree"]).identity()
    assert one.identity() == one.model_copy(update={"summary": "words"}).identity()


def test_merged_and_plain_tallies_do_not_compare() -> None:
    tally = a_tally([[0, 50, 50, 0, 0, 0], [0, 40, 60, 0, 0, 0], [0, 30, 70, 0, 0, 0]])
    same = apply_classes(tally, listed("keep"))
    with pytest.raises(TallyError, match="classes"):
        compare(tally, same, permutations=0)
    assert compare(same, same, permutations=0).results.fsd.value == pytest.approx(0)


# ------------------------------------------------------------------------------ common vocabularies


def test_two_segmenters_compare_in_common_classes() -> None:
    camvid = a_tally([[60, 40] + [0] * 9, [50, 0, 0, 50] + [0] * 7], CAMVID)
    rows = np.zeros((2, len(CITYSCAPES)), int)
    rows[0, [CITYSCAPES.index("sky"), CITYSCAPES.index("wall")]] = 60, 40
    rows[1, [CITYSCAPES.index("sky"), CITYSCAPES.index("road")]] = 50, 50
    city = a_tally(rows, CITYSCAPES)
    classes, taken = shared_classes(read_classes("street"), city.vocabulary, camvid.vocabulary)
    assert taken == []
    a, b = (apply_classes(tally, classes) for tally in (camvid, city))
    assert a.vocabulary.names == b.vocabulary.names
    assert by_name(a) == by_name(b)
    assert fsd(a, b).value == pytest.approx(0, abs=1e-9)


def test_classes_that_one_side_cannot_see_are_taken_out() -> None:
    street = read_classes("street")
    classes, taken = shared_classes(street, vocabulary(CAMVID), vocabulary(VOC, background=True))
    assert list(classes.classes) == ["vehicle", "person", "cycle"]
    assert "sky" in taken
    names = {
        merge_into(classes, vocabulary(known, background=known is VOC)).coarse.names
        for known in (CAMVID, VOC)
    }
    assert names == {("other", "vehicle", "person", "cycle")}
    with pytest.raises(TallyError, match="no class in common"):
        shared_classes(street, vocabulary(("cat",)), vocabulary(CAMVID))
    with pytest.raises(UnknownNameError, match="'mistyped'"):
        shared_classes(listed(a=["sky", "mistyped"]), vocabulary(CAMVID), vocabulary(VOC))


# Labels of Unified Perceptual Parsing, and of ADE20K's copies on the Hugging Face hub, by which
# the lists go where the vocabularies at hand have other words.
ELSEWHERE = {
    "window",
    "street lamp",
    "post",
    "billboard",
    "coach",
    "streetcar",
    "railroad train",
    "bush",
    "hedge",
    "curb",
    "lighthouse",
    "stair",
    "rail",
    "footbridge",
    "track",
    "pottedplant",
    "ground",
    "snow",
    "falls",
    "pool",
    "dog",
    "cat",
    "horse",
    "bird",
    "sheep",
    "cow",
    "plane",
    "spotlight",
    "carpet",
    "work surface",
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_lists_name_real_labels(name: str) -> None:
    known = {normalised(label) for label in (*ADE20K, *CAMVID, *CITYSCAPES, *VOC, *OBJECTS)}
    members = {member for found in read_classes(name).classes.values() for member in found}
    assert members - known <= ELSEWHERE


@pytest.mark.parametrize(
    ("name", "labels", "absent"),
    [
        ("street", ADE20K, ()),
        ("street", CITYSCAPES, ()),
        ("street", CAMVID, ()),
        ("scene", ADE20K, ()),
        ("scene", OBJECTS, ("column", "bridge", "animal", "lamp", "floor", "ceiling", "furniture")),
    ],
)
def test_built_in_lists_cover_their_vocabularies(
    name: str, labels: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    merge = merge_into(read_classes(name), vocabulary(labels))
    assert merge.absent == absent
    assert merge.coarse.names[0] == "other"
    assert DROPPED not in merge.numbers


def test_the_document_shows_a_real_list_and_the_real_numbers(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "segmenters.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "coarse.toml").write_text(shown, encoding="utf-8")
    names = ("-", "tree", "grass", "plant", "palm", "sky", "pedestrian", "car")
    classes = read_classes(tmp_path / "coarse.toml").model_copy(update={"missing": "allow"})
    assert merge_into(classes, vocabulary(names)).numbers == (0, 1, 1, 1, 1, 2, 3, 4)
    for name in BUILT_IN:
        assert f"| `{name}` | {len(read_classes(name).classes)} |" in text


# -------------------------------------------------------------------------------- mapped segmenter


class Bands(Segmenter):
    """Six labels by brightness; the score is how near the brightness is."""

    vocabulary = vocabulary()
    info = SegmenterInfo(family="bands")

    def segment(self, images: Tensor) -> Tensor:
        level = (images.mean(1, keepdim=True).clamp(-1, 1) + 1) / 2
        return (level * 5.999).long()

    def score(self, images: Tensor, label: int) -> Tensor:
        level = (images.mean(1).clamp(-1, 1) + 1) / 2 * 6 - 0.5
        numbers = torch.arange(6).reshape(1, 6, 1, 1)
        return (-(level[:, None] - numbers).abs()).softmax(1)[:, label]


@pytest.mark.parametrize("unmapped", ["other", "keep", "drop"])
def test_a_mapped_segmenter_conforms(unmapped: str) -> None:
    check_segmenter(MappedSegmenter(Bands(), listed(unmapped, green=["tree", "grass"], up=["sky"])))


@pytest.mark.parametrize("unmapped", ["other", "keep"])
def test_a_mapped_segmenter_counts_what_a_merged_tally_counts(unmapped: str) -> None:
    images = torch.rand(3, 3, 10, 10, generator=torch.Generator().manual_seed(0)) * 2 - 1
    classes = listed(unmapped, green=["tree", "grass"])
    mapped = MappedSegmenter(Bands(), classes)
    merged = apply_classes(a_tally(Bands().statistics(images).numpy()), classes)
    assert mapped.statistics(images).tolist() == merged.counts.toarray().tolist()
    assert mapped.vocabulary == merged.vocabulary
    assert mapped.info.identity() != Bands.info.identity()
    total = sum(mapped.score(images, k) for k in range(len(mapped.vocabulary)))
    torch.testing.assert_close(total, torch.ones(3, 10, 10))
