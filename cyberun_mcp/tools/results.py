"""Turning the platform's response into what a model reads: small, complete, and valid under the output schema."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cyberun_mcp.errors import UnexpectedResponse
from cyberun_mcp.redaction import redact

logger = logging.getLogger(__name__)

PAGE_BUDGET = 9_800  # bytes for a default page of twenty; Codex and Cline truncate results at 8 to 12 kB
LISTED_TEXT_LIMITS = (160, 80)  # characters of each text in a long list; the item's own tool returns all of it
LARGEST_OUTPUT = 100_000  # bytes of `task_output`; documented ones are below 1 kB
DEEPEST = 60  # levels of nesting; documented responses have six

# Where a parameter belongs in the workflow's graph. The platform's editor needs it, a caller does not.
_UI_FIELDS = frozenset({"node_id", "field", "target_path", "source_key"})


def prune(value: Any, level: int = 0) -> Any:
    """`value` without nulls, and parameters without the editor's fields; unknown fields stay.

    Values nested deeper than DEEPEST are cut off before they can exhaust the stack.
    """
    if level > DEEPEST:
        return "…"
    if isinstance(value, dict):
        kept = {
            key: prune(member, level + 1) if isinstance(member, dict | list) else member
            for key, member in value.items()
            if member is not None
        }
        if "task_output" in kept and (size := _size(kept["task_output"])) > LARGEST_OUTPUT:
            kept["task_output"] = {"omitted": f"{size:,} bytes; the files are at the download URLs of get_task_result"}
        if isinstance(kept.get("task_error"), str):
            # The task's own code wrote this when it failed. It may contain the signed URL or the key it failed with.
            kept["task_error"] = redact(kept["task_error"])
        if isinstance(kept.get("parameters"), list):
            kept["parameters"] = [_without_ui_fields(parameter) for parameter in kept["parameters"]]
        return kept
    if isinstance(value, list):
        return [prune(item, level + 1) for item in value]
    return value


def _without_ui_fields(parameter: Any) -> Any:
    if not isinstance(parameter, dict):
        return parameter
    return {key: value for key, value in parameter.items() if key not in _UI_FIELDS}


def list_page(response: Mapping[str, Any], key: str, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """One page of a list under `key`, with `next_page` if there are more pages.

    `aliases` are other names the response may use for the list. Raises UnexpectedResponse if it has none of them.
    """
    found = next((name for name in (key, *aliases) if isinstance(response.get(name), list)), None)
    if found is None:
        raise UnexpectedResponse(200, f"the answer has no list called {key}")
    if not all(isinstance(item, dict) for item in response[found]):
        raise UnexpectedResponse(200, f"{found} holds something else than objects")
    page: dict[str, Any] = {key: response[found]}
    meta = response.get("page_meta")
    if isinstance(meta, dict):
        page["page_meta"] = meta
        if next_page := _next_page(meta):
            page["next_page"] = next_page
    return page


def _next_page(meta: Mapping[str, Any]) -> int | None:
    current, size, total = (_integer(meta.get(name)) for name in ("current_page", "per_page", "total_count"))
    return current + 1 if 0 < current * size < total else None


def _integer(value: Any) -> int:
    """An integer, or 0 for anything else, also for True and False, which are integers in Python."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def within_budget(page: dict[str, Any], key: str, spare: Sequence[str]) -> dict[str, Any]:
    """`page` reduced to PAGE_BUDGET for twenty items, if possible; `omitted_fields` names what was removed.

    First long texts are truncated, then the `spare` fields are removed in their order until the page fits. The
    documentation does not say which fields a list has, so the actual size decides.
    """
    items: list[dict[str, Any]] = page[key]
    budget = PAGE_BUDGET * max(1.0, len(items) / 20)
    for longest in LISTED_TEXT_LIMITS:
        if _size(page) > budget:
            for item in items:
                item.update({name: _truncated(value, longest) for name, value in item.items()})
    omitted = []
    for name in spare:
        if _size(page) <= budget:
            break
        items_with_field = [item for item in items if name in item]
        for item in items_with_field:
            del item[name]
        omitted += [name] if items_with_field else []
    return {**page, "omitted_fields": omitted} if omitted else page


def _size(value: Any) -> int:
    return len(compact_json(value).encode())


def _truncated(value: Any, longest: int) -> Any:
    return value[:longest] + "…" if isinstance(value, str) and len(value) > longest + 1 else value


def conform_to_schema(result: dict[str, Any], schema: TypeAdapter[Any]) -> dict[str, Any]:
    """`result` with every value of an undocumented type moved to `unexpected` in the same object.

    Clients validate structured content against the output schema and drop the whole result if one field is wrong
    (typescript-sdk issue 1943). Without this, a change of the platform would hide a paid result. A result that is wrong
    at its root is not changed.
    """
    try:
        schema.validate_python(result, strict=True)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            logger.warning("the platform's answer has an undocumented type at %s", ".".join(map(str, problem["loc"])))
            _move_to_unexpected(result, problem["loc"])
    return result


def _move_to_unexpected(node: Any, path: tuple[int | str, ...]) -> None:
    *parents, last = path
    for part in parents:
        if not isinstance(node, dict | list):
            return
        node = node[part]  # type: ignore[index]
    if isinstance(node, dict) and last in node:
        unexpected = node.pop("unexpected", {})
        unexpected = unexpected if isinstance(unexpected, dict) else {"unexpected": unexpected}
        node["unexpected"] = {**unexpected, last: node.pop(last)}
    elif isinstance(node, list) and isinstance(last, int):
        node[last] = {"unexpected": node[last]}


def compact_json(value: Any) -> str:
    """JSON without whitespace, which would cost a model tokens."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
