"""What the tests of waiting share."""

from itertools import pairwise

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.faults.stage import POLL, Outcome

LONGEST = 10  # seconds
WAIT = {"task_id": "{id}", "timeout_seconds": LONGEST}
SHORT_WAIT = {"task_id": "{id}", "timeout_seconds": 1}
OUTPUT = {"storage_key": "tasks/1/output.png"}
SLACK = 3.0  # seconds a busy machine may add


def is_done(outcome: Outcome, via: str = "events") -> None:
    """The answer is that of a task that completed, from the source expected, and in time."""
    answer = outcome.answer
    assert answer["task_status"] == "completed"
    assert answer["terminal"]
    assert not answer["timed_out"]
    assert answer["task_output"] == OUTPUT
    assert answer["source"]["via"] == via
    assert outcome.took < LONGEST
    assert {seen.method for seen in outcome.platform.seen(outcome.id)} == {"GET"}


async def complete(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed"
    await exchange.event("completed", status="completed", output=OUTPUT)
    await exchange.end()


async def events_after_trouble(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await complete(exchange, subject)


async def completes_when_asked_thrice(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed" if subject.asked[""] == 3 else "running"
    await exchange.json(subject.task())


def was_polled(outcome: Outcome) -> None:
    """The stream was tried once; then the task was asked every poll interval."""
    is_done(outcome, via="polling")
    assert outcome.answer["source"] == {"via": "polling", "events": 0, "reconnects": 0, "polls": 3}
    assert len(outcome.seen("events")) == 1
    asked = [seen.at for seen in outcome.seen("")]
    assert all(POLL <= later - earlier < POLL + SLACK for earlier, later in pairwise(asked))
