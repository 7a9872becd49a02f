"""Every exception of this package, and the text a model reads about a failed tool call.

    CyberunError                 its text is fit for a model to read; `explain` adds what to do next
    ├── ConfigurationError       the key or a setting is unusable; nothing was sent
    │   └── MissingKey           there is no key, or the client passed an unexpanded variable
    ├── InvalidArguments         a tool was called with arguments it does not accept; nothing was sent
    ├── ApiError                 the platform answered with an error
    ├── UnexpectedResponse       the response is not the platform's (a proxy's HTML page, a truncated body)
    │   └── ResponseTooLarge     the response has more bytes than can be read or passed on
    ├── Unreachable              no response: connection refused, unknown host, connection lost, timeout
    ├── OutcomeUnknown           a run may have been accepted; the text names the tasks it may have become
    └── BridgeError              bridge: base of its exceptions (bridge/errors.py)
        ├── RequestFailed        bridge: the client gets no response to its message; the text says why and what to do
        │   └── RemoteUnreachable  bridge: there is no connection to the remote; nothing was sent
        ├── ConnectionLost       bridge: the connection ended before the response did
        ├── InvalidResponse      bridge: the response breaks HTTP or MCP
        ├── SessionExpired       bridge: the remote does not know the session; the request was not carried out
        └── InvalidMessage       bridge: a line from the client is not a JSON-RPC message

The others never reach a model. Each is caught in the room that raises it:

    Exception
    ├── BadRequest               http: a malformed request, rejected before it reaches the app
    ├── _BodyTooLarge            http: the body exceeds the limit
    ├── FileChanged              clients: a config file changed while it was being edited
    ├── FileProtected            clients: this user must not replace the config file
    ├── ConfigFileError          clients: nothing was written; the text says why
    ├── ConnectionNotSupported   clients: the client cannot connect in this way
    ├── VariableNotSet           doctor: a client's entry names a variable that is not set
    ├── ServerCheckFailed        doctor: a configured server does not start
    └── DemoFailed               demo: a step did not have the expected result
    ValueError
    └── ConfigTextError          clients: a config file is not valid JSONC

The emulator imports nothing from this package, so it has its own. Only DataDirectoryError leaves it:

    Exception
    ├── RequestRejected          emulator: the REST API rejects a request
    ├── InvalidSignature         emulator: a presigned URL does not permit the request
    ├── WorkflowFailed           emulator: a workflow cannot produce its outputs
    ├── WorkflowStopped          emulator: the task was canceled, timed out or interrupted
    └── InvalidChatRequest       emulator: the `tiny-llm` service cannot parse a request
    RuntimeError
    └── DataDirectoryError       emulator: the data directory is in use, or of another version

Exceptions are immutable: everything goes to the constructor. `with_hints` returns a copy.
"""

from dataclasses import dataclass
from typing import Self

from cyberun_mcp.redaction import redact

LONGEST_EXPLANATION = 8_000  # characters of one failed call's text; more would crowd out the rest of the context


def shortened(text: str, longest: int) -> str:
    """`text`, cut off after `longest` characters."""
    return text if len(text) <= longest else text[:longest] + "…"


class CyberunError(Exception):
    """Base of every error this package raises on purpose; its text is fit for a model to read.

    `advice` is what to do next. `details` is what else helps to repair the call, such as a workflow's parameters.
    """

    def __init__(self, text: str, *, advice: str = "", details: str = "") -> None:
        super().__init__(text)
        self.advice = advice
        self.details = details

    def with_hints(self, *, advice: str | None = None, details: str | None = None) -> Self:
        """A copy of this error with another `advice` or other `details`; None keeps what there is."""
        copy = type(self).__new__(type(self), *self.args)
        hints = {"advice": advice, "details": details}
        vars(copy).update(vars(self) | {name: text for name, text in hints.items() if text is not None})
        return copy


class ConfigurationError(CyberunError):
    """The key or a setting cannot be used; no request was sent."""


class MissingKey(ConfigurationError):
    """No key has reached this process. A server starts without one, but not with a malformed one."""


class InvalidArguments(CyberunError):
    """A tool was called with arguments it does not accept; no request was sent."""


class ApiError(CyberunError):
    """The platform answered with its documented error body, normally with an error status.

    `message` is the platform's `error_message`, verbatim. `retry_after` is in seconds, or None.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"Cyberun HTTP {status}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after


class UnexpectedResponse(CyberunError):
    """A response that is not the platform's: not JSON, not the documented shape, or too large to read."""

    def __init__(self, status: int, problem: str, retry_after: float | None = None, *, advice: str = "") -> None:
        super().__init__(f"Cyberun HTTP {status}: {problem}", advice=advice)
        self.status = status
        self.retry_after = retry_after


class ResponseTooLarge(UnexpectedResponse):
    """A response of `size` bytes (None: unknown) where at most `limit` are accepted."""

    def __init__(
        self,
        status: int,
        size: int | None,
        limit: int,
        *,
        advice: str = "Ask for less at a time, for example with a smaller per_page.",
    ) -> None:
        bytes_received = f"{size:,}" if size else "too many"
        super().__init__(status, f"the answer has {bytes_received} bytes; {limit:,} can be taken", advice=advice)
        self.size = size


class Unreachable(CyberunError):
    """No response. `sent` is False only when the request provably never left this machine."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(
            f"Cyberun could not be reached: {reason}",
            advice="Check the network, any proxy and CYBERUN_BASE_URL, then try again.",
        )
        self.sent = sent


class OutcomeUnknown(CyberunError):
    """A run was sent and no response came, so a paid task may already exist."""


def first_cause(error: Exception) -> Exception:
    """The first error inside nested exception groups, which is what task groups raise."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(frozen=True)
class ErrorHints:
    """What a tool's declaration says about repairing its failures.

    `list_tool` names the tool that lists valid ids. `repeatable` says whether a second call is harmless. `forbidden`
    says why a key may be denied.
    """

    list_tool: str = ""
    repeatable: bool = True
    forbidden: str = "The key lacks permission, belongs to another team, or the team's plan has no such feature."


_MAY_HAVE_RUN = "It was sent and may have been carried out: repeat it only if doing it twice does no harm."

# The same request may succeed later.
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# A gateway that timed out answers with one of these, and may already have forwarded the request.
_GATEWAY_TIMEOUTS = frozenset({408, 499})


def may_have_run(status: int) -> bool:
    """Whether a request that got this error status may have been carried out all the same."""
    return status >= 500 or status in _GATEWAY_TIMEOUTS


def explain(error: CyberunError, hints: ErrorHints) -> str:
    """The text of a failed tool call: what happened, verbatim and redacted, then what to do next."""
    lines = [str(error), _next_step(error, hints), error.details]
    # The first cut spares `redact` megabytes of text. It is far behind the final cut, because a key that is cut in half
    # no longer looks like a key and would not be redacted.
    text = shortened("\n".join(line for line in lines if line), 4 * LONGEST_EXPLANATION)
    return shortened(redact(text), LONGEST_EXPLANATION)


def _next_step(error: CyberunError, hints: ErrorHints) -> str:
    if isinstance(error, Unreachable) and error.sent and not hints.repeatable:
        return _MAY_HAVE_RUN
    if error.advice or not isinstance(error, ApiError | UnexpectedResponse):
        return error.advice
    match error.status:
        case 400:
            return "Correct the arguments and call again; the same call would fail the same way."
        case 401:
            return (
                "Do not retry: the key is invalid, revoked or expired. Ask the user for a new key "
                "(https://app.cyberun.cloud → Access → Integration) and to restart this server with it."
            )
        case 403:
            return f"Do not retry. {hints.forbidden} Ask the user to check the role and scope of their key."
        case 404 if hints.list_tool:
            return f"Nothing of that name in this team; {hints.list_tool} shows what there is."
        case 409:
            return "Its present state does not allow this. Read its state first, then decide."
        case 429:
            seconds = "a minute" if error.retry_after is None else f"{error.retry_after:.0f} seconds"
            return f"Too many requests: wait {seconds}, then call again."
        case status if may_have_run(status):
            return "The platform is in trouble; calling again is safe." if hints.repeatable else _MAY_HAVE_RUN
        case status if status < 400 and isinstance(error, ApiError):
            return "The platform refused this, whatever its status says. Resolve what it names before calling again."
        case status if status < 400:
            return "This is not the Cyberun API: check CYBERUN_BASE_URL and any proxy in between."
    return "The same call would fail the same way."
