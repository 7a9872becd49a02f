"""The exceptions inside the emulator.

    RequestRejected     the REST API rejects a request
    InvalidSignature    a presigned URL does not permit the request
    WorkflowFailed      a workflow cannot produce its outputs
    WorkflowStopped     a workflow stopped because its task was cancelled, timed out or interrupted
    InvalidChatRequest  the `tiny-llm` service does not understand a request

None of them leaves the emulator. What starting one can raise, `DataDirectoryError`, is in `cyberun_mcp.emulator`.
"""


class RequestRejected(Exception):
    """Becomes an HTTP response with this status and the body `{"error_message": message}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class InvalidSignature(Exception):
    """A presigned URL was altered, has expired, or lacks a signed header; `code` is the error code of S3."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class WorkflowFailed(Exception):
    """The message becomes the `task_error` of the task."""


class WorkflowStopped(Exception):
    """The workflow noticed at a checkpoint that it has to stop."""


class InvalidChatRequest(Exception):
    """Becomes an HTTP 400 in the error format of the OpenAI API."""


def not_found() -> RequestRejected:
    """The same 404 for what does not exist and for what belongs to another team, so that existence does not leak."""
    return RequestRejected(404, "resource not found")
