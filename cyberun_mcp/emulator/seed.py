"""The seed data: two teams, what each of them owns, and their credentials."""

from dataclasses import dataclass

from cyberun_mcp.emulator.agents import EmulatedAgent
from cyberun_mcp.emulator.containers.services import BROKEN, ECHO, STOPPED, TINY_LLM, UNHEALTHY, ServiceDefinition
from cyberun_mcp.emulator.database import Registration, TeamTable
from cyberun_mcp.emulator.workflows import ALL_WORKFLOWS, ALWAYS_FAILS, IMG2IMG, TEXT_TO_IMAGE
from cyberun_mcp.emulator.workflows.definition import WorkflowDefinition

# Base64 of {"alg":"EdDSA"} and {"sub":"emulator"}. The emulator compares the whole token and verifies no signature.
_JWT_PREFIX = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJlbXVsYXRvciJ9."
_AGENT_LABELS = ("cpu", "emulator", "comfyui", "nerfstudio")


@dataclass(frozen=True)
class Team:
    """A team and what it owns. No other team can see any of it."""

    id: str
    workflows: tuple[tuple[Registration, WorkflowDefinition], ...]
    services: tuple[tuple[Registration, ServiceDefinition], ...]
    agents: tuple[EmulatedAgent, ...]

    def workflow_by_id(self, workflow_id: str) -> tuple[Registration, WorkflowDefinition] | None:
        """The team's workflow with this id."""
        return next((entry for entry in self.workflows if entry[0].id == workflow_id), None)

    def workflow_by_slug(self, slug: str) -> tuple[Registration, WorkflowDefinition] | None:
        """The team's workflow with this slug."""
        return next((entry for entry in self.workflows if entry[1].slug == slug), None)

    def service(self, slug: str) -> tuple[Registration, ServiceDefinition] | None:
        """The team's container service with this slug."""
        return next((entry for entry in self.services if entry[1].slug == slug), None)


@dataclass(frozen=True)
class SeededCredentials:
    """The secrets of all credentials, for `Emulator`."""

    api_key: str
    viewer_key: str
    other_team_key: str
    jwt: str


def main_team(teams: TeamTable) -> Team:
    """The team with all workflows and services."""
    return _team(
        teams,
        "main",
        workflows=ALL_WORKFLOWS,
        services=(ECHO, TINY_LLM, STOPPED, BROKEN, UNHEALTHY),
        agents=(
            EmulatedAgent("emulator-cpu-01", _AGENT_LABELS),
            EmulatedAgent("emulator-cpu-02", _AGENT_LABELS),
            EmulatedAgent("emulator-tunnel-01", ("emulator", "static-tunnel", "comfyui"), in_tunnel=True),
        ),
    )


def other_team(teams: TeamTable) -> Team:
    """A smaller team, for trying out that teams are isolated from each other."""
    return _team(
        teams,
        "other",
        workflows=(TEXT_TO_IMAGE, IMG2IMG, ALWAYS_FAILS),
        services=(ECHO,),
        agents=(EmulatedAgent("other-cpu-01", _AGENT_LABELS),),
    )


def credentials(teams: TeamTable, main: Team, other: Team) -> SeededCredentials:
    """The credentials of both teams, created on the first start."""

    def secret(name: str, prefix: str, team: Team, kind: str, role: str = "member") -> str:
        return teams.credential(name, prefix=prefix, team_id=team.id, kind=kind, role=role)

    return SeededCredentials(
        api_key=secret("main integration", "sk-", main, "integration"),
        viewer_key=secret("main viewer", "dk-", main, "device", role="viewer"),
        other_team_key=secret("other integration", "sk-", other, "integration"),
        jwt=secret("main user", _JWT_PREFIX, main, "user"),
    )


def _team(
    teams: TeamTable,
    label: str,
    *,
    workflows: tuple[WorkflowDefinition, ...],
    services: tuple[ServiceDefinition, ...],
    agents: tuple[EmulatedAgent, ...],
) -> Team:
    team_id = teams.team_id(label)
    return Team(
        id=team_id,
        workflows=tuple((teams.registration(team_id, "workflow", workflow.slug), workflow) for workflow in workflows),
        services=tuple((teams.registration(team_id, "service", service.slug), service) for service in services),
        agents=agents,
    )
