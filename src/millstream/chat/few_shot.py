"""Few-shot prompts: a model is shown examples before it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from ..data.messages import BaseMessage
from ..data.prompt_values import StringPromptValue
from ..errors import MissingKey, ValidationError
from ..flow.driver import ASYNC, SYNC, Driver
from ..flow.runnable import Kwargs
from ..flow.step import step
from ..spine.scope import Scope, enter
from .base_chat_prompt import BaseChatPromptTemplate
from .component import Configured, is_ours
from .prompts import StringPromptTemplate
from .template_formats import AnyTemplate, compiled

__all__ = ["FewShotChatMessagePromptTemplate", "FewShotPromptTemplate"]


class _WithExamples(Configured):
    """The examples of a prompt: a list, or those that a selector chooses for each input."""

    examples: list[dict[str, Any]] | None = None
    example_selector: Any = Field(default=None, exclude=True)
    example_prompt: Any

    def model_post_init(self, context: Any, /) -> None:
        if (self.examples is None) == (self.example_selector is None):
            raise ValidationError(f"{type(self).__name__} needs either `examples` or an `example_selector`.")

    async def _examples(self, d: Driver, scope: Scope, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """For each example the variables of `example_prompt`."""
        chosen = self.examples
        if chosen is None:
            selector = self.example_selector
            chosen = await d.call(scope, selector.select_examples, selector.aselect_examples, dict(values))
        return [self._shown(example) for example in chosen or ()]

    def _shown(self, example: Mapping[str, Any]) -> dict[str, Any]:
        names: list[str] = self.example_prompt.input_variables
        for name in names:
            if name not in example:
                raise MissingKey(f"the example {dict(example)!r} lacks {name!r}, which its prompt shows.", key=name)
        return {name: example[name] for name in names}


class FewShotPromptTemplate(_WithExamples, StringPromptTemplate):
    """`prefix`, then each example as `example_prompt` writes it, then `suffix`; empty ones are left out.

    Only prefix and suffix are templates of the input. What stands in an example is shown as it is, braces and all.

    Example:
        >>> prompt = FewShotPromptTemplate(
        ...     examples=[{"q": "2+2", "a": "4"}],
        ...     example_prompt=PromptTemplate.from_template("Q: {q} A: {a}"),
        ...     suffix="Q: {question}",
        ...     example_separator=" | ",
        ... )
        >>> prompt.format(question="1+1")
        'Q: 2+2 A: 4 | Q: 1+1'
    """

    suffix: str
    prefix: str = ""
    example_separator: str = "\n\n"
    validate_template: bool = False

    __slots__ = ("_compiled",)

    if TYPE_CHECKING:
        _compiled: ClassVar[tuple[AnyTemplate, AnyTemplate]]  # of each instance; a plain annotation would be a field

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        names = {name for template in self._ends for name in template.names} - self.partial_variables.keys()
        if self.validate_template and set(self.input_variables) != names:
            raise ValidationError(
                f"input_variables {sorted(self.input_variables)} differ from those of prefix and suffix, {sorted(names)}."
            )
        self.input_variables = sorted(names)

    def format(self, **kwargs: Any) -> str:
        """The prompt for these variables."""
        return step(self._written(SYNC, enter(None), kwargs))

    async def aformat(self, **kwargs: Any) -> str:
        """`format` in async form."""
        return await self._written(ASYNC, enter(None), kwargs)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> StringPromptValue:
        cls = type(self)
        if all(map(is_ours, (cls.format, cls.aformat, cls.format_prompt, cls.aformat_prompt))):
            return StringPromptValue(text=await self._written(d, scope, self._variables(input)))
        value: StringPromptValue = await super()._body(d, input, scope, kwargs)
        return value

    async def _written(self, d: Driver, scope: Scope, values: Mapping[str, Any]) -> str:
        values = self._given(values)
        examples = await self._examples(d, scope, values)
        prefix, suffix = self._ends
        pieces = [prefix.render(values)] if prefix.text else []
        pieces += filter(None, [self.example_prompt.format(**example) for example in examples])
        pieces += [suffix.render(values)] if suffix.text else []
        return self.example_separator.join(pieces)

    @property
    def _ends(self) -> tuple[AnyTemplate, AnyTemplate]:
        """Prefix and suffix, read once; anew where a copy or an assignment gave them another text."""
        try:
            prefix, suffix = self._compiled
            if prefix.text is self.prefix and suffix.text is self.suffix:
                return prefix, suffix
        except AttributeError:
            pass
        ends = compiled(self.prefix, self.template_format), compiled(self.suffix, self.template_format)
        object.__setattr__(self, "_compiled", ends)
        return ends


class FewShotChatMessagePromptTemplate(_WithExamples, BaseChatPromptTemplate):
    """The messages of each example as `example_prompt` makes them; usually a part of a chat prompt.

    Example:
        >>> shots = FewShotChatMessagePromptTemplate(
        ...     examples=[{"q": "2+2", "a": "4"}],
        ...     example_prompt=ChatPromptTemplate([("human", "{q}"), ("ai", "{a}")]),
        ... )
        >>> ChatPromptTemplate([shots, ("human", "{question}")]).format(question="1+1")
        'Human: 2+2\\nAI: 4\\nHuman: 1+1'
    """

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The messages of the examples; the variables only help to choose them."""
        return step(self._made(SYNC, enter(None), kwargs))

    async def aformat_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """`format_messages` in async form."""
        return await self._made(ASYNC, enter(None), kwargs)

    async def _made(self, d: Driver, scope: Scope, values: Mapping[str, Any]) -> list[BaseMessage]:
        examples = await self._examples(d, scope, self._given(values))
        return [message for example in examples for message in self.example_prompt.format_messages(**example)]
