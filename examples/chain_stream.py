"""`chain.stream`: a prompt, a model and a parser; what comes out are pieces of text."""

from offline import chat_model

from millstream import ChatPromptTemplate, StrOutputParser

prompt = ChatPromptTemplate.from_messages(
    [("system", "Explain in one sentence, for a child of {age}."), ("human", "{question}")]
)
chain = prompt | chat_model("The river pushes the wheel and the wheel turns the stone.") | StrOutputParser()

for piece in chain.stream({"age": 6, "question": "How does a mill work?"}):
    print(piece, end="", flush=True)
print()
