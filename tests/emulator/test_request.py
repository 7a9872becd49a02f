"""Authentication, permissions, and requests that no endpoint accepts."""

import httpx2
import pytest

from cyberun_mcp.emulator import Emulator

from .platform_client import PlatformClient, fetch

RUN = {"parameters": {"prompt": "sea", "steps": 1, "width": 64, "height": 64}}


async def get_tasks(platform: Emulator, headers: dict[str, str]) -> httpx2.Response:
    return await fetch("GET", f"{platform.base_url}/r/tasks", headers=headers)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer sk-nobody", "Basic c2s6", "Bearer ak-anything", "Bearer eyJ.unknown.token"],
)
async def test_a_missing_or_unknown_credential_is_401(platform: Emulator, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = await get_tasks(platform, headers)
    assert response.status_code == 401
    assert list(response.json()) == ["error_message"]


async def test_a_user_token_without_a_team_is_400(platform: Emulator) -> None:
    response = await get_tasks(platform, {"Authorization": f"Bearer {platform.jwt}"})
    assert (response.status_code, list(response.json())) == (400, ["error_message"])
    assert platform.jwt.startswith("eyJ")


async def test_a_user_token_with_another_team_is_403(platform: Emulator) -> None:
    response = await get_tasks(platform, {"Authorization": f"Bearer {platform.jwt}", "X-Team-ID": "elsewhere"})
    assert response.status_code == 403


async def test_a_user_token_with_its_own_team_is_accepted(platform: Emulator) -> None:
    headers = {"Authorization": f"Bearer {platform.jwt}", "X-Team-ID": platform.team_id}
    assert (await get_tasks(platform, headers)).status_code == 200
    url = f"{platform.base_url}/r/workflows/slug/text-to-image/run"
    run = await fetch("POST", url, headers=headers, json=RUN)
    task = await fetch("GET", f"{platform.base_url}/r/tasks/{run.json()['task_id']}", headers=headers)
    assert task.json()["task_origin"] == "jwt"


@pytest.mark.parametrize("name", ["api_key", "viewer_key", "other_team_key"])
async def test_the_team_header_is_ignored_for_keys(platform: Emulator, name: str) -> None:
    headers = {"Authorization": f"Bearer {getattr(platform, name)}", "X-Team-ID": "elsewhere"}
    assert (await get_tasks(platform, headers)).status_code == 200


@pytest.mark.parametrize("path", ["/r/workflows", "/r/tasks", "/r/agents", "/r/containers", "/r/containers/echo"])
async def test_a_viewer_may_read(viewer: PlatformClient, path: str) -> None:
    await viewer.get(path)


@pytest.mark.parametrize(
    "path",
    [
        "/r/workflows/slug/text-to-image/run",
        "/r/tasks/any/cancel",
        "/r/files/presign",
        "/r/invoke/echo",
        "/r/containers/echo/",
    ],
)
async def test_a_viewer_may_not_change_anything(viewer: PlatformClient, path: str) -> None:
    answer = await viewer.post(path, {}, status=403)
    assert list(answer) == ["error_message"]


async def test_an_unknown_route_is_404_with_the_platforms_message(member: PlatformClient) -> None:
    assert await member.get("/r/nothing", status=404) == {"error_message": "resource not found"}
    assert await member.get("/r/tasks/", status=404) == {"error_message": "resource not found"}


async def test_a_wrong_method_is_405_with_the_platforms_message(member: PlatformClient) -> None:
    assert await member.post("/r/tasks", {}, status=405) == {"error_message": "method not allowed"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"parameters": "\\ud800"}', b"[" * 100_000])
async def test_a_body_that_is_not_a_json_object_is_400(member: PlatformClient, body: bytes) -> None:
    response = await member.http.post("/r/workflows/slug/text-to-image/run", content=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error_message"]
