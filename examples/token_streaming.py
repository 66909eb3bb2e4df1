"""An agent's tokens as they come, and the node that each came from (`stream_mode="messages"`)."""

import asyncio

from offline import chat_model

from millstream import AIMessage, create_react_agent, tool


@tool
async def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"21 degrees and sunny in {city}"


model = chat_model(
    AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"}]),
    "It is 21 degrees and sunny in Paris.",
)
agent = create_react_agent(model, [get_weather])


async def main() -> None:
    question = {"messages": [("user", "What is the weather in Paris?")]}
    async for message, metadata in agent.astream(question, stream_mode="messages"):
        if metadata["langgraph_node"] == "agent" and message.content:
            print(message.content, end="|", flush=True)
        elif metadata["langgraph_node"] == "tools":
            print(f"[{message.name}: {message.content}]")
    print()


asyncio.run(main())
