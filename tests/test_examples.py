"""The programs in `examples/` do what their docstrings say, each in a process of its own, without key and network.

The two that are web applications are served in `tests/serve/test_examples.py`.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVED = {"chat_endpoint", "event_stream"}
HELPERS = {"offline"}

PRINTED = {
    "graph_updates": """
outline wrote {'outline': 'The wheel, the race, the stones.'}
write wrote {'text': 'A mill needs a wheel, a race and stones.'}
""",
    "token_streaming": """
[get_weather: 21 degrees and sunny in Paris]
It| is| 21| degrees| and| sunny| in| Paris.|
""",
    "await_agent": """
human: What is 6 times 7?
ai: [{'name': 'multiply', 'args': {'a': 6, 'b': 7}, 'id': 'call_1', 'type': 'tool_call'}]
tool: 42
ai: 6 times 7 is 42.
""",
    "parallel_research": """
wind: Windmills turn in the wind.
water: Water mills turn in a stream.
steam: Steam mills turn anywhere.
Wind, water and steam: three ways to turn a mill.
""",
    "story": """
Once upon a time a miller had three sons, a mill, a donkey and a cat.
""",
    "chain_stream": """
The river pushes the wheel and the wheel turns the stone.
""",
    "merge_chunks": """
so far: 'I will' []
so far: 'I will look.' []
so far: 'I will look.' [{}]
so far: 'I will look.' [{}]
so far: 'I will look.' [{'city': 'Oslo'}]
so far: 'I will look.' [{'city': 'Oslo'}]
so far: 'I will look.' [{'city': 'Oslo'}]
text:   I will look.
calls:  [('get_weather', {'city': 'Oslo'})]
usage:  {'input_tokens': 12, 'output_tokens': 9, 'total_tokens': 21}
""",
    "batch_questions": """
France: Paris
Norway: Oslo
Italy: Rome
""",
    "batch_with_limit": """
100 results, from WORD 0 to WORD 99
at most 5 at once
""",
    "batch_as_completed": """
input 1 (Rome): the weather in Rome
input 2 (Paris): the weather in Paris
input 0 (Oslo): the weather in Oslo
""",
    "run_log": """
sync:
  replace
  add     /logs/ScriptedChatModel
  add     /logs/ScriptedChatModel/streamed_output_str/-
  add     /logs/ScriptedChatModel/streamed_output/-
  add     /streamed_output/-
  replace /final_output
  add     /logs/ScriptedChatModel/streamed_output_str/-
  add     /logs/ScriptedChatModel/streamed_output/-
  add     /streamed_output/-
  replace /final_output
  add     /logs/ScriptedChatModel/streamed_output_str/-
  add     /logs/ScriptedChatModel/streamed_output/-
  add     /streamed_output/-
  add     /logs/ScriptedChatModel/final_output
  add     /logs/ScriptedChatModel/end_time
async:
  pieces: ['Grinding', ' corn.', '']
  final:  Grinding corn.
  ScriptedChatModel: ['Grinding', ' corn.', '']
""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_example_prints_what_it_promises(name: str) -> None:
    # Of what the test run was given, neither keys nor endpoints: the examples are to run without.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "ANTHROPIC_"))}
    ran = subprocess.run(
        [sys.executable, "-W", "error", f"{name}.py"],
        cwd=EXAMPLES,
        env={**env, "PYTHONPATH": str(EXAMPLES.parent / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert _lines(ran.stdout) == _lines(PRINTED[name])


def test_every_example_is_run_and_says_what_it_shows() -> None:
    programs = {path.stem: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert programs.keys() == PRINTED.keys() | SERVED | HELPERS
    assert [name for name, source in programs.items() if not ast.get_docstring(ast.parse(source))] == []


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
