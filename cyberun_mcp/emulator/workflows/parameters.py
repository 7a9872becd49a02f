"""Checking a run's parameters against the definition."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.workflows.definition import ParameterDefinition, WorkflowVersion


def settle(definition: WorkflowVersion, given: Mapping[str, Any], is_uploaded: Callable[[str], bool]) -> dict[str, Any]:
    """The values to run with: what was given, checked, and defaults for the rest.

    Keys the workflow does not know are ignored. The documentation does not say; ignoring is what a platform does that
    injects known keys into a node graph.
    """
    return {
        parameter.key: _settle(parameter, given.get(parameter.key), is_uploaded) for parameter in definition.parameters
    }


def _settle(parameter: ParameterDefinition, value: Any, is_uploaded: Callable[[str], bool]) -> Any:
    if value is None:
        if parameter.required:
            raise RequestRejected(400, f"missing required parameter: {parameter.key}")
        return parameter.default
    complaint = _complaint(parameter, value, is_uploaded)
    if complaint:
        raise RequestRejected(400, f"invalid parameter {parameter.key}: {complaint}")
    return value


def _complaint(parameter: ParameterDefinition, value: Any, is_uploaded: Callable[[str], bool]) -> str | None:
    match parameter.type:
        case "number":
            return _number_complaint(parameter, value)
        case "boolean":
            return None if isinstance(value, bool) else "must be a boolean"
        case "string":
            return None if isinstance(value, str) else "must be a string"
        case "select":
            return None if value in parameter.options else f"must be one of {', '.join(parameter.options)}"
        case "file":
            if not isinstance(value, str):
                return "must be a file_key string"
            return None if is_uploaded(value) else "no uploaded file has this file_key"


def _is_finite(value: float) -> bool:
    # An integer too large for a float is finite all the same; `isfinite` would raise.
    return isinstance(value, int) or math.isfinite(value)


def _number_complaint(parameter: ParameterDefinition, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        return "must be a number"
    if parameter.min is not None and value < parameter.min:
        return f"must be at least {parameter.min}"
    if parameter.max is not None and value > parameter.max:
        return f"must be at most {parameter.max}"
    return None
