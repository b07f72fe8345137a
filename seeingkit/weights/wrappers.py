"""The networks in a checkpoint's tree, whatever they were wrapped in when they were saved.

Guarantees that every family unwraps in the same way, and that a network is never picked in silence:
of several that fit, the running average is read and that is said; equals are refused by place.

A wrapper is a key of a dict or list (``g_ema``, ``state_dict``, ``netG``, …) or a prefix of all
keys of a network (``module.`` of DataParallel and AveragedModel, ``_orig_mod.`` of torch.compile,
``generator.`` of a Lightning module, ``decoder.`` of an encoder's training), in any order and
number. The *place* of a network is all of them but those of torch: ``state_dict.generator``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError

from .checkpoints import Checkpoint
from .excerpts import shown

log = logging.getLogger(__name__)

_DEPTH = 6  # of dicts around a network
_LONGEST_LIST = 64  # of networks, as ``torch.save([G.state_dict(), D.state_dict()])`` gives
_MOST_MAPPINGS = 500
_MOST_FOUND = 64  # networks of one kind in a file
_SHOWN_KEYS = 4

_PARALLEL = "module"  # before every name, by DataParallel and AveragedModel
_HIDDEN = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
"""Parts that torch.compile, Fabric and FSDP put anywhere into names; no network calls a part so."""
_COUNTERS = frozenset({"n_averaged", "initted", "step"})
"""Numbers that a wrapper which averages keeps beside the network's own keys."""
_GENERATOR = r"(?:.*_)?(?:net_?g|g|gen|generator)(?:_.*)?|.*generator"
_AVERAGE = (
    r"(?:.*_)?(?:ema|avg|swa|averaged?|shadow|running|gs)(?:_.*)?"
    r"|ema.*|.*(?<!sch)ema|avg.*|.*[a-z]avg"
)
_NAMED_GENERATOR = re.compile(_GENERATOR, re.IGNORECASE)
_NAMED_AVERAGE = re.compile(_AVERAGE, re.IGNORECASE)
_NAMED_CRITIC = re.compile(
    r"(?:.*_)?(?:net_?d|d|disc|critic)(?:_.*)?|.*discriminator", re.IGNORECASE
)
_NAMED_WRAPPER = re.compile(
    rf"{_GENERATOR}|{_AVERAGE}|(?:the_)?(?:model|net|network)|decoder|gan|state_dict|params",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Network:
    """One network of a checkpoint.

    Attributes:
        where: its place; empty for the whole of a file without wrappers.
        tree: its tensors by name without prefixes, not checked yet (``state_dict`` does).
        averaged: whether place or wrapper say that it is a running average of trained weights.
        named: whether every prefix is a usual one; others are read only when asked for.
        beside: the dict that its own dict was an entry of; empty for the whole of a file.
    """

    where: str
    tree: Mapping[str, Any] = field(repr=False)
    averaged: bool = False
    named: bool = True
    beside: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Near(NamedTuple):
    """How near a file that a family does not read comes to what it reads.

    Attributes:
        share: of the keys of one of the file's networks that are named as the family names them.
        reason: why it is not read all the same, as the end of a sentence that begins with a family.
    """

    share: float
    reason: str


@dataclass(frozen=True)
class Layout:
    """The names of the tensors of a family's files.

    Attributes:
        name: of the layout, for people.
        marks: names that every file of it has.
        names: pattern of the names of all its tensors.
        refused: why no file of it is read, where that is so.

    >>> Layout("two layers", ("a.weight", "b.weight"), r"[ab]\\.(weight|bias)").marks
    ('a.weight', 'b.weight')
    """

    name: str
    marks: tuple[str, ...]
    names: str
    refused: str = ""


def networks(checkpoint: Checkpoint) -> Iterator[Network]:
    """Every state dict in a checkpoint, without wrappers, in the order of the file.

    One that by its names holds a generator and its critic is no network: its generators are.

    Raises:
        StateMismatchError: absurdly many.

    >>> torch.save({"G": {"module.w": torch.ones(2)}, "step": 3}, "g.pth")
    >>> [network] = networks(read_checkpoint("g.pth"))
    >>> network.where, network.tree
    ('G', {'w': tensor([1., 1.])})
    """
    for where, tree, beside in _all_mappings(checkpoint):
        if all(isinstance(key, str) and _is_tensor(value) for key, value in tree.items()):
            whole = _unwrapped(where, tree, beside)
            inside = list(parts(whole)) if _has_critic(whole.tree) else []
            yield from inside or [whole]


def parts(network: Network) -> Iterator[Network]:
    """The generators among the networks of one state dict, as a Lightning module saves them.

    >>> both = {"generator.w": torch.ones(2), "discriminator.w": torch.zeros(2)}
    >>> [(part.where, part.tree) for part in parts(Network("state_dict", both))]
    [('state_dict.generator', {'w': tensor([1., 1.])})]
    """
    pending = [(network, 0)]
    while pending:
        whole, depth = pending.pop()
        found = _by_first_part(whole.tree)
        alone = len(found) == 1  # such as ``model.`` before all of them
        for name, tensors in found.items():
            part = _unwrapped(_joined(whole.where, name), tensors, network.beside)
            part = replace(part, averaged=part.averaged or whole.averaged)
            own = _NAMED_GENERATOR.fullmatch(name) or _NAMED_AVERAGE.fullmatch(name)
            if own and (depth or not alone):
                yield part
            elif name and depth < _DEPTH and (alone or _NAMED_WRAPPER.fullmatch(name)):
                if part.tree is not tensors:
                    yield part
                pending.append((part, depth + 1))


def networks_with(checkpoint: Checkpoint, marks: Sequence[str]) -> list[Network]:
    """Every network of a checkpoint that has tensors of the given names, in their order.

    Raises:
        StateMismatchError: absurdly many.

    >>> torch.save({"g": {"w": torch.ones(2)}, "g_ema": {"module.w": torch.ones(2)}}, "g.pth")
    >>> [network.where for network in networks_with(read_checkpoint("g.pth"), ["w"])]
    ['g', 'g_ema']
    """
    first, *others = marks
    ending = f".{first}"
    found: list[Network] = []
    for where, tree, beside in _all_mappings(checkpoint):
        for key in tree:
            if not isinstance(key, str) or not (key == first or key.endswith(ending)):
                continue
            prefix = key[: -len(first)]
            if all(prefix + mark in tree for mark in others):
                found.append(_prefixed(where, prefix, tree, beside))
                _check_count(checkpoint.path, len(found), _MOST_FOUND)
    return found


def find_network(
    checkpoint: Checkpoint, marks: Sequence[str], what: str, key: str | None = None
) -> Network | None:
    """The network of a checkpoint that has tensors of the given names, or None.

    Args:
        checkpoint: the file.
        marks: names that a network of the kind has.
        what: the kind in words, for messages.
        key: the place wanted, or its end.

    Raises:
        UsageError: as ``choose_network``.

    >>> torch.save({"g_ema": {"w": torch.ones(2)}}, "g.pth")
    >>> find_network(read_checkpoint("g.pth"), ["w"], "generator").where
    'g_ema'
    """
    found = networks_with(checkpoint, marks)
    return choose_network(checkpoint.path, found, what, key) if found else None


PlacedT = TypeVar("PlacedT", bound=Any)


def choose_network(path: Path, found: Sequence[PlacedT], what: str, key: str | None) -> PlacedT:
    """The one network of those that fit: the place asked for, the only one, or the average.

    Args:
        path: the file, for messages.
        found: at least one; ``Network``, or anything with its first attributes.
        what: their kind in words, for messages.
        key: the place wanted, or its end; None to choose.

    Raises:
        UsageError: ``key`` names none, or several fit and none or several are averages.

    >>> pair = [Network("g", {}), Network("g_ema", {}, averaged=True)]
    >>> choose_network(Path("g.pth"), pair, "generator", None).where
    'g_ema'
    """
    if key is not None:
        chosen = [n for n in found if key == n.where or n.where.endswith(f".{key}")]
        if len(chosen) != 1:
            fault = "names several networks" if chosen else "no such network"
            raise UsageError(f"{path}: key={key}: {fault}; networks that fit: {_places(found)}")
        return chosen[0]
    usual = [n for n in found if n.named]
    if not usual:
        raise UsageError(
            f"{path}: a {what} only as part of another network ({_places(found)}), which this may "
            "be nothing without; give key= to read it alone"
        )
    if len(usual) == 1:
        return usual[0]
    averages = [n for n in usual if n.averaged]
    if len(averages) != 1:
        raise UsageError(
            f"{path}: holds more than one {what} ({_places(usual)}); choose one with key=…"
        )
    others = _places([n for n in usual if n is not averages[0]])
    log.warning(
        "%s: reads the running average of the weights (%s); key= chooses another (%s)",
        path,
        averages[0].where or "the whole",
        others,
    )
    return averages[0]


def nearest(checkpoint: Checkpoint, layouts: Iterable[Layout]) -> Near | None:
    """The layout that a file comes nearest to, and why it is not of it; None if to none.

    >>> layout = Layout("two layers", ("a.weight", "b.weight"), r"[ab]\\.(weight|bias)")
    >>> torch.save({"a.weight": torch.ones(2), "a.bias": torch.ones(2)}, "g.pth")
    >>> nearest(read_checkpoint("g.pth"), [layout])
    Near(share=1.0, reason='2 of 2 keys are named as in two layers, but b.weight is missing')
    """
    best: Near | None = None
    for layout in layouts:
        pattern = re.compile(rf"(?:.*\.)?(?:{layout.names})")
        for where, tree, _ in _all_mappings(checkpoint):
            keys = [key for key in tree if isinstance(key, str) and _is_tensor(tree[key])]
            share = sum(pattern.fullmatch(key) is not None for key in keys) / max(1, len(keys))
            if not share or (best is not None and share <= best.share):
                continue
            place = f" at {shown(where)}" if where else ""
            lacks = [
                mark
                for mark in layout.marks
                if not any(f".{key}".endswith(f".{mark}") for key in keys)
            ]
            more = ", …" if len(lacks) > _SHOWN_KEYS else ""
            missing = ", ".join(lacks[:_SHOWN_KEYS]) + more
            missing = f"but {missing} {'are' if len(lacks) > 1 else 'is'} missing"
            why = layout.refused or (missing if lacks else "but not all under one prefix")
            count = f"{round(share * len(keys))} of {len(keys)} keys{place}"
            best = Near(share, f"{count} are named as in {layout.name}, {why}")
    return best


def outline(content: Any) -> str:
    """The networks in a tree in a few words, for messages: places and inner keys.

    >>> outline({"netG": {"module.w": torch.ones(2)}, "epoch": 3})
    'keys netG.w'
    """
    keys: list[str] = []
    for where, tree, _ in _mappings(content):
        place, inner = where, tree
        if all(isinstance(key, str) for key in tree):
            network = _unwrapped(where, tree, {})
            place, inner = network.where, network.tree
        keys += [_joined(place, str(key)[:60]) for key in inner if _is_tensor(inner[key])]
        if len(keys) > _SHOWN_KEYS:
            break
    if keys:
        return f"keys {', '.join(keys[:_SHOWN_KEYS])}{', …' if len(keys) > _SHOWN_KEYS else ''}"
    if isinstance(content, dict):
        names = [str(key)[:40] for key in list(content)[:_SHOWN_KEYS]]
        more = ", …" if len(content) > _SHOWN_KEYS else ""
        return f"keys {', '.join(names)}{more}" if names else "no keys"
    if isinstance(content, (list, tuple)):
        kinds = [getattr(item, "kind", type(item).__name__) for item in content[:_SHOWN_KEYS]]
        return f"{len(content)} objects ({', '.join(kinds)})"
    return f"a {getattr(content, 'kind', type(content).__name__)}"


# -------------------------------------------------------------------------------- the tree, walked


_Mappings = Iterator[tuple[str, Mapping[Any, Any], Mapping[Any, Any]]]


def _all_mappings(checkpoint: Checkpoint) -> _Mappings:
    for count, found in enumerate(_mappings(checkpoint.content), start=1):
        _check_count(checkpoint.path, count, _MOST_MAPPINGS)
        yield found


def _check_count(path: Path, count: int, most: int) -> None:
    if count > most:
        raise StateMismatchError(f"{path}: the file holds more than {most} networks")


def _mappings(content: Any) -> _Mappings:
    """(place, dict, the dict around it) of every dict with a tensor, each dict once.

    Each once, because a small file can refer to one very often.
    """
    pending: list[tuple[str, Any, Mapping[Any, Any], int]] = [("", content, {}, 0)]
    met: set[int] = set()
    while pending:
        where, node, beside, depth = pending.pop()
        if id(node) in met:
            continue
        met.add(id(node))
        children: Iterable[tuple[Any, Any]] = ()
        if isinstance(node, Mapping):
            if any(_is_tensor(value) for value in node.values()):
                yield where, _without_hidden(node), beside
            children = node.items()
        elif isinstance(node, (list, tuple)) and len(node) <= _LONGEST_LIST:
            children = enumerate(node)
        if depth < _DEPTH:
            around = node if isinstance(node, Mapping) else beside
            below = [
                (_joined(where, str(key)), child, around, depth + 1)
                for key, child in children
                if isinstance(child, (Mapping, list, tuple))
            ]
            pending += reversed(below)


def _without_hidden(tree: Mapping[Any, Any]) -> Mapping[Any, Any]:
    if not any(isinstance(key, str) and _HIDDEN.search(key) for key in tree):
        return tree
    return {_HIDDEN.sub("", k) if isinstance(k, str) else k: value for k, value in tree.items()}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fi" and value.dtype.isnative
    )


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}" if where and name else where or name


def _places(found: Iterable[Any]) -> str:
    return ", ".join(n.where or "the whole" for n in found)


# ----------------------------------------------------------------------------------------- prefixes


def _prefixed(
    where: str, prefix: str, tree: Mapping[str, Any], beside: Mapping[str, Any]
) -> Network:
    """The network whose keys have a prefix (``generator.module.``, or none)."""
    names = [name for name in prefix.split(".") if name]
    own = [name for name in names if name != _PARALLEL]
    inner = tree
    if prefix:
        inner = {
            key[len(prefix) :]: value
            for key, value in tree.items()
            if isinstance(key, str) and key.startswith(prefix)
        }
    outside = prefix.removesuffix("module.")  # where AveragedModel keeps its counter
    averaged = f"{outside}n_averaged" in tree or any(
        _NAMED_AVERAGE.fullmatch(name) for name in (*where.split("."), *own)
    )
    return Network(
        _joined(where, ".".join(own)),
        inner,
        averaged,
        all(_NAMED_WRAPPER.fullmatch(name) for name in own),
        beside,
    )


def _unwrapped(where: str, tree: Mapping[str, Any], beside: Mapping[str, Any]) -> Network:
    """A state dict without the prefixes and counters of torch's wrappers."""
    prefix = ""
    averaged = False
    while True:
        inner = {key for key in tree if key.startswith(prefix)}
        own = {key for key in inner if key[len(prefix) :] not in _COUNTERS}
        first = next((key[len(prefix) :].partition(".")[0] for key in own), "")
        if first != _PARALLEL or not all(k.startswith(f"{prefix}{first}.") for k in own):
            break
        averaged = averaged or len(own) < len(inner)
        prefix += f"{first}."
    found = _prefixed(where, prefix, tree, beside)
    return replace(found, averaged=averaged or found.averaged)


def _has_critic(tree: Mapping[str, Any]) -> bool:
    """Whether some names begin, within usual wrappers, with that of a critic."""
    starts = {".".join(key.split(".")[:_DEPTH]) for key in tree}
    return any(_NAMED_CRITIC.fullmatch(part) for start in starts for part in _leading(start))


def _leading(start: str) -> Iterator[str]:
    """The first parts of a name up to the first that is no usual wrapper, that one included."""
    for part in start.split("."):
        yield part
        if not _NAMED_WRAPPER.fullmatch(part):
            return


def _by_first_part(tree: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tensors by the first part of their names; those of one part only are under ``""``."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in tree.items():
        first, dot, rest = key.partition(".")
        found.setdefault(first if dot else "", {})[rest if dot else first] = value
    return found
