"""What each node of a graph wrote, as soon as the node has finished (`stream_mode="updates"`)."""

from typing import TypedDict

from offline import chat_model

from millstream import END, START, StateGraph

model = chat_model("The wheel, the race, the stones.", "A mill needs a wheel, a race and stones.")


class Essay(TypedDict, total=False):
    topic: str
    outline: str
    text: str


def outline(state: Essay) -> Essay:
    return {"outline": model.invoke(f"Outline an essay on {state['topic']}.").text}


def write(state: Essay) -> Essay:
    return {"text": model.invoke(f"Write it in one sentence: {state['outline']}").text}


graph = StateGraph(Essay)
graph.add_node(outline)
graph.add_node(write)
graph.add_edge(START, "outline")
graph.add_edge("outline", "write")
graph.add_edge("write", END)

for update in graph.compile().stream({"topic": "mills"}, stream_mode="updates"):
    for node, wrote in update.items():
        print(f"{node} wrote {wrote}")
