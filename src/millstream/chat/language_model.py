"""BaseLanguageModel: what chat models and text models have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, ClassVar, TypeAlias, TypeVar

from pydantic import Field

from ..data.any_message import AnyMessage
from ..data.coercion import convert_to_messages, get_buffer_string
from ..data.outputs import LLMResult
from ..data.prompt_values import PromptValue
from ..errors import Unsupported
from ..flow.driver import ASYNC, SYNC, Driver
from ..flow.runnable import Kwargs
from ..flow.step import step
from ..spine.scope import Scope, enter
from .component import Component

__all__ = ["BaseLanguageModel", "LanguageModelInput"]

LanguageModelInput: TypeAlias = PromptValue | str | Sequence[Any]

Output = TypeVar("Output")


class BaseLanguageModel(Component[LanguageModelInput, Output]):
    """A model of language: `BaseChatModel` answers with a message, `BaseLLM` with a text."""

    cache: Any = Field(default=None, exclude=True)
    callbacks: Any = Field(default=None, exclude=True, repr=False)
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    verbose: bool = Field(default=False, exclude=True, repr=False)
    custom_get_token_ids: Callable[[str], list[int]] | None = Field(default=None, exclude=True)

    _kind: ClassVar[str] = "chat"

    # -- what a subclass may write -----------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        """A short name of the kind of model, for logs and caches."""
        return type(self).__name__

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The settings that an answer depends on: calls of models that agree in them share what a cache keeps.

        The default knows of the name, the temperature and the most tokens; a model with other settings names them all.
        """
        return self._get_ls_params()

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """Facts about the model that go into the metadata of its runs, under the names that tracing tools know."""
        fields = self.__dict__
        facts = {
            "ls_provider": _provider_of(type(self).__name__),
            "ls_model_name": kwargs.get("model") or fields.get("model") or fields.get("model_name"),
            "ls_model_type": self._kind,
            "ls_temperature": kwargs.get("temperature", fields.get("temperature")),
            "ls_max_tokens": kwargs.get("max_tokens", fields.get("max_tokens")),
            "ls_stop": stop,
        }
        return {key: value for key, value in facts.items() if value is not None}

    # -- what users call, beside the methods of every runnable -------------------------------------------------------

    def generate_prompt(
        self, prompts: Sequence[PromptValue], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """`generate` for prompt values."""
        return step(self._generated(SYNC, prompts, stop, callbacks, **kwargs))

    async def agenerate_prompt(
        self, prompts: Sequence[PromptValue], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """`agenerate` for prompt values."""
        return await self._generated(ASYNC, prompts, stop, callbacks, **kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text as numbers, by `custom_get_token_ids`.

        Raises:
            Unsupported: (a NotImplementedError) there is none, and the provider does not know better.
        """
        if self.custom_get_token_ids is None:
            raise Unsupported(f"{type(self).__name__} has no tokenizer; give it one as `custom_get_token_ids`.")
        return self.custom_get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """The tokens of a text, by `custom_get_token_ids`; without it an estimate, unless the provider knows better."""
        ids = self.custom_get_token_ids
        return ceil(len(text) / 4) if ids is None else len(ids(text))

    def get_num_tokens_from_messages(self, messages: Sequence[Any], tools: Sequence[Any] | None = None) -> int:
        """The tokens of a conversation, and of the tools that go with it; an estimate as `get_num_tokens`."""
        # Which models are used without.
        from ..data.token_estimate import count_tokens_approximately
        from .function_calling import convert_to_openai_tool

        described = [convert_to_openai_tool(tool) for tool in tools or ()]
        if self.custom_get_token_ids is None:
            return count_tokens_approximately(messages, tools=described)
        texts = [get_buffer_string([message]) for message in convert_to_messages(messages)]
        return sum(map(self.get_num_tokens, [*texts, *map(str, described)]))

    # -- schemas -----------------------------------------------------------------------------------------------------

    def _input_shape(self) -> Any:
        return PromptValue | str | list[AnyMessage]

    # -- running -----------------------------------------------------------------------------------------------------

    async def _generated(
        self,
        d: Driver,
        inputs: Sequence[Any],
        stop: list[str] | None,
        callbacks: Any,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: Any = None,
        **kwargs: Any,
    ) -> LLMResult:
        """The work of `generate`, whose keywords are both of the config and of the call."""
        config = {"callbacks": callbacks, "tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        return await self._generate_all(d, inputs, enter(config), {"stop": stop, **kwargs})

    @abstractmethod
    async def _generate_all(self, d: Driver, inputs: Sequence[Any], scope: Scope, kwargs: Kwargs) -> LLMResult:
        """Answer all of these, each in a run of its own."""


def _provider_of(class_name: str) -> str:
    """`ChatOpenAI` is of "openai", `OllamaLLM` of "ollama"."""
    if class_name.startswith("Chat"):
        return class_name.removeprefix("Chat").lower()
    return class_name.removesuffix("Chat").removesuffix("LLM").lower()
