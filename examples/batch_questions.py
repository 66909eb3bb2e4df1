"""`chain.batch`: many inputs at once, in threads; the outputs are in the order of the inputs."""

from offline import chat_model

from millstream import ChatPromptTemplate, StrOutputParser

model = chat_model(answers={"France": "Paris", "Norway": "Oslo", "Italy": "Rome"})
chain = ChatPromptTemplate.from_template("The capital of {country}, in one word?") | model | StrOutputParser()

countries = ["France", "Norway", "Italy"]
capitals = chain.batch([{"country": country} for country in countries])
for country, capital in zip(countries, capitals, strict=True):
    print(f"{country}: {capital}")
