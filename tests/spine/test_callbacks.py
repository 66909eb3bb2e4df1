"""Callback managers and run managers: runs reported by hand, and what functions get to speak for theirs."""

from __future__ import annotations

import asyncio
import uuid
from contextvars import ContextVar
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import (
    AIMessage,
    AIMessageChunk,
    AsyncCallbackHandler,
    AsyncCallbackManager,
    AsyncCallbackManagerForChainGroup,
    AsyncCallbackManagerForChainRun,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    BaseCallbackManager,
    BaseChatModel,
    CallbackManager,
    CallbackManagerForChainGroup,
    CallbackManagerForChainRun,
    CallbackManagerForLLMRun,
    CallbackManagerForToolRun,
    ChatGeneration,
    ChatResult,
    Generation,
    HumanMessage,
    LLMResult,
    RunnableGenerator,
    RunnableLambda,
    atrace_as_chain_group,
    merge_configs,
    register_configure_hook,
    trace_as_chain_group,
)
from millstream.errors import InvalidArgument, OutsideRun
from millstream.spine import hooks


class Notes(BaseCallbackHandler):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.kwargs: list[dict[str, Any]] = []

    def _note(self, what: str, **kwargs: Any) -> None:
        self.log.append(what)
        self.kwargs.append(kwargs)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> Any:
        self._note(f"start {kwargs['name']} {inputs}", **kwargs)

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> Any:
        self._note(f"end {outputs}", **kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> Any:
        self._note(f"error {error!r}", **kwargs)

    def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> Any:
        self._note(f"llm {serialized.get('name')} {prompts}", **kwargs)

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
        self._note(f"chat {serialized.get('name')} {messages[0][0].text}", **kwargs)

    def on_llm_new_token(self, token: str, **kwargs: Any) -> Any:
        self._note(f"token {token}", **kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> Any:
        self._note(f"llm_end {response.generations[0][0].text} {response.llm_output}", **kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> Any:
        self._note(f"llm_error {error!r}", **kwargs)

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> Any:
        self._note(f"tool {serialized.get('name')} {input_str}", **kwargs)

    def on_tool_end(self, output: Any, **kwargs: Any) -> Any:
        self._note(f"tool_end {output}", **kwargs)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> Any:
        self._note(f"tool_error {error!r}", **kwargs)

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> Any:
        self._note(f"retriever {query}", **kwargs)

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> Any:
        self._note(f"retriever_end {documents}", **kwargs)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> Any:
        self._note(f"retriever_error {error!r}", **kwargs)

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> Any:
        self._note(f"custom {name} {data}", **kwargs)

    def on_text(self, text: str, **kwargs: Any) -> Any:
        self._note(f"text {text}", **kwargs)

    def on_retry(self, retry_state: Any, **kwargs: Any) -> Any:
        self._note(f"retry {retry_state}", **kwargs)

    def on_agent_action(self, action: Any, **kwargs: Any) -> Any:
        self._note(f"action {action}", **kwargs)

    def on_agent_finish(self, finish: Any, **kwargs: Any) -> Any:
        self._note(f"finish {finish}", **kwargs)


class ANotes(Notes, AsyncCallbackHandler):
    """The same with coroutine functions."""


def _awaiting(method: Any) -> Any:
    async def form(self: Any, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        method(self, *args, **kwargs)

    return form


for _name in [name for name in vars(Notes) if name.startswith("on_")]:
    setattr(ANotes, _name, _awaiting(getattr(Notes, _name)))


# -- runs reported by hand ---------------------------------------------------------------------------------------------


def test_runs_by_hand() -> None:
    notes, given = Notes(), uuid.uuid4()
    manager = CallbackManager.configure([notes], inheritable_tags=["t"], local_tags=["l"], local_metadata={"m": 1})
    run = manager.on_chain_start({"name": "mine"}, {"x": 1}, run_id=given)
    assert isinstance(run, CallbackManagerForChainRun) and run.run_id == given and run.parent_run_id is None
    assert run.tags == ["l", "t"] and run.inheritable_tags == ["t"] and run.metadata == {"m": 1}
    child = run.get_child("c").on_tool_start({"name": "hammer"}, "nail", tool_call_id="c1")
    assert child.parent_run_id == given and child.tags == ["c", "t"] and child.handlers == [notes]
    child.on_tool_end("hit")
    run.on_text("thinking")
    run.on_retry("state")
    run.on_agent_action("act")
    run.on_agent_finish("done")
    run.on_chain_end({"y": 2})
    assert notes.log == [
        *["start mine {'x': 1}", "tool hammer nail", "tool_end hit", "text thinking", "retry state"],
        *["action act", "finish done", "end {'y': 2}"],
    ]
    assert notes.kwargs[1]["tool_call_id"] == "c1" and notes.kwargs[3]["run_id"] == given


def test_models_by_hand() -> None:
    notes = Notes()
    manager = CallbackManager([], [notes])
    first, second = manager.on_llm_start({"name": "m"}, ["p", "q"], invocation_params={"k": 1})
    first.on_llm_new_token("a")
    first.on_llm_end(LLMResult(generations=[[Generation("a")]], llm_output={"o": 1}))
    second.on_llm_error(ValueError("no"))
    (chat,) = manager.on_chat_model_start({"id": ["x", "C"]}, [[HumanMessage("hey")]])
    chat.on_llm_new_token("b", chunk=AIMessageChunk("b"))
    chat.on_llm_new_token("c")
    chat.on_llm_end(LLMResult(generations=[[ChatGeneration(AIMessage("bc"))]], llm_output=None))
    assert notes.log == [
        *["llm m ['p']", "llm m ['q']", "token a", "llm_end a {'o': 1}", "llm_error ValueError('no')"],
        *["chat None hey", "token b", "token c", "llm_end bc None"],
    ]
    assert notes.kwargs[0]["invocation_params"] == {"stop": None, "k": 1}
    assert first.run_id != second.run_id and notes.kwargs[5]["name"] == "C"


def test_the_other_kinds_by_hand() -> None:
    notes = Notes()
    manager = CallbackManager.configure([notes])
    found = manager.on_retriever_start({"name": "r"}, "q")
    found.on_retriever_end([1])
    manager.on_retriever_start(None, "q").on_retriever_error(ValueError())
    manager.on_tool_start(None, "x").on_tool_error(ValueError())
    run = manager.on_chain_start(None, 1, name="outer")
    run.get_child().on_custom_event("note", 5)
    run.on_chain_error(ValueError())
    assert notes.log == [
        *["retriever q", "retriever_end [1]", "retriever q", "retriever_error ValueError()"],
        *["tool None x", "tool_error ValueError()", "start outer 1", "custom note 5", "error ValueError()"],
    ]
    with pytest.raises(OutsideRun, match="this manager was given to none"):
        manager.on_custom_event("note", 5)


@pytest.mark.parametrize("kind", [Notes, ANotes])
def test_async_managers(kind: type[Notes]) -> None:
    async def main() -> None:
        notes = kind()
        manager = AsyncCallbackManager.configure([notes])
        run = await manager.on_chain_start({"name": "mine"}, 1)
        assert isinstance(run, AsyncCallbackManagerForChainRun) and notes.log == ["start mine 1"]
        inner = RunnableLambda(lambda x: x, name="inner")
        await inner.ainvoke(2, {"callbacks": run.get_child()})
        (model,) = await run.get_child().on_llm_start({"name": "m"}, ["p"])
        await model.on_llm_new_token("a")
        await run.on_text("thinking")
        sync = run.get_sync()
        assert type(sync) is CallbackManagerForChainRun and sync.run_id == run.run_id
        await run.on_chain_end(3)
        assert notes.log == [
            *["start mine 1", "start inner 2", "end 2", "llm m ['p']", "token a", "text thinking", "end 3"],
        ]
        assert notes.kwargs[1]["parent_run_id"] == run.run_id

    asyncio.run(main())


def test_a_failing_handler_of_an_async_manager() -> None:
    class Loud(AsyncCallbackHandler):
        raise_error = True

        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("broke")

    async def main() -> None:
        with pytest.raises(RuntimeError, match="broke"):
            await AsyncCallbackManager.configure([Loud()]).on_chain_start(None, 1)
        Loud.raise_error = False
        await AsyncCallbackManager.configure([Loud()]).on_chain_start(None, 1)

    asyncio.run(main())


# -- what managers hold ------------------------------------------------------------------------------------------------


def test_handlers_tags_and_metadata() -> None:
    a, b, c = Notes(), Notes(), Notes()
    parent = uuid.uuid4()
    manager = CallbackManager(
        [b], [a], parent, tags=["l"], inheritable_tags=["i"], metadata={"l": 1}, inheritable_metadata={"i": 1}
    )
    assert manager.handlers == [a, b] and manager.inheritable_handlers == [a] and manager.parent_run_id == parent
    assert manager.tags == ["i", "l"] and manager.inheritable_tags == ["i"]
    assert manager.metadata == {"i": 1, "l": 1} and manager.inheritable_metadata == {"i": 1}
    copied = manager.copy()
    manager.add_handler(a)  # there already
    manager.add_handler(c, inherit=False)
    manager.remove_handler(b)
    manager.remove_tags(["i"])
    manager.remove_metadata(["l"])
    assert (manager.handlers, manager.tags, manager.metadata) == ([a, c], ["l"], {"i": 1})
    assert copied.handlers == [a, b] and copied.tags == ["i", "l"] and copied.metadata == {"i": 1, "l": 1}
    manager.set_handler(c)
    assert manager.handlers == manager.inheritable_handlers == [c]
    merged = CallbackManager([], [c]).merge(copied)
    assert merged.handlers == [c, a, b] and merged.parent_run_id == parent and merged.tags == ["i", "l"]


def test_local_handlers_hear_the_next_run_only() -> None:
    local, all_ = Notes(), Notes()
    inner = RunnableLambda(lambda x: x, name="inner")
    outer = RunnableLambda(lambda x: inner.invoke(x), name="outer")
    manager = CallbackManager([local], [all_])
    for _ in range(2):
        outer.invoke(1, {"callbacks": manager})
    assert local.log == ["start outer 1", "end 1"] * 2 and all_.log[:2] == ["start outer 1", "start inner 1"]


def test_a_child_has_what_is_inheritable_and_no_more() -> None:
    """Local handlers, tags and metadata are of the run that the manager begins, not of those below it."""
    everywhere, local = Notes(), Notes()
    manager = CallbackManager.configure([everywhere], [local], False, ["it"], ["lt"], {"im": 1}, {"lm": 1})
    run = manager.on_chain_start(None, {}, name="outer")
    assert (set(run.tags), run.metadata) == ({"it", "lt"}, {"im": 1, "lm": 1})
    child = run.get_child("below")
    assert (child.handlers, set(child.tags), child.metadata) == ([everywhere], {"it", "below"}, {"im": 1})
    RunnableLambda(lambda x: x, name="inner").invoke(1, {"callbacks": run.get_child(), "metadata": {"own": 1}})
    run.on_chain_end({})
    assert everywhere.log == ["start outer {}", "start inner 1", "end 1", "end {}"]
    assert everywhere.kwargs[1]["metadata"] == {"im": 1, "own": 1}
    assert local.log == ["start outer {}", "end {}"]


def test_a_step_that_brings_its_handlers_still_has_its_place_in_its_tags() -> None:
    told = Notes()
    step = RunnableLambda(lambda x: x, name="step")
    for bound in (step.with_config(callbacks=[told]), step.with_config(callbacks=[told]).bind()):
        (step | bound).invoke(1)
    tags: list[Any] = []
    (step | step.with_listeners(on_start=lambda run: tags.append(run.tags))).invoke(1)
    assert [each["tags"] for each in told.kwargs] + tags == [["seq:step:2"]] * 5


def test_configure_takes_managers_and_lists() -> None:
    a, b = Notes(), Notes()
    base = CallbackManager([], [a], tags=["l"])
    both = CallbackManager.configure(base, CallbackManager([], [b]))
    assert both.handlers == [a, b] and both.inheritable_handlers == [a] and both.tags == ["l"]
    assert base.handlers == [a]
    assert CallbackManager.configure().handlers == []


def test_merging_configs_joins_managers_and_lists() -> None:
    a, b = Notes(), Notes()
    for left, right, expected in [
        (CallbackManager([], [a]), [b], [a, b]),
        ([b], CallbackManager([], [a]), [a, b]),
        (CallbackManager([], [a]), CallbackManager([], [b]), [a, b]),
    ]:
        merged = merge_configs({"callbacks": left}, {"callbacks": right})["callbacks"]
        assert isinstance(merged, BaseCallbackManager) and merged.handlers == expected
        RunnableLambda(lambda x: x, name="it").invoke(1, {"callbacks": merged})
    assert a.log == b.log == ["start it 1", "end 1"] * 3


# -- inside a run ------------------------------------------------------------------------------------------------------


def test_functions_that_name_config_or_run_manager_get_them(colour: Colour) -> None:  # noqa: F811
    seen: list[Any] = []

    def look(x: int, run_manager: Any, config: Any) -> int:
        seen.append((run_manager, config["callbacks"]))
        run_manager.on_text("hello")
        return x

    async def alook(x: int, run_manager: Any, config: Any) -> int:
        seen.append((run_manager, config["callbacks"]))
        await run_manager.on_text("hello")
        return x

    def pour(inputs: Any, run_manager: Any) -> Any:
        seen.append((run_manager, None))
        yield from inputs

    async def apour(inputs: Any, run_manager: Any) -> Any:
        seen.append((run_manager, None))
        async for item in inputs:
            yield item

    async def body(c: Colour) -> None:
        notes = Notes()
        chain = RunnableLambda(look, alook, name="look") | RunnableGenerator(pour, apour)
        assert await c.invoke(chain, 1, {"callbacks": [notes], "tags": ["t"]}) == 1
        (manager, callbacks), (of_generator, _) = seen
        kinds = (
            (CallbackManagerForChainRun, CallbackManager)
            if c.sync
            else (AsyncCallbackManagerForChainRun, AsyncCallbackManager)
        )
        assert (type(manager), type(callbacks)) == kinds and type(of_generator) is kinds[0]
        assert callbacks.handlers == [notes] == manager.handlers and callbacks.parent_run_id == manager.run_id
        assert manager.tags == ["seq:step:1", "t"] and manager.inheritable_tags == ["t"]
        assert "text hello" in notes.log and notes.kwargs[1]["run_id"] == manager.run_id
        del seen[:]
        await c.invoke(chain, 1)
        assert isinstance(seen[0][0].run_id, uuid.UUID) and seen[0][0].handlers == []
        assert type(seen[0][1]) is kinds[1] and seen[0][1].handlers == []  # a manager where nobody listens, too

    colour.run(body)


def test_a_sync_function_of_an_async_run_gets_sync_managers() -> None:
    def look(x: int, run_manager: Any, config: Any) -> int:
        assert type(run_manager) is CallbackManagerForChainRun and type(config["callbacks"]) is CallbackManager
        run_manager.get_child("c").on_tool_start({"name": "t"}, "x").on_tool_end("y")
        return x

    notes = ANotes()
    asyncio.run(RunnableLambda(look).ainvoke(1, {"callbacks": [notes]}))
    assert notes.log == ["start look 1", "tool t x", "tool_end y", "end 1"]


def test_the_manager_of_a_model_reports_tokens(colour: Colour) -> None:  # noqa: F811
    class Speaks(BaseChatModel):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            assert type(run_manager) is CallbackManagerForLLMRun
            run_manager.on_llm_new_token("a")
            return ChatResult([ChatGeneration(AIMessage("a"))])

        async def _agenerate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            assert type(run_manager) is AsyncCallbackManagerForLLMRun
            await run_manager.on_llm_new_token("a")
            return ChatResult([ChatGeneration(AIMessage("a"))])

    async def body(c: Colour) -> None:
        notes = ANotes()
        await c.invoke(Speaks(), "x", {"callbacks": [notes]})
        assert notes.log == ["chat Speaks x", "token a", "llm_end a None"]
        await c.invoke(Speaks(), "x")

    colour.run(body)


def test_a_noop_manager() -> None:
    manager = CallbackManagerForToolRun.get_noop_manager()
    manager.on_text("x")
    manager.on_tool_end("x")
    manager.on_tool_error(ValueError())
    assert isinstance(manager.run_id, uuid.UUID) and manager.handlers == [] and manager.get_child().handlers == []


# -- groups ------------------------------------------------------------------------------------------------------------


def test_a_group(colour: Colour) -> None:  # noqa: F811
    it = RunnableLambda(lambda x: x, name="it")

    async def body(c: Colour) -> None:
        notes = ANotes()
        manager = CallbackManager.configure([notes])
        if c.sync:
            with trace_as_chain_group("both", manager, inputs={"i": 1}, tags=["g"]) as group:
                assert isinstance(group, CallbackManagerForChainGroup)
                for n in range(2):
                    it.invoke(n, {"callbacks": group})
        else:
            async with atrace_as_chain_group("both", manager, inputs={"i": 1}, tags=["g"]) as agroup:
                assert isinstance(agroup, AsyncCallbackManagerForChainGroup)
                for n in range(2):
                    await it.ainvoke(n, {"callbacks": agroup})
        assert notes.log == ["start both {'i': 1}", "start it 0", "end 0", "start it 1", "end 1", "end {}"]
        assert notes.kwargs[1]["parent_run_id"] == notes.kwargs[0]["run_id"] and notes.kwargs[1]["tags"] == ["g"]

    colour.run(body)


def test_a_group_that_is_ended_by_hand_or_fails(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        notes = Notes()
        manager = CallbackManager.configure([notes])

        def ended(group: CallbackManagerForChainGroup) -> None:
            group.copy().on_chain_end({"y": 2})
            group.on_chain_end({"y": 1})

        def failed(group: CallbackManagerForChainGroup) -> None:
            raise ValueError("no")

        for act in (ended, failed):
            try:
                if c.sync:
                    with trace_as_chain_group("g", manager) as group:
                        act(group)
                else:
                    async with atrace_as_chain_group("g", manager) as group:
                        act(group)
            except ValueError:
                notes.log.append("raised")
        assert notes.log == [
            *["start g {}", "end {'y': 2}", "end {'y': 1}"],
            *["start g {}", "error ValueError('no')", "raised"],
        ]

    colour.run(body)


def test_a_group_inside_a_run_is_a_part_of_it() -> None:
    notes = Notes()

    def work(x: int) -> int:
        with trace_as_chain_group("g") as group:
            assert group.handlers == [notes]
        return x

    RunnableLambda(work).invoke(1, {"callbacks": [notes]})
    assert notes.kwargs[1]["parent_run_id"] == notes.kwargs[0]["run_id"]


# -- hooks -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "hooks", hooks.hooks)
    before = list(hooks.hooks)
    monkeypatch.setattr("millstream.spine.scope.hooks", hooks.hooks)
    yield  # type: ignore[misc]
    hooks.hooks[:] = before


@pytest.mark.usefixtures("no_hooks")
def test_a_hook_gives_its_handler_to_every_call(colour: Colour) -> None:  # noqa: F811
    variable: ContextVar[Any] = ContextVar("hooked", default=None)
    register_configure_hook(variable, inheritable=True)
    it = RunnableLambda(lambda x: x, name="it")

    async def body(c: Colour) -> None:
        notes = Notes()
        await c.invoke(it, 0)
        token = variable.set(notes)
        await c.invoke(it, 1)
        await c.invoke(it, 2, {"callbacks": [notes]})  # not twice
        assert CallbackManager.configure().handlers == [notes]
        variable.reset(token)
        await c.invoke(it, 3)
        assert notes.log == ["start it 1", "end 1", "start it 2", "end 2"]

    colour.run(body)


@pytest.mark.usefixtures("no_hooks")
def test_a_hook_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Notes] = []

    class Traces(Notes):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    variable: ContextVar[Any] = ContextVar("hooked")
    with pytest.raises(InvalidArgument, match="give the `handle_class` to make"):
        register_configure_hook(variable, True, env_var="TRACE_IT")
    register_configure_hook(variable, True, Traces, "TRACE_IT")
    inner = RunnableLambda(lambda x: x, name="inner")
    outer = RunnableLambda(lambda x: inner.invoke(x), name="outer")
    outer.invoke(1)
    monkeypatch.setenv("TRACE_IT", "true")
    outer.invoke(2)
    monkeypatch.setenv("TRACE_IT", "false")
    outer.invoke(3)
    (only,) = made
    assert only.log == ["start outer 2", "start inner 2", "end 2", "end 2"]


@pytest.mark.usefixtures("no_hooks")
def test_the_default_of_a_hooks_variable_counts() -> None:
    notes = Notes()
    register_configure_hook(ContextVar("always", default=notes), True)
    RunnableLambda(lambda x: x, name="it").invoke(1)
    assert notes.log == ["start it 1", "end 1"]
