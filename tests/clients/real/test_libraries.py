"""Each client library runs a task to its end and hears of its progress, over stdio and HTTP."""

import itertools
import json

import pytest

from cyberun_mcp.tools import TOOLS
from tests.clients.real.conftest import Installed
from tests.clients.real.programs import LIBRARIES
from tests.clients.real.stage import SERVER, Home


@pytest.mark.parametrize("kind", ["stdio", "http", "bridge"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_the_library_runs_a_task_with_progress(installed: Installed, home: Home, name: str, kind: str) -> None:
    command = installed(name, LIBRARIES[name])
    how = (
        {"url": home.endpoint.url, "key": home.endpoint.key}
        if kind == "http"
        else {"command": [*SERVER, *(["bridge", home.endpoint.url] if kind == "bridge" else [])]}
    )
    result = home.run(command, STORY=json.dumps(how))
    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["tools"] == len(TOOLS)
    assert told["task_status"] == "completed"
    heard = told["progress"]
    assert len(heard) >= 3
    assert all(later > earlier for earlier, later in itertools.pairwise(heard))
    assert "404" in told["refusal"]
