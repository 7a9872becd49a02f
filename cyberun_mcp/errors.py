"""Everything that can go wrong, and the words a model gets to read about it.

    CyberunError
    ├── ConfigurationError   the key or the settings are unusable; nothing was sent
    │   └── MissingKey       there is no key, or the client passed on the unexpanded name of one
    ├── InvalidArguments     a tool was called with arguments it does not take; nothing was sent
    ├── ApiError             the platform answered with an error status
    ├── UnexpectedAnswer     something answered, but not in the platform's language (a proxy's HTML page, a torn body)
    │   └── AnswerTooLarge   more bytes than can be read or passed on
    ├── Unreachable          no answer at all: refused, unknown host, connection lost, time-out
    ├── OutcomeUnknown       a run may or may not have been accepted; the candidates stand in the text
    └── BridgeError          base of the bridge's exceptions (bridge/errors.py)
        ├── RequestFailed            the client gets no response to its message; the text says why and what to do
        │   └── RemoteUnreachable    there is no connection to the remote; nothing was sent
        ├── ConnectionLost           the connection ended before the response did
        ├── InvalidResponse          the response breaks HTTP or MCP
        ├── SessionExpired           the remote does not know the session; the request was not carried out
        └── InvalidMessage           a line from the client is not a JSON-RPC message

`explain` renders any of them. The first line says what happened, the next lines what to do about it.
"""

from dataclasses import dataclass

from cyberun_mcp.redaction import redact

LONGEST_EXPLANATION = 8_000  # characters of one failed call's text: more would crowd out what the model is about


def shortened(text: str, longest: int) -> str:
    """`text`, cut off where it is longer than so many characters."""
    return text if len(text) <= longest else text[:longest] + "…"


class CyberunError(Exception):
    """Base of every error this package raises on purpose; its text is fit for a model to read."""

    advice: str = ""
    details: str = ""  # what else helps to repair the call, such as the parameters of the workflow


class ConfigurationError(CyberunError):
    """The credential or a setting cannot be used; no request was sent."""


class MissingKey(ConfigurationError):
    """No key has reached this process; unlike a wrong one, that is no reason not to start."""


class InvalidArguments(CyberunError):
    """A tool was called with arguments it does not take; no request was sent."""


class ApiError(CyberunError):
    """The platform answered with its documented error body, as a rule under an error status.

    `message` is the platform's `error_message`, verbatim. `retry_after` is in seconds, when the platform named it.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"Cyberun HTTP {status}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after


class UnexpectedAnswer(CyberunError):
    """An answer that is not the platform's: not JSON, not the documented shape, or too large to read."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"Cyberun HTTP {status}: {what}")
        self.status = status
        self.retry_after: float | None = None


class AnswerTooLarge(UnexpectedAnswer):
    """An answer of `size` bytes (None: it did not say) where `limit` can be taken."""

    advice = "Ask for less at a time, for example with a smaller per_page."

    def __init__(self, status: int, size: int | None, limit: int) -> None:
        super().__init__(status, f"the answer has {f'{size:,}' if size else 'too many'} bytes; {limit:,} can be taken")
        self.size = size


class Unreachable(CyberunError):
    """No answer. `sent` is False only when the request provably never left this machine."""

    advice = "Check the network, any proxy and CYBERUN_BASE_URL, then try again."

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(f"Cyberun could not be reached: {what}")
        self.sent = sent


class OutcomeUnknown(CyberunError):
    """A run was sent and the answer never came, so a paid task may already exist."""


def first_cause(error: Exception) -> Exception:
    """What happened, without the groups in which task groups wrap it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(frozen=True)
class Remedy:
    """What a tool knows about repairing its own failures.

    `finder` names the tool that lists valid ids; `repeatable` says whether calling again cannot do harm; `forbidden`
    says what a key needs to be allowed this.
    """

    finder: str = ""
    repeatable: bool = True
    forbidden: str = "The key lacks permission, belongs to another team, or the team's plan has no such feature."


_DOUBT = "It was sent and may have been carried out: repeat it only if doing it twice does no harm."

# The same request may succeed in a while.
PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# A gateway that lost patience answers with one of these, and may have passed the request on before.
_TIMED_OUT = frozenset({408, 499})


def leaves_doubt(status: int) -> bool:
    """Whether a request that was answered with this status may have been carried out all the same."""
    return status >= 500 or status in _TIMED_OUT


def explain(error: CyberunError, remedy: Remedy) -> str:
    """The text of a failed tool call: what happened, verbatim and redacted, then what to do next."""
    lines = [str(error), _next_step(error, remedy), error.details]
    # Half a key may not look like one. So the first cut, which spares the redaction megabytes, is where nobody sees it.
    text = shortened("\n".join(line for line in lines if line), 4 * LONGEST_EXPLANATION)
    return shortened(redact(text), LONGEST_EXPLANATION)


def _next_step(error: CyberunError, remedy: Remedy) -> str:
    if isinstance(error, Unreachable) and error.sent and not remedy.repeatable:
        return _DOUBT
    if error.advice or not isinstance(error, ApiError | UnexpectedAnswer):
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
            return f"Do not retry. {remedy.forbidden} Ask the user to check the role and scope of their key."
        case 404 if remedy.finder:
            return f"Nothing of that name in this team; {remedy.finder} shows what there is."
        case 409:
            return "Its present state does not allow this. Read its state first, then decide."
        case 429:
            seconds = "a minute" if error.retry_after is None else f"{error.retry_after:.0f} seconds"
            return f"Too many requests: wait {seconds}, then call again."
        case status if leaves_doubt(status):
            return "The platform is in trouble; calling again is safe." if remedy.repeatable else _DOUBT
        case status if status < 400 and isinstance(error, ApiError):
            return "The platform refused this, whatever its status says. Resolve what it names before calling again."
        case status if status < 400:
            return "This is not the Cyberun API: check CYBERUN_BASE_URL and any proxy in between."
    return "The same call would fail the same way."
