"""The tasks that may be the one of a run whose answer was lost: created since it was sent, by the platform's clock.

This machine's clock may be minutes off. Trusting it hid the paid task when it was ahead, and a second run was paid.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cyberun_mcp.api.answers import JsonObject
from cyberun_mcp.api.clock import Moment

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

# How far a task's `created_at` may lie before the moment its run was sent. By the platform's `Date`: both are cut to
# seconds, and its machines differ a little. By this machine's clock, only where the platform does not tell the time.
PRECISION = timedelta(seconds=5)
USUAL_SKEW = timedelta(seconds=30)
LARGEST_SKEW = timedelta(minutes=15)  # a machine that is further off cannot use presigned URLs either
SHOWN = 5  # tasks named in an error; more would bury the advice
PAGE = 100  # tasks, the most that the platform gives at a time
MOST_PAGES = 5  # read from either end of the list

_UNREADABLE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Window:
    """Tasks created at or after `since` may be the lost one; those from `perhaps_since` on, if our clock is wrong."""

    since: datetime
    perhaps_since: datetime


async def advice_on_lost_run(api: "CyberunClient", workflow: JsonObject, sent: Moment) -> str:
    """What to do about a run of `workflow` whose answer was lost, with the tasks to adopt. Raises CyberunError."""
    window, tasks = await _tasks_around(api, sent)
    same_workflow = [each for each in tasks if each.get("workflow_id") == workflow.get("id")]
    same_workflow.sort(key=_created, reverse=True)
    if candidates := [each for each in same_workflow if _created(each) >= window.since]:
        return (
            "Do not run it again: these tasks of the same workflow were created since. Adopt the one that is yours, "
            f"with stream_task_events:\n{_listed(candidates)}"
        )
    advice = "No task of this workflow has appeared since, so far. Check list_tasks once more before running it again."
    if doubtful := [each for each in same_workflow if _created(each) >= window.perhaps_since]:
        advice += (
            " The platform did not tell its time and this machine's clock may be ahead of it, so make sure that none "
            f"of these is yours:\n{_listed(doubtful)}"
        )
    return advice


def _window(api: "CyberunClient", sent: Moment, tasks: list[JsonObject]) -> _Window:
    """When the task of a run sent then can have been created."""
    if told := api.clock.at(sent):
        return _Window(told - PRECISION, told - PRECISION)
    # The platform does not tell its time. A task from our future shows that our clock is behind, and by how much.
    ahead = max([timedelta(0), *(_created(each) - datetime.now(UTC) for each in tasks)])
    sent_at = sent.by_this_machine() + ahead
    return _Window(sent_at - USUAL_SKEW, sent_at - LARGEST_SKEW)


async def _tasks_around(api: "CyberunClient", sent: Moment) -> tuple[_Window, list[JsonObject]]:
    """The tasks of the platform, back to those that are too old, and which of them are new enough.

    They are read from both ends of the list, because which end is the newest is documented nowhere.
    """
    first, total = await _page_of_tasks(api, 1)
    too_old = _window(api, sent, first).perhaps_since
    last_number = -(-total // PAGE)
    found = {str(each.get("id")): each for each in first}
    for page, numbers in ((first, range(2, last_number)), ([], range(last_number, 1, -1))):
        for number in numbers[:MOST_PAGES]:
            if any(_UNREADABLE < _created(each) < too_old for each in page):
                break  # what follows is older still
            page, _ = await _page_of_tasks(api, number)
            found |= {str(each.get("id")): each for each in page}
    tasks = list(found.values())
    return _window(api, sent, tasks), tasks


async def _page_of_tasks(api: "CyberunClient", number: int) -> tuple[list[JsonObject], int]:
    """The tasks of one page, and how many there are in all, as far as the answer tells."""
    answer = await api.list_tasks({"current_page": number, "per_page": PAGE})
    tasks, meta = answer.get("task_list"), answer.get("page_meta")
    total = meta.get("total_count") if isinstance(meta, dict) else None
    listed = [each for each in tasks if isinstance(each, dict)] if isinstance(tasks, list) else []
    return listed, total if isinstance(total, int) and not isinstance(total, bool) else len(listed)


def _listed(tasks: list[JsonObject]) -> str:
    shown = tasks[:SHOWN]
    return "\n".join(f"- {each.get('id')}: {each.get('task_status')}, {each.get('created_at')}" for each in shown)


def _created(task: JsonObject) -> datetime:
    try:
        created = datetime.fromisoformat(str(task.get("created_at")))
    except ValueError:
        return _UNREADABLE
    return created if created.tzinfo else created.replace(tzinfo=UTC)
