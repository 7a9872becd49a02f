"""What must never leave."""

import logging

import pytest

from cyberun_mcp.redaction import RedactingFormatter, hide_env_values, redact


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-abcd1234efgh used", "key sk-… used"),
        ("dk-abcd_1234 and ak-abcd1234", "dk-… and ak-…"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer …"),
        ("authorization: bearer\tx.y.z", "authorization: bearer\t…"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln", "eyJ…"),
        ("GET https://s3/a.png?X-Amz-Date=1&X-Amz-Signature=ff HTTP", "GET https://s3/a.png?… HTTP"),
        ("(https://h/b?sig=abc&x=(1))", "(https://h/b?…"),
        ("https://h/r/tasks?current_page=2&per_page=20", "https://h/r/tasks?current_page=2&per_page=20"),
        ("a task-1234 and a disk-abcd", "a task-1234 and a disk-abcd"),
        ('-H "Authorization: Bearer $CYBERUN_API_KEY"', '-H "Authorization: Bearer $CYBERUN_API_KEY"'),
    ],
)
def test_secrets_are_cut_out_and_the_rest_stays(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_a_log_record_is_redacted_with_its_arguments_and_its_traceback() -> None:
    try:
        int("sk-inthetraceback")
    except ValueError as error:
        record = logging.LogRecord(
            "n", logging.ERROR, "p", 1, "for %s", ("sk-inthearguments",), (type(error), error, None)
        )
    text = RedactingFormatter("%(message)s").format(record)
    assert "inthe" not in text
    assert text.count("sk-…") == 2


@pytest.mark.parametrize("env", [[], {"A": "secret"}, "secret", [{"env_name": "A", "env_value": "secret"}, "secret"]])
def test_no_environment_value_survives_whatever_its_shape(env: object) -> None:
    assert "secret" not in str(hide_env_values({"service_slug": "s", "env_config": env}))
