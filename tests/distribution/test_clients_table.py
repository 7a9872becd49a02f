"""The table of clients the README shows."""

from pathlib import Path

from cyberun_mcp.clients.table import CLIENTS
from distribution.readme import clients_table

ROOT = Path(__file__).parents[2]


def test_every_client_has_a_row_and_every_file_it_names_exists() -> None:
    rows = clients_table().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {client.title}" for client in CLIENTS]
    for row in rows:
        assert row.count(" | ") == 5
        for target in row.split("](configs/")[1:]:
            assert (ROOT / "configs" / target.partition(")")[0]).exists()
