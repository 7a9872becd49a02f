"""The files a platform team deploys from: valid, and in step with the command they start."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import kubernetes_validate
import pytest
import yaml

from cyberun_mcp.cli import http
from cyberun_mcp.http.settings import ENV_PREFIX, HttpSettings
from cyberun_mcp.observability.metrics import Metrics
from cyberun_mcp.settings import env_name, flagged_fields
from tests.http.processes.process import COMMAND, until

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted((ROOT / "configs" / "kubernetes").glob("*.yaml"))
SCHEMAS = kubernetes_validate.latest_version()
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
VARIABLES = {env_name(each.name, ENV_PREFIX) for each in flagged_fields(HttpSettings)} | {
    env_name(each.name) for each in flagged_fields()
}


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "kubernetes" / name).read_text(encoding="utf-8"))
    return loaded


def container() -> dict[str, Any]:
    [only] = manifest("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def instruction(name: str) -> Any:
    """The arguments of the Dockerfile's last instruction of that name, which is in JSON."""
    return json.loads(re.findall(rf"(?m)^\s*{name} (\[.*\])$", DOCKERFILE)[-1])


# --- Kubernetes


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: str(file.stem))
def test_a_manifest_is_valid_by_the_schemas_of_kubernetes(file: Path) -> None:
    kubernetes_validate.validate(yaml.safe_load(file.read_text(encoding="utf-8")), SCHEMAS, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    broken = manifest("deployment.yaml")
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, SCHEMAS, strict=True)


def test_the_set_of_manifests_is_whole_and_its_labels_meet() -> None:
    kinds = {manifest(file.name)["kind"]: manifest(file.name) for file in MANIFESTS}
    assert set(kinds) == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_the_pod_runs_without_root_and_without_a_writable_system() -> None:
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE
    guarded = container()["securityContext"]
    assert guarded["readOnlyRootFilesystem"] is True
    assert guarded["allowPrivilegeEscalation"] is False
    assert guarded["capabilities"] == {"drop": ["ALL"]}


def test_the_pod_is_given_the_time_its_drain_takes() -> None:
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    drain = next(each["value"] for each in container()["env"] if each["name"] == "CYBERUN_HTTP_DRAIN_SECONDS")
    before = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + float(drain) + 5


def test_the_probes_ask_where_the_endpoint_answers() -> None:
    probes = {name: container()[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}
    assert probes == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}
    [port] = container()["ports"]
    assert port["containerPort"] == HttpSettings().port


def test_the_autoscaler_asks_for_a_number_that_is_told() -> None:
    [waits] = [each["pods"]["metric"]["name"] for each in manifest("autoscaler.yaml")["spec"]["metrics"][:1]]
    assert f"\n{waits} 0.0\n" in Metrics().exposition().decode()


def test_the_flags_and_variables_of_the_deployments_are_those_of_the_command() -> None:
    compose = yaml.safe_load((ROOT / "configs" / "compose.yaml").read_text(encoding="utf-8"))["services"]["cyberun-mcp"]
    environments = [
        {each["name"]: each["value"] for each in container()["env"]},
        compose["environment"],
    ]
    for arguments, environment in zip((container()["args"], compose["command"]), environments, strict=True):
        assert arguments[0] == "http"
        assert set(environment) <= VARIABLES
        names = {name.removeprefix(ENV_PREFIX).lower(): value for name, value in environment.items()}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in names.items() if value != "true"]
        http.make_context("http", [*arguments[1:], *flags])


# --- the image


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed (pip install '.[image]')")
def test_the_dockerfile_has_nothing_a_linter_objects_to() -> None:
    finished = subprocess.run([str(HADOLINT), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (0, "")


def test_the_image_copies_only_what_is_not_ignored() -> None:
    sent = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", DOCKERFILE)
    assert {source for line in copied for source in shlex.split(line)} == sent


def test_the_images_command_serves_and_its_health_check_notices(tmp_path: Path) -> None:
    entry, command = instruction("ENTRYPOINT"), instruction("CMD")
    check = json.loads(re.findall(r"(?m)^\s+CMD (\[.*\])$", DOCKERFILE)[0])
    assert (entry, command) == (["cyberun-mcp"], ["http", "--host", "0.0.0.0"])  # noqa: S104 - what is tested
    [port] = re.findall(r"(?m)^EXPOSE (\d+)$", DOCKERFILE)
    assert int(port) == HttpSettings().port
    log = tmp_path / "log"
    environment = {"PATH": os.environ["PATH"], "CYBERUN_HTTP_PORT": "0"}
    with (
        log.open("wb") as stderr,
        subprocess.Popen([COMMAND, *command], stderr=stderr, env=environment, cwd=tmp_path) as process,
    ):
        try:
            anyio.run(until, lambda: "MCP endpoint: " in log.read_text(encoding="utf-8"))
            url = re.findall(r"http://0\.0\.0\.0:(\d+)/mcp", log.read_text(encoding="utf-8"))
            checking = [sys.executable, *check[1:]]
            environment["CYBERUN_HTTP_PORT"] = url[0]
            assert subprocess.run(checking, env=environment, check=False).returncode == 0
            environment["CYBERUN_HTTP_PORT"] = "9"
            failed = subprocess.run(checking, env=environment, check=False, stderr=subprocess.DEVNULL)
            assert failed.returncode != 0
        finally:
            process.terminate()
    assert process.returncode == 0
