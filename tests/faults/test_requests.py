"""Reads are repeated while there is hope, on one deadline; nothing foreign is followed, and nothing endless is read."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.faults.exchange import Exchange
from tests.faults.platform import Script, Subject
from tests.faults.stage import CALL, HASTY, REQUEST, Outcome, scene

READ = {"task_id": "{id}"}
JITTER = 0.5  # seconds, at most, before the second attempt; doubled before each further one


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


lost = scene("get_task", READ, itself=at_first(cut, 2))


@lost
def test_a_read_whose_connection_is_lost_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=3)


@lost
def test_a_read_is_repeated_soon(timed: Outcome) -> None:
    recovered(timed, attempts=3)
    assert timed.took <= JITTER + 2 * JITTER


@scene("get_task", READ, itself=at_first(status(503), 2))
def test_a_read_the_platform_had_no_room_for_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=3)


unanswered = scene("get_task", READ, HASTY, itself=at_first(stalled, 1))


@unanswered
def test_a_read_that_is_not_answered_is_repeated(outcome: Outcome) -> None:
    assert outcome.answer["task_status"] == "running"
    assert len(outcome.seen("")) >= 2


@unanswered
def test_a_read_that_is_not_answered_in_time_is_repeated_soon(timed: Outcome) -> None:
    recovered(timed, attempts=2)
    assert REQUEST <= timed.took <= REQUEST + JITTER


called_back = scene("get_task", READ, itself=at_first(status(429, Retry_After="1"), 1))


@called_back
def test_a_read_that_came_too_soon_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=2)


@called_back
def test_retry_after_in_seconds_is_kept(timed: Outcome) -> None:
    recovered(timed, attempts=2)
    assert 1 <= timed.took <= 1 + JITTER


async def busy_until_a_date(exchange: Exchange, _: Subject) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1)
    await exchange.json({"error_message": "later"}, 429, {"Retry-After": format_datetime(until, usegmt=True)})


@scene("get_task", READ, itself=at_first(busy_until_a_date, 1))
def test_a_read_that_came_before_a_date_is_repeated(outcome: Outcome) -> None:
    recovered(outcome, attempts=2)


come_back_later = scene("get_task", READ, itself=status(429, Retry_After="3600"))


@come_back_later
def test_a_retry_after_beyond_the_deadline_is_told_and_not_waited_for(outcome: Outcome) -> None:
    assert outcome.refusal == "Cyberun HTTP 429: as told\nToo many requests: wait 3600 seconds, then call again."
    assert len(outcome.seen("")) == 1


@come_back_later
def test_a_retry_after_beyond_the_deadline_is_told_at_once(timed: Outcome) -> None:
    assert timed.refusal.startswith("Cyberun HTTP 429: as told\n")
    assert timed.took == 0


never = scene("get_task", READ, HASTY, itself=stalled)


@never
def test_a_read_that_is_never_answered_is_given_up(outcome: Outcome) -> None:
    assert "Cyberun could not be reached" in outcome.refusal
    assert len(outcome.seen("")) > 1


@never
def test_all_attempts_share_one_deadline(timed: Outcome) -> None:
    assert "Cyberun could not be reached" in timed.refusal
    assert len(timed.seen("")) in (3, 4)
    assert 3 * REQUEST <= timed.took <= CALL


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


giant = scene("get_task", READ, itself=announced_giant)


@giant
def test_an_answer_that_announces_itself_too_large_is_not_read(outcome: Outcome) -> None:
    assert "the answer has 1,099,511,627,776 bytes; 8,388,608 can be taken" in outcome.refusal
    assert len(outcome.seen("")) == 1


@giant
def test_an_answer_that_announces_itself_too_large_is_refused_at_once(timed: Outcome) -> None:
    assert "the answer has 1,099,511,627,776 bytes" in timed.refusal
    assert timed.took == 0


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
