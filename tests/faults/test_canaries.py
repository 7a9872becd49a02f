"""What must not leave the process does not, wherever the platform repeats it: in no log, error, progress or answer.

Planted: the caller's key, the signature of a presigned URL, and the value of a service's environment variable.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Script, Subject, running
from tests.faults.stage import KEY, call, connected, http_server, parts_of
from tests.parsers import environment_of

SIGNATURE = "canary-signature-3f9a"
ENV_VALUE = "canary-env-value-77c1"
SIGNED_URL = f"https://s3.test/tasks/1/out.png?X-Amz-Credential=canary&X-Amz-Signature={SIGNATURE}"
WORDS = f"key {KEY} (Authorization: Bearer {KEY}) failed on {SIGNED_URL}, sorry"
CANARIES = [KEY, SIGNATURE, ENV_VALUE]
SERVICE = {
    "id": "s",
    "service_slug": "llm",
    "service_status": "running",
    "env_config": [{"env_name": "HF_TOKEN", "env_value": ENV_VALUE}],
}


def says(status: int, kind: str = "application/json") -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        if kind == "text/html":
            await exchange.text(f"<p>{WORDS}</p>", kind, status)
        else:
            await exchange.json({"error_message": WORDS}, status)

    return script


async def broken(exchange: Exchange, subject: Subject) -> None:
    """Broken in a way that may pass, so that it is tried again, and then in one that will not."""
    await says(500 if subject.asked[""] == 1 else 501, "text/html")(exchange, subject)


async def talkative_events(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.event("status", status=WORDS)
    await exchange.event("error", error=WORDS)
    await exchange.event("progress", progress=0.1, stage="train", message=WORDS, current_node=WORDS)
    await exchange.piece(f"event: progress\ndata: {WORDS}\n\n".encode())
    subject.status, subject.error = "failed", WORDS
    await exchange.event("failed", status="failed", error=WORDS)
    await exchange.end()


async def talkative_task(exchange: Exchange, subject: Subject) -> None:
    subject.status, subject.error = "failed", WORDS
    await exchange.json(subject.task())


async def services(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"service_list": [SERVICE]})


async def service(exchange: Exchange, _: Subject) -> None:
    await exchange.json(SERVICE)


async def undocumented(exchange: Exchange, _: Subject) -> None:
    await exchange.json([WORDS])


async def cut(exchange: Exchange, _: Subject) -> None:
    exchange.drop()


async def signed_result(exchange: Exchange, subject: Subject) -> None:
    await exchange.json({**subject.result(), "download_url": SIGNED_URL, "task_status": "completed"})


SCRIPTS: dict[tuple[str, str], Script] = {
    ("wordy", "events"): talkative_events,
    ("wordy", ""): talkative_task,
    ("refused", "events"): says(403),
    ("refused", ""): says(403),
    ("broken", ""): broken,
    ("broken", "run"): says(502, "text/html"),
    ("lost", "run"): cut,
    ("odd", ""): undocumented,
    ("signed", "result"): signed_result,
    (KEY, ""): says(404),
    ("llm", ""): service,
    ("containers", ""): services,
    ("workflows", ""): says(400),
    ("presign", ""): says(429),
}
RUN: dict[str, Any] = {"body": {"parameters": {"prompt": "a red fox"}}}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("stream_task_events", {"task_id": "wordy.1"}),
    ("stream_task_events", {"task_id": "refused.1"}),
    ("get_task", {"task_id": "wordy.2"}),
    ("get_task", {"task_id": "broken.1"}),
    ("get_task", {"task_id": "odd.1"}),
    ("get_task", {"task_id": KEY}),
    ("list_workflows", {}),
    ("list_workflows", {"per_page": KEY, KEY: SIGNED_URL}),
    ("run_workflow_by_slug", {"workflow_slug": "broken.2", **RUN}),
    ("run_workflow_by_slug", {"workflow_slug": "lost.1", **RUN}),
    ("list_container_services", {}),
    ("get_container_service", {"service_slug": "llm"}),
    ("call_container_service", {"service_slug": "broken.3", "method": "GET", "path": "/v1"}),
    ("presign_file_upload", {"body": {"file_name": "a", "file_size": 1, "content_type": "a/b"}}),
]


@pytest.mark.parametrize("channel", ["stdio-legacy", "http-auto-h11", "http-auto-httptools"])
async def test_no_planted_secret_leaves_the_process(tmp_path: Path, channel: str) -> None:
    platform = FaultyPlatform(SCRIPTS)
    said: list[str] = []
    settings = {"CYBERUN_LOG_LEVEL": "debug"}
    with (tmp_path / "stderr.log").open("w+", encoding="utf-8") as log, running(platform):
        parser = environment_of(parts_of(channel)[2])
        with http_server(platform.base_url, log, **settings, **parser) as endpoint:
            async with connected(channel, platform.base_url, endpoint, log, **settings) as client:
                for tool, arguments in CALLS:
                    outcome = await call(client, platform, "", tool, arguments)
                    said += [outcome.result.model_dump_json(), *(str(each.message) for each in outcome.told)]
                signed = await call(client, platform, "", "get_task_result", {"task_id": "signed.1"})
        log.seek(0)
        said.append(log.read())
    leaks = [f"{canary} in {text}" for text in said for canary in CANARIES if canary in text]
    assert leaks == []
    assert any("failed on https://s3.test/tasks/1/out.png?… sorry" in text for text in said)
    assert "attempt 1" in said[-1]
    assert signed.answer["download_url"] == SIGNED_URL
