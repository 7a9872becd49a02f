"""A run is sent once. Where its outcome is unknown the error says so and names the tasks that may be it."""

from tests.faults.exchange import Exchange
from tests.faults.platform import Script, Subject
from tests.faults.stage import CALL, HASTY, REQUEST, Outcome, scene

RUN = {"workflow_slug": "{id}", "body": {"parameters": {"prompt": "a red fox"}}}


def accepted_then(script: Script) -> Script:
    """The platform takes the run, and then something goes wrong on the way back."""

    async def accept(exchange: Exchange, subject: Subject) -> None:
        exchange.platform.accept_run(subject.id)
        await script(exchange, subject)

    return accept


def answered(status: int, body: str = '{"error_message": "as told"}', kind: str = "application/json") -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        await exchange.text(body, kind, status)

    return script


async def cut(exchange: Exchange, _: Subject) -> None:
    exchange.drop()


async def cut_mid_answer(exchange: Exchange, _: Subject) -> None:
    await exchange.head(202, {"Content-Type": "application/json", "Content-Length": "60"})
    await exchange.raw(b'{"task_id": "task-')
    exchange.drop()


async def stalled(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


def offers_the_task(outcome: Outcome) -> None:
    """The one run that was sent is offered for adoption, and no other was sent."""
    assert "The run was sent, but whether it was accepted is unknown." in outcome.refusal
    assert "Do not run it again: these tasks of the same workflow were created since." in outcome.refusal
    [task] = outcome.runs
    assert f"- {task['id']}: running, {task['created_at']}" in outcome.refusal
    assert len(outcome.seen("run")) == 1


def found_nothing(outcome: Outcome) -> None:
    """The one run that was sent made no task, as far as can be seen, and no other was sent."""
    assert "The run was sent, but whether it was accepted is unknown." in outcome.refusal
    assert "No task of this workflow has appeared since, so far." in outcome.refusal
    assert outcome.runs == []
    assert len(outcome.seen("run")) == 1


@scene("run_workflow_by_slug", RUN)
def test_a_run_is_sent_once_and_its_task_named(outcome: Outcome) -> None:
    [task] = outcome.runs
    assert outcome.answer == {"task_id": task["id"]}
    assert len(outcome.seen("run")) == 1


@scene("run_workflow_by_slug", RUN, run=accepted_then(cut))
def test_a_run_whose_connection_is_lost_after_sending_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


@scene("run_workflow_by_slug", RUN, run=accepted_then(cut_mid_answer))
def test_a_run_whose_answer_is_torn_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


@scene("run_workflow_by_slug", RUN, run=accepted_then(answered(502)))
def test_a_run_answered_by_bad_gateway_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


@scene("run_workflow_by_slug", RUN, run=accepted_then(answered(504, "<h1>Gateway Time-out</h1>", "text/html")))
def test_a_run_answered_by_a_gateways_time_out_page_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


unanswered = scene("run_workflow_by_slug", RUN, HASTY, run=accepted_then(stalled))


@unanswered
def test_a_run_that_is_never_answered_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


@unanswered
def test_a_run_that_is_never_answered_offers_the_task_in_time(timed: Outcome) -> None:
    offers_the_task(timed)
    assert timed.took == REQUEST


@scene("run_workflow_by_slug", RUN, run=accepted_then(answered(202, '{"accepted": true}')))
def test_a_run_answered_without_a_task_id_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


@scene("run_workflow_by_slug", RUN, run=accepted_then(answered(200, "<h1>Welcome</h1>", "text/html")))
def test_a_run_answered_by_a_web_page_offers_the_task(outcome: Outcome) -> None:
    offers_the_task(outcome)


@scene("run_workflow_by_slug", RUN, run=cut)
def test_a_run_that_was_lost_on_the_way_is_not_sent_again(outcome: Outcome) -> None:
    found_nothing(outcome)


in_the_dark = scene("run_workflow_by_slug", RUN, HASTY, run=accepted_then(cut), itself=cut)


def warns_against_repeating_it(outcome: Outcome) -> None:
    assert "Do not run it again yet: look with list_tasks first" in outcome.refusal
    assert len(outcome.runs) == len(outcome.seen("run")) == 1


@in_the_dark
def test_a_run_whose_candidates_cannot_be_looked_up_warns_against_repeating_it(outcome: Outcome) -> None:
    warns_against_repeating_it(outcome)


@in_the_dark
def test_candidates_that_cannot_be_looked_up_are_given_up_before_the_call_has_to_end(timed: Outcome) -> None:
    warns_against_repeating_it(timed)
    assert timed.took <= CALL


@scene("run_workflow_by_slug", RUN, run=answered(500))
def test_a_run_the_platform_failed_on_is_not_repeated(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 500: as told\nThe run was sent, but whether it was accepted is")
    found_nothing(outcome)


@scene("run_workflow_by_slug", RUN, run=answered(429))
def test_a_run_that_came_too_soon_is_not_repeated_by_us(outcome: Outcome) -> None:
    assert outcome.refusal == "Cyberun HTTP 429: as told\nToo many requests: wait a minute, then call again."
    assert len(outcome.seen("run")) == 1


async def moved(exchange: Exchange, _: Subject) -> None:
    await exchange.text("", "text/plain", 307, {"Location": "/api/v1/r/workflows/slug/elsewhere/run"})


@scene("run_workflow_by_slug", RUN, run=moved)
def test_a_redirected_run_is_not_followed_and_known_not_to_have_run(outcome: Outcome) -> None:
    assert "a redirect, not followed because it would carry your key elsewhere" in outcome.refusal
    assert "unknown" not in outcome.refusal
    assert not outcome.platform.seen("elsewhere")


@scene("run_workflow_by_slug", RUN, run=answered(403, "<h1>Blocked by policy</h1>", "text/html"))
def test_a_run_refused_by_a_proxy_is_known_not_to_have_run(outcome: Outcome) -> None:
    assert "text/html: Blocked by policy" in outcome.refusal
    assert "unknown" not in outcome.refusal


@scene("presign_file_upload", {"body": {"file_name": "a.png", "file_size": 1, "content_type": "image/png"}})
def test_an_upload_is_presigned(outcome: Outcome) -> None:
    assert outcome.answer["upload_url"] == "https://s3.test/1?X-Amz-Signature=upload"


@scene("call_container_service", {"service_slug": "{id}", "method": "POST", "path": "/pay"}, itself=cut)
def test_a_request_to_a_container_that_may_have_arrived_is_not_sent_again(outcome: Outcome) -> None:
    assert "Cyberun could not be reached" in outcome.refusal
    assert len(outcome.seen("")) == 1


async def cut_once(exchange: Exchange, subject: Subject) -> None:
    if subject.asked["cancel"] == 1:
        exchange.drop()
    await exchange.json({"is_success": True})


@scene("cancel_task", {"task_id": "{id}"}, cancel=cut_once)
def test_cancelling_is_harmless_to_repeat_and_is_repeated(outcome: Outcome) -> None:
    assert outcome.answer == {"is_success": True}
    assert len(outcome.seen("cancel")) == 2
