"""Which failed requests are sent again, after how long, and when to give up: the one retry policy.

Only what cannot do harm is repeated. A GET, and cancel (documented as idempotent), after any trouble that may pass; a
run, an invoke or a presign only when the request provably never left, because a second run is a second bill.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from cyberun_mcp.api.backoff import doubled
from cyberun_mcp.errors import PASSING_STATUSES, ApiError, CyberunError, UnexpectedAnswer, Unreachable
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_WAIT = 0.25  # seconds; doubled each time, so that four attempts fit into two seconds of trouble
LONGEST_TROUBLE = 15.0  # seconds until a platform in trouble is given up on, unless it named the time to come back
LONGEST_WAIT = 8.0  # seconds between two attempts, unless the platform asks for more


async def with_retries(
    send: Callable[[], Awaitable[Result]],
    *,
    what: str,
    repeatable: bool,
    deadline: float,
    telemetry: Telemetry = NO_TELEMETRY,
) -> Result:
    """What `send` returns, repeated while that is harmless, worthwhile and before `deadline` (anyio's clock).

    Every attempt is logged under the name of `what`.
    """
    began = anyio.current_time()
    attempts = 0

    async def attempt() -> Result:
        nonlocal attempts
        attempts += 1
        try:
            result = await send()
        except CyberunError as error:
            logger.warning("%s, attempt %d: %s", what, attempts, error)
            raise
        logger.debug("%s, attempt %d: answered", what, attempts)
        return result

    def may_pass(error: BaseException) -> bool:
        if isinstance(error, Unreachable):
            return repeatable or not error.sent
        return repeatable and isinstance(error, ApiError | UnexpectedAnswer) and error.status in PASSING_STATUSES

    def asked_to_wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return getattr(error, "retry_after", None) or 0.0

    def wait(state: RetryCallState) -> float:
        # Full jitter spreads the clients of a platform that has just come back.
        return asked_to_wait(state) + random.uniform(0, doubled(FIRST_WAIT, state.attempt_number, LONGEST_WAIT))  # noqa: S311 - jitter, not a secret

    def too_late(state: RetryCallState) -> bool:
        patience = deadline if asked_to_wait(state) else min(deadline, began + LONGEST_TROUBLE)
        return anyio.current_time() + state.upcoming_sleep >= patience

    try:
        return await attempt()
    except CyberunError as error:
        if not may_pass(error):
            raise
        failures = [error]

    async def attempt_again() -> Result:
        if failures:
            raise failures.pop()
        return await attempt()

    # Only now, because asking tenacity takes 0.1 ms, and next to no call needs to.
    retrying = AsyncRetrying(
        retry=retry_if_exception(may_pass),
        wait=wait,
        stop=too_late,
        before_sleep=lambda _: telemetry.retried(),
        sleep=anyio.sleep,
        reraise=True,
    )
    return await retrying(attempt_again)
