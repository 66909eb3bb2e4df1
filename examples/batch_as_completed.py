"""`batch_as_completed`: each output as soon as it is there, with the index of its input."""

import time

from millstream import RunnableLambda

cities = {"Oslo": 0.2, "Rome": 0.0, "Paris": 0.1}


def forecast(city: str) -> str:
    """Stands for a service that takes its time."""
    time.sleep(cities[city])
    return f"the weather in {city}"


names = list(cities)
for index, answer in RunnableLambda(forecast).batch_as_completed(names):
    print(f"input {index} ({names[index]}): {answer}")
