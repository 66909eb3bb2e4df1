"""How alike vectors are, in plain Python."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from operator import mul

from ..errors import InvalidArgument

__all__ = ["cosine", "dot", "most_diverse", "norm"]

Vector = Sequence[float]

if sys.version_info >= (3, 12):
    _sumprod = math.sumprod
else:

    def _sumprod(left: Vector, right: Vector) -> float:
        return float(sum(map(mul, left, right)))


def dot(left: Vector, right: Vector) -> float:
    """The dot product.

    Raises:
        InvalidArgument: (ValueError) the vectors have different lengths.
    """
    if len(left) != len(right):
        raise InvalidArgument(
            f"Vectors of {len(left)} and {len(right)} numbers cannot be compared; embed all texts with one model."
        )
    return float(_sumprod(left, right))


def norm(vector: Vector) -> float:
    """The length of a vector."""
    return math.sqrt(_sumprod(vector, vector))


def cosine(left: Vector, right: Vector, *, norms: float | None = None) -> float:
    """The cosine of the angle between two vectors, 0 where one has no length; `norms` is the product of theirs if known."""
    product = norm(left) * norm(right) if norms is None else norms
    return dot(left, right) / product if product else 0.0


def most_diverse(query: Vector, candidates: Sequence[Vector], k: int, balance: float) -> list[int]:
    """The places of `k` candidates, chosen one by one: like the query, unlike those chosen before.

    `balance` of 1 asks only for likeness to the query, of 0 only for difference among the chosen.
    """
    to_query = [cosine(query, candidate) for candidate in candidates]
    to_chosen = [0.0] * len(candidates)
    chosen: list[int] = []
    left = list(range(len(candidates)))
    while left and len(chosen) < k:
        best = (
            max(left, key=lambda i: balance * to_query[i] - (1 - balance) * to_chosen[i]) if chosen else _top(to_query)
        )
        left.remove(best)
        for i in left:
            alike = cosine(candidates[best], candidates[i])
            to_chosen[i] = max(to_chosen[i], alike) if chosen else alike
        chosen.append(best)
    return chosen


def _top(scores: Iterable[float]) -> int:
    return max(enumerate(scores), key=lambda pair: pair[1])[0]
