"""Documents: pieces of text with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ValidationError
from .messages import check_dict, check_id
from .record import Record

__all__ = ["Document"]


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class Document(Record):
    """A text, its `metadata`, and an `id` where a store gave it one. Equal are documents with equal fields."""

    __slots__ = ("id", "metadata", "page_content")
    _required: ClassVar[frozenset[str]] = frozenset({"page_content"})

    page_content: str
    metadata: dict[str, Any]
    id: str | None
    type: str = "Document"

    def __init__(
        self,
        page_content: str,
        metadata: dict[str, Any] | None = None,
        id: str | int | float | None = None,
        *,
        type: str = "Document",
    ) -> None:
        if not isinstance(page_content, str):
            raise ValidationError(
                f"`page_content` must be a str, not {page_content.__class__.__name__}.", field="page_content"
            )
        if type != "Document":
            raise ValidationError(f"Document has the type 'Document', not {type!r}; leave `type` out.", field="type")
        self.page_content = page_content
        self.metadata = {} if metadata is None else check_dict("metadata", metadata)
        self.id = None if id is None else check_id("id", id)

    def __str__(self) -> str:
        told = f" metadata={self.metadata}" if self.metadata else ""
        return f"page_content={self.page_content!r}{told}"

    def _shown(self) -> list[str]:
        known = [f"id={self.id!r}"] if self.id is not None else []
        return [*known, f"metadata={self.metadata!r}", f"page_content={self.page_content!r}"]
