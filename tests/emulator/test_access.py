"""Who gets in, and how the platform refuses."""

import httpx2
import pytest

from cyberun_mcp.emulator import Emulator

from .client import PlatformClient, fetch

RUN = {"parameters": {"prompt": "sea", "steps": 1, "width": 64, "height": 64}}


async def get_tasks(emulated: Emulator, headers: dict[str, str]) -> httpx2.Response:
    return await fetch("GET", f"{emulated.base_url}/r/tasks", headers=headers)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer sk-nobody", "Basic c2s6", "Bearer ak-anything", "Bearer eyJ.unknown.token"],
)
async def test_a_credential_that_is_not_known_gets_401(emulated: Emulator, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = await get_tasks(emulated, headers)
    assert response.status_code == 401
    assert list(response.json()) == ["error_message"]


async def test_a_user_token_without_a_team_gets_400(emulated: Emulator) -> None:
    response = await get_tasks(emulated, {"Authorization": f"Bearer {emulated.jwt}"})
    assert (response.status_code, list(response.json())) == (400, ["error_message"])
    assert emulated.jwt.startswith("eyJ")


async def test_a_user_token_with_a_foreign_team_gets_403(emulated: Emulator) -> None:
    response = await get_tasks(emulated, {"Authorization": f"Bearer {emulated.jwt}", "X-Team-ID": "elsewhere"})
    assert response.status_code == 403


async def test_a_user_token_with_its_team_gets_in(emulated: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulated.jwt}", "X-Team-ID": emulated.team_id}
    assert (await get_tasks(emulated, headers)).status_code == 200
    url = f"{emulated.base_url}/r/workflows/slug/text-to-image/run"
    run = await fetch("POST", url, headers=headers, json=RUN)
    task = await fetch("GET", f"{emulated.base_url}/r/tasks/{run.json()['task_id']}", headers=headers)
    assert task.json()["task_origin"] == "jwt"


@pytest.mark.parametrize("name", ["api_key", "viewer_key", "other_team_key"])
async def test_the_team_header_is_ignored_for_keys(emulated: Emulator, name: str) -> None:
    headers = {"Authorization": f"Bearer {getattr(emulated, name)}", "X-Team-ID": "elsewhere"}
    assert (await get_tasks(emulated, headers)).status_code == 200


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


async def test_an_unknown_route_is_404_in_the_platforms_words(member: PlatformClient) -> None:
    assert await member.get("/r/nothing", status=404) == {"error_message": "resource not found"}
    assert await member.get("/r/tasks/", status=404) == {"error_message": "resource not found"}


async def test_a_wrong_method_is_405_in_the_platforms_words(member: PlatformClient) -> None:
    assert await member.post("/r/tasks", {}, status=405) == {"error_message": "method not allowed"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"parameters": "\\ud800"}', b"[" * 100_000])
async def test_a_body_that_is_not_a_json_object_is_400(member: PlatformClient, body: bytes) -> None:
    response = await member.http.post("/r/workflows/slug/text-to-image/run", content=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error_message"]
