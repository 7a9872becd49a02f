"""The AI clients connected on this machine, and whether what their files say would start."""

import anyio

from cyberun_mcp.clients.configure import Refused, present_entry
from cyberun_mcp.clients.description import Client
from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.clients.table import CLIENTS
from cyberun_mcp.doctor.entries import Unset, as_started, is_endpoint
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.doctor.starting import Fails, ask_endpoint, start


async def check_clients(machine: Machine) -> list[Finding]:
    """One finding for each client whose file has our entry, or cannot be read."""
    found: dict[str, Finding] = {}
    async with anyio.create_task_group() as tasks:
        for client in CLIENTS:
            tasks.start_soon(_check, client, machine, found)
    in_order = [found[client.name] for client in CLIENTS if client.name in found]
    if not in_order:
        return [
            warning("clients", "no AI client is connected here", "cyberun-mcp config CLIENT --write; --list has them.")
        ]
    return in_order


async def _check(client: Client, machine: Machine, found: dict[str, Finding]) -> None:
    try:
        entry = present_entry(client, machine)
    except Refused as failure:
        todo = f"Correct the file, or move it away and run cyberun-mcp config {client.name} --write."
        found[client.name] = error(client.title, str(failure), todo)
        return
    if entry is None:
        return
    try:
        endpoint = is_endpoint(client, entry)
        said = await (ask_endpoint if endpoint else start)(as_started(client, entry, machine.environ))
    except Unset as failure:
        found[client.name] = error(
            client.title,
            str(failure),
            f"export {failure.variable}=… where {client.title} starts from, or write it anew.",
        )
    except Fails as failure:
        found[client.name] = error(client.title, str(failure), failure.remedy.format(name=client.name))
    else:
        found[client.name] = ok(client.title, said)
