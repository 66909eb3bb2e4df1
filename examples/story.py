"""A story, printed as the model tells it: `model.stream`."""

from offline import chat_model

model = chat_model("Once upon a time a miller had three sons, a mill, a donkey and a cat.")

for chunk in model.stream("Begin a fairy tale about a miller."):
    print(chunk.content, end="", flush=True)
print()
