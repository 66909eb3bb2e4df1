"""Names, schemas, graphs and drawings of runnables."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from millstream import (
    ChatPromptTemplate,
    ConfigurableField,
    FakeListChatModel,
    Graph,
    PromptTemplate,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
    chain,
    tool,
)
from millstream.errors import InvalidArgument


def properties(schema: type[BaseModel]) -> list[str]:
    return sorted(schema.model_json_schema().get("properties", {}))


def reads_keys(d: Any) -> Any:
    return d["a"] + d.get("b")


class Question(BaseModel):
    text: str


def asks(question: Question) -> int:
    return len(question.text)


def test_the_shape_of_a_function_is_its_annotation_or_the_keys_it_reads() -> None:
    assert RunnableLambda(asks).input_schema is Question
    assert RunnableLambda(asks).get_output_jsonschema()["type"] == "integer"
    assert properties(RunnableLambda(reads_keys).input_schema) == ["a", "b"]
    assert properties(RunnableLambda(operator.itemgetter("k")).input_schema) == ["k"]


def test_the_shape_of_composites() -> None:
    both = RunnableParallel(x=RunnableLambda(reads_keys), y=RunnableLambda(asks))
    assert properties(both.input_schema) == ["a", "b", "text"]
    assert properties(both.output_schema) == ["x", "y"]
    chain = both | RunnablePassthrough.assign(z=RunnableLambda(asks))
    assert properties(chain.output_schema) == ["x", "y", "z"]
    assert properties(chain.pick(["x", "z"]).output_schema) == ["x", "z"]
    assert chain.pick("z").get_output_jsonschema()["type"] == "integer"
    typed = RunnableLambda(print).with_types(input_type=int, output_type=str)
    assert typed.get_input_jsonschema()["type"] == "integer"
    assert typed.get_output_jsonschema()["type"] == "string"


@pytest.mark.parametrize(
    ("runnable", "suffix", "name"),
    [
        (RunnableLambda(reads_keys), "Input", "reads_keys_input"),
        (RunnableLambda(lambda x: x) | (lambda x: x), "Input", "RunnableSequenceInput"),
        (RunnableParallel(a=reads_keys), None, "RunnableParallel<a>"),
        (RunnablePassthrough.assign(k=reads_keys), None, "RunnableAssign<k>"),
        (RunnableLambda(reads_keys, name="given"), None, "given"),
    ],
)
def test_names(runnable: Any, suffix: str | None, name: str) -> None:
    assert runnable.get_name(suffix) == name


def test_a_graph_and_its_drawings() -> None:
    chain = RunnableLambda(reads_keys) | RunnableLambda(asks) | RunnableLambda(lambda x: x, name="last")
    graph = chain.get_graph()
    assert (len(graph.nodes), len(graph.edges)) == (5, 4)
    first, last = graph.first_node(), graph.last_node()
    assert first is not None and last is not None
    assert (first.name, last.name) == ("reads_keys_input", "last_output")
    assert graph.draw_mermaid(with_styles=False) == (
        "graph TD;\n"
        "\treads_keys_input --> reads_keys;\n"
        "\treads_keys --> asks;\n"
        "\tlast --> last_output;\n"
        "\tasks --> last;\n"
    )
    assert "\treads_keys_input([reads_keys_input]):::first\n" in graph.draw_mermaid()
    assert "| asks |" in graph.draw_ascii()
    forked = (RunnableLambda(asks) | {"x": reads_keys, "y": asks}).get_graph()
    assert sum(node.name == "asks" for node in forked.nodes.values()) == 2
    told = forked.to_json()
    assert told["edges"][0] == {"source": 0, "target": 1}
    assert (told["nodes"][0]["type"], told["nodes"][1]["data"]["name"]) == ("schema", "asks")
    assert forked.to_json(with_schemas=True)["nodes"][0]["data"]["title"] == "Question"
    text = forked.draw_mermaid(frontmatter_config={"config": {"theme": "base"}, "title": "a: b"})
    assert text.startswith(
        "---\nconfig:\n  flowchart:\n    curve: linear\n  theme: base\ntitle: 'a: b'\n---\ngraph TD;"
    )
    assert "\tasks_1(asks)\n" in text and "Parallel\\3cx\\2cy\\3eInput(Parallel<x,y>Input)" in text


def test_what_wraps_a_part_is_not_drawn_but_tells_its_metadata() -> None:
    part = RunnableLambda(asks).with_config(metadata={"k": 1, "of": {"a": 1}})
    for runnable in (part, part.with_retry(), part.map()):
        assert [node.name for node in runnable.get_graph().nodes.values()] == ["Question", "asks", "asks_output"]
        assert "asks(asks<hr/><small><em>k = 1</em></small>)" in runnable.get_graph().draw_mermaid()
    assigned = RunnablePassthrough.assign(n=part).get_graph()
    assert [node.name for node in assigned.nodes.values()][2:] == ["asks", "Passthrough"]
    prompt = PromptTemplate.from_template("{x}").configurable_fields(template=ConfigurableField(id="t"))
    assert [node.name for node in prompt.get_graph().nodes.values()][1] == "PromptTemplate"


inner_part = RunnableLambda(asks)


def calls_another(x: Any) -> Any:
    return inner_part.invoke(x)


@chain
def calls_itself(x: Any) -> Any:
    return calls_itself.invoke(x - 1) if x else x


def test_a_function_is_drawn_by_the_runnables_that_it_calls() -> None:
    def names(runnable: Any) -> list[str]:
        return [node.name for node in runnable.get_graph().nodes.values()]

    assert names(RunnableLambda(calls_another)) == ["calls_another_input", "calls_another_output", "asks"]
    assert names(calls_itself) == ["calls_itself_input", "calls_itself_output", "calls_itself"]


def test_a_graph_can_be_changed() -> None:
    graph = RunnableLambda(asks).get_graph()
    graph.trim_first_node()
    graph.trim_last_node()
    assert [node.name for node in graph.nodes.values()] == ["asks"] and not graph.edges
    first, last = graph.extend(RunnableLambda(reads_keys).get_graph(), prefix="other")
    assert first is not None and last is not None
    graph.add_edge(last, graph.add_node(inner_part, "by_name", metadata={"m": 1}))
    assert set(graph.reid().nodes) == {"asks", "reads_keys_input", "reads_keys", "reads_keys_output", "by_name"}
    graph.remove_node(graph.nodes["by_name"])
    assert len(graph.edges) == 2 and graph and not Graph()


def test_the_prompts_of_a_chain() -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{q}")])
    chain = prompt | FakeListChatModel(responses=["a"]) | StrOutputParser()
    assert RunnableParallel(a=chain, b=chain).get_prompts() == [prompt, prompt]


def test_a_runnable_as_a_tool() -> None:
    add = RunnableLambda(reads_keys).as_tool(name="adder", description="Adds.", arg_types={"a": int, "b": int})
    assert (add.name, add.invoke({"a": 1, "b": 2})) == ("adder", 3)
    assert RunnableLambda(asks).as_tool(description="Counts.").args["text"]["type"] == "string"
    with pytest.raises(InvalidArgument, match="give `arg_types="):
        RunnableLambda(print).as_tool()
    assert tool("named", RunnableLambda(asks)).name == "named"


def test_a_fork_at_the_edge_is_the_input_or_the_output() -> None:
    def names(runnable: Any) -> list[str]:
        return [node.name for node in runnable.get_graph().nodes.values()]

    one, fork = RunnableLambda(lambda x: x, name="one"), RunnableParallel(a=lambda x: x, b=lambda x: x)
    inside = ["Parallel<a,b>Input", "Parallel<a,b>Output", "Lambda", "Lambda"]
    assert names(fork) == inside
    assert names(fork | one) == [*inside, "one", "one_output"]
    assert names(one | fork) == ["one_input", "one", *inside]
    graph = fork.get_graph()
    first, last = graph.first_node(), graph.last_node()
    assert first is not None and last is not None and None not in (first.data, last.data)


def items(chunks: Iterator[str]) -> Iterator[int]:
    yield from map(len, chunks)


def test_the_shape_of_a_generator_is_that_of_its_items() -> None:
    generator = RunnableGenerator(items)
    assert (generator.InputType, generator.OutputType) == (str, int)
    assert RunnableLambda(items).get_output_jsonschema()["type"] == "integer"
    assert generator.map().get_input_jsonschema()["items"]["type"] == "string"


def test_the_shapes_of_what_wraps_or_chooses() -> None:
    typed, silent = RunnableLambda(asks), RunnableLambda(lambda x: x)
    assert typed.with_fallbacks([silent]).input_schema is Question
    assert (typed | silent).with_config(run_name="r").with_retry().input_schema is Question
    assert RunnableBranch((silent, silent), (silent, typed), silent).input_schema is Question
    assert properties(RunnableBranch((silent, silent), silent).input_schema) == []
    counts = RunnableLambda(items)
    assert RunnableParallel(a=silent, b=counts).InputType == Iterator[str]
    assert (typed.InputType, typed.OutputType, silent.InputType) == (Question, int, Any)
    assert RunnableParallel(a=typed).OutputType == dict[str, Any]


def test_the_schema_of_a_config() -> None:
    prompt = PromptTemplate.from_template("{x}")
    style = ConfigurableField(id="style", name="Style")
    chosen = prompt.configurable_alternatives(style, default_key="plain", loud=PromptTemplate.from_template("{x}!"))
    template = prompt.configurable_fields(template=ConfigurableField(id="a"))
    both = RunnableParallel(one=chosen, two=template)
    assert [spec.id for spec in both.config_specs] == ["a", "style"]
    defined = both.get_config_jsonschema()["$defs"]
    assert defined["Style"]["enum"] == ["loud", "plain"]
    assert defined["Configurable"]["properties"]["a"]["default"] == "{x}"
    plain = RunnableLambda(asks).get_config_jsonschema(include=["tags", "recursion_limit"])["properties"]
    assert (plain["tags"]["items"], plain["recursion_limit"]["type"]) == ({"type": "string"}, "integer")
    assert chosen.get_name() == "RunnableConfigurableAlternatives"
    prepared, config = template.prepare({"configurable": {"a": "{x}?"}})
    assert prepared.invoke({"x": 1}, config).to_string() == "1?"
    assert properties(template.input_schema) == ["x"]


shout = RunnableLambda(lambda text: text + "!")


async def waits(x: Any) -> Any:
    return x


def test_what_a_chain_is_made_of_can_be_read() -> None:
    one, later = RunnableLambda(asks), RunnableLambda(waits)
    assert repr(shout) == "RunnableLambda(lambda text: text + '!')"
    assert repr(one | {"a": later, "b": one | RunnablePassthrough()}).splitlines() == [
        "RunnableLambda(asks)",
        "| {",
        "    a: RunnableLambda(afunc=waits),",
        "    b: RunnableLambda(asks)",
        "       | RunnablePassthrough()",
        "  }",
    ]
    assert repr(RunnablePassthrough.assign(n=one).pick("n")).splitlines() == [
        "RunnableAssign(mapper={",
        "  n: RunnableLambda(asks)",
        "})",
        "| RunnablePick(keys='n')",
    ]
    assert (
        repr(one.bind(k=1).map()) == "RunnableEach(bound=RunnableBinding(bound=RunnableLambda(asks), kwargs={'k': 1}))"
    )
