"""Following a deployment until it has settled, over a door that breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from services.cli.api import Api
from services.cli.failures import ApiError, Unreachable
from services.cli.watching import PATIENCE_SECONDS, SETTLED, entries_of, follow
from services.ingest_api.domain.view import State
from tests.unit.cli.door import TOKEN, URL, check, refusal, respond, taxiway
from tests.unit.cli.events import DEPLOYMENT
from tests.unit.cli.resources import entry, shown

PATH = f"/api/v1/deployments/{DEPLOYMENT}"


@dataclass
class Scene(httpx.BaseTransport):
    """A deployment whose history grows while it is watched: each stream runs one of the scripts."""

    scripts: list[Callable[[Scene], Iterator[str]]]
    state: State = State.ROLLING_OUT
    history: list[int] = field(default_factory=list)
    failures: list[Exception | httpx.Response] = field(default_factory=list)
    """What the next requests meet."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As the real door, for one deployment."""
        check(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        match request.url.path.removeprefix(PATH):
            case "":
                return respond(shown(self.state))
            case "/history":
                return respond([entry(number) for number in self.history])
            case _:
                script = self.scripts.pop(0)
                return httpx.Response(200, content=(line.encode() for line in script(self)))

    def say(self, *numbers: int) -> Iterator[str]:
        """These entries come in together, one event each on the stream."""
        self.history += [number for number in numbers if number not in self.history]
        for number in numbers:
            data = entry(number).model_dump_json()
            yield f"id: e{number}\nevent: taxiway.rollout.started.v1\ndata: {data}\n\n"


@dataclass
class Time:
    """Stands still but for pauses."""

    seconds: float = 1000.0

    def now(self) -> float:
        """What time it is."""
        return self.seconds

    def pause(self, seconds: float) -> None:
        """Time passes."""
        self.seconds += seconds


def watch(scene: Scene) -> list[str]:
    """The ids of the entries that following it gives."""
    time = Time()
    return [each["event_id"] for each in follow(Api(URL, TOKEN, scene), DEPLOYMENT, now=time.now, pause=time.pause)]


def ends(*numbers: int) -> Callable[[Scene], Iterator[str]]:
    """A stream on which these come in, the last of which settles it."""

    def script(scene: Scene) -> Iterator[str]:
        scene.state = State.SERVING
        yield from scene.say(*numbers)

    return script


def test_a_settled_deployment_is_told_and_left() -> None:
    assert watch(Scene([], State.SERVING, [1, 2])) == ["e1", "e2"]


def test_what_happens_is_told_once_and_in_full_though_the_state_was_settled_before_the_last_entry() -> None:
    assert watch(Scene([ends(1, 2, 3, 4)], history=[1])) == ["e1", "e2", "e3", "e4"]


def test_a_state_that_changes_without_an_entry_ends_it_too() -> None:
    def script(scene: Scene) -> Iterator[str]:
        yield ": nothing new\n\n"
        scene.state = State.REMOVED
        yield ": nothing new\n\n"
        raise AssertionError("nobody should read on")

    assert watch(Scene([script])) == []


def test_an_entry_that_settles_it_ends_it_without_waiting_for_a_sign_of_life() -> None:
    def script(scene: Scene) -> Iterator[str]:
        yield from scene.say(1)
        scene.state = State.SERVING
        yield from scene.say(2)
        raise AssertionError("nobody should read on")

    assert watch(Scene([script])) == ["e1", "e2"]


def test_what_settles_it_between_two_looks_is_told_too() -> None:
    class Quick(Scene):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            """It settles right after the history was read."""
            answer = super().handle_request(request)
            if request.url.path.endswith("/history"):
                self.state, self.history = State.SERVING, [1, 2]
            return answer

    def script(scene: Scene) -> Iterator[str]:
        yield from scene.say(1, 2)

    assert watch(Quick([script], history=[1])) == ["e1", "e2"]


def test_a_stream_that_breaks_is_taken_up_again() -> None:
    def breaks(scene: Scene) -> Iterator[str]:
        yield from scene.say(1)
        scene.failures += [httpx.ConnectError("away"), httpx.ReadTimeout("away"), refusal(503)]
        raise httpx.RemoteProtocolError("cut")

    def closes(scene: Scene) -> Iterator[str]:
        yield from scene.say(1, 2)

    assert watch(Scene([breaks, closes, ends(2, 3)])) == ["e1", "e2", "e3"]


def test_each_outage_is_sat_out_anew() -> None:
    def goes(scene: Scene) -> Iterator[str]:
        scene.failures += [httpx.ConnectError("away")] * int(PATIENCE_SECONDS * 0.7)
        yield ": nothing new\n\n"

    assert watch(Scene([goes, goes, ends(1)])) == ["e1"]


def test_an_api_that_stays_away_is_given_up() -> None:
    def goes(scene: Scene) -> Iterator[str]:
        scene.failures += [httpx.ConnectError("away")] * 1000
        yield ": nothing new\n\n"

    scene = Scene([goes])
    with pytest.raises(Unreachable):
        watch(scene)
    tried = 1000 - len(scene.failures)
    assert PATIENCE_SECONDS / 2 < tried < PATIENCE_SECONDS * 2


@pytest.mark.parametrize(
    ("failure", "error"),
    [(httpx.ConnectError("away"), Unreachable), (refusal(404), ApiError), (refusal(503), ApiError)],
)
def test_who_never_got_an_answer_is_not_kept_waiting(failure: Any, error: type[Exception]) -> None:
    scene = Scene([], failures=[failure])
    with pytest.raises(error):
        watch(scene)


def test_a_refusal_in_the_middle_is_no_outage() -> None:
    def revoked(scene: Scene) -> Iterator[str]:
        scene.failures.append(refusal(401))
        yield ": nothing new\n\n"

    with pytest.raises(ApiError, match="401"):
        watch(Scene([revoked]))


def test_a_refused_stream_is_told() -> None:
    scene = Scene([])
    api = Api(URL, TOKEN, scene)
    scene.failures.append(refusal(404, "Not found"))
    with pytest.raises(ApiError, match="Not found"), api.stream(f"/deployments/{DEPLOYMENT}/events"):
        pass


@pytest.mark.parametrize(("state", "status"), [(state, 0 if good else 1) for state, good in SETTLED.items()])
def test_the_exit_status_tells_whether_it_came_to_what_was_asked_for(state: str, status: int) -> None:
    outcome = taxiway("deployments", "watch", str(DEPLOYMENT), door=Scene([], State(state), [1]))
    assert outcome.status == status
    assert outcome.out.splitlines() == ["2026-03-01 12:00:00.000  something happened", f"It is {state}."]


def test_for_programs_each_entry_is_a_line_of_json() -> None:
    outcome = taxiway("deployments", "watch", str(DEPLOYMENT), "--json", door=Scene([], State.SERVING, [1, 2]))
    assert len(outcome.out.splitlines()) == 2
    assert outcome.out.startswith('{"event_id": "e1"')


def test_settled_states_are_states() -> None:
    assert SETTLED.keys() <= {state.value for state in State}


def test_comments_are_signs_of_life_and_other_fields_are_passed_over() -> None:
    assert list(entries_of(iter([": hello", "id: 1", 'data: {"a": 1}', "", "event: x"]))) == [None, {"a": 1}]
