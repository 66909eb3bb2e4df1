"""The utilities of messages, retrieval and history as users write them, read by the type checkers and never run."""

from __future__ import annotations

from typing import Any, assert_type

from millstream import (
    BaseMessage,
    BaseRetriever,
    Document,
    HumanMessage,
    InMemoryChatMessageHistory,
    InMemoryVectorStore,
    RunnableWithMessageHistory,
    convert_to_openai_messages,
    filter_messages,
    merge_message_runs,
    trim_messages,
)


def lists_of_messages(messages: list[BaseMessage]) -> None:
    assert_type(trim_messages(messages, max_tokens=9, token_counter=len), list[BaseMessage])
    assert_type(filter_messages(["a", ("ai", "b")], include_types="ai"), list[BaseMessage])
    assert_type(merge_message_runs(messages), list[BaseMessage])
    step = trim_messages(max_tokens=9, token_counter="approximate", strategy="first")
    assert_type(step.invoke(messages), list[BaseMessage])
    assert_type(convert_to_openai_messages(HumanMessage("x")), dict[str, Any])
    assert_type(convert_to_openai_messages([HumanMessage("x"), "y"]), list[dict[str, Any]])


def finding(retriever: BaseRetriever, store: InMemoryVectorStore) -> None:
    assert_type(retriever.invoke("x"), list[Document])
    assert_type(store.as_retriever(search_kwargs={"k": 2}).invoke("x"), list[Document])
    assert_type(store.similarity_search_with_score("x"), list[tuple[Document, float]])


def remembering(history: InMemoryChatMessageHistory) -> None:
    RunnableWithMessageHistory(lambda messages: "x", lambda session_id: history).invoke("hello")
