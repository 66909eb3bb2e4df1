"""A /chat endpoint that streams the text of the agent's answer.

OPENAI_API_KEY=... uvicorn chat_endpoint:app
curl -N localhost:8000/chat -H 'Content-Type: application/json' -d '{"message": "Weather in Paris?"}'
"""

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from millstream import ChatOpenAI, create_react_agent, tool


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It's 21 degrees and sunny in {city}."


model = ChatOpenAI(model="gpt-4o", temperature=0)
agent = create_react_agent(model, [get_weather])
app = FastAPI()


class ChatRequest(BaseModel):
    message: str


@app.post("/chat")
async def chat(request: ChatRequest):
    async def generate():
        async for msg, metadata in agent.astream(
            {"messages": [{"role": "user", "content": request.message}]},
            stream_mode="messages",
        ):
            if msg.content and metadata["langgraph_node"] == "agent":
                yield msg.content

    return StreamingResponse(generate(), media_type="text/plain")
