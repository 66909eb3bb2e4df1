"""What a composition gives, as the type checkers see it; read by them and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseChatModel,
    ChatAnthropic,
    ChatOpenAI,
    ChatPromptTemplate,
    CommaSeparatedListOutputParser,
    Document,
    JsonOutputParser,
    PydanticOutputParser,
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnablePassthrough,
    StrOutputParser,
    chain,
)


class City(BaseModel):
    name: str


class Place(TypedDict):
    name: str


def length(text: str) -> int:
    return len(text)


def words(text: str) -> list[str]:
    return text.split()


def configured(text: str, config: RunnableConfig) -> int:
    return len(text) + len(config.get("tags", []))


async def later(text: str) -> int:
    return len(text)


def shout(parts: Iterator[str]) -> Iterator[str]:
    for part in parts:
        yield part.upper()


async def measure(parts: AsyncIterator[str]) -> AsyncIterator[int]:
    async for part in parts:
        yield len(part)


def each_word(text: str) -> Iterator[str]:
    yield from text.split()


def chosen(text: str) -> Runnable[str, bytes]:
    return RunnableLambda(str.encode)


def of_parsers(prompt: ChatPromptTemplate, model: BaseChatModel) -> None:
    text = prompt | model | StrOutputParser()
    assert_type(text.invoke({"x": "y"}), str)
    for piece in text.stream({"x": "y"}):
        assert_type(piece, str)
    assert_type((prompt | model).invoke({}), AIMessage)
    assert_type(prompt.pipe(model, StrOutputParser()).invoke({}), str)
    assert_type((prompt | model | CommaSeparatedListOutputParser()).invoke({}), list[str])
    assert_type((prompt | model | JsonOutputParser()).invoke({}), Any)
    assert_type((prompt | model | PydanticOutputParser(pydantic_object=City)).invoke({}), City)
    assert_type(text.batch([{"x": "y"}]), list[str])
    for index, output in text.batch_as_completed([{"x": "y"}]):
        assert_type(index, int)
        assert_type(output, str)
    assert_type(text.map().invoke([{"x": "y"}]), list[str])
    assert_type(text.with_config(tags=["a"]).with_retry().bind(stop=["\n"]).invoke({}), str)


async def awaited(prompt: ChatPromptTemplate, model: BaseChatModel) -> None:
    text = prompt | model | StrOutputParser()
    assert_type(await text.ainvoke({}), str)
    assert_type(await text.abatch([{}]), list[str])
    async for piece in text.astream({}):
        assert_type(piece, str)
    async for chunk in model.astream("hey"):
        assert_type(chunk, AIMessageChunk)
    async for _, output in text.abatch_as_completed([{}]):
        assert_type(output, str)


def of_functions(model: BaseChatModel) -> None:
    text = model | StrOutputParser()
    assert_type((text | length).invoke("x"), int)
    assert_type((text | words).invoke("x"), list[str])
    assert_type((text | later).invoke("x"), int)
    assert_type((text | shout).invoke("x"), str)
    assert_type((text | measure).invoke("x"), int)
    assert_type((text | chosen).invoke("x"), bytes)
    assert_type((text | (lambda answer: len(answer) > 3)).invoke("x"), bool)
    assert_type((words | RunnableLambda(len)).invoke("x"), int)


def of_lambdas() -> None:
    measured = RunnableLambda(length)
    assert_type(measured, RunnableLambda[str, int])
    assert_type(RunnableLambda(words), RunnableLambda[str, list[str]])
    assert_type(RunnableLambda(later), RunnableLambda[str, int])
    assert_type(RunnableLambda(each_word), RunnableLambda[str, str])
    assert_type(RunnableLambda(configured), RunnableLambda[str, int])
    assert_type(RunnableLambda(chosen), RunnableLambda[str, bytes])
    assert_type(RunnableLambda(length, later), RunnableLambda[str, int])
    assert_type(chain(configured), RunnableLambda[str, int])
    assert_type(measured.batch(["a", "b"]), list[int])
    assert_type(measured.batch(["a", "b"], return_exceptions=True), list[Any])
    assert_type(RunnableGenerator(shout).invoke("x"), str)


def of_dicts(prompt: ChatPromptTemplate, model: BaseChatModel) -> None:
    def found(question: str) -> list[Document]:
        return [Document(page_content=question)]

    rag = {"context": found, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    assert_type(rag.invoke("why?"), str)
    branches = model | {"text": StrOutputParser(), "size": lambda message: len(message.text)}
    assert_type(branches.invoke("x"), dict[str, Any])
    assert_type(branches.assign(more=length).invoke("x"), dict[str, Any])
    assert_type(branches.pick(["text"]).invoke("x"), dict[str, Any])
    assert_type(branches.pick("text").invoke("x"), Any)


def of_forms(model: BaseChatModel) -> None:
    assert_type(model.with_structured_output(City).invoke("x"), City)
    assert_type(model.with_structured_output(Place).invoke("x"), Place)
    assert_type(model.with_structured_output({"title": "Place", "type": "object"}).invoke("x"), dict[str, Any])
    assert_type(model.with_structured_output(City, include_raw=True).invoke("x"), dict[str, Any])
    for provided in (ChatOpenAI(model="x"), ChatAnthropic(model="x", max_tokens=9)):
        assert_type(provided.with_structured_output(City).invoke("x"), City)
        assert_type(provided.with_structured_output(City, method="json_schema", strict=True).invoke("x"), City)
    assert_type(model.bind_tools([length]).invoke("x"), AIMessage)
