"""What users configure and subclass: fields like pydantic's, errors like ours, and no surprises for generic subclasses."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pydantic
import pytest
from pydantic import BaseModel, Field, field_validator

from millstream import BaseOutputParser, BaseTool, FakeListChatModel, InvalidArgument, Runnable
from millstream.chat.component import Component

T = TypeVar("T")


class Doubling(Component[Any, Any]):
    factor: int = Field(default=2, ge=0)
    note: str = ""

    @field_validator("note")
    @classmethod
    def _short(cls, note: str) -> str:
        if len(note) > 3:
            raise InvalidArgument("the note is too long")
        return note

    async def _body(self, d: Any, input: Any, scope: Any, kwargs: Any) -> Any:
        return input * self.factor


def test_fields_of_runnable_are_not_fields_of_components() -> None:
    assert set(Component.model_fields) == {"name"}
    assert "run_type" not in Doubling.model_fields


def test_a_subclass_may_have_a_name_of_its_own_without_a_warning() -> None:
    class Named(BaseTool):
        name: str = "named"

        def _run(self) -> None: ...

    class Renamed(Named):
        name: str = "renamed"

    assert (Named().get_name(), Renamed().get_name(), Renamed(name="given").get_name()) == ("named", "renamed", "given")
    assert (Doubling().get_name(), Doubling(name="given").get_name()) == ("Doubling", "given")


def test_it_is_a_runnable() -> None:
    assert isinstance(Doubling(), Runnable)
    chain = Doubling(factor=3) | (lambda x: x + 1)
    assert (chain.invoke(2), list(chain.stream(2))) == (7, [7])


def test_errors() -> None:
    with pytest.raises(InvalidArgument, match=r"^the note is too long$"):
        Doubling(note="long")
    with pytest.raises(pydantic.ValidationError, match="factor"):
        Doubling(factor=-1)
    with pytest.raises(pydantic.ValidationError, match="responses"):
        FakeListChatModel()  # type: ignore[call-arg]


def test_equality_and_repr() -> None:
    assert Doubling(factor=3) == Doubling(factor=3) != Doubling()
    assert repr(Doubling(factor=3)) == "Doubling(factor=3)"


def test_generic_parsers() -> None:
    class Parser(BaseOutputParser[T], Generic[T]):
        made_of: Any

        def parse(self, text: str) -> Any:
            return self.made_of(text)

    class Numbers(Parser[int]):
        made_of: Any = int

    assert Parser[float](made_of=float).invoke("1") == 1.0
    assert Numbers().invoke("1") == 1
    assert issubclass(Numbers, Parser)


def test_a_component_may_be_a_field_of_a_model() -> None:
    class Holder(BaseModel):
        part: Doubling

    assert Holder(part=Doubling(factor=3)).part.invoke(2) == 6
    assert Holder.model_validate({"part": {"factor": 4}}).part.invoke(2) == 8
