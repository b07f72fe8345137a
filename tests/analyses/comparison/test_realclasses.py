"""Which class of a generator a real image is of: what folders say, and what they do not."""

from __future__ import annotations

import pytest

from seeingkit.analyses.comparison.realclasses import real_classes
from seeingkit.report.words.conditions import matching

PETS = ("cat", "dog")
TEN = tuple(str(k) for k in range(10))
HUNDRED = tuple(str(k) for k in range(100))
THOUSAND = tuple(str(k) for k in range(1000))


def ids(*folders: str) -> list[str]:
    """Two files in each folder."""
    return [f"{folder}/{name}.png" for folder in folders for name in ("a", "b")]


@pytest.mark.parametrize(
    "folders",
    [
        ("cat", "dog"),
        ("Dog", "CAT"),
        ("images/cat", "images/dog"),  # a folder around all
        ("train/cat", "train/dog"),
        ("train/cat", "train/dog", "val/cat", "val/dog"),
        ("Training/cat", "Testing/dog", "validation/dog"),
        ("data/train_set/cat", "data/test_set/dog"),
        ("split1/cat", "split2/dog"),
        ("cat/train", "cat/val", "dog/train"),
        ("00000/cat", "00000/dog", "00001/cat"),  # names within buckets
    ],
)
def test_names_are_found_wherever_they_lie(folders: tuple[str, ...]) -> None:
    found = real_classes(ids(*folders), PETS)
    expected = [1 if "dog" in folder.lower() else 0 for folder in folders for _ in range(2)]
    assert found.labels == tuple(expected)
    assert found.record.by == "name"
    assert sum(folder.images for folder in found.record.folders) == len(expected)


def test_names_of_several_words_and_synonyms() -> None:
    names = ("tench, Tinca tinca", "golden retriever", "crane", "crane")
    found = real_classes(ids("tench", "Golden_Retriever"), names)
    assert found.labels == (0, 0, 1, 1)
    twice = real_classes(ids("tench", "crane"), names)
    assert twice.labels is None and "names classes 2 and 3 alike" in twice.record.why


def test_one_folder_that_is_called_as_a_class_is_it() -> None:
    assert real_classes(ids("dog"), PETS).labels == (1, 1)
    assert real_classes(ids("holiday"), PETS).labels is None


@pytest.mark.parametrize(
    ("folders", "names", "values"),
    [
        (("3", "10"), HUNDRED, (3, 10)),  # by value, never by order
        (("0", "2"), TEN, (0, 2)),
        (("train/7", "val/1"), TEN, (7, 1)),
        (("1", "0"), PETS, (1, 0)),
        (tuple(f"{k:02d}" for k in range(100)), HUNDRED, tuple(range(100))),
    ],
)
def test_numbers_match_by_value(
    folders: tuple[str, ...], names: tuple[str, ...], values: tuple[int, ...]
) -> None:
    found = real_classes(ids(*folders), names)
    assert found.labels == tuple(value for value in values for _ in range(2))
    assert found.record.by == "number"


@pytest.mark.parametrize(
    ("folders", "names", "why"),
    [
        (("00000", "00001"), ("0", "1"), "look like buckets"),
        (("00000", "00001"), PETS, "look like buckets"),
        (("00", "01", "02"), THOUSAND, "look like buckets"),
        (("000", "001"), THOUSAND, "look like buckets"),
        (tuple(f"{k:02d}" for k in range(10)), TEN, "look like buckets"),
        (("1", "2"), ("0", "1"), "as if classes were numbered from 1"),
        (tuple(str(k) for k in range(1, 11)), TEN, "as if classes were numbered from 1"),
        (("3", "12"), TEN, "folder 12 is no class"),
        (("3", "03"), TEN, "look like buckets"),
        (("train", "val"), ("0", "1"), "do not lie in one folder for each class"),
        (("train", "val"), PETS, "do not lie in one folder for each class"),
        (("cat", "bird"), PETS, "folder 'bird' of the real images is none of"),
        (("train", "cat"), PETS, "folder 'train' of the real images is none of"),
        (("kitten", "puppy"), PETS, "folder 'kitten' of the real images is none of"),
        (("n01440764", "n01443537"), THOUSAND, "WordNet"),
        (("0a", "1f"), ("0", "1"), "folder '0a'"),
        (("x1", "x10", "x2"), ("0", "1", "2"), "folder 'x1'"),  # two orders, so no guess
        (("Zebra", "ant"), ("0", "1"), "folder 'Zebra'"),
    ],
)
def test_what_is_no_class_is_refused_by_name(
    folders: tuple[str, ...], names: tuple[str, ...], why: str
) -> None:
    found = real_classes(ids(*folders), names)
    assert found.labels is None and found.record.by == "none"
    assert why in found.record.why
    assert found.record.why in matching(found.record)


def test_an_image_beside_the_folders_is_named() -> None:
    found = real_classes(["train/cat/1.png", "val/2.png"], PETS)
    assert found.labels is None and "'val/2.png' lies in no folder" in found.record.why
    assert real_classes(["1.png", "2.png"], PETS).labels is None


def test_buckets_are_told_by_the_files_in_them() -> None:
    running = [f"{k // 1000}/img{k:08d}.png" for k in range(0, 2000, 250)]
    found = real_classes(running, ("0", "1"))
    assert found.labels is None and "buckets of files by the numbers" in found.record.why
    prefixes = [f"{name[0]}/{name}.png" for name in ("0af", "0b1", "1c2", "1d0")]
    assert real_classes(prefixes, ("0", "1")).labels is None
    own = [f"{k}/{k}_{n}.png" for k in range(2) for n in range(3)]  # begins with the class, too
    assert real_classes(own, ("0", "1")).labels == (0, 0, 0, 1, 1, 1)


def test_order_is_a_guess_and_said_to_be() -> None:
    found = real_classes(ids("puppy", "kitten"), ("0", "1"))
    assert found.labels == (1, 1, 0, 0) and found.record.by == "order"
    text = matching(found.record)
    assert "kitten → 0 (2 images), puppy → 1 (2 images)" in text
    assert "a guess" in text
    thousand = [f"n{k:08d}/a.JPEG" for k in range(1000)]
    assert real_classes(thousand, tuple(f"class {k}" for k in range(1000))).record.by == "order"


def test_a_list_of_classes_comes_before_folders() -> None:
    found = real_classes(ids("cat", "dog"), PETS, [1, 1, None, 0])
    assert found.labels == (1, 1, None, 0)
    assert "by dataset.json: 0 cat (1 image), 1 dog (2 images). 1 image of no class" in matching(
        found.record
    )
    beyond = real_classes(ids("cat"), PETS, [2, 0])
    assert beyond.labels is None and "dataset.json has class 2" in beyond.record.why


def test_labels_of_a_data_set_by_name() -> None:
    ids = [f"a.parquet/{k:06d}" for k in range(4)]
    by = "the column “label”"
    found = real_classes(ids, ("dog", "cat"), [0, 1, None, 0], by=by, called=("Cat", "DOG", "owl"))
    assert found.labels == (1, 0, None, 1)
    assert found.record.by == "label names" and found.record.without == 1
    assert "by the names in the column “label”: DOG → 0 dog (1 image), Cat → 1 cat (2 images)" in (
        matching(found.record)
    )
    found = real_classes(ids, ("dog", "cat"), [0, 2, 1, 0], by=by, called=("cat", "dog", "owl"))
    assert found.labels is None and "class 'owl' of the data set" in found.record.why
    found = real_classes(ids, ("tench", "shark"), [0] * 4, by=by, called=("tench, Tinca tinca",))
    assert found.labels == (0, 0, 0, 0)
    found = real_classes(ids, ("crane", "crane"), [0] * 4, by=by, called=("crane",))
    assert found.labels is None and "classes 0 and 1 alike" in found.record.why


def test_labels_of_a_data_set_by_number() -> None:
    ids, by = ["a.tar/1.jpg", "a.tar/2.jpg"], "the .cls files"
    for names, called in ((("dog", "cat"), ()), (("0", "1"), ("cat", "dog")), ("ab", "01")):
        found = real_classes(ids, names, [1, 0], by=by, called=called)
        assert found.labels == (1, 0) and found.record.by == "labels"
        assert "by the numbers in the .cls files: 0" in matching(found.record)
    found = real_classes(ids, ("dog", "cat"), [1, 2], by=by)
    assert found.labels is None and "the data set (the .cls files) has class 2" in found.record.why


@pytest.mark.parametrize(
    "ids",
    [
        ["0.tar/a.jpg", "1.tar/b.jpg"],
        ["a.parquet/000000/x.jpg", "a.parquet/000001/x.jpg"],
        ["owner/name/train.arrow/000000", "owner/name/train.arrow/000001"],
    ],
)
def test_archives_and_rows_are_no_classes(ids: list[str]) -> None:
    for names in (("0", "1"), ("cat", "dog")):
        assert real_classes(ids, names).labels is None
    assert real_classes(["cat/0.tar/a.jpg", "dog/0.tar/b.jpg"], ("dog", "cat")).labels == (1, 0)
    inside = [f"{item.rpartition('/')[0]}/{k}/x.jpg" for k, item in enumerate(ids)]
    assert real_classes(inside, ("0", "1")).labels == (0, 1)
