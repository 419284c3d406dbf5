"""Answers and refusals of the API, and an API that does not answer."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import typer

from services.cli.api import Api, segment
from services.cli.failures import NotConfigured, Unreachable
from tests.unit.cli.door import TOKEN, URL, Door, refusal, taxiway


def test_a_refusal_is_told_with_title_detail_errors_and_trace_id() -> None:
    errors = [{"pointer": "/name", "message": "is taken"}, {"pointer": "", "message": "too much"}]
    door = Door({"POST /models": refusal(409, "Conflict", detail="Choose another.", errors=errors, trace_id="abc")})
    outcome = taxiway("models", "register", "chat", door=door)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines() == [
        "Conflict (409)",
        "  Choose another.",
        "  /name: is taken",
        "  (request): too much",
        "  trace id: abc",
    ]


def test_what_a_refusal_says_does_not_steer_the_terminal() -> None:
    door = Door({"POST /models": refusal(409, "Conf\x1b[2Jlict\x9b")})
    err = taxiway("models", "register", "chat", door=door).err
    assert "Conf\ufffd[2Jlict\ufffd" in err


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.ConnectError("refused"), f"nobody answers at {URL}: start a local platform with `taxiway up`"),
        (httpx.ReadTimeout("slow"), "no answer in time"),
        (httpx.RemoteProtocolError("cut"), "broke (cut)"),
        (httpx.Response(502, text="<html>"), "An answer that is not Taxiway's: Bad Gateway (502)"),
        (httpx.Response(307, headers={"location": "http://elsewhere"}), "not Taxiway's"),
        (httpx.Response(200, text="<html>"), "not as Taxiway does"),
        (httpx.Response(200, json=[1]), "not as Taxiway does"),
        (httpx.Response(400, text="[", headers={"content-type": "application/problem+json"}), "not as Taxiway does"),
    ],
)
def test_an_api_that_gives_no_answer_of_ours_is_told_so(answer: httpx.Response | Exception, told: str) -> None:
    outcome = taxiway("models", "list", door=Door({"GET /models": answer}))
    assert outcome.status == 1
    assert outcome.out == ""
    assert told in outcome.err
    assert "Traceback" not in outcome.err


def pages(*sizes: int, following: Callable[[int], str] = lambda page: f"/api/v1/models?cursor={page}") -> Door:
    """A list of models over several pages; they are numbered through."""
    answers: dict[str, httpx.Response] = {}
    number = 0
    for page, size in enumerate(sizes):
        items = [{"name": f"m{number + each}"} for each in range(size)]
        number += size
        upcoming = following(page + 1) if page + 1 < len(sizes) else None
        answers[f"GET /models{f'?cursor={page}' if page else ''}"] = httpx.Response(
            200, json={"items": items, "next": upcoming}
        )
    return Door(answers)


def test_a_list_is_followed_to_its_end() -> None:
    door = pages(2, 2, 0)
    names = [item["name"] for item in Api(URL, TOKEN, door).items("/models")]
    assert names == ["m0", "m1", "m2", "m3"]
    assert door.asked == [("GET", "/models?limit=500"), ("GET", "/models?cursor=1"), ("GET", "/models?cursor=2")]


def test_with_a_limit_no_more_pages_are_asked_for_than_needed() -> None:
    door = pages(2, 2, 2)
    assert len(Api(URL, TOKEN, door).items("/models", limit=2)) == 2
    assert door.asked == [("GET", "/models?limit=2")]


@pytest.mark.parametrize("place", ["https://elsewhere.example/api/v1/models", "//elsewhere.example/api/v1", "/other"])
def test_the_credential_does_not_follow_a_list_to_another_server(place: str) -> None:
    door = pages(1, 1, following=lambda _: place)
    with pytest.raises(Unreachable, match="elsewhere"):
        Api(URL, TOKEN, door).items("/models")
    assert len(door.requests) == 1


def test_each_write_has_a_key_of_its_own() -> None:
    door = Door({"POST /models": {"name": "m"}})
    api = Api(URL, TOKEN, door)
    for name in ("a", "b"):
        api.post("/models", {"name": name})
    keys = [request.headers["idempotency-key"] for request in door.requests]
    assert len(set(keys)) == 2


def test_a_name_stays_one_segment_of_the_path() -> None:
    door = Door({"GET /models/a%2F..%2Fb%3Fc": {"name": "x"}, "GET /models/a%2F..%2Fb%3Fc/versions": []})
    assert taxiway("models", "show", "a/../b?c", door=door).status == 0
    for text in ("", ".", ".."):
        with pytest.raises(typer.BadParameter):
            segment(text)


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(NotConfigured, match="http://"):
        Api("front.door", TOKEN)
