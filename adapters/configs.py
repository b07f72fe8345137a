"""Configs of networks: frozen pydantic models, checked as their values come out of a file.

Guarantees that a file whose values no such network has is refused with the name of the file, of the
first odd value, and the value itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from seeingkit.errors import Fault, StateMismatchError, first_fault
from seeingkit.weights import shown


class Record(BaseModel):
    """A frozen record without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkConfig(Record):
    """All that is needed to rebuild a network besides its tensors.

    Attributes:
        KIND: the network in words, for messages: ``a StyleGAN2 generator``.
        assumed: what neither the file nor an option said when the config was made, in words that
            begin with the option that can say it.
    """

    KIND: ClassVar[str]
    assumed: tuple[str, ...] = ()

    def unless_told(self, **options: object) -> tuple[str, ...]:
        """The assumptions but those that an option settles, that is, is not None."""
        told = tuple(f"{name}=" for name, value in options.items() if value is not None)
        return tuple(text for text in self.assumed if not text.startswith(told))

    @classmethod
    def validated(cls, file: Path, values: Mapping[str, Any]) -> Self:
        """A config from a file's values, by name of the field.

        Raises:
            StateMismatchError: a value that no such network has (the first is named).
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise StateMismatchError(
                f"{file}: not {cls.KIND}: {_described(first_fault(error))}"
            ) from error


def _described(fault: Fault) -> str:
    """The fault with the value; a value of many parts would not fit into a message."""
    single = fault.given is None or isinstance(fault.given, (str, bool, int, float))
    return f"{fault} (found {shown(fault.given)})" if fault.where and single else str(fault)
