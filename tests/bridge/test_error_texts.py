"""A response that is not MCP becomes a JSON-RPC error that says what to do, and the bridge goes on working."""

import json
from collections.abc import Callable

import pytest

from tests.bridge.client import KEY, bridge, call
from tests.bridge.remotes import ReceivedRequest, event, scripted
from tests.waiting import GUARD

PAGE = b"<!doctype html><html><head><title>Just a\n moment</title></head></html>"
Script = Callable[[ReceivedRequest], None]

MAY_HAVE_RUN = "The call may have been carried out; check list_tasks before calling again."


def http_error(status: int, content: bytes = b"", media_type: str = "application/json", **headers: str) -> Script:
    return lambda request: request.respond(status, content, media_type, **headers)


def cut_short(request: ReceivedRequest) -> None:
    request.handler.send_response(200)
    request.handler.send_header("Content-Type", "application/json")
    request.handler.send_header("Content-Length", "1000")
    request.handler.end_headers()
    request.handler.wfile.write(b'{"jsonrpc":')
    request.handler.close_connection = True


def stream_without_response(request: ReceivedRequest) -> None:
    request.start_stream()(event({"jsonrpc": "2.0", "method": "notifications/message", "params": {}}))
    request.handler.close_connection = True


def close_without_response(request: ReceivedRequest) -> None:
    request.handler.close_connection = True


def send_no_http(request: ReceivedRequest) -> None:
    request.handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")
    request.handler.close_connection = True


OAUTH_BODY = b'{"error":"invalid_token","error_description":"no such key"}'
RPC_BODY = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"bad key"}}'
ELSEWHERE = "https://elsewhere.example/mcp"


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        (http_error(401, OAUTH_BODY), ["HTTP 401: no such key. ", "the key in CYBERUN_API_KEY is invalid"]),
        (http_error(401, RPC_BODY), ["HTTP 401: bad key. ", "CYBERUN_API_KEY"]),
        (http_error(403, b'{"error_message":"viewer"}'), ["HTTP 403: viewer. Do not retry", "role"]),
        (http_error(429, Retry_After="7"), ["HTTP 429", "wait 7 seconds"]),
        (http_error(404, b"Not Found", "text/plain"), ["HTTP 404: Not Found. ", "no MCP endpoint at this URL"]),
        (http_error(405, b"", "text/plain"), ["HTTP 405", "no MCP endpoint at this URL"]),
        (http_error(307, Location=f"{ELSEWHERE}?token=x"), [f"points to {ELSEWHERE}; redirects are not followed"]),
        (http_error(413), ["HTTP 413", "too large"]),
        (http_error(502, PAGE, "text/html"), ["HTTP 502: an HTML page (Just a moment). ", MAY_HAVE_RUN]),
        (http_error(500, b"oops", "text/plain"), ["HTTP 500: oops. ", MAY_HAVE_RUN]),
        (http_error(200, PAGE, "text/html"), ["did not answer with MCP (HTTP 2xx with an HTML page (Just a moment))"]),
        (http_error(200, b"[]"), ["did not answer with MCP"]),
        (http_error(202), ["did not answer with MCP"]),
        (stream_without_response, ["its stream ended without a reply", MAY_HAVE_RUN]),
        (cut_short, ["closed in the middle of an answer", MAY_HAVE_RUN]),
        (close_without_response, ["connection closed", MAY_HAVE_RUN]),
        (send_no_http, ["not an HTTP answer", MAY_HAVE_RUN]),
    ],
)
def test_a_failed_call_gets_an_error_and_the_next_one_works(script: Script, texts: list[str]) -> None:
    with scripted() as remote, bridge(remote.url) as client:
        client.request({"id": 0, "method": "ping"})
        remote.script = script
        error = client.request(call("a", {}))["error"]
        remote.script = ReceivedRequest.send_result
        assert client.request(call("b", {}))["result"]
    assert error["code"] == -32603
    for text in texts:
        assert text in error["message"]


def test_a_call_is_never_sent_twice_however_its_response_was_lost() -> None:
    for script in (cut_short, stream_without_response, close_without_response, send_no_http, http_error(502)):
        with scripted(script) as remote, bridge(remote.url) as client:
            assert client.request(call(1, {}))["error"]
        assert len(remote.received) == 1


def test_a_connection_that_breaks_after_the_response_causes_no_second_one() -> None:
    def break_after_the_response(request: ReceivedRequest) -> None:
        request.handler.send_response(200)
        request.handler.send_header("Content-Type", "text/event-stream")
        request.handler.send_header("Transfer-Encoding", "chunked")
        request.handler.end_headers()
        piece = event({"jsonrpc": "2.0", "id": request.message["id"], "result": {}})
        request.handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        request.handler.close_connection = True

    with scripted(break_after_the_response) as remote, bridge(remote.url) as client:
        assert client.request(call(1, {}))["result"] == {}
        client.send(call(2, {}))
        assert client.receive()["id"] == 2


def test_a_repeatable_request_is_sent_again_if_its_idle_connection_was_closed() -> None:
    with scripted() as remote, bridge(remote.url) as client:

        def answer_once_then_hang_up(request: ReceivedRequest) -> None:
            close_without_response(request) if len(remote.received) == 2 else request.send_result()

        remote.script = answer_once_then_hang_up
        client.request({"id": 1, "method": "tools/list"})
        assert client.request({"id": 2, "method": "tools/list"})["result"]
    assert len(remote.received) == 3


@pytest.mark.parametrize(
    ("method", "text"), [("tools/list", "try again"), ("vendor/odd", "It may have been carried out")]
)
def test_only_an_error_for_a_method_with_effects_says_that_it_may_have_run(method: str, text: str) -> None:
    with scripted(close_without_response) as remote, bridge(remote.url) as client:
        message = client.request({"id": 1, "method": method})["error"]["message"]
    assert text in message
    assert ("may have been" in message) is (method == "vendor/odd")


def test_without_a_key_a_401_says_which_variable_to_set() -> None:
    with scripted(http_error(401)) as remote, bridge(remote.url, key=None) as client:
        message = client.request({"id": 1, "method": "initialize"})["error"]["message"]
    assert "No key was sent" in message
    assert "to be set as CYBERUN_API_KEY" in message


def test_a_key_is_removed_from_quoted_responses() -> None:
    secret = "plain-secret-without-any-form"
    page = f"<title>{secret}</title>".encode()

    def quote_headers(request: ReceivedRequest) -> None:
        if request.message["id"] == 1:
            return request.respond(400, b"you sent " + request.headers["authorization"].encode(), "text/plain")
        return request.respond(502, page, "text/html")

    arguments = ("--header", "X-Api-Key: ${ODD}")
    with scripted(quote_headers) as remote, bridge(remote.url, *arguments, environment={"ODD": secret}) as client:
        responses = [client.request(call(number, {}))["error"]["message"] for number in (1, 2)]
        client.stdin.close()
        client.process.wait(GUARD)
        output = client.errors() + "".join(responses)
    assert remote.received[0].headers["x-api-key"] == secret
    assert "you sent" in output
    assert KEY not in output
    assert secret not in output


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_key_is_removed_from_errors_of_the_remote_that_are_passed_on(status: int) -> None:
    def quote_key(request: ReceivedRequest) -> None:
        error = {"code": -32000, "message": f"you sent {request.headers['authorization']}"}
        body = json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "error": error})
        request.respond(status, body.encode(), "application/json")

    with scripted(quote_key) as remote, bridge(remote.url) as client:
        message = client.request(call(1, {}))["error"]["message"]
    assert message.startswith("you sent")
    assert KEY not in message


def test_a_secret_is_removed_whatever_characters_it_has() -> None:
    secret = 'plain "quoted" secret'

    def quote_secret(request: ReceivedRequest) -> None:
        error = {"code": -32000, "message": f"you sent {secret}", "data": {"seen": [secret]}}
        body = json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "error": error})
        request.respond(500, body.encode(), "application/json")

    arguments = ("--header", "X-Odd: ${ODD}")
    with scripted(quote_secret) as remote, bridge(remote.url, *arguments, environment={"ODD": secret}) as client:
        error = client.request(call(1, {}))["error"]
    assert error == {"code": -32000, "message": "you sent …", "data": {"seen": ["…"]}}
