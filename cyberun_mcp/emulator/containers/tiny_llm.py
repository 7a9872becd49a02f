"""The `tiny-llm` service: the HTTP side of it, which is the chat part of the OpenAI API."""

import json
import time
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cyberun_mcp.emulator.containers.tiny_llm_replies import reply_to
from cyberun_mcp.emulator.errors import InvalidChatRequest
from cyberun_mcp.emulator.formats import new_id

MODEL = "emulator-word-pairs"


async def _report_healthy(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _list_models(_request: Request) -> Response:
    model = {"id": MODEL, "object": "model", "created": 1735689600, "owned_by": "cyberun-mcp emulator"}
    return JSONResponse({"object": "list", "data": [model]})


async def _complete_chat(request: Request) -> Response:
    try:
        chat_request = _parse(await request.body())
        prompt = _last_user_message(chat_request)
    except InvalidChatRequest as error:
        return JSONResponse({"error": {"message": str(error), "type": "invalid_request_error"}}, status_code=400)
    reply = reply_to(prompt)
    if chat_request.get("stream") is True:
        return StreamingResponse(_stream_chunks(reply), media_type="text/event-stream")
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(reply.split())}
    return JSONResponse(
        {
            "id": f"chatcmpl-{new_id()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": MODEL,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"},
            ],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        chat_request = json.loads(body)
    except ValueError:
        raise InvalidChatRequest("the body is not JSON") from None
    if not isinstance(chat_request, dict) or not isinstance(chat_request.get("messages"), list):
        raise InvalidChatRequest("messages must be an array")
    return chat_request


def _last_user_message(chat_request: dict[str, Any]) -> str:
    for message in reversed(chat_request["messages"]):
        if isinstance(message, dict) and message.get("role") == "user":
            return _as_text(message.get("content"))
    raise InvalidChatRequest("messages has no user message")


def _as_text(content: Any) -> str:
    """The text of a message, whose content is a string or an array of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    raise InvalidChatRequest("content must be a string or an array of parts")


def _stream_chunks(reply: str) -> Iterator[str]:
    common_fields = {
        "id": f"chatcmpl-{new_id()}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": MODEL,
    }

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> str:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        return f"data: {json.dumps({**common_fields, 'choices': choices})}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for number, word in enumerate(reply.split(" ")):
        yield chunk({"content": word if number == 0 else f" {word}"})
    yield chunk({}, "stop")
    yield "data: [DONE]\n\n"


async def _describe_api(_request: Request) -> Response:
    return JSONResponse(_OPENAPI)


_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"type": "string", "enum": ["system", "user", "assistant"]}, "content": {"type": "string"}},
}
_CHAT_REQUEST = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "model": {"type": "string", "default": MODEL},
        "messages": {"type": "array", "items": _MESSAGE},
        "stream": {"type": "boolean", "default": False},
    },
}
_OPENAPI = {
    "openapi": "3.1.0",
    "info": {
        "title": "Tiny LLM",
        "version": "1.0.0",
        "description": "OpenAI-compatible chat. No neural network: rules and a table of word pairs.",
    },
    "paths": {
        "/v1/models": {"get": {"summary": "List the one model", "responses": {"200": {"description": "The list"}}}},
        "/v1/chat/completions": {
            "post": {
                "summary": "Reply to the last user message",
                "requestBody": {"required": True, "content": {"application/json": {"schema": _CHAT_REQUEST}}},
                "responses": {"200": {"description": "A chat completion"}, "400": {"description": "Not understood"}},
            }
        },
    },
}

app = Starlette(
    routes=[
        Route("/health", _report_healthy),
        Route("/v1/models", _list_models),
        Route("/v1/chat/completions", _complete_chat, methods=["POST"]),
        Route("/openapi.json", _describe_api),
    ]
)
