"""Finding the task of a run whose response was lost: tasks of the same workflow created since, by the platform's clock.

This machine's clock may be minutes off. An earlier version trusted it: a clock that was ahead hid the paid task, and
the run was paid for twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cyberun_mcp.api.platform_clock import Moment
from cyberun_mcp.api.responses import JsonObject

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

# How long before its run was sent a task's `created_at` may be. By the platform's `Date`, which is cut to seconds, and
# its machines differ a little.
PRECISION = timedelta(seconds=5)
# By this machine's clock, which is used only when the platform sends no `Date`.
USUAL_SKEW = timedelta(seconds=30)
LARGEST_SKEW = timedelta(minutes=15)  # a machine whose clock is further off cannot use presigned URLs either
TASKS_SHOWN = 5  # in an error; more would hide the advice
PAGE_SIZE = 100  # tasks, the platform's maximum
MOST_PAGES = 5  # read from either end of the list

_UNREADABLE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _CreationWindow:
    """Tasks created since `since` may be the lost run; if our clock is wrong, also those since `possibly_since`."""

    since: datetime
    possibly_since: datetime


async def advice_on_lost_run(api: "CyberunClient", workflow: JsonObject, sent_at: Moment) -> str:
    """What to do about a run of `workflow` whose response was lost, with the tasks to adopt. Raises CyberunError."""
    window, tasks = await _recent_tasks(api, sent_at)
    same_workflow = [task for task in tasks if task.get("workflow_id") == workflow.get("id")]
    same_workflow.sort(key=_created_at, reverse=True)
    if candidates := [task for task in same_workflow if _created_at(task) >= window.since]:
        return (
            "Do not run it again: these tasks of the same workflow were created since. Adopt the one that is yours, "
            f"with stream_task_events:\n{_list(candidates)}"
        )
    advice = "No task of this workflow has appeared since, so far. Check list_tasks once more before running it again."
    if possible := [task for task in same_workflow if _created_at(task) >= window.possibly_since]:
        advice += (
            " The platform did not tell its time and this machine's clock may be ahead of it, so make sure that none "
            f"of these is yours:\n{_list(possible)}"
        )
    return advice


def _creation_window(api: "CyberunClient", sent_at: Moment, tasks: list[JsonObject]) -> _CreationWindow:
    """When the task of a run sent at `sent_at` can have been created."""
    if platform_time := api.clock.time_at(sent_at):
        return _CreationWindow(platform_time - PRECISION, platform_time - PRECISION)
    # The platform sends no `Date`. A task created in our future shows that our clock is behind, and by how much.
    ahead = max([timedelta(0), *(_created_at(task) - datetime.now(UTC) for task in tasks)])
    our_time = sent_at.by_this_machine() + ahead
    return _CreationWindow(our_time - USUAL_SKEW, our_time - LARGEST_SKEW)


async def _recent_tasks(api: "CyberunClient", sent_at: Moment) -> tuple[_CreationWindow, list[JsonObject]]:
    """The creation window, and the platform's tasks back to those that are too old for it.

    The list is read from both ends, because the documentation does not say which end is the newest.
    """
    first_page, total = await _page_of_tasks(api, 1)
    too_old = _creation_window(api, sent_at, first_page).possibly_since
    last_number = -(-total // PAGE_SIZE)
    found = {str(task.get("id")): task for task in first_page}
    for page, numbers in ((first_page, range(2, last_number)), ([], range(last_number, 1, -1))):
        for number in numbers[:MOST_PAGES]:
            if any(_UNREADABLE < _created_at(task) < too_old for task in page):
                break  # the following pages are older still
            page, _ = await _page_of_tasks(api, number)
            found |= {str(task.get("id")): task for task in page}
    tasks = list(found.values())
    return _creation_window(api, sent_at, tasks), tasks


async def _page_of_tasks(api: "CyberunClient", number: int) -> tuple[list[JsonObject], int]:
    """The tasks of one page, and the total number of tasks if the response has it."""
    response = await api.list_tasks({"current_page": number, "per_page": PAGE_SIZE})
    tasks, meta = response.get("task_list"), response.get("page_meta")
    total = meta.get("total_count") if isinstance(meta, dict) else None
    tasks = [task for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
    return tasks, total if isinstance(total, int) and not isinstance(total, bool) else len(tasks)


def _list(tasks: list[JsonObject]) -> str:
    return "\n".join(
        f"- {task.get('id')}: {task.get('task_status')}, {task.get('created_at')}" for task in tasks[:TASKS_SHOWN]
    )


def _created_at(task: JsonObject) -> datetime:
    try:
        created_at = datetime.fromisoformat(str(task.get("created_at")))
    except ValueError:
        return _UNREADABLE
    return created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
