"""`stream_log` and `astream_log`: a run as JSON patches, whose sum is the state of the run."""

import asyncio

from offline import chat_model

from millstream import ChatPromptTemplate, RunLog, StrOutputParser

prompt = ChatPromptTemplate.from_template("Two words on {topic}.")
chain = prompt | chat_model("Turning slowly.", "Grinding corn.") | StrOutputParser()

print("sync:")
for patch in chain.stream_log({"topic": "mills"}, include_types=["llm"]):
    for op in patch.ops:
        print(f"  {op['op']:7} {op['path']}")


async def main() -> None:
    print("async:")
    log = RunLog()
    async for patch in chain.astream_log({"topic": "mills"}, include_types=["llm"]):
        log += patch
    print("  pieces:", log.state["streamed_output"])
    print("  final: ", log.state["final_output"])
    for name, entry in log.state["logs"].items():
        print(f"  {name}: {entry['streamed_output_str']}")


asyncio.run(main())
