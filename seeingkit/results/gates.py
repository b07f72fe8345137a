"""Gates for continuous integration: conditions on ``results.json`` under which a run must fail.

Guarantees: a gate is checked against the shape of the results before any work starts; a gate that
cannot be judged (a number that this run does not define, a class that nobody knows) never passes.

Two forms::

    PATH OP NUMBER      fsd.bias_reduced > 5     class[traffic sign].relative_difference < -0.3
    VERDICT: NAMES      omitted: person          reduced: door, window      omitted: *

``PATH`` names a number of ``results.json`` by its keys; ``[key]`` holds keys with spaces or dots,
and a class is found by its name (``class`` is short for ``classes``). A list counts its entries
(``skipped > 0``), yes and no count as 1 and 0 (``resolution.mismatch == 1``), an interval's ends
are ``[0]`` and ``[1]``, and a verdict counts its classes (``omitted > 3``). ``VERDICT`` is omitted,
reduced, excess, fewer (in fewer images) or more (in more images); ``*``, or the word alone, is any
class. An omitted class is also reduced and fewer. A difference in area that is shown to be only a
matter of the other classes (``only_composition``) is neither reduced nor excess to a gate.
What edits did (``assess``) has numbers alone: ``edits[tower2tree].success.low < 0.1``,
``effect.class[boat].difference < 0``, ``distance.high < 0``. Importing this never imports torch.
"""

from __future__ import annotations

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from seeingkit.errors import UnknownNameError, UsageError, one_line

from .assessment import AssessmentResults
from .comparison import Results
from .effects import ClassEffect
from .paths import GatedResults, checked_path, value_at
from .records import ClassResult, images_lost, is_background, only_composition

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
VERDICTS: dict[str, tuple[str, ...]] = {
    "omitted": ("omitted",),
    "reduced": ("reduced", "omitted"),
    "excess": ("excess",),
    "fewer": ("in fewer images", "omitted"),
    "more": ("in more images",),
}
"""The verdicts at which a gate of each name fails."""

_ABSENT = ("real_area", "generated_area", "real_presence", "generated_presence")
"""Numbers of a class that are 0, not unknown, where no image shows it."""
_ABSENT_EFFECTS = (
    *("before", "after", "difference", "differing"),
    *("shown_before", "shown_after", "only_before", "only_after"),
)
"""The same of what edits do to a class."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARES = re.compile(
    rf"(?P<path>\w+(?:\[.+?\](?=\s*[.\[<>=!])|\.[\w-]+)*)\s*(?P<op>>=|<=|==|!=|>|<)\s*"
    rf"(?P<limit>{_NUMBER})"
)
_STEP = re.compile(r"\[(.+?)\](?=[.\[]|$)|\.?([\w-]+)")
_FORMS = "write PATH OP NUMBER, as 'fsd.bias_reduced > 5', or VERDICT: NAME, as 'omitted: person'"


@dataclass(frozen=True)
class Gate(ABC):
    """A condition under which a run fails.

    Attributes:
        text: as it was written, in one line.
    """

    text: str

    @abstractmethod
    def failure(self, results: GatedResults, labels: Sequence[str] | None = None) -> str | None:
        """Why the gate fails, in one line; None: it is passed (see ``check_gates``)."""

    @abstractmethod
    def names(self, labels: Sequence[str]) -> list[str]:
        """The classes that the gate names.

        Raises:
            UnknownNameError: one that is not among the labels.
        """


@dataclass(frozen=True)
class NumberGate(Gate):
    """Fails if the comparison of a number with a limit holds.

    Attributes:
        path: the number's keys in ``results.json``.
        op: one of ``OPERATORS``.
        limit: the number it is compared with.
        label: the class whose number it is, if it is one's.
    """

    path: tuple[str, ...]
    op: str
    limit: float
    label: str | None = None

    def names(self, labels: Sequence[str]) -> list[str]:
        return [] if self.label is None else [_find(self.label, labels)]

    def failure(self, results: GatedResults, labels: Sequence[str] | None = None) -> str | None:
        self.names(_all_labels(results, labels))
        for value, why in self._values(results):
            if value is None:
                path = self.text[: self.text.rindex(self.op)].rstrip()
                reason = f"{path} is not defined here ({why})"
                return f"{self.text}: {reason}, so the gate cannot be passed"
            if OPERATORS[self.op](value, self.limit):
                return f"{self.text}: it is {self._shown(value)}"
        return None

    def _shown(self, value: float) -> str:
        """Six digits, or all of them where the rounded number would not fail."""
        short = f"{value:.6g}"
        return short if OPERATORS[self.op](float(short), self.limit) else repr(value)

    def _values(self, results: GatedResults) -> Iterator[tuple[float | None, str]]:
        """The number, or None and why; several where classes of two categories share a name."""
        if isinstance(results, Results) and self.path[0] in VERDICTS:
            yield float(len(_with_verdict(results, self.path[0]))), ""
            return
        before: tuple[str, ...] = ("classes",)
        absent: tuple[str, ...] = _ABSENT
        if not isinstance(results, Results):
            before, absent = ("effect", "classes"), _ABSENT_EFFECTS
        if self.path[: len(before)] != before or self.label is None:
            yield value_at(results, results, self.path)
            return
        rest = self.path[len(before) + 1 :]
        records = [record for record in _classes(results) if record.label == self.label]
        for record in records:
            yield value_at(results, record, rest)
        if not records:
            yield 0.0 if rest[0] in absent else None, f"no image shows {self.label}"


@dataclass(frozen=True)
class VerdictGate(Gate):
    """Fails if a class has a verdict.

    Attributes:
        verdict: one of ``VERDICTS``.
        wanted: names of classes, by comma; ``*`` is any.
    """

    verdict: str
    wanted: str

    def names(self, labels: Sequence[str]) -> list[str]:
        return [] if self.wanted == "*" else _split(self.wanted, labels)

    def failure(self, results: GatedResults, labels: Sequence[str] | None = None) -> str | None:
        assert isinstance(results, Results)  # parse_gate has no other gate of a verdict
        chosen = set(self.names(_all_labels(results, labels)))
        found = _with_verdict(results, self.verdict, everything=bool(chosen))
        if chosen:
            found = [record for record in found if record.label in chosen]
        if not found:
            return None
        said = [_verdict_words(record) for record in found]
        more = f", and {len(said) - 5} more" if len(said) > 5 else ""
        return f"{self.text}: {'; '.join(said[:5])}{more}"


def parse_gate(text: str, of: type[GatedResults] = Results) -> Gate:
    """The gate that a text describes, checked against the shape of the results.

    Args:
        text: see this module.
        of: the kind of results.

    Raises:
        UsageError: it cannot be read, or names no number of the results.

    ::

        parse_gate("fsd.bias_reduced > 5")
    """
    line = " ".join(text.split())
    word, colon, names = (part.strip() for part in line.partition(":"))
    if word in VERDICTS and of is not Results:
        raise UsageError(
            f"gate {line!r}: {word} is a verdict of a comparison; of edits ask for numbers, as "
            "'edits[NAME].success.low < 0.1'"
        )
    if word in VERDICTS:
        if colon and not names.replace(",", "").strip():
            raise UsageError(f"gate {line!r} names no class; for any class write '{word}: *'")
        return VerdictGate(line, word, names or "*")
    if colon and word.replace(" ", "").isalpha() and of is Results:
        raise UnknownNameError("verdict", word, VERDICTS, hint=f"(gate {line!r})")
    match = _COMPARES.fullmatch(line)
    if match is None:
        raise UsageError(f"gate {line!r} cannot be read; {_FORMS}")
    if not math.isfinite(float(match["limit"])):
        raise UsageError(f"gate {line!r}: the limit {match['limit']} is too large")
    path = tuple(key or name for key, name in _STEP.findall(match["path"]))
    label = None
    if of is not Results or len(path) > 1 or path[0] not in VERDICTS:
        path, label = checked_path(path, line, of)
    return NumberGate(line, path, match["op"], float(match["limit"]), label)


def check_gates(
    gates: Iterable[Gate | str], results: GatedResults, labels: Sequence[str] | None = None
) -> list[str]:
    """Why each gate that fails does so.

    Args:
        gates: parsed, or as text.
        results: of a finished comparison, or of what edits did.
        labels: the names that the segmenter knows (``Comparison.real.vocabulary.names``). A class
            among them that no image shows has no verdict: it passes; its areas are 0. Without
            them only the classes that occur are known.

    Returns:
        One line for each gate that fails, naming the value and the limit; empty: all are passed.

    Raises:
        UsageError: a gate cannot be read, or names a class that is not known.

    ::

        failures = check_gates(["omitted: person", "fsd.bias_reduced > 5"], results)
    """
    parsed = [parse_gate(one, type(results)) if isinstance(one, str) else one for one in gates]
    failures = (gate.failure(results, labels) for gate in parsed)
    return [one_line(reason) for reason in failures if reason is not None]


def check_gate_names(
    gates: Iterable[Gate | str],
    labels: Sequence[str],
    of: type[GatedResults] = Results,
    edits: Sequence[str] = (),
) -> None:
    """Every class that the gates name is one of the labels: as soon as these are known.

    Args:
        gates: parsed, or as text.
        labels: names of the classes.
        of: the kind of results.
        edits: names of the edits, of ``AssessmentResults``.

    Raises:
        UnknownNameError: names the first that is not.
    """
    for gate in gates:
        parsed = parse_gate(gate, of) if isinstance(gate, str) else gate
        parsed.names(labels)
        if of is AssessmentResults and isinstance(parsed, NumberGate) and len(parsed.path) > 1:
            where, name = parsed.path[:2]
            if where == "edits" and name not in edits:
                raise UnknownNameError("edit", name, set(edits), hint="(a gate names it)")


def _with_verdict(results: Results, verdict: str, *, everything: bool = False) -> list[ClassResult]:
    """Classes with the verdict or a worse one; "no object" is no class unless it was named."""
    return [
        record
        for record in results.classes
        if record.verdict in VERDICTS[verdict]
        and not (only_composition(record) and record.verdict != "omitted")
        and (everything or not is_background(record))
    ]


def _verdict_words(record: ClassResult) -> str:
    a, b, where, unit = record.real_area, record.generated_area, "", "area"
    if record.because == "presence":
        real, generated, where = images_lost(record)
        a, b, where, unit = 100 * real, 100 * generated, where + " ", "images"
    shares = f"{where}{a:.3g} % of the real and {b:.3g} % of the generated {unit}"
    verdict: str = record.verdict
    if verdict == "omitted" and record.composition:
        verdict += ", but no change shown in the rest"
    q = f"q = {record.q_value:.2g}" if record.q_value >= 1e-6 else "q < 1e-6"
    return f"{record.label} is {verdict}, {shares} ({q})"


def _all_labels(results: GatedResults, labels: Sequence[str] | None) -> list[str]:
    return [*(labels or ()), *(record.label for record in _classes(results))]


def _classes(results: GatedResults) -> Sequence[ClassResult | ClassEffect]:
    return results.classes if isinstance(results, Results) else results.effect.classes


def _find(name: str, labels: Sequence[str]) -> str:
    if name not in labels:
        raise UnknownNameError("class", name, set(labels), hint="(a gate names it)")
    return name


def _split(text: str, labels: Sequence[str]) -> list[str]:
    """Names by comma; where a name has commas itself, the longest that is known."""
    known = {", ".join(_parts(label)): label for label in labels}
    parts = [part for part in _parts(text) if part]
    found: list[str] = []
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if ", ".join(parts[:end]) in known), 1)
        name = ", ".join(parts[:end])
        found.append(known[name] if name in known else _find(name, labels))
        parts = parts[end:]
    return found


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
