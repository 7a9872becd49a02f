"""The checks of the key, of the platform's response and of the clock."""

import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cyberun_mcp.doctor.findings import as_text
from cyberun_mcp.doctor.network import check_network
from cyberun_mcp.doctor.platform import check_key, check_key_file, check_platform
from cyberun_mcp.emulator import emulator
from cyberun_mcp.settings import Settings
from tests.doctor.findings import found

KEY = "sk-canary0123456789abcdef"
PAGE = {"workflow_list": [], "page_meta": {"total_count": 3}}


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [
        (KEY, "ok", "integration key (sk-…), 25 characters"),
        ("dk-" + "x" * 30, "warning", "device key"),
        ("sk-short", "error", "too short"),
        ("ak-" + "x" * 30, "error", "agent key"),
        ("eyJ" + "x" * 30, "error", "JWT"),
        ("whatever", "error", "no known kind"),
        ("sk-with blank", "error", "blanks"),
        ("${CYBERUN_API_KEY}", "error", "unexpanded"),
        (None, "error", "No Cyberun key"),
    ],
)
def test_the_key_is_described_by_kind_and_length_and_never_shown(key: str | None, status: str, said: str) -> None:
    finding, _ = check_key(Settings(api_key=key))
    assert finding.status == status
    assert said in finding.text
    assert bool(finding.remedy) == (status != "ok")
    assert key is None or key not in as_text([finding])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_key_file_that_other_users_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY, encoding="utf-8")
    file.chmod(0o644)
    assert check_key_file(file)[0].remedy == f"chmod 600 {file}"
    file.chmod(0o600)
    assert check_key_file(file)[0].status == "ok"
    assert check_key_file(None) == []


def answering(status: int, json_body: Any, seconds_behind: float = 0.0) -> httpx2.MockTransport:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds_behind))
    return httpx2.MockTransport(lambda _: httpx2.Response(status, json=json_body, headers={"Date": date}))


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "ok"), (40, "ok"), (-300, "warning"), (300, "warning"), (2_000, "error")]
)
async def test_a_clock_that_is_wrong_is_a_warning_or_an_error(seconds: float, status: str) -> None:
    _, credential = check_key(Settings(api_key=KEY))
    assert credential
    findings = await check_platform(Settings(api_key=KEY), credential, answering(200, PAGE, seconds))
    assert found(findings, "platform").status == "ok"
    assert found(findings, "clock").status == status


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (401, {"error_message": "invalid token"}, "create one at"),
        (403, {"error_message": "forbidden"}, "another role"),
        (404, {"error_message": "no"}, "CYBERUN_BASE_URL"),
        (503, {"error_message": "down"}, "later"),
        (200, {"hello": "world"}, "CYBERUN_BASE_URL"),
        (200, {"error_message": "insufficient credits"}, "Resolve"),
    ],
)
async def test_an_error_of_the_platform_is_shown_in_its_own_words(status: int, body: Any, advice: str) -> None:
    _, credential = check_key(Settings(api_key=KEY))
    assert credential
    findings = await check_platform(Settings(api_key=KEY), credential, answering(status, body))
    finding = found(findings, "platform")
    assert finding.status == "error"
    assert advice in finding.remedy
    assert body.get("error_message", "") in finding.text


async def test_the_emulator_passes_every_check() -> None:
    async with emulator() as platform:
        settings = Settings(api_key=platform.api_key, base_url=platform.base_url)
        _, credential = check_key(settings)
        assert credential
        findings = [*await check_network(settings), *await check_platform(settings, credential)]
        dead, _ = await check_platform(settings, credential.__class__("sk-wrong-0123456789abcdef"))
    assert all(each.status == "ok" for each in findings)
    assert "401" in dead.text
