"""What the tests of waiting share."""

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.faults.stage import Outcome

WAIT = {"task_id": "{id}", "timeout_seconds": 600}  # never up
SHORT = 10  # seconds; up in the end, but not before a slow machine has brought the first events
SHORT_WAIT = {"task_id": "{id}", "timeout_seconds": SHORT}
GAP = 0.1  # seconds the relay leaves between two messages, and between the last one and the answer
OUTPUT = {"storage_key": "tasks/1/output.png"}


def is_done(outcome: Outcome, via: str = "events") -> None:
    """The answer is that of a task that completed, from the source expected, and before time was up."""
    answer = outcome.answer
    assert answer["task_status"] == "completed"
    assert answer["terminal"]
    assert not answer["timed_out"]
    assert answer["task_output"] == OUTPUT
    assert answer["source"]["via"] == via
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
    """The stream was tried once; then the task was asked again and again. (How often: `test_times.py`.)"""
    is_done(outcome, via="polling")
    assert outcome.answer["source"] == {"via": "polling", "events": 0, "reconnects": 0, "polls": 3}
    assert len(outcome.seen("events")) == 1
