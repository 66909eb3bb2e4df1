"""Retrievers as tools, and documents as prompts write them."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour

from millstream import BaseRetriever, Document, PromptTemplate, create_retriever_tool, format_document

__all__ = ["colour"]  # a fixture


class Two(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(query, metadata={"page": 1}), Document("more", metadata={"page": 2})]


def test_a_model_can_look_things_up(colour: Colour) -> None:
    tool = create_retriever_tool(Two(), "look_up", "Looks things up.")
    assert (tool.name, tool.description, list(tool.args)) == ("look_up", "Looks things up.", ["query"])
    shown = create_retriever_tool(
        Two(),
        "look_up",
        "Looks things up.",
        document_prompt=PromptTemplate.from_template("{page}: {page_content}"),
        document_separator=" | ",
        response_format="content_and_artifact",
    )

    async def body(colour: Colour) -> None:
        assert await colour.invoke(tool, {"query": "q"}) == "q\n\nmore"
        call = {"name": "look_up", "args": {"query": "q"}, "id": "c", "type": "tool_call"}
        message = await colour.invoke(shown, call)
        assert message.content == "1: q | 2: more"
        assert [document.metadata["page"] for document in message.artifact] == [1, 2]

    colour.run(body)


def test_a_document_lacks_what_its_prompt_shows() -> None:
    prompt = PromptTemplate.from_template("{page_content} {source}")
    assert format_document(Document("x", metadata={"source": "s", "more": 1}), prompt) == "x s"
    with pytest.raises(KeyError, match="no metadata 'source'"):
        format_document(Document("x"), prompt)
