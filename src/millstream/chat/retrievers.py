"""BaseRetriever: a question in, documents out."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from functools import lru_cache
from typing import Any

from pydantic import Field

from ..data.documents import Document
from ..flow.attend import attended
from ..flow.driver import ASYNC, Driver
from ..flow.runnable import Kwargs
from ..spine.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from ..spine.scope import Scope, enter
from .component import WholeComponent

__all__ = ["BaseRetriever"]


class BaseRetriever(WholeComponent[str, list[Document]]):
    """Finds documents. A subclass writes `_get_relevant_documents`, and the async form where it can do better than a thread.

    Example:
        >>> class Words(BaseRetriever):
        ...     texts: list[str]
        ...
        ...     def _get_relevant_documents(self, query):
        ...         return [Document(text) for text in self.texts if query in text]
        >>> [found.page_content for found in Words(texts=["red fish", "cat"]).invoke("fish")]
        ['red fish']
    """

    run_type = "retriever"

    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    callbacks: Any = Field(default=None, exclude=True, repr=False)

    @abstractmethod
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        """The documents for a query. An override may leave `run_manager` out, and may take keywords of its own."""

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        """The same in async form; by default on a worker thread."""
        fn = self._get_relevant_documents
        named = {"run_manager": run_manager.get_sync()} if _takes_manager(type(self)._get_relevant_documents) else {}
        found: list[Document] = await ASYNC.call(enter(None), fn, None, query, **named)
        return found

    def _input_shape(self) -> Any:
        return str

    def _output_shape(self) -> Any:
        return list[Document]

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        work = super()._exec
        if self.callbacks:
            return await attended(d, self._heard(scope), lambda scope: work(d, input, scope, kwargs))
        return await work(d, input, scope, kwargs)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        cls = type(self)
        fn, afn = self._get_relevant_documents, None
        if not d.sync and cls._aget_relevant_documents is not BaseRetriever._aget_relevant_documents:
            afn = self._aget_relevant_documents
        if _takes_manager(cls._get_relevant_documents if afn is None else cls._aget_relevant_documents):
            made = CallbackManagerForRetrieverRun if afn is None else AsyncCallbackManagerForRetrieverRun
            kwargs = {**kwargs, "run_manager": made(scope, scope.parent)}
        return await d.call(scope, fn, afn, input, **kwargs)


@lru_cache(maxsize=256)
def _takes_manager(method: Any) -> bool:
    parameters = inspect.signature(method).parameters.values()
    return any(each.name == "run_manager" or each.kind is each.VAR_KEYWORD for each in parameters)
