"""Where a key may come from and where it may be sent. Invalid settings are rejected before anything is sent."""

import sys
from pathlib import Path

import pytest

from cyberun_mcp.bridge.remote_settings import HOSTED_URL, RemoteSettings, load_remote_settings
from cyberun_mcp.errors import ConfigurationError
from tests.bridge.client import KEY, bridge
from tests.bridge.remotes import scripted

LOCAL = "http://127.0.0.1:1/mcp"


def load(
    *headers: str, url: str = LOCAL, file: Path | None = None, allow_http: bool = False, **env: str
) -> RemoteSettings:
    return load_remote_settings(url, headers, file, allow_http=allow_http, environ=env)


def headers_of(remote: RemoteSettings) -> dict[str, str]:
    return dict(remote.headers.fields)


def test_the_hosted_endpoint_uses_tls() -> None:
    remote = load(url=HOSTED_URL)
    assert (remote.host, remote.port, remote.target) == ("core.cyberun.cloud", 443, "/api/v1/mcp")
    assert remote.tls is not None


def test_the_key_comes_from_the_environment_by_default() -> None:
    assert headers_of(load(CYBERUN_API_KEY=f" {KEY}\n")) == {"Authorization": f"Bearer {KEY}"}
    assert headers_of(load()) == {}


@pytest.mark.parametrize("argument", ["Authorization: Bearer ${TOKEN}", "authorization:Bearer ${TOKEN}"])
def test_a_header_may_name_a_variable_and_overrides_the_key(argument: str) -> None:
    remote = load(argument, TOKEN="t-1", CYBERUN_API_KEY=KEY)
    assert [value for _, value in remote.headers.fields] == ["Bearer t-1"]
    assert remote.headers.credential_source == "--header"


def test_headers_come_from_a_file_with_a_warning_if_others_can_read_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "headers"
    file.write_text("# mine\n\nAuthorization: Bearer from-file\nX-Team: a: b\n", encoding="utf-8")
    file.chmod(0o600)
    remote = load(file=file, CYBERUN_API_KEY=KEY)
    assert headers_of(remote) == {"Authorization": "Bearer from-file", "X-Team": "a: b"}
    assert remote.headers.credential_source == "--header-file"
    assert caplog.messages == []
    if sys.platform != "win32":
        file.chmod(0o644)
        load(file=file)
        assert caplog.messages == [f"Other users can read the header file: chmod 600 '{file}'"]


@pytest.mark.parametrize(
    ("header", "text"),
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
def test_an_invalid_or_unsafe_header_is_rejected(header: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as raised:
        load(header)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "text"),
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
def test_an_invalid_or_unsafe_url_is_rejected(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as raised:
        load(url=url)
    assert "secret" not in str(raised.value)


def test_plain_http_needs_allow_http_except_for_loopback() -> None:
    for url in ("http://localhost:8000/mcp", "http://127.0.0.1/mcp", "http://[::1]:8000/mcp"):
        assert load(url=url).tls is None
    assert load(url="http://intranet/mcp", allow_http=True).authority == "intranet"
    assert load(url="http://[::1]:8000/mcp?a=b").authority == "[::1]:8000"


def test_an_unexpanded_key_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match=r"CYBERUN_API_KEY holds an unexpanded placeholder"):
        load(CYBERUN_API_KEY="${CYBERUN_API_KEY}")


def test_an_invalid_setting_ends_the_process_with_an_error_on_stderr() -> None:
    with bridge("http://example.com/mcp") as client:
        assert client.process.wait(60) == 1
        assert client.errors().startswith("Error: Plain http would send your key")


def test_without_a_key_the_bridge_works_with_remotes_that_need_none() -> None:
    with scripted() as remote, bridge(remote.url, key=None) as client:
        assert client.request({"id": 1, "method": "ping"})["result"]
    assert "authorization" not in remote.received[0].headers
