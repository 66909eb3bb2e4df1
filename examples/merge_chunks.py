"""The chunks of a stream, added with `+`, are the whole message: text, tool calls and usage."""

from offline import chat_model

from millstream import AIMessageChunk, tool


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"sunny in {city}"


def call(**piece: object) -> AIMessageChunk:
    return AIMessageChunk("", tool_call_chunks=[{"name": None, "args": "", "id": None, "index": 0, **piece}])


model = chat_model(
    [
        "I will",
        " look.",
        call(name="get_weather", id="call_1"),
        call(args='{"city": '),
        call(args='"Oslo"}'),
        AIMessageChunk("", usage_metadata={"input_tokens": 12, "output_tokens": 9, "total_tokens": 21}),
    ]
).bind_tools([get_weather])

whole = None
for chunk in model.stream("What is the weather in Oslo? Say what you do, then do it."):
    whole = chunk if whole is None else whole + chunk
    print("so far:", repr(whole.content), [call["args"] for call in whole.tool_calls])

print("text:  ", whole.content)
print("calls: ", [(call["name"], call["args"]) for call in whole.tool_calls])
print("usage: ", whole.usage_metadata)
