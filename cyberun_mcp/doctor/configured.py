"""The AI clients connected on this machine, and whether what their files say would start."""

from pathlib import Path

import anyio

from cyberun_mcp.clients.configure import Refused, present_entry
from cyberun_mcp.clients.description import Client
from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.clients.table import CLIENTS
from cyberun_mcp.doctor.entries import Unset, as_started, is_endpoint
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.doctor.starting import Fails, ask_endpoint, start


async def check_clients(machine: Machine) -> list[Finding]:
    """One finding for each file of a client that has our entry, or cannot be read."""
    places = [(client, file) for client in CLIENTS for file in machine.files_of(client)]
    found: dict[Path, Finding] = {}
    async with anyio.create_task_group() as tasks:
        for client, file in places:
            tasks.start_soon(_check, client, file, machine, found)
    in_order = [found[file] for _, file in places if file in found]
    if not in_order:
        todo = "cyberun-mcp config CLIENT --write; cyberun-mcp config --list has them."
        return [warning("clients", "no AI client is connected here", todo)]
    return in_order


async def _check(client: Client, file: Path, machine: Machine, found: dict[Path, Finding]) -> None:
    name = client.title if file == machine.file_of(client) else f"{client.title} ({client.project})"
    try:
        entry = present_entry(client, file)
    except Refused as failure:
        todo = f"Correct the file, or move it away and run cyberun-mcp config {client.name} --write."
        found[file] = error(name, str(failure), todo)
        return
    if entry is None:
        return
    try:
        endpoint = is_endpoint(client, entry)
        said = await (ask_endpoint if endpoint else start)(as_started(client, entry, machine.environ))
    except Unset as failure:
        todo = f"export {failure.variable}=… where {client.title} starts from, or write the entry anew."
        found[file] = error(name, str(failure), todo)
    except Fails as failure:
        found[file] = error(name, str(failure), failure.remedy.format(name=client.name))
    else:
        found[file] = ok(name, said)
