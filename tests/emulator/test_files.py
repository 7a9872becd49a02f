"""Uploads and downloads, as S3 handles them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from cyberun_mcp.emulator import Emulator
from cyberun_mcp.emulator.signed_urls import UrlSigner

from .client import PATIENCE, PlatformClient, fetch

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}


@pytest.fixture
def signer(emulated: Emulator, storage_secret: str) -> UrlSigner:
    """Signs as the emulator does."""
    return UrlSigner(emulated.base_url.removesuffix("/api/v1"), storage_secret)


async def put(slot: dict[str, Any], content: bytes, **headers: str | None) -> int:
    """Upload with the headers of the slot, some changed or left out; the status."""
    sent = {**slot["upload_headers"], **{name.replace("_", "-"): value for name, value in headers.items()}}
    chosen = {name: value for name, value in sent.items() if value is not None}
    return (await fetch("PUT", slot["upload_url"], headers=chosen, content=content)).status_code


async def test_a_slot_has_the_documented_members(member: PlatformClient, emulated: Emulator) -> None:
    slot = await member.presign(12, name="my photo.png")
    assert set(slot) == {"file_key", "upload_url", "upload_headers"}
    assert slot["upload_headers"] == {"Content-Length": "12", "If-None-Match": "*"}
    assert slot["upload_url"].startswith(emulated.base_url.removesuffix("/api/v1"))
    assert "X-Amz-Expires=3600" in slot["upload_url"]
    assert slot["file_key"].startswith("inputs/")
    assert slot["file_key"].endswith("/my_photo.png")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"file_name": "", "file_size": 1, "content_type": "image/png"},
        {"file_name": "x" * 256, "file_size": 1, "content_type": "image/png"},
        {"file_name": 7, "file_size": 1, "content_type": "image/png"},
        {"file_name": "a.png", "file_size": 0, "content_type": "image/png"},
        {"file_name": "a.png", "file_size": "12", "content_type": "image/png"},
        {"file_name": "a.png", "file_size": True, "content_type": "image/png"},
        {"file_name": "a.png", "file_size": 1.5, "content_type": "image/png"},
        {"file_name": "a.png", "file_size": 500 * 1024 * 1024 + 1, "content_type": "image/png"},
        {"file_name": "a.png", "file_size": 1, "content_type": "picture"},
        {"file_name": "a.png", "file_size": 1, "content_type": "image/png\r\nX: y"},
    ],
)
async def test_a_request_for_a_slot_is_checked(member: PlatformClient, body: dict[str, Any]) -> None:
    await member.post("/r/files/presign", body, status=400)


async def test_the_largest_file_gets_a_slot(member: PlatformClient) -> None:
    await member.presign(500 * 1024 * 1024)


async def test_a_second_upload_to_one_key_is_412(member: PlatformClient) -> None:
    slot = await member.presign(3)
    assert await put(slot, b"abc") == 200
    assert await put(slot, b"abc") == 412


@pytest.mark.parametrize("content", [b"ab", b"abcd", b"x" * 3_000_000])
async def test_an_upload_of_another_length_is_403(member: PlatformClient, content: bytes) -> None:
    slot = await member.presign(3)
    assert await put(slot, content, Content_Length=str(len(content))) == 403
    assert await put(slot, b"abc") == 200


async def test_an_upload_without_the_given_headers_is_403(member: PlatformClient) -> None:
    slot = await member.presign(3)
    assert await put(slot, b"abc", If_None_Match=None) == 403
    assert await put(slot, b"abc", If_None_Match="other") == 403

    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    response = await fetch("PUT", slot["upload_url"], headers={"If-None-Match": "*"}, content=chunks())
    assert response.status_code == 403
    assert "<Code>AccessDenied</Code>" in response.text
    assert response.headers["content-type"].startswith("application/xml")


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("X-Amz-Expires=3600", "X-Amz-Expires=999999"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("/inputs/", "/inputs/../"),
        ("/inputs/", "/outputs/"),
        ("X-Amz-SignedHeaders=content-length%3Bhost%3Bif-none-match", "X-Amz-SignedHeaders=host"),
        ("X-Amz-Date=", "X-Amz-Day="),
    ],
)
async def test_a_changed_upload_url_is_refused(member: PlatformClient, part: str, other: str) -> None:
    slot = await member.presign(3)
    assert part in slot["upload_url"]
    assert await put({**slot, "upload_url": slot["upload_url"].replace(part, other)}, b"abc") == 403


async def test_an_expired_upload_url_is_refused(member: PlatformClient, signer: UrlSigner) -> None:
    slot = await member.presign(3)
    headers = {name.lower(): value for name, value in slot["upload_headers"].items()}
    path = urlsplit(slot["upload_url"]).path
    fresh = signer.sign("PUT", path, headers=headers, expires=60)
    stale = signer.sign("PUT", path, headers=headers, expires=60, at=time.time() - 61)
    response = await fetch("PUT", stale, headers=slot["upload_headers"], content=b"abc")
    assert response.status_code == 403
    assert "Request has expired" in response.text
    assert await put({**slot, "upload_url": fresh}, b"abc") == 200


async def test_a_download_link_really_delivers(member: PlatformClient) -> None:
    result = await member.finish("text-to-image", SMALL)
    response = await fetch("GET", result["download_url"])
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.content.startswith(b"\x89PNG")


async def test_a_changed_or_expired_download_link_is_refused(member: PlatformClient, signer: UrlSigner) -> None:
    url = (await member.finish("text-to-image", SMALL))["download_url"]
    stale = signer.sign("GET", urlsplit(url).path, headers={}, expires=3600, at=time.time() - 3601)
    for refused in (url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0], stale):
        response = await fetch("GET", refused)
        assert response.status_code == 403
        assert "<Error><Code>" in response.text
    assert (await fetch("PUT", url, content=b"overwritten")).status_code == 403


async def test_each_reading_of_a_result_mints_a_link(member: PlatformClient) -> None:
    result = await member.finish("text-to-image", SMALL)
    assert "X-Amz-Expires=3600" in result["download_url"]
    assert result["expires_at"] > result["completed_at"]


@pytest.mark.parametrize(
    "name", ["../../../escape.png", "/etc/passwd", "..", "a/b\\c.png", "\u5199\u771f.png", "\0.png"]
)
async def test_no_file_name_leads_out_of_the_storage(member: PlatformClient, data: Path, name: str) -> None:
    slot = await member.presign(3, name=name)
    assert await put(slot, b"abc") == 200
    stored = data / "objects" / slot["file_key"]
    assert stored.resolve().is_relative_to((data / "objects").resolve())
    assert stored.read_bytes() == b"abc"


async def test_a_signed_path_out_of_the_storage_stays_inside(member: PlatformClient, signer: UrlSigner) -> None:
    url = signer.sign("GET", "/bucket/../emulator.sqlite3", headers={}, expires=60)
    host, port = urlsplit(url).hostname, urlsplit(url).port
    target = url.removeprefix(signer.origin)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert not answer.startswith(b"HTTP/1.1 200")
    assert b"SQLite format" not in answer


async def test_an_aborted_upload_leaves_nothing(member: PlatformClient, data: Path) -> None:
    slot = await member.presign(1_000_000)
    url = urlsplit(slot["upload_url"])
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in slot["upload_headers"].items())
    writer.write(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n{head}\r\n".encode() + b"x" * 500_000)
    await writer.drain()
    await until_count(data / "partial", 1)
    writer.close()
    await writer.wait_closed()
    await until_count(data / "partial", 0)
    assert not (data / "objects" / slot["file_key"]).exists()
    assert await put(slot, b"x" * 1_000_000) == 200


async def until_count(folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.iterdir())) != count:  # noqa: ASYNC240 - a test may look at the disk
        assert time.monotonic() < deadline
        await anyio.sleep(0.01)
