"""A retriever as a tool that models can call."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ..data.documents import Document
from ..errors import MissingKey
from .prompts import BasePromptTemplate
from .retrievers import BaseRetriever
from .structured_tool import StructuredTool

__all__ = ["create_retriever_tool", "format_document"]


class RetrieverInput(BaseModel):
    """What the tool of a retriever is called with."""

    query: str = Field(description="query to look up in retriever")


def format_document(doc: Document, prompt: BasePromptTemplate) -> str:
    """A document as `prompt` writes it, whose variables are `page_content` and keys of the metadata.

    Raises:
        MissingKey: (a KeyError) the document has no such metadata.
    """
    known = {**doc.metadata, "page_content": doc.page_content}
    for name in prompt.input_variables:
        if name not in known:
            raise MissingKey(
                f"the document has no metadata {name!r}, which its prompt shows; it has {[*doc.metadata]}."
            )
    return prompt.format(**{name: known[name] for name in prompt.input_variables})


def create_retriever_tool(
    retriever: BaseRetriever,
    name: str,
    description: str,
    *,
    document_prompt: BasePromptTemplate | None = None,
    document_separator: str = "\n\n",
    response_format: Literal["content", "content_and_artifact"] = "content",
) -> StructuredTool:
    """A tool that looks a query up and gives the documents as one text; as the artifact, if wanted, the documents."""

    def shown(documents: list[Document]) -> Any:
        texts = [
            document.page_content if document_prompt is None else format_document(document, document_prompt)
            for document in documents
        ]
        text = document_separator.join(texts)
        return (text, documents) if response_format == "content_and_artifact" else text

    # The call's own callbacks come by way of the surrounding run.
    def look_up(query: str) -> Any:
        return shown(retriever.invoke(query))

    async def alook_up(query: str) -> Any:
        return shown(await retriever.ainvoke(query))

    return StructuredTool.from_function(
        look_up,
        alook_up,
        name=name,
        description=description,
        args_schema=RetrieverInput,
        response_format=response_format,
    )
