"""A container's own answer is data, whatever its status; the gateway's is an error that says what is wrong."""

import base64

from tests.faults.exchange import Exchange
from tests.faults.platform import Script, Subject
from tests.faults.stage import Outcome, scene

ASK = {"service_slug": "{id}", "method": "GET", "path": "/v1/models"}
LARGEST = 700_000


def gateway(status: int, body: str = '{"error_message": "as told"}', kind: str = "application/json") -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        await exchange.text(body, kind, status)

    return script


def container(body: bytes, status: int = 200) -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        await exchange.json({"status_code": status, "headers": headers, "body_base64": base64.b64encode(body).decode()})

    return script


@scene("call_container_service", ASK, itself=gateway(400))
def test_a_service_that_is_not_running_is_explained(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 400: as told\n")
    assert "The gateway refused: the service is not running" in outcome.refusal


@scene("call_container_service", ASK, itself=gateway(404))
def test_a_service_the_gateway_does_not_know_is_explained(outcome: Outcome) -> None:
    assert "The gateway knows no service of this slug; the container was not asked." in outcome.refusal


@scene("call_container_service", ASK, itself=gateway(502))
def test_a_tunnel_that_broke_is_explained_and_not_tried_again(outcome: Outcome) -> None:
    assert "The agent or the gateway's tunnel failed while talking to the container." in outcome.refusal
    assert len(outcome.seen("")) == 1


@scene("call_container_service", ASK, itself=gateway(502, "<h1>Bad Gateway</h1>", "text/html"))
def test_a_gateways_own_error_page_is_explained_too(outcome: Outcome) -> None:
    assert "text/html: Bad Gateway" in outcome.refusal
    assert "The agent or the gateway's tunnel failed while talking to the container." in outcome.refusal


@scene("call_container_service", ASK, itself=gateway(503))
def test_a_service_without_a_healthy_instance_is_explained_and_not_tried_again(outcome: Outcome) -> None:
    assert "The service runs, but no healthy instance or online agent could be reached." in outcome.refusal
    assert len(outcome.seen("")) == 1


@scene("call_container_service", ASK, itself=container(b"no such model", status=404))
def test_a_containers_own_error_is_data(outcome: Outcome) -> None:
    assert outcome.answer["status_code"] == 404
    assert outcome.answer["body_text"] == "no such model"


@scene("call_container_service", ASK, itself=container(b"\xff" * LARGEST))
def test_a_body_of_the_largest_size_arrives_whole_at_every_client(outcome: Outcome) -> None:
    assert base64.b64decode(outcome.answer["body_base64"]) == b"\xff" * LARGEST


@scene("call_container_service", ASK, itself=container(b"\xff" * (LARGEST + 1)))
def test_a_larger_body_is_an_error_that_names_its_size_and_how_to_fetch_it(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 200: the answer has 700,001 bytes; 700,000 can be taken\n")
    assert f"/r/containers/{outcome.id}/v1/models" in outcome.refusal
    assert "curl -o answer.bin -X GET" in outcome.refusal


@scene("call_container_service", ASK, itself=container(b"\xff" * 9_000_000))
def test_a_body_too_large_to_read_is_an_error_that_names_its_size_too(outcome: Outcome) -> None:
    assert "the answer has 9,000,0" in outcome.refusal
    assert f"/r/containers/{outcome.id}/v1/models" in outcome.refusal


async def many_headers(exchange: Exchange, _: Subject) -> None:
    headers = {f"X-{number}": "y" * 1000 for number in range(100)}
    await exchange.json({"status_code": 200, "headers": headers, "body_base64": ""})


@scene("call_container_service", ASK, itself=many_headers)
def test_headers_that_no_client_could_take_are_an_error(outcome: Outcome) -> None:
    assert "32,000 can be taken" in outcome.refusal
    assert "curl" in outcome.refusal
