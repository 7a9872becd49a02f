"""Shaping what the platform sent into what a model reads: small, honest, and true to the published output schema."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cyberun_mcp.errors import UnexpectedAnswer
from cyberun_mcp.redaction import redact

logger = logging.getLogger(__name__)

PAGE_BUDGET = 9_800  # bytes for a default page of twenty; Codex and Cline cut answers at 8 to 12 kB
LONGEST_LISTED_TEXT = 160  # characters of a description in a list; the item's own tool has it whole

# Where a parameter lands inside the workflow; the editor needs it, a caller does not.
_UI_FIELDS = frozenset({"node_id", "field", "target_path", "source_key"})
# What a task's own code wrote when it failed: it may quote the signed URL or the key that it failed with.
_FREE_TEXTS = frozenset({"task_error"})


def prune(value: Any) -> Any:
    """`value` without nulls and without the fields only the dashboard needs, at any depth; unknown fields stay."""
    if isinstance(value, dict):
        return {
            sound(key): _harmless(each) if key in _FREE_TEXTS else prune(each)
            for key, each in value.items()
            if each is not None and key not in _UI_FIELDS
        }
    if isinstance(value, list):
        return [prune(each) for each in value]
    return sound(value) if isinstance(value, str) else value


def _harmless(value: Any) -> Any:
    return redact(sound(value)) if isinstance(value, str) else prune(value)


def page_of(answer: Mapping[str, Any], key: str, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """One page of a list under its own name, with `next_page` when there is more. Raises UnexpectedAnswer."""
    found = next((name for name in (key, *aliases) if isinstance(answer.get(name), list)), None)
    if found is None:
        raise UnexpectedAnswer(200, f"the answer has no list called {key}")
    page: dict[str, Any] = {key: answer[found]}
    meta = answer.get("page_meta")
    if isinstance(meta, dict):
        page["page_meta"] = meta
        if following := _next_page(meta):
            page["next_page"] = following
    return page


def _next_page(meta: Mapping[str, Any]) -> int | None:
    numbers = [meta.get(name) for name in ("current_page", "per_page", "total_count")]
    if not all(isinstance(number, int) for number in numbers):
        return None
    current, size, total = (int(str(number)) for number in numbers)
    return current + 1 if current * size < total else None


def within_budget(page: dict[str, Any], key: str, spare: Sequence[str]) -> dict[str, Any]:
    """`page` brought down to PAGE_BUDGET for twenty items, where possible, and saying what it left out.

    First long texts are clipped, then the `spare` fields go one after the other, least missed first. The platform's
    documentation does not say which fields a list carries, so the measure is the size and not the names alone.
    """
    items = [each for each in page[key] if isinstance(each, dict)]
    budget = PAGE_BUDGET * max(1.0, len(items) / 20)
    if _size(page) > budget:
        for each in items:
            each.update({name: _clipped(value) for name, value in each.items()})
    omitted = []
    for name in spare:
        if _size(page) <= budget:
            break
        carriers = [each for each in items if name in each]
        for each in carriers:
            del each[name]
        omitted += [name] if carriers else []
    return {**page, "omitted_fields": omitted} if omitted else page


def _size(page: Mapping[str, Any]) -> int:
    return len(compact(page).encode())


def _clipped(value: Any) -> Any:
    return value[:LONGEST_LISTED_TEXT] + "…" if isinstance(value, str) and len(value) > LONGEST_LISTED_TEXT else value


def keep_promise(answer: dict[str, Any], promised: TypeAdapter[Any]) -> dict[str, Any]:
    """`answer` with every value that is not of its documented type moved beside it, under `unexpected`.

    Clients check structured content against the output schema and throw the whole answer away when one field is off
    (typescript-sdk issue 1943), so drift on the platform's side would hide a paid result. A root that is off stays off.
    """
    try:
        promised.validate_python(answer, strict=True)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            logger.warning("the platform's answer has an undocumented type at %s", ".".join(map(str, each["loc"])))
            _set_aside(answer, each["loc"])
    return answer


def _set_aside(answer: Any, path: tuple[int | str, ...]) -> None:
    *parents, last = path
    for part in parents:
        if not isinstance(answer, dict | list):
            return
        answer = answer[part]  # type: ignore[index]
    if isinstance(answer, dict) and last in answer:
        answer.setdefault("unexpected", {})[last] = answer.pop(last)
    elif isinstance(answer, list) and isinstance(last, int):
        answer[last] = {"unexpected": answer[last]}


def compact(value: Mapping[str, Any]) -> str:
    """JSON without a blank that a model would have to pay for."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sound(text: str) -> str:
    """`text` without lone surrogates, which JSON can spell but UTF-8, and so the wire to the client, cannot."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
