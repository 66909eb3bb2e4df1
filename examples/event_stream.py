"""What an agent does, as typed events over server-sent events.

OPENAI_API_KEY=... uvicorn event_stream:app
curl -N 'localhost:8000/events?message=Weather+in+Paris?'
"""

import json

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from millstream import ChatOpenAI, create_react_agent, tool


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It's 21 degrees and sunny in {city}."


model = ChatOpenAI(model="gpt-4o", temperature=0)
agent = create_react_agent(model, [get_weather])
app = FastAPI()


async def stream_agent_events(message: str):
    async for event in agent.astream_events(
        {"messages": [{"role": "user", "content": message}]},
        version="v2",
        include_types=["chat_model", "tool"],
    ):
        kind = event["event"]
        if kind == "on_chat_model_stream":
            chunk = event["data"]["chunk"]
            if chunk.content:
                yield {"type": "token", "content": chunk.content}
        elif kind == "on_chat_model_end":
            usage = event["data"]["output"].usage_metadata
            if usage:
                yield {
                    "type": "usage",
                    "input_tokens": usage["input_tokens"],
                    "output_tokens": usage["output_tokens"],
                }
        elif kind == "on_tool_start":
            yield {"type": "tool_call", "name": event["name"], "args": event["data"]["input"]}
        elif kind == "on_tool_end":
            output = event["data"]["output"]
            yield {"type": "tool_result", "name": event["name"], "result": output.content}


@app.get("/events")
async def events(message: str):
    async def sse():
        async for event in stream_agent_events(message):
            yield f"data: {json.dumps(event)}\n\n"

    return StreamingResponse(sse(), media_type="text/event-stream")
