"""The load: mixed calls and waits, and a ledger of what became of each."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import Client
from mcp_types import CallToolResult, TextContent

from benchmarks.soak.platform import OUTPUT, Unreliable

AT_A_TIME = 16  # calls, and as many waits beside them
WAIT_LIMIT = 20  # seconds; a wait takes a quarter of one when nothing goes wrong

RUN_BODY = {"parameters": {"prompt": "a red fox"}}
FILE = {"file_name": "a.png", "file_size": 1, "content_type": "image/png"}
# Tool → how often in a hundred calls, and its arguments; `{n}` is the number of the call.
MIX: dict[str, tuple[int, dict[str, Any]]] = {
    "get_task": (20, {"task_id": "task-{n}"}),
    "list_tasks": (10, {"per_page": 5}),
    "get_task_result": (10, {"task_id": "task-{n}"}),
    "cancel_task": (5, {"task_id": "task-{n}"}),
    "list_workflows": (10, {}),
    "get_workflow_by_slug": (10, {"workflow_slug": "fox-{n}"}),
    "run_workflow_by_slug": (15, {"workflow_slug": "soak-{n}", "body": RUN_BODY}),
    "list_agents": (5, {}),
    "get_container_service": (5, {"service_slug": "llm-{n}"}),
    "call_container_service": (5, {"service_slug": "llm-{n}", "method": "GET", "path": "/v1/models"}),
    "presign_file_upload": (5, {"body": FILE}),
}


def filled_in(arguments: dict[str, Any], number: int) -> dict[str, Any]:
    """The arguments of the call of this number."""
    return {
        name: value.replace("{n}", str(number)) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


@dataclass
class Ledger:
    """What became of every call. The lists name what must never happen."""

    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    internal: list[str] = field(default_factory=list)

    @property
    def flawless(self) -> bool:
        return not (self.lost or self.repeated or self.internal)


class Load:
    """Calls and waits against one server, numbered on so that no two share an id."""

    def __init__(self, client: Client, platform: Unreliable, seed: int) -> None:
        self._client = client
        self._platform = platform
        self._random = random.Random(seed)  # noqa: S311 - a load needs no secrets
        self._number = 0
        self.ledger = Ledger()

    async def go(self, calls: int, waits: int) -> None:
        """Make so many calls and, at the same time, so many waits."""
        async with anyio.create_task_group() as tasks:
            for jobs, work in ((calls, self._call), (waits, self._wait)):
                remaining = iter(range(jobs))
                for _ in range(AT_A_TIME):
                    tasks.start_soon(self._work_off, remaining, work)

    async def _work_off(self, remaining: Any, work: Any) -> None:
        for _ in remaining:
            await work()

    async def _call(self) -> None:
        [tool] = self._random.choices(list(MIX), [often for often, _ in MIX.values()])
        self._number += 1
        arguments = filled_in(MIX[tool][1], self._number)
        result = await self._client.call_tool(tool, arguments)
        self._enter(tool, result)
        if tool == "run_workflow_by_slug":
            self._check_run(arguments["workflow_slug"], result)

    async def _wait(self) -> None:
        self._number += 1
        task_id = f"wait-{self._number}"
        values: list[float] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            values.append(progress)

        arguments = {"task_id": task_id, "timeout_seconds": WAIT_LIMIT}
        result = await self._client.call_tool("stream_task_events", arguments, progress_callback=note)
        self._enter("stream_task_events", result)
        answer = result.structured_content or {}
        if answer.get("task_status") != "completed" or answer.get("task_output") != OUTPUT:
            self.ledger.lost.append(f"{task_id}: {_text(result)}")
        if values != sorted(set(values)) or values[-1:] != [1.0]:
            self.ledger.lost.append(f"{task_id}: progress {values}")

    def _enter(self, tool: str, result: CallToolResult) -> None:
        self.ledger.outcomes[f"{tool} {'error' if result.is_error else 'ok'}"] += 1
        if _text(result).startswith("Internal error"):
            self.ledger.internal.append(_text(result))

    def _check_run(self, workflow_slug: str, result: CallToolResult) -> None:
        """A task that the platform made of a run is named to the client, and it made no second one."""
        made = [task["id"] for task in self._platform.runs_of(workflow_slug)]
        self.ledger.repeated += made[1:]
        self.ledger.lost += [f"{task_id}: {_text(result)}" for task_id in made if task_id not in _text(result)]
        if not made and not result.is_error:
            self.ledger.lost.append(f"{workflow_slug}: {_text(result)}")


def _text(result: CallToolResult) -> str:
    [first, *_] = result.content
    return first.text if isinstance(first, TextContent) else ""
