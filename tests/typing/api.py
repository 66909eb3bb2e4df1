"""Calls as users write them, read by the type checkers and never run (`scripts/check`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal, TypedDict, assert_type

from millstream import (
    END,
    START,
    AIMessage,
    AIMessageChunk,
    BaseChatModel,
    BaseMessage,
    ChatGeneration,
    ChatGenerationChunk,
    ChatPromptTemplate,
    ChatResult,
    Command,
    Document,
    HumanMessage,
    InMemorySaver,
    MessagesPlaceholder,
    MillstreamError,
    ProviderStatusError,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StateGraph,
    StrOutputParser,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UsageError,
    add_messages,
    create_react_agent,
    tool,
)

# -- errors and data -----------------------------------------------------------------------------------------------------


def errors_are_one_tree(error: MillstreamError) -> str:
    if isinstance(error, ProviderStatusError | UsageError):
        return str(error)
    return repr(error)


def messages() -> list[BaseMessage]:
    call: ToolCall = {"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}
    asked = AIMessage("", tool_calls=[call])
    assert_type(asked.tool_calls[0]["name"], str)
    return [SystemMessage("be brief"), HumanMessage(content="hello"), asked, ToolMessage("2", tool_call_id="1")]


def joined() -> str:
    whole: AIMessageChunk = AIMessageChunk("he") + AIMessageChunk(content="llo")
    return whole.text


# -- a model of one's own, a chain, and the ways to call it ----------------------------------------------------------------


class Echo(BaseChatModel):
    prefix: str = ""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.prefix + messages[-1].text))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for word in messages[-1].text.split():
            yield ChatGenerationChunk(message=AIMessageChunk(word))


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool("search", return_direct=True)
async def search(query: str) -> str:
    """Search."""
    return query


prompt = ChatPromptTemplate.from_messages(
    [("system", "be {manner}"), MessagesPlaceholder("history", optional=True), ("human", "{question}")]
)
chain = prompt | Echo(prefix="> ") | StrOutputParser()
config: RunnableConfig = {"tags": ["prod"], "metadata": {"user": "u"}, "max_concurrency": 4}


def called() -> None:
    reply = Echo().invoke("hello", config)
    assert_type(reply, AIMessage)
    assert_type(reply.text, str)
    whole: AIMessageChunk | None = None
    for chunk in Echo().stream([HumanMessage("hello")], stop=["x"]):
        whole = chunk if whole is None else whole + chunk
        print(chunk.content, chunk.tool_call_chunks, end="")
    for piece in chain.stream({"question": "?", "manner": "brief"}, config):
        print(piece, end="")
    print(chain.invoke({"question": "?"}), chain.batch([{"question": "?"}], return_exceptions=True))
    print(Echo().bind_tools([add, search]).invoke("1 + 2"), add.invoke({"a": 1, "b": 2}))


async def awaited() -> str:
    async for chunk in Echo().astream("hello"):
        print(chunk.content)
    async with chain.astream({"question": "?"}) as stream:
        async for piece in stream:
            print(piece)
            break
    async for event in chain.astream_events({"question": "?"}, config, include_types=["chat_model"]):
        assert_type(event["event"], Any)
    print(await chain.abatch([{"question": "?"}], {"max_concurrency": 2}))
    return await StrOutputParser().ainvoke(AIMessage("x"))


# -- composing -------------------------------------------------------------------------------------------------------------


def length(text: str) -> int:
    return len(text)


async def upper(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    async for part in parts:
        yield part.upper()


def retrieve(question: str) -> list[Document]:
    return [Document(page_content=question, metadata={"n": 1})]


def composed() -> None:
    measured = RunnableLambda(length)
    assert_type(measured.invoke("four"), int)
    both: RunnableParallel[dict[str, str]] = RunnableParallel(words=chain, size=measured)
    print(both.invoke({"question": "x"})["size"])
    rag: Any = {"context": RunnableLambda(retrieve), "question": RunnablePassthrough()} | prompt | Echo() | upper
    print(rag.invoke("why"))
    named = chain.with_config(tags=["a"], run_name="named").bind(stop=["\n"])
    print(named.invoke({"question": "?"}))
    print(RunnablePassthrough.assign(size=lambda it: len(it["text"])).invoke({"text": "x"}))


# -- graphs and agents -------------------------------------------------------------------------------------------------------


class State(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]
    count: int


def counts(state: State) -> dict[str, Any]:
    return {"count": state["count"] + 1, "messages": [AIMessage("one more")]}


async def jumps(state: State) -> Command[Literal["counts"]]:
    return Command(goto="counts", update={"count": 0})


def again(state: State) -> str:
    return "counts" if state["count"] < 3 else END


def graphs() -> None:
    builder: StateGraph[State, Any, State, State] = StateGraph(State)
    builder.add_node("jumps", jumps)
    builder.add_node(counts)
    builder.add_edge(START, "jumps").add_conditional_edges("counts", again)
    graph = builder.compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}, "recursion_limit": 10}
    print(graph.invoke({"count": 0, "messages": [("user", "hi")]}, thread)["count"])
    for update in graph.stream({"count": 0}, thread, stream_mode="updates"):
        print(update)
    print(graph.get_state(thread).values)


async def agents() -> AsyncIterator[str]:
    agent = create_react_agent(Echo(), [add, search], prompt="be brief", checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    async for message, metadata in agent.astream({"messages": [("user", "hi")]}, thread, stream_mode="messages"):
        if metadata["langgraph_node"] == "agent":
            yield message.content
    async for mode, item in agent.astream({"messages": []}, thread, stream_mode=["updates", "custom"]):
        print(mode, item)
    async for event in agent.astream_events(
        {"messages": []}, thread, version="v2", include_types=["chat_model", "tool"]
    ):
        print(event["data"])
    print((await agent.ainvoke({"messages": []}, thread))["messages"][-1].content)
