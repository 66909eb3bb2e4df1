"""Several questions at the same time with `asyncio.gather`, then one answer made of the findings."""

import asyncio

from offline import chat_model

from millstream import ChatPromptTemplate, StrOutputParser

model = chat_model(
    answers={
        "Summarize": "Wind, water and steam: three ways to turn a mill.",
        "wind": "Windmills turn in the wind.",
        "water": "Water mills turn in a stream.",
        "steam": "Steam mills turn anywhere.",
    }
)
research = ChatPromptTemplate.from_template("One fact about {topic} mills.") | model | StrOutputParser()
summarize = ChatPromptTemplate.from_template("Summarize:\n{facts}") | model | StrOutputParser()


async def main() -> None:
    topics = ["wind", "water", "steam"]
    facts = await asyncio.gather(*(research.ainvoke({"topic": topic}) for topic in topics))
    for topic, fact in zip(topics, facts, strict=True):
        print(f"{topic}: {fact}")
    print(await summarize.ainvoke({"facts": "\n".join(facts)}))


asyncio.run(main())
