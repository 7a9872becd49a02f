"""Bringing files to the platform."""

from typing import Annotated

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from cyberun_mcp.api.models import PresignedUpload
from cyberun_mcp.tools.arguments import JsonObjectOf, Text
from cyberun_mcp.tools.registry import SUBMITS, Answer, Call, tool
from cyberun_mcp.tools.results import prune


class FileMetadata(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    file_name: Annotated[Text, Field(description="With its extension.")]
    file_size: Annotated[int, Field(ge=1, description="Exact size in bytes.")]
    content_type: Annotated[Text, Field(description="MIME type, e.g. image/png.")]


FileBody = Annotated[JsonObjectOf[FileMetadata], Field(description="The file's metadata.")]


@tool("Presign file upload", SUBMITS, PresignedUpload)
async def presign_file_upload(call: Call, body: FileBody) -> Answer:
    """Get a URL to upload one input file to, for a workflow parameter of type file.
    Then PUT the file's bytes to upload_url with exactly the upload_headers (no Authorization), for example
    curl -T FILE -H 'If-None-Match: *' 'UPLOAD_URL', and pass file_key as the parameter's value in run_workflow_by_slug.
    The URL is good for one file and expires."""
    return Answer(prune(await call.api.presign_file_upload(body)))
