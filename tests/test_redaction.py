"""What must never leave."""

import logging
import time

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


@pytest.mark.parametrize(
    "env", [[], {"NAME": "secret"}, "secret", [{"env_name": "A", "env_value": "secret"}, "secret"]]
)
def test_no_environment_value_survives_whatever_its_shape(env: object) -> None:
    assert "secret" not in str(hide_env_values({"service_slug": "s", "env_config": env}))


def test_ordinary_words_and_queries_are_left_alone() -> None:
    text = "Basic plan: the bearer token is invalid? See https://h/x?design=1&page=2"
    assert redact(text) == text


@pytest.mark.parametrize("piece", ["?", "<", "sk-", "&x-amz-", "bearer ", "authorization: ", "eyJ", "?a=1&"])
def test_a_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    began = time.process_time()
    redact(piece * (200_000 // len(piece)))
    # A quadratic pattern takes minutes for this, a linear one milliseconds.
    assert time.process_time() - began < 5


def test_a_line_break_in_a_message_cannot_begin_a_line_of_the_log() -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "request=%s", ("1\nFAKE tool=x\x1b[31m",), None)
    text = RedactingFormatter("%(message)s").format(record)
    assert text == "request=1\\x0aFAKE tool=x\\x1b[31m"
