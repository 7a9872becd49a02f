"""How an endpoint refuses a request."""

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse


class ApiError(HTTPException):
    """A refusal with its HTTP status; the body has the platform's one documented member, `error_message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)


def not_found() -> ApiError:
    """The one refusal for what does not exist and for what belongs to another team, so that neither leaks."""
    return ApiError(404, "resource not found")


def error_response(status: int, message: str) -> JSONResponse:
    """The platform's error body."""
    return JSONResponse({"error_message": message}, status_code=status)
