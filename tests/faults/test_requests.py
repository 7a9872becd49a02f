"""Reads are repeated while there is hope, on one deadline; nothing foreign is followed, and nothing endless is read."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.faults.exchange import Exchange
from tests.faults.platform import Script, Subject
from tests.faults.stage import CALL, REQUEST, Outcome, scene

READ = {"task_id": "{id}"}
SLACK = 3.0  # seconds a busy machine may add


def at_first(trouble: Script, times: int) -> Script:
    async def script(exchange: Exchange, subject: Subject) -> None:
        if subject.asked[""] <= times:
            await trouble(exchange, subject)
        else:
            await exchange.json(subject.task())

    return script


def status(code: int, **headers: str) -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await exchange.json({"error_message": "as told"}, code, named)

    return script


async def cut(exchange: Exchange, _: Subject) -> None:
    exchange.drop()


async def stalled(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


def recovered(outcome: Outcome, attempts: int) -> None:
    assert outcome.answer["task_status"] == "running"
    assert len(outcome.seen("")) == attempts
    assert outcome.took < CALL


@scene("get_task", READ, itself=at_first(cut, 2))
def test_a_read_whose_connection_is_lost_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=3)


@scene("get_task", READ, itself=at_first(status(503), 2))
def test_a_read_the_platform_had_no_room_for_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=3)


@scene("get_task", READ, itself=at_first(stalled, 1))
def test_a_read_that_is_not_answered_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=2)
    assert outcome.took >= REQUEST


@scene("get_task", READ, itself=at_first(status(429, Retry_After="1"), 1))
def test_retry_after_in_seconds_is_kept(outcome: Outcome) -> None:
    recovered(outcome, attempts=2)
    first, second = outcome.seen("")
    assert 1 <= second.at - first.at < 1 + SLACK


async def busy_until_a_date(exchange: Exchange, _: Subject) -> None:
    until = datetime.now(UTC) + timedelta(seconds=2)  # a date has whole seconds, so this asks for one to two
    await exchange.json({"error_message": "later"}, 429, {"Retry-After": format_datetime(until, usegmt=True)})


@scene("get_task", READ, itself=at_first(busy_until_a_date, 1))
def test_retry_after_as_a_date_is_kept(outcome: Outcome) -> None:
    recovered(outcome, attempts=2)
    first, second = outcome.seen("")
    assert 0.9 <= second.at - first.at < 2 + SLACK


@scene("get_task", READ, itself=status(429, Retry_After="3600"))
def test_a_retry_after_beyond_the_deadline_is_told_at_once(outcome: Outcome) -> None:
    assert outcome.refusal == "Cyberun HTTP 429: as told\nToo many requests: wait 3600 seconds, then call again."
    assert len(outcome.seen("")) == 1
    assert outcome.took < SLACK


@scene("get_task", READ, itself=stalled)
def test_all_attempts_share_one_deadline(outcome: Outcome) -> None:
    assert "Cyberun could not be reached" in outcome.refusal
    assert 2 * REQUEST <= outcome.took < CALL + SLACK


@scene("get_task", READ, itself=status(401))
def test_a_key_that_is_refused_is_not_tried_again(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 401: as told\nDo not retry")
    assert len(outcome.seen("")) == 1


async def moved(exchange: Exchange, _: Subject) -> None:
    await exchange.text("", "text/plain", 302, {"Location": "/api/v1/r/tasks/elsewhere"})


@scene("get_task", READ, itself=moved)
def test_a_redirect_is_not_followed(outcome: Outcome) -> None:
    assert "a redirect, not followed because it would carry your key elsewhere" in outcome.refusal
    assert len(outcome.seen("")) == 1
    assert not outcome.platform.seen("elsewhere")


async def web_page(exchange: Exchange, _: Subject) -> None:
    await exchange.text("<html><script>1</script><b>Sign in</b></html>", "text/html")


@scene("get_task", READ, itself=web_page)
def test_a_web_page_is_not_taken_for_an_answer(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 200: not a JSON object but text/html: Sign in")


async def announced_giant(exchange: Exchange, _: Subject) -> None:
    await exchange.head(200, {"Content-Type": "application/json", "Content-Length": str(2**40)})
    await exchange.stall()


@scene("get_task", READ, itself=announced_giant)
def test_an_answer_that_announces_itself_too_large_is_not_read(outcome: Outcome) -> None:
    assert "the answer has 1,099,511,627,776 bytes; 8,388,608 can be taken" in outcome.refusal
    assert outcome.took < SLACK
    assert len(outcome.seen("")) == 1


async def endless(exchange: Exchange, subject: Subject) -> None:
    await exchange.head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    for _ in range(40):
        await exchange.piece(b" " * 2**20)
    await exchange.stall()


@scene("get_task", READ, itself=endless)
def test_an_endless_answer_is_given_up(outcome: Outcome) -> None:
    assert "the answer has too many bytes; 8,388,608 can be taken" in outcome.refusal
    assert outcome.seen("")[0] in outcome.platform.hung_up


async def says_goodbye_late(exchange: Exchange, subject: Subject) -> None:
    """Answers, and closes the idle connection soon after, as load balancers do."""
    await exchange.json(subject.task(), headers={"Connection": "keep-alive"})
    exchange.drop()


@scene("get_task", READ, itself=says_goodbye_late)
def test_a_connection_closed_after_its_answer_harms_nobody(outcome: Outcome) -> None:
    recovered(outcome, attempts=1)
