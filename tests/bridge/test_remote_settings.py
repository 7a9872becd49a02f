"""Where a key may come from and where it may go; refusals come before anything is sent."""

import sys
from pathlib import Path

import pytest

from cyberun_mcp.bridge.remote_settings import HOSTED_URL, RemoteSettings, load_remote_settings
from cyberun_mcp.errors import ConfigurationError
from tests.bridge.client import KEY, bridge
from tests.bridge.remotes import scripted

LOCAL = "http://127.0.0.1:1/mcp"


def made(
    *headers: str, url: str = LOCAL, file: Path | None = None, allow_http: bool = False, **env: str
) -> RemoteSettings:
    return load_remote_settings(url, headers, file, allow_http=allow_http, environ=env)


def headers_of(remote: RemoteSettings) -> dict[str, str]:
    return dict(remote.headers.fields)


def test_without_an_address_the_bridge_goes_to_the_hosted_endpoint() -> None:
    remote = made(url=HOSTED_URL)
    assert (remote.host, remote.port, remote.target) == ("core.cyberun.cloud", 443, "/api/v1/mcp")
    assert remote.tls is not None


def test_the_key_of_the_environment_is_the_default() -> None:
    assert headers_of(made(CYBERUN_API_KEY=f" {KEY}\n")) == {"Authorization": f"Bearer {KEY}"}
    assert headers_of(made()) == {}


@pytest.mark.parametrize("written", ["Authorization: Bearer ${TOKEN}", "authorization:Bearer ${TOKEN}"])
def test_a_header_may_name_a_variable_and_wins_over_the_key(written: str) -> None:
    remote = made(written, TOKEN="t-1", CYBERUN_API_KEY=KEY)
    assert [value for _, value in remote.headers.fields] == ["Bearer t-1"]
    assert remote.headers.credential_source == "--header"


def test_a_header_file_brings_headers_and_says_when_others_can_read_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "headers"
    file.write_text("# mine\n\nAuthorization: Bearer from-file\nX-Team: a: b\n", encoding="utf-8")
    file.chmod(0o600)
    remote = made(file=file, CYBERUN_API_KEY=KEY)
    assert headers_of(remote) == {"Authorization": "Bearer from-file", "X-Team": "a: b"}
    assert remote.headers.credential_source == "--header-file"
    assert caplog.messages == []
    if sys.platform != "win32":
        file.chmod(0o644)
        made(file=file)
        assert caplog.messages == [f"Other users can read the header file: chmod 600 '{file}'"]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Authorization: Bearer abc", "visible to every user"),
        ("X-Api-Key: abc", "visible to every user"),
        (f"X-Whatever: {KEY}", "visible to every user"),
        ("X-Team: ${NOT_SET}", "NOT_SET is not set"),
        ("X-Team: ${env:TEAM}", "unexpanded"),
        ("X-Team: a\r\nX-More: b", "characters no header can carry"),
        ("X-Team:", "is empty"),
        ("Mcp-Session-Id: mine", "for the bridge to say"),
        ("no colon", "expected `Name: value`"),
        ("bad name: x", "expected `Name: value`"),
    ],
)
def test_a_header_that_cannot_or_must_not_be_sent_is_refused(header: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        made(header)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/mcp", "Plain http would send your key to example.com in clear"),
        ("http://127.0.0.1.example.com/mcp", "Plain http"),
        ("ftp://example.com/", "Expected the URL"),
        ("example.com/mcp", "Expected the URL"),
        ("https://", "Expected the URL"),
        ("https://user:secret@example.com/mcp", "Leave user and password out"),
        ("https://[::1/mcp", "not a URL"),
        ("https://example.com:99999/mcp", "not a URL"),
        ("${CYBERUN_MCP_URL}", "unexpanded placeholder"),
    ],
)
def test_an_address_that_cannot_or_must_not_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        made(url=url)
    assert "secret" not in str(refused.value)


def test_plain_http_goes_to_loopback_and_elsewhere_only_on_demand() -> None:
    for url in ("http://localhost:8000/mcp", "http://127.0.0.1/mcp", "http://[::1]:8000/mcp"):
        assert made(url=url).tls is None
    assert made(url="http://intranet/mcp", allow_http=True).authority == "intranet"
    assert made(url="http://[::1]:8000/mcp?a=b").authority == "[::1]:8000"


def test_an_unexpanded_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"CYBERUN_API_KEY holds an unexpanded placeholder"):
        made(CYBERUN_API_KEY="${CYBERUN_API_KEY}")


def test_a_refusal_ends_the_process_with_words_and_nothing_on_stdout() -> None:
    with bridge("http://example.com/mcp") as client:
        assert client.process.wait(60) == 1
        assert client.errors().startswith("Error: Plain http would send your key")


def test_without_a_key_the_bridge_serves_remotes_that_want_none() -> None:
    with scripted() as remote, bridge(remote.url, key=None) as client:
        assert client.request({"id": 1, "method": "ping"})["result"]
    assert "authorization" not in remote.received[0].headers
