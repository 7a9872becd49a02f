"""The container services: what the API shows of each, and the HTTP server behind it."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from cyberun_mcp.emulator.containers import sample_apps, tiny_llm
from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.http_server import serving

Serve = Callable[[socket.socket], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class ServiceDefinition:
    """A service and how to run it."""

    slug: str
    display_name: str
    description: str
    serve: Serve | None
    """Runs the server on a listening socket. None for a stopped service."""
    usage_prompt: str
    env: tuple[tuple[str, str], ...]
    exposed_port: int = 8080
    health_path: str = "/health"
    openapi_url: str | None = None

    @property
    def status(self) -> Literal["running", "stopped"]:
        """The `service_status` of the API. A running service may still be unhealthy; the gateway checks that."""
        return "running" if self.serve else "stopped"

    def to_json(self, registration: Registration) -> dict[str, Any]:
        """The service as the API shows it, with the environment values, as documented."""
        fields: dict[str, Any] = {
            "id": registration.id,
            "service_slug": self.slug,
            "display_name": self.display_name,
            "service_type": "deployed",
            "service_status": self.status,
            "created_at": registration.created_at,
            "updated_at": registration.created_at,
            "service_desc": self.description,
            "docker_image": f"cyberun-emulator/{self.slug}:in-process",
            "exposed_port": self.exposed_port,
            "health_path": self.health_path,
            "env_config": [{"env_name": name, "env_value": value} for name, value in self.env],
            "volume_config": [],
            "required_labels": ["cpu"],
            "gpu_count": 0,
            "replica_count": 1,
            "usage_prompt": self.usage_prompt,
        }
        if self.openapi_url:
            fields["openapi_url"] = self.openapi_url
        return fields


ECHO = ServiceDefinition(
    slug="echo",
    display_name="Echo",
    description="Answers every request with the request it got, as JSON. An HTTP server inside the emulator's process.",
    serve=partial(serving, sample_apps.echo_app),
    usage_prompt=(
        "Send any method to any path; the answer is JSON with method, path, query, headers and body (body_base64 for"
        " bytes that are not UTF-8). /status/{code} answers with that status."
    ),
    env=(("LOG_LEVEL", "info"), ("ECHO_ADMIN_TOKEN", "fake-echo-token-not-a-secret-0000")),
)
TINY_LLM = ServiceDefinition(
    slug="tiny-llm",
    display_name="Tiny LLM (rules and word pairs, no neural network)",
    description=(
        "Speaks the OpenAI chat API. No language model is involved: replies come from a few rules, and otherwise from a"
        " table of which word follows which."
    ),
    serve=partial(serving, tiny_llm.app),
    usage_prompt=(
        "OpenAI-compatible. GET /v1/models lists the one model, emulator-word-pairs. POST /v1/chat/completions with"
        ' {"model": "emulator-word-pairs", "messages": [{"role": "user", "content": "hello"}]}; "stream": true is'
        " supported."
    ),
    env=(("MODEL_NAME", "emulator-word-pairs"), ("HF_TOKEN", "hf_FAKE_fake_FAKE_fake_not_a_real_token")),
    exposed_port=8000,
    openapi_url="/openapi.json",
)
STOPPED = ServiceDefinition(
    slug="stopped-notebook",
    display_name="Notebook (stopped)",
    description="A service that is not up: the gateway answers 400.",
    serve=None,
    usage_prompt="Start it before use. In the emulator it stays stopped.",
    env=(("JUPYTER_TOKEN", "fake-jupyter-token-not-a-secret"),),
    exposed_port=8888,
)
BROKEN = ServiceDefinition(
    slug="hangs-up",
    display_name="Hangs up",
    description="A server that passes its health check and closes every other connection without an answer: 502.",
    serve=sample_apps.serve_hanging_up,
    usage_prompt="For trying out what a broken tunnel looks like.",
    env=(("FAKE_PASSWORD", "not-a-real-password"),),
)
UNHEALTHY = ServiceDefinition(
    slug="never-healthy",
    display_name="Never healthy",
    description="A server whose health check fails, so that the gateway has no healthy instance to go to: 503.",
    serve=partial(serving, sample_apps.unhealthy_app),
    usage_prompt="For trying out what a service without a healthy instance looks like.",
    env=(("FAKE_PASSWORD", "not-a-real-password"),),
)
