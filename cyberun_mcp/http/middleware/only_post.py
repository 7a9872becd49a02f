"""The one method of a stateless endpoint."""

from starlette.types import Scope

from cyberun_mcp.http.middleware.rejection import Guard, Refusal


class OnlyPost(Guard):
    """Refuses every other method: GET and DELETE belong to sessions, which this stateless endpoint has none of.

    An idle GET stream would also hold up the shutdown of each deploy. A person with a browser gets a sentence.
    """

    async def refusal(self, scope: Scope) -> Refusal | None:
        if scope["method"] == "POST":
            return None
        sentence = "This is an MCP endpoint (Streamable HTTP, stateless): connect an AI client to it with POST."
        return Refusal("method", 405, sentence, {"Allow": "POST"})
