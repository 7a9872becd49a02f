"""The paging that every list endpoint shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.emulator.errors import RequestRejected

_LARGEST_PAGE = 100


@dataclass(frozen=True)
class Page:
    """One page asked for: `current_page` counts from 1."""

    current_page: int
    per_page: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Page":
        """The page a query asks for. Out of range is 400: the schema states the ranges, the pages state no clamping."""
        return cls(
            current_page=_integer(query, "current_page", default=1, largest=None),
            per_page=_integer(query, "per_page", default=20, largest=_LARGEST_PAGE),
        )

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.current_page - 1) * self.per_page

    def cut(self, items: Sequence[Any]) -> list[Any]:
        """The items of this page."""
        return list(items[self.offset : self.offset + self.per_page])

    def meta(self, total_count: int) -> dict[str, int]:
        """The `page_meta` member."""
        return {"current_page": self.current_page, "per_page": self.per_page, "total_count": total_count}


def _integer(query: Mapping[str, str], name: str, *, default: int, largest: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    # At most 9 digits: a larger offset would not fit the database's integers.
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < 1:
        raise RequestRejected(400, f"{name} must be an integer of at least 1")
    if largest is not None and int(text) > largest:
        raise RequestRejected(400, f"{name} must be at most {largest}")
    return int(text)
