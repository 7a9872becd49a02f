"""The one retry policy: which failed requests are sent again, after how long, and when to give up.

Only what cannot do harm is repeated. A GET, and cancel (documented as idempotent), after any transient failure; a run,
an invoke or a presign only when the request provably never left, because a second run is a second bill.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from cyberun_mcp.errors import TRANSIENT_STATUSES, ApiError, CyberunError, UnexpectedResponse, Unreachable
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_DELAY = 0.25  # seconds; doubled each time, so that four attempts fit into two seconds
LONGEST_DELAY = 8.0  # seconds between two attempts, unless the platform asks for more
LONGEST_OUTAGE = 15.0  # seconds after which a failing platform is given up on, unless it sends `Retry-After`


def exponential_delay(first: float, attempts: int, longest: float) -> float:
    """`first`, doubled `attempts` times, at most `longest`. An hour of attempts would overflow a float."""
    return min(longest, first * 2.0 ** min(attempts, 60))


async def with_retries(
    send: Callable[[], Awaitable[Result]],
    *,
    request_name: str,
    repeatable: bool,
    deadline: float,
    telemetry: Telemetry = NO_TELEMETRY,
) -> Result:
    """The result of `send`, which is repeated while that is harmless, may help, and ends before `deadline`.

    `deadline` is a time of anyio's clock. Every attempt is logged with `request_name`. Raises what `send` raises last.
    """
    began = anyio.current_time()
    attempt = 0
    while True:
        attempt += 1
        try:
            result = await send()
        except CyberunError as error:
            logger.warning("%s, attempt %d: %s", request_name, attempt, error)
            retry_after = getattr(error, "retry_after", None) or 0.0
            # Full jitter spreads the clients of a platform that has just come back.
            jitter = random.uniform(0, exponential_delay(FIRST_DELAY, attempt, LONGEST_DELAY))  # noqa: S311 - not a secret
            delay = retry_after + jitter
            give_up_at = deadline if retry_after else min(deadline, began + LONGEST_OUTAGE)
            if not _may_retry(error, repeatable) or anyio.current_time() + delay >= give_up_at:
                raise
        else:
            logger.debug("%s, attempt %d: answered", request_name, attempt)
            return result
        telemetry.retried()
        await anyio.sleep(delay)


def _may_retry(error: CyberunError, repeatable: bool) -> bool:
    if isinstance(error, Unreachable):
        return repeatable or not error.sent
    return repeatable and isinstance(error, ApiError | UnexpectedResponse) and error.status in TRANSIENT_STATUSES
