"""Agents: who can take a task, and what each is doing right now."""

import os
import platform
from dataclasses import dataclass, field
from typing import Any

from cyberun_mcp.emulator.formats import current_timestamp

GPU_TYPE = "none (CPU emulator)"
GATEWAY_ID = "gw-emulator"
_VERSION = "0.1.0"


@dataclass
class Agent:
    """One agent of one team. It takes one task at a time."""

    agent_id: str
    labels: tuple[str, ...]
    in_tunnel: bool = False
    """Its operator holds an interactive session open, so it takes no tasks. Here that never changes."""
    current_task_id: str | None = None
    connected_at: str = field(default_factory=current_timestamp)

    @property
    def status(self) -> str:
        """What it is doing."""
        if self.in_tunnel:
            return "tunnel"
        return "busy" if self.current_task_id else "idle"

    @property
    def takes_tasks(self) -> bool:
        """Whether it may be given a task, now or once it is free."""
        return self.status in ("idle", "busy")

    def fits(self, required_labels: tuple[str, ...]) -> bool:
        """Whether it has all the labels a workflow requires."""
        return set(required_labels) <= set(self.labels)

    def wire(self, tasks_completed: int) -> dict[str, Any]:
        """The agent as the API lists it. It runs in this process, so its heartbeat is now."""
        running = [self.current_task_id] if self.current_task_id else []
        told: dict[str, Any] = {
            "agent_id": self.agent_id,
            "agent_status": self.status,
            "agent_labels": list(self.labels),
            "last_heartbeat": current_timestamp(),
            "agent_version": _VERSION,
            "tool": "cyberun-mcp-emulator",
            "tool_version": _VERSION,
            # The platform's name for how many tasks an agent runs at once; there is no GPU behind it.
            "gpu_capacity": 1,
            "running_count": len(running),
            "running_tasks": running,
            "platform_arch": f"{platform.system().lower()}/{platform.machine()}",
            "connected_at": self.connected_at,
            "tasks_completed": tasks_completed,
            "system_stats": _system_stats(),
        }
        if self.current_task_id:
            told["current_task_id"] = self.current_task_id
        return told


def _system_stats() -> dict[str, Any]:
    return {
        "os_type": os.name,
        "gpu_devices": [{"device_name": "CPU emulator, no GPU", "device_type": "cpu", "vram_total": 0, "vram_free": 0}],
    }
