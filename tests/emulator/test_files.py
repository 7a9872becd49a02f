"""Uploads and downloads with presigned URLs."""

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

from .platform_client import TIMEOUT, PlatformClient, fetch

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}


@pytest.fixture
def signer(platform: Emulator, storage_secret: str) -> UrlSigner:
    """Signs URLs like the emulator."""
    return UrlSigner(platform.base_url.removesuffix("/api/v1"), storage_secret)


async def put(presigned: dict[str, Any], content: bytes, **headers: str | None) -> int:
    """Upload with the presigned headers except for the given ones (None omits one); returns the status."""
    sent = {**presigned["upload_headers"], **{name.replace("_", "-"): value for name, value in headers.items()}}
    chosen = {name: value for name, value in sent.items() if value is not None}
    return (await fetch("PUT", presigned["upload_url"], headers=chosen, content=content)).status_code


async def test_a_presigned_upload_has_the_documented_fields(member: PlatformClient, platform: Emulator) -> None:
    presigned = await member.presign(12, name="my photo.png")
    assert set(presigned) == {"file_key", "upload_url", "upload_headers"}
    assert presigned["upload_headers"] == {"Content-Length": "12", "If-None-Match": "*"}
    assert presigned["upload_url"].startswith(platform.base_url.removesuffix("/api/v1"))
    assert "X-Amz-Expires=3600" in presigned["upload_url"]
    assert presigned["file_key"].startswith("inputs/")
    assert presigned["file_key"].endswith("/my_photo.png")


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
async def test_an_invalid_presign_request_is_400(member: PlatformClient, body: dict[str, Any]) -> None:
    await member.post("/r/files/presign", body, status=400)


async def test_a_file_of_the_maximum_size_can_be_presigned(member: PlatformClient) -> None:
    await member.presign(500 * 1024 * 1024)


async def test_a_second_upload_to_the_same_key_is_412(member: PlatformClient) -> None:
    presigned = await member.presign(3)
    assert await put(presigned, b"abc") == 200
    assert await put(presigned, b"abc") == 412


@pytest.mark.parametrize("content", [b"ab", b"abcd", b"x" * 3_000_000])
async def test_an_upload_with_a_different_length_is_403(member: PlatformClient, content: bytes) -> None:
    presigned = await member.presign(3)
    assert await put(presigned, content, Content_Length=str(len(content))) == 403
    assert await put(presigned, b"abc") == 200


async def test_an_upload_without_the_signed_headers_is_403(member: PlatformClient) -> None:
    presigned = await member.presign(3)
    assert await put(presigned, b"abc", If_None_Match=None) == 403
    assert await put(presigned, b"abc", If_None_Match="other") == 403

    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    response = await fetch("PUT", presigned["upload_url"], headers={"If-None-Match": "*"}, content=chunks())
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
async def test_an_altered_upload_url_is_rejected(member: PlatformClient, part: str, other: str) -> None:
    presigned = await member.presign(3)
    assert part in presigned["upload_url"]
    assert await put({**presigned, "upload_url": presigned["upload_url"].replace(part, other)}, b"abc") == 403


async def test_an_expired_upload_url_is_rejected(member: PlatformClient, signer: UrlSigner) -> None:
    presigned = await member.presign(3)
    headers = {name.lower(): value for name, value in presigned["upload_headers"].items()}
    path = urlsplit(presigned["upload_url"]).path
    fresh = signer.sign("PUT", path, headers=headers, expires=60)
    stale = signer.sign("PUT", path, headers=headers, expires=60, at=time.time() - 61)
    response = await fetch("PUT", stale, headers=presigned["upload_headers"], content=b"abc")
    assert response.status_code == 403
    assert "Request has expired" in response.text
    assert await put({**presigned, "upload_url": fresh}, b"abc") == 200


async def test_a_download_url_returns_the_file(member: PlatformClient) -> None:
    result = await member.run_to_end("text-to-image", SMALL)
    response = await fetch("GET", result["download_url"])
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.content.startswith(b"\x89PNG")


async def test_an_altered_or_expired_download_url_is_rejected(member: PlatformClient, signer: UrlSigner) -> None:
    url = (await member.run_to_end("text-to-image", SMALL))["download_url"]
    stale = signer.sign("GET", urlsplit(url).path, headers={}, expires=3600, at=time.time() - 3601)
    for refused in (url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0], stale):
        response = await fetch("GET", refused)
        assert response.status_code == 403
        assert "<Error><Code>" in response.text
    assert (await fetch("PUT", url, content=b"overwritten")).status_code == 403


async def test_a_result_has_a_new_download_url_with_its_expiry(member: PlatformClient) -> None:
    result = await member.run_to_end("text-to-image", SMALL)
    assert "X-Amz-Expires=3600" in result["download_url"]
    assert result["expires_at"] > result["completed_at"]


@pytest.mark.parametrize(
    "name", ["../../../escape.png", "/etc/passwd", "..", "a/b\\c.png", "\u5199\u771f.png", "\0.png"]
)
async def test_no_file_name_escapes_the_storage_folder(member: PlatformClient, data: Path, name: str) -> None:
    presigned = await member.presign(3, name=name)
    assert await put(presigned, b"abc") == 200
    stored = data / "objects" / presigned["file_key"]
    assert stored.resolve().is_relative_to((data / "objects").resolve())
    assert stored.read_bytes() == b"abc"


async def test_a_signed_path_with_dots_does_not_escape_the_storage_folder(
    member: PlatformClient, signer: UrlSigner
) -> None:
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


async def test_an_aborted_upload_leaves_no_file_behind(member: PlatformClient, data: Path) -> None:
    presigned = await member.presign(1_000_000)
    url = urlsplit(presigned["upload_url"])
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in presigned["upload_headers"].items())
    writer.write(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n{head}\r\n".encode() + b"x" * 500_000)
    await writer.drain()
    await until_count(data / "partial", 1)
    writer.close()
    await writer.wait_closed()
    await until_count(data / "partial", 0)
    assert not (data / "objects" / presigned["file_key"]).exists()
    assert await put(presigned, b"x" * 1_000_000) == 200


async def until_count(folder: Path, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while len(list(folder.iterdir())) != count:  # noqa: ASYNC240 - a test may look at the disk
        assert time.monotonic() < deadline
        await anyio.sleep(0.01)
