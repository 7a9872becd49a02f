"""The report of `cyberun-mcp doctor`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from cyberun_mcp.doctor.findings import as_json, as_text, error, ok

KEY = "sk-canary0123456789abcdef"


def test_the_text_report_has_a_remedy_below_each_error() -> None:
    findings = [ok("one", "fine"), error("two", f"Bearer {KEY}", "mend it")]
    assert as_text(findings) == "ok    one: fine\nERROR two: Bearer …\n      → mend it"
    report = json.loads(as_json(findings))
    assert report["ok"] is False
    assert report["findings"][0] == {"check": "one", "status": "ok", "text": "fine", "remedy": ""}


def test_the_command_prints_json_and_its_exit_status_shows_errors(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CYBERUN_", "XDG_"))}
    result = subprocess.run(
        [sys.executable, "-m", "cyberun_mcp", "doctor", "--json", "--base-url", "http://127.0.0.1:1/api/v1"],
        capture_output=True,
        text=True,
        env=environ | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "APPDATA": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert report["findings"][0]["check"] == "key"
    assert all(each["remedy"] for each in report["findings"] if each["status"] != "ok")
