"""Prompt templates of one text, and what all prompt templates share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field

from ..data.prompt_values import PromptValue, StringPromptValue
from ..errors import InvalidArgument, InvalidType, MissingKey, ValidationError
from ..flow.driver import Driver
from ..flow.runnable import Kwargs
from ..flow.schemas import schema_of
from ..spine.scope import Scope
from .component import WholeComponent, is_ours
from .template_formats import AnyTemplate, compiled

__all__ = ["BasePromptTemplate", "PromptTemplate", "StringPromptTemplate"]


class BasePromptTemplate(WholeComponent[Any, PromptValue]):
    """Makes a prompt value from a dict of variables.

    A variable may be given ahead with `partial`: a value, or a function without arguments that is called at each use.
    Values given to a call win over those given ahead.
    """

    run_type = "prompt"

    input_variables: list[str] = Field(default_factory=list)
    optional_variables: list[str] = Field(default_factory=list)
    partial_variables: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None

    @abstractmethod
    def format_prompt(self, **kwargs: Any) -> PromptValue:
        """The prompt value for these variables."""

    @abstractmethod
    def format(self, **kwargs: Any) -> str:
        """The prompt as one text."""

    async def aformat_prompt(self, **kwargs: Any) -> PromptValue:
        """`format_prompt` in async form."""
        return self.format_prompt(**kwargs)

    async def aformat(self, **kwargs: Any) -> str:
        """`format` in async form."""
        return self.format(**kwargs)

    def partial(self, **kwargs: Any) -> Any:
        """A copy for which these variables are already given."""
        return self.model_copy(
            update={
                "input_variables": [name for name in self.input_variables if name not in kwargs],
                "partial_variables": {**self.partial_variables, **kwargs},
            }
        )

    def get_input_schema(self, config: Any = None) -> type[BaseModel]:
        """A pydantic model with a field for each variable."""
        return schema_of("PromptInput", self._input_shape())  # type: ignore[no-any-return]

    def _input_shape(self) -> Any:
        needed: dict[str, Any] = {name: (self._type_of(name), ...) for name in self.input_variables}
        return needed | {name: (self._type_of(name), None) for name in self.optional_variables}

    def _type_of(self, name: str) -> Any:
        """The type of a variable."""
        return str

    def _output_shape(self) -> Any:
        return PromptValue

    def _given(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """`values` over what was given ahead.

        Raises:
            MissingKey: (a KeyError) a variable has no value.
        """
        values = self._with_ahead(values)
        for name in self.input_variables:
            if name not in values:
                self._missing(values)
        return values

    def _with_ahead(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.partial_variables:
            return values
        ahead = {k: v() if callable(v) else v for k, v in self.partial_variables.items() if k not in values}
        return {**ahead, **values}

    def _missing(self, values: Mapping[str, Any]) -> None:
        missing = [name for name in self.input_variables if name not in values]
        raise MissingKey(
            f"{self.get_name()} needs the variable{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"given were {sorted(map(str, values)) or 'none'}. "
            "If braces in the template are meant literally, double them: {{ }}.",
            key=missing[0],
        )

    def _variables(self, input: Any) -> Mapping[str, Any]:
        if isinstance(input, Mapping):
            return input
        if len(self.input_variables) != 1:
            raise InvalidType(
                f"{self.get_name()} takes a dict with the keys {sorted(self.input_variables)}, not {type(input).__name__}."
            )
        return {self.input_variables[0]: input}

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> PromptValue:
        return self.format_prompt(**self._variables(input))


class StringPromptTemplate(BasePromptTemplate):
    """Makes one text from variables. A subclass names its `input_variables` and writes `format`.

    Example:
        >>> class Loud(StringPromptTemplate):
        ...     def format(self, **kwargs):
        ...         return kwargs["text"].upper()
        >>> Loud(input_variables=["text"]).invoke({"text": "hi"}).text
        'HI'
    """

    template_format: str = "f-string"

    def format_prompt(self, **kwargs: Any) -> StringPromptValue:
        """The text as a prompt value."""
        return StringPromptValue(text=self.format(**kwargs))

    async def aformat_prompt(self, **kwargs: Any) -> StringPromptValue:
        """`format_prompt` in async form."""
        return StringPromptValue(text=await self.aformat(**kwargs))

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        values = self._variables(input)
        if self.template_format != "f-string":
            self._given(values)
        cls = type(self)
        if d.sync or (is_ours(cls.aformat) and is_ours(cls.aformat_prompt)):
            return self.format_prompt(**values)
        return await self.aformat_prompt(**values)


class PromptTemplate(StringPromptTemplate):
    """A text with `{name}` fields; or a template in Mustache, or in the safe part of Jinja2, by `template_format`.

    Example:
        >>> PromptTemplate.from_template("Say {what}.").format(what="hi")
        'Say hi.'
    """

    template: str
    validate_template: bool = False

    # A slot, because a private attribute of pydantic costs 3 us a read.
    __slots__ = ("_compiled",)

    if TYPE_CHECKING:
        _compiled: ClassVar[AnyTemplate]  # of each instance; a plain annotation would be a field

    def model_post_init(self, context: Any, /) -> None:
        found = [name for name in self._text.names if name not in self.partial_variables]
        if self.validate_template and set(self.input_variables) != set(found):
            raise ValidationError(
                f"input_variables {sorted(self.input_variables)} differ from those of the template, {sorted(found)}."
            )
        self.input_variables = sorted(found)

    @classmethod
    def from_template(
        cls,
        template: str,
        *,
        template_format: str = "f-string",
        partial_variables: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> PromptTemplate:
        """The prompt for a text; its variables are read from it.

        Raises:
            InvalidArgument: (a ValueError) the text is not a safe template.
        """
        return cls(
            template=template, template_format=template_format, partial_variables=partial_variables or {}, **kwargs
        )

    def format(self, **kwargs: Any) -> str:
        """The text with its fields filled in.

        In Mustache and Jinja2 a variable that is not given is nothing; `invoke` wants all of them.

        Raises:
            MissingKey: (a KeyError) a variable of an f-string has no value.
        """
        if self.template_format == "f-string":
            return self._text.render(self._given(kwargs))
        return self._text.render({**dict.fromkeys(self._text.names, ""), **self._with_ahead(kwargs)})

    def pretty_repr(self, html: bool = False) -> str:
        """The template for people to read."""
        return self.template

    def pretty_print(self) -> None:
        """Print `pretty_repr()`."""
        print(self.pretty_repr())

    @property
    def _text(self) -> AnyTemplate:
        """The template, read once; anew where a copy or an assignment gave it another text."""
        try:
            if self._compiled.text is self.template:
                return self._compiled
        except AttributeError:
            pass
        template = compiled(self.template, self.template_format)
        object.__setattr__(self, "_compiled", template)
        return template

    def __add__(self, other: str | PromptTemplate) -> PromptTemplate:
        """This text followed by another; the variables of both."""
        if isinstance(other, str):
            other = PromptTemplate.from_template(other, template_format=self.template_format)
        if not isinstance(other, PromptTemplate):
            return NotImplemented
        if other.template_format != self.template_format:
            raise InvalidArgument(
                f"a {self.template_format} template and a {other.template_format} template cannot be joined."
            )
        clash = self.partial_variables.keys() & other.partial_variables.keys()
        if clash:
            raise InvalidArgument(f"both prompts give a value ahead for {sorted(clash)}; give it in one of them.")
        return PromptTemplate(
            template=self.template + other.template,
            template_format=self.template_format,
            partial_variables={**self.partial_variables, **other.partial_variables},
        )
