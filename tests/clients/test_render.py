"""What each client's configuration says, and that `configs/` is what the table says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cyberun_mcp.clients.ai_client import KEY_VARIABLE, AiClient
from cyberun_mcp.clients.render import (
    ConnectionNotSupported,
    ConnectionOptions,
    config_text,
    key_is_in_file,
    server_entry,
    supported_kinds,
)
from cyberun_mcp.clients.table import BY_NAME, CLIENTS
from distribution.example_configs import EXAMPLES, example_configs, file_name

CONFIGS = Path(__file__).parents[2] / "configs"
CASES = [
    pytest.param(client, kind, id=f"{client.name}-{kind}") for client in CLIENTS for kind in ("stdio", "http", "bridge")
]


def test_the_table_has_every_client_once() -> None:
    assert len(CLIENTS) == len(BY_NAME) == 16


@pytest.mark.parametrize("name", example_configs())
def test_a_config_file_is_what_the_table_says(name: str) -> None:
    assert (CONFIGS / name).read_text(encoding="utf-8") == example_configs()[name], "run make configs"


def test_no_config_file_is_left_over() -> None:
    known = {*example_configs(), "compose.yaml"}
    rendered = {each.name for each in CONFIGS.iterdir() if each.suffix in (".json", ".toml")}
    assert rendered <= known


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.*")), ids=lambda file: str(file.name))
def test_no_config_file_holds_a_key(file: Path) -> None:
    assert not re.search(r"\b(sk|dk|ak)-\w{4}", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("client", "kind"), CASES)
def test_the_key_is_never_in_clear_where_the_client_can_read_it_from_its_environment(
    client: AiClient, kind: Any
) -> None:
    if kind not in supported_kinds(client):
        return
    written = config_text(client, ConnectionOptions(kind, "https://mcp.example.com/mcp", key="sk-canary0123456789"))
    assert ("sk-canary0123456789" in written) == key_is_in_file(client, EXAMPLES[kind])
    if client.variable_syntax or client.name == "codex":
        assert "sk-canary" not in written
        assert KEY_VARIABLE in written


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.name))
def test_the_emulator_needs_no_key(client: AiClient) -> None:
    written = config_text(client, ConnectionOptions(emulator=True))
    assert "--emulator" in written
    assert KEY_VARIABLE not in written


@pytest.mark.parametrize("name", ["claude-desktop", "junie"])
def test_a_client_that_only_speaks_stdio_is_sent_to_the_bridge(name: str) -> None:
    with pytest.raises(ConnectionNotSupported, match=r"--bridge https://mcp\.example\.com/mcp"):
        server_entry(BY_NAME[name], ConnectionOptions("http", "https://mcp.example.com/mcp"))


def test_vs_code_has_its_own_word_for_servers() -> None:
    assert json.loads(config_text(BY_NAME["vscode"], EXAMPLES["http"])) == {
        "servers": {
            "cyberun": {
                "type": "http",
                "url": "http://127.0.0.1:8000/mcp",
                "headers": {"Authorization": "Bearer ${env:CYBERUN_API_KEY}"},
            }
        }
    }


def test_codex_is_told_names_of_variables_in_toml() -> None:
    assert config_text(BY_NAME["codex"], EXAMPLES["http"]) == (
        '[mcp_servers.cyberun]\nurl = "http://127.0.0.1:8000/mcp"\n'
        'bearer_token_env_var = "CYBERUN_API_KEY"\ntool_timeout_sec = 3600\n'
    )


def test_opencode_takes_one_list_and_windsurf_a_server_url() -> None:
    assert server_entry(BY_NAME["opencode"], EXAMPLES["bridge"])["command"] == [
        "cyberun-mcp",
        "bridge",
        "https://mcp.example.com/mcp",
    ]
    assert server_entry(BY_NAME["windsurf"], EXAMPLES["http"])["serverUrl"] == "http://127.0.0.1:8000/mcp"


def test_file_names_say_client_and_kind() -> None:
    assert file_name(BY_NAME["cursor"], "stdio") == "cursor.mcp.json"
    assert file_name(BY_NAME["codex"], "bridge") == "codex.bridge.config.toml"
