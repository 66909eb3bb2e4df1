"""`await agent.ainvoke(...)`: the whole answer at once, without blocking the event loop."""

import asyncio

from offline import chat_model

from millstream import AIMessage, create_react_agent, tool


@tool
async def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


model = chat_model(
    AIMessage("", tool_calls=[{"name": "multiply", "args": {"a": 6, "b": 7}, "id": "call_1"}]),
    "6 times 7 is 42.",
)
agent = create_react_agent(model, [multiply])


async def main() -> None:
    result = await agent.ainvoke({"messages": [("user", "What is 6 times 7?")]})
    for message in result["messages"]:
        print(f"{message.type}: {message.content or message.tool_calls}")


asyncio.run(main())
