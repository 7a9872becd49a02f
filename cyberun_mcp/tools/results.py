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
LISTED_TEXTS = (160, 80)  # characters of a description in a long list; the item's own tool has it whole
LARGEST_OUTPUT = 100_000  # bytes of a task's own account of its outputs; documented ones are below 1 kB
DEEPEST = 60  # levels of nesting; the documented answers have six

# Where a parameter lands inside the workflow; the editor needs it, a caller does not.
_UI_FIELDS = frozenset({"node_id", "field", "target_path", "source_key"})


def prune(value: Any, level: int = 0) -> Any:
    """`value` without nulls, and parameters without what only the dashboard needs; unknown fields stay.

    What is nested deeper than any answer of the platform is cut off, before it can exhaust the stack.
    """
    if level > DEEPEST:
        return "…"
    if isinstance(value, dict):
        kept = {
            key: prune(each, level + 1) if isinstance(each, dict | list) else each
            for key, each in value.items()
            if each is not None
        }
        if "task_output" in kept and (size := _size(kept["task_output"])) > LARGEST_OUTPUT:
            kept["task_output"] = {"omitted": f"{size:,} bytes; the files are at the download URLs of get_task_result"}
        if isinstance(kept.get("task_error"), str):
            # What a task's own code wrote when it failed: it may quote the signed URL or the key that it failed with.
            kept["task_error"] = redact(kept["task_error"])
        if isinstance(kept.get("parameters"), list):
            kept["parameters"] = [_without_ui_fields(each) for each in kept["parameters"]]
        return kept
    if isinstance(value, list):
        return [prune(each, level + 1) for each in value]
    return value


def _without_ui_fields(parameter: Any) -> Any:
    if not isinstance(parameter, dict):
        return parameter
    return {key: value for key, value in parameter.items() if key not in _UI_FIELDS}


def page_of(answer: Mapping[str, Any], key: str, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """One page of a list under its own name, with `next_page` when there is more. Raises UnexpectedAnswer."""
    found = next((name for name in (key, *aliases) if isinstance(answer.get(name), list)), None)
    if found is None:
        raise UnexpectedAnswer(200, f"the answer has no list called {key}")
    if not all(isinstance(each, dict) for each in answer[found]):
        raise UnexpectedAnswer(200, f"{found} holds something else than objects")
    page: dict[str, Any] = {key: answer[found]}
    meta = answer.get("page_meta")
    if isinstance(meta, dict):
        page["page_meta"] = meta
        if following := _next_page(meta):
            page["next_page"] = following
    return page


def _next_page(meta: Mapping[str, Any]) -> int | None:
    current, size, total = (_whole(meta.get(name)) for name in ("current_page", "per_page", "total_count"))
    return current + 1 if 0 < current * size < total else None


def _whole(value: Any) -> int:
    """A whole number, or 0 for anything else; Python counts True and False as numbers."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def within_budget(page: dict[str, Any], key: str, spare: Sequence[str]) -> dict[str, Any]:
    """`page` brought down to PAGE_BUDGET for twenty items, where possible, and saying what it left out.

    First long texts are clipped, then the `spare` fields go one after the other, least missed first. The platform's
    documentation does not say which fields a list carries, so the measure is the size and not the names alone.
    """
    items: list[dict[str, Any]] = page[key]
    budget = PAGE_BUDGET * max(1.0, len(items) / 20)
    for longest in LISTED_TEXTS:
        if _size(page) > budget:
            for each in items:
                each.update({name: _clipped(value, longest) for name, value in each.items()})
    omitted = []
    for name in spare:
        if _size(page) <= budget:
            break
        carriers = [each for each in items if name in each]
        for each in carriers:
            del each[name]
        omitted += [name] if carriers else []
    return {**page, "omitted_fields": omitted} if omitted else page


def _size(value: Any) -> int:
    return len(compact(value).encode())


def _clipped(value: Any, longest: int) -> Any:
    return value[:longest] + "…" if isinstance(value, str) and len(value) > longest + 1 else value


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
        aside = answer.pop("unexpected", {})
        aside = aside if isinstance(aside, dict) else {"unexpected": aside}
        answer["unexpected"] = {**aside, last: answer.pop(last)}
    elif isinstance(answer, list) and isinstance(last, int):
        answer[last] = {"unexpected": answer[last]}


def compact(value: Any) -> str:
    """JSON without a blank that a model would have to pay for."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
