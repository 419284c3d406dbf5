"""Secrets do not survive, in whatever text they stand; and what is not one is left alone."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.observability.redaction import REDACTED, redact, redact_field

SECRET = "s3cr3t-Hunter2"
PEM = "-----BEGIN {kind}PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIBnKh\nX9s3cr3t-Hunter2\n-----END {kind}PRIVATE KEY-----"
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl-Hunter2"

PLACES = {
    "API key": f"no such key: tw_live_ab12_{SECRET}",
    "API key of a test tenant": f"tw_test_ab12_{SECRET}",
    "API key in a dict": str({"key": f"tw_live_ab12_{SECRET}"}),
    "bearer": f"Authorization: Bearer {SECRET}",
    "bearer in headers": str([(b"authorization", f"Bearer {SECRET}".encode())]),
    "bearer in lower case": f"sent bearer {SECRET} to it",
    "basic": f"{{'Authorization': 'Basic {SECRET}'}}",
    "JSON web token": f"cannot verify {JWT}",
    "DSN": f"could not connect to postgresql+asyncpg://taxiway:{SECRET}@localhost:5432/taxiway",
    "URL without a user": f"redis://:{SECRET}@127.0.0.1:6379/0",
    "URL whose password has an @": f"postgresql://u:p@{SECRET}@h/d",
    "URL whose password has a /": f"postgresql://u:p/{SECRET}@h/d",
    "URL in capitals": f"POSTGRESQL://u:{SECRET}@h/d",
    "libpq": f"host=h user=u password={SECRET} dbname=d",
    "quoted with a space": f"password='two {SECRET}' dbname=d",
    "variable": f"TAXIWAY_POSTGRES_PASSWORD={SECRET}",
    "JSON": json.dumps({"client_secret": SECRET}),
    "repr of bytes": str({"password": SECRET.encode()}),
    "option": f"--db-password {SECRET} --x",
    "query": f"https://h/p?token={SECRET}&page=2",
    "private key": PEM.format(kind=""),
    "EC private key": PEM.format(kind="EC "),
    "private key on one line": repr(PEM.format(kind="")),
    "private key that was cut off": PEM.format(kind="").partition("-----END")[0],
    "JWK": json.dumps({"kty": "OKP", "x": "public", "d": f"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A{SECRET}"}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_taken_out(place: str) -> None:
    text = redact(PLACES[place])
    assert "Hunter2" not in text
    assert REDACTED in text


@pytest.mark.parametrize(
    "text",
    [
        "set aside taxiway.deployment.events.v1/3/17: schema: /replicas: Input should be an integer",
        "12 tokens in, 400 tokens out; tokens=412",
        "http://localhost:8080/api/v1/deployments",
        "postgresql://taxiway@localhost/taxiway",
        "person@example.com asked at 12:00",
        "the bearer of bad news",
        "key 7f3a of tenant 0190c0de-0000-7000-8000-000000000000",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_is_public_about_a_secret_stays() -> None:
    assert redact(f"tw_live_ab12_{SECRET} at h") == f"tw_live_ab12_{REDACTED} at h"
    assert redact(f"postgresql://u:{SECRET}@h:5432/d is away") == f"postgresql://u:{REDACTED}@h:5432/d is away"
    assert redact(f"https://h/p?token={SECRET}&page=2") == f"https://h/p?token={REDACTED}&page=2"


@pytest.mark.parametrize("name", ["password", "redis_password", "client_secret", "postgres_dsn", "Authorization"])
def test_a_field_is_a_secret_by_its_name(name: str) -> None:
    assert redact_field(name, "plain") == REDACTED


@pytest.mark.parametrize("name", ["tenant", "tokens", "event_id", "token_count", "deployment"])
def test_other_fields_are_not(name: str) -> None:
    assert redact_field(name, "plain") == "plain"


@given(
    password=st.text(string.ascii_letters + string.digits + "!#$%*+,-./:;=?@^_|~", min_size=12, max_size=40),
    user=st.from_regex(r"[a-z_]{0,12}", fullmatch=True),
)
def test_no_password_of_a_url_survives(password: str, user: str) -> None:
    text = redact(f"cannot reach postgresql://{user}:{password}@db.internal:5432/taxiway, giving up")
    assert password not in text
    assert text.endswith("@db.internal:5432/taxiway, giving up")


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "piece", ["a.", "a://:", "eyJ-", "--", "tw_a_", "bearer ", "password ", "-----BEGIN PRIVATE KEY"]
)
def test_hostile_text_takes_no_long_time(piece: str) -> None:
    started = time.process_time()
    redact(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["to\u212aen=abcdef", "pa\u017f\u017fword: abcdef", "TOKEN=abcdef", "é token=abcdef"])
def test_letters_that_count_as_ascii_where_case_does_not_matter_hide_nothing(text: str) -> None:
    assert "abcdef" not in redact(text)
