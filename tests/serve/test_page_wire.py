"""The whole way: a provider's wire, the agent, the server, and the page in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
import recordings
from browsing import ARTIFACTS, Tab, finished, holds, say
from playwright.sync_api import Browser
from serving import serving

from millstream import ChatOpenAI, InMemorySaver, create_react_agent, serve, tool
from millstream.testing import Reply, StandInProvider, chat_stream


@tool
async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@tool
async def get_product_name() -> str:
    """The name of the product."""
    return "Grist"


WORDS = [f"word{number} " for number in range(60)]
CALLS = [{"name": "get_weather", "args": {"city": city}, "id": f"call_{city}"} for city in ("Paris", "London")]
BUILT = (
    chat_stream(tool_calls=CALLS, usage=(50, 20)),
    chat_stream(WORDS, usage=(90, 60)).replace(b"chatcmpl-standin", b"chatcmpl-second"),
)
OPENAI = {each.name: each for each in recordings.recorded("openai-chat")}
SCRIPTS: dict[str, tuple[bytes, bytes]] = {"built": BUILT}
if OPENAI:
    SCRIPTS["recorded"] = (OPENAI["tools-parallel"].path.read_bytes(), OPENAI["text-long"].path.read_bytes())


@pytest.mark.parametrize("kind", SCRIPTS)
def test_an_agent_on_a_providers_wire(browser: Browser, kind: str) -> None:
    first, second = SCRIPTS[kind]
    script = [Reply(first, pause=0.002), Reply(second, pause=0.004)]
    with StandInProvider(script) as provider:
        model = ChatOpenAI(model="gpt-4o", base_url=provider.base_url, api_key="sk-secret", max_retries=0)
        agent: Any = create_react_agent(model, [get_weather, get_product_name], checkpointer=InMemorySaver())
        app = serve.app(agent, title="Weather", model="gpt-4o (stand-in)")
        with serving(app) as server, Tab(browser, server, viewport={"width": 1000, "height": 800}) as page:
            page.evaluate(
                """() => {
                    window.lengths = new Set();
                    window.cards = 0;
                    new MutationObserver(() => {
                        window.lengths.add(document.querySelector("#log").textContent.length);
                        window.cards = Math.max(window.cards, document.querySelectorAll("#log details").length);
                    }).observe(document.querySelector("#log"), {subtree: true, childList: true, characterData: true});
                }"""
            )
            say(page, "What is the weather in Paris and London?")
            holds(page, "window.cards > 0")
            finished(page)
            shown = page.inner_text("#log")
            assert page.evaluate("window.lengths.size") > 8  # it grew bit by bit, a frame at a time
            assert page.evaluate("window.cards") == 2
            assert "tokens in" in shown and "get_weather" in shown
            assert (WORDS[-1].strip() in shown) if kind == "built" else len(shown) > 500
            ARTIFACTS.mkdir(exist_ok=True)
            (ARTIFACTS / f"page-wire-{kind}.png").write_bytes(page.screenshot())
