"""The demo's own clients: what is busy is asked again under the same key; each request is written down as it went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from infra.demo import rest as module
from infra.demo.rest import Refused, Rest
from infra.demo.traffic import Traffic
from infra.local.simulators.gateway import REVISION_HEADER

Answer = Callable[[web.Request], web.StreamResponse]


class Server:
    """Answers what a test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.answers: list[Answer] = []
        """Of the next requests; the last one is that of all further ones."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.requests.append(request)
        await request.read()
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """It, listening."""
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    async with TestServer(app) as listening:
        made.url = str(listening.make_url("")).rstrip("/")
        yield made


@pytest.fixture
async def rest(server: Server) -> AsyncIterator[Rest]:
    """A client of it."""
    made = Rest(server.url, "the token")
    yield made
    await made.close()


def said(status: int, body: object = None, **headers: str) -> Answer:
    """An answer."""
    return lambda _: web.json_response(
        body, status=status, headers={name.replace("_", "-"): headers[name] for name in headers}
    )


async def test_a_write_has_a_key_and_a_read_has_none(rest: Rest, server: Server) -> None:
    server.answers = [said(200, {"a": 1})]
    assert await rest.get("/usage", limit=5) == {"a": 1}
    assert await rest.post("/usage", {}) == {"a": 1}
    assert await rest.patch("/deployments/1", {}) == {"a": 1}
    read, write, change = server.requests
    assert str(read.rel_url) == "/api/v1/usage?limit=5"
    assert read.headers["Authorization"] == "Bearer the token"
    assert "Idempotency-Key" not in read.headers
    assert write.headers["Idempotency-Key"] != change.headers["Idempotency-Key"]


@pytest.mark.parametrize("status", [429, 503])
async def test_what_is_busy_is_asked_again_under_the_same_key(rest: Rest, server: Server, status: int) -> None:
    server.answers = [said(status, {}, Retry_After="0"), said(status, {}, Retry_After="0"), said(201, {"done": True})]
    assert await rest.post("/tenants", {}) == {"done": True}
    assert len(server.requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1


async def test_what_stays_busy_is_given_up(rest: Rest, server: Server) -> None:
    server.answers = [said(503, {"title": "Busy", "type": "/problems/unavailable"}, Retry_After="0")]
    with pytest.raises(Refused) as refused:
        await rest.get("/tenants")
    assert (refused.value.status, refused.value.code) == (503, "unavailable")
    assert len(server.requests) == module.ATTEMPTS


async def test_a_refusal_is_told_at_once_with_its_problem(rest: Rest, server: Server) -> None:
    problem = {"type": "/problems/quota-exceeded", "title": "Over quota", "detail": "too much", "errors": []}
    server.answers = [said(403, problem)]
    with pytest.raises(Refused, match="403 Over quota: too much") as refused:
        await rest.post("/quota/holds", {})
    assert refused.value.code == "quota-exceeded"
    assert len(server.requests) == 1


async def test_an_answer_without_a_body_is_nothing(rest: Rest, server: Server) -> None:
    server.answers = [lambda _: web.Response(status=204)]
    assert await rest.post("/x", {}) is None


def served_by(revision: int, status: int = 200) -> Answer:
    """The gateway's answer, from a revision."""
    return lambda _: web.json_response({}, status=status, headers={REVISION_HEADER: str(revision)})


async def flow(traffic: Traffic, count: int, *deployments: str) -> None:
    """Let traffic flow until so many requests have ended."""
    async with traffic.flowing():
        for deployment in deployments:
            traffic.add(deployment)
        async with asyncio.timeout(5):
            while len(traffic.answered) < count:  # noqa: ASYNC110 - what is waited for is the traffic's own doing
                await asyncio.sleep(0.005)


async def test_each_request_is_written_down_with_who_answered_it(server: Server) -> None:
    server.answers = [served_by(1), served_by(2, 500), said(404), served_by(1)]
    traffic = Traffic(server.url, 100)
    await flow(traffic, 4, "d1")
    assert {request.path for request in server.requests} == {"/d1/v1/infer"}
    first = sorted(traffic.answered, key=lambda answer: answer.sent_at)[:4]
    assert [(answer.status, answer.revision) for answer in first] == [(200, 1), (500, 2), (404, None), (200, 1)]
    assert traffic.answers[500] == 1


async def test_what_gets_no_answer_is_written_down_too() -> None:
    traffic = Traffic("http://127.0.0.1:1", 100)
    await flow(traffic, 2, "d1")
    assert {(answer.status, answer.revision) for answer in traffic.answered} == {(0, None)}


async def test_the_rate_is_each_deployments_own_and_adding_one_twice_changes_nothing(server: Server) -> None:
    server.answers = [served_by(1)]
    traffic = Traffic(server.url, 20)
    started = asyncio.get_running_loop().time()
    await flow(traffic, 10, "d1", "d2", "d1")
    seconds = asyncio.get_running_loop().time() - started
    by_deployment = [answer.deployment_id for answer in traffic.answered]
    assert abs(by_deployment.count("d1") - by_deployment.count("d2")) <= 1
    assert seconds >= 4 / 20


async def test_a_slow_answer_holds_no_later_request_up(server: Server) -> None:
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        server.requests.append(request)
        await gate.wait()
        return served_by(1)(request)

    app = web.Application()
    app.router.add_post("/{path:.*}", slow)
    async with TestServer(app) as listening:
        traffic = Traffic(str(listening.make_url("")).rstrip("/"), 100)
        async with traffic.flowing():
            traffic.add("d1")
            async with asyncio.timeout(5):
                while len(server.requests) < 5:  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.005)
            assert traffic.answered == []
            gate.set()
