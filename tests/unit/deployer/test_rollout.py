"""The life of a revision, told as given / when / then; most names are those of the cases they were learnt from."""

from __future__ import annotations

import pytest

from schemas.placement import QueueReason, ReleaseCapacity, ReserveCapacity
from schemas.rollout import (
    AnalysisCompleted,
    RolloutAborted,
    RolloutPaused,
    RolloutPromoted,
    RolloutRemoved,
    RolloutResumed,
    RolloutRolledBack,
    RolloutStarted,
    StageEntered,
    TrafficShifted,
    Verdict,
)
from schemas.tenant import TenantSuspended
from services.deployer.domain.capacity import reservation_id
from services.deployer.domain.model import Phase
from services.deployer.domain.observation import CommandKind
from services.kit.errors import LeaseLostError
from tests.unit.deployer.world import (
    BAD,
    DEPLOYMENT,
    OBSERVE_SECONDS,
    SILENT,
    TENANT,
    World,
    stage_zero,
)

CANARY_STORY = [
    "RolloutStarted",
    *(
        line
        for weight in (10, 25, 50, 100)
        for line in (f"StageEntered {weight}", f"TrafficShifted {weight}", "AnalysisCompleted")
    ),
    "RolloutPromoted",
]


@pytest.fixture
def world() -> World:
    return World()


async def test_first_revision_takes_all_traffic_in_one_stage(world: World) -> None:
    await world.request(1)
    await world.run(60)
    assert world.story(1) == [
        "RolloutStarted",
        "StageEntered 100",
        "TrafficShifted 100",
        "AnalysisCompleted",
        "RolloutPromoted",
    ]
    assert world.route() == {1: 100}
    assert world.said(RolloutStarted)[0].stable_revision is None
    assert not world.said(ReserveCapacity), "the request itself asked for everything"


async def test_first_revision_that_fails_is_given_up(world: World) -> None:
    world.metrics.of[1] = BAD
    await world.request(1)
    await world.run(60)
    assert world.story(1)[-4:] == ["AnalysisCompleted", "RolloutAborted", "TrafficShifted 0", "RolloutRolledBack"]
    assert world.scheduler.released == {stage_zero(1): 1}
    assert world.route() == {}
    assert not world.cluster.live_slots()


async def test_canary_lifecycle(world: World) -> None:
    """kserve `test_llm_canary_lifecycle`: the weights in order, each read back, replicas for each."""
    await world.promoted(1)
    await world.request(2)
    await world.run(200)
    assert world.story(2) == CANARY_STORY
    asked = [(command.stage, command.replicas) for command in world.said(ReserveCapacity)]
    assert asked == [(2, 1), (3, 2)], "1 of 4 at 10 %, 1 at 25 %, 2 at 50 %, 4 at 100 %"
    assert all(command.is_surge for command in world.said(ReserveCapacity)), "revision 1 is still there"
    assert [event.ready_replicas for event in world.said(StageEntered)] == [4, 1, 1, 2, 4]
    assert world.route() == {2: 100}
    assert world.scheduler.released == {stage_zero(1): 1}
    assert world.held() == {stage_zero(2)} | {reservation_id(DEPLOYMENT, 2, stage) for stage in (2, 3)}


async def test_missing_capacity_of_the_first_stage_is_asked_for_too(world: World) -> None:
    """Revision 1 was rolled back, so revision 2 has no stable either, but was requested as a canary."""
    world.metrics.of[1] = BAD
    await world.request(1)
    await world.run(60)
    await world.request(2)
    await world.run(60)
    asked = [(command.stage, command.replicas, command.is_surge) for command in world.said(ReserveCapacity)]
    assert asked == [(0, 3, False)]
    assert world.said(StageEntered)[-1].ready_replicas == 4
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_gpus_come_before_pods(world: World) -> None:
    world.scheduler.answers_at_once = False
    await world.request(1)
    await world.run(20)
    assert world.rollout.phase is Phase.RESERVING
    assert not world.cluster.live_slots()
    world.scheduler.queue(stage_zero(1), QueueReason.NO_FREE_CAPACITY, "4 of 4 GPUs are taken")
    await world.run(5)
    assert world.rollout.reason == "NoFreeCapacity: 4 of 4 GPUs are taken", "the wait has a visible reason"
    world.scheduler.reserve(stage_zero(1))
    await world.run(1)
    assert len(world.cluster.live_slots()) == 4


async def test_capacity_deadline_ends_the_wait_of_a_later_stage(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=3)
    world.scheduler.answers_at_once = False
    await world.run(20)
    third = reservation_id(DEPLOYMENT, 2, 2)
    world.scheduler.queue(third, QueueReason.FRAGMENTED, "no node has 2 free")
    await world.run(570, step=10)
    assert world.rollout.phase is Phase.RESERVING
    await world.run(60, step=10)
    assert world.said(RolloutAborted)[0].reason == "no capacity within 600 s: Fragmented: no node has 2 free"
    assert world.scheduler.released[third] == 1, "what is queued must leave the queue"


async def test_first_gpus_are_waited_for_as_long_as_the_tenant_says(world: World) -> None:
    """None = for ever; else the scheduler withdraws it, and if it does not, the deployer does."""
    world.scheduler.answers_at_once = False
    await world.request(1, start_within_seconds=3600)
    world.scheduler.queue(stage_zero(1), QueueReason.NO_FREE_CAPACITY, "8 of 8")
    await world.run(3500, step=50)
    assert world.rollout.phase is Phase.RESERVING
    await world.run(200, step=50)
    assert world.said(RolloutAborted)[0].reason == "no capacity within 3600 s: NoFreeCapacity: 8 of 8"
    await world.request(2, replicas=1)
    world.scheduler.queue(stage_zero(2), QueueReason.NO_FREE_CAPACITY, "8 of 8")
    await world.run(100_000, step=5000)
    assert world.rollout.phase is Phase.RESERVING
    world.scheduler.reserve(stage_zero(2))
    await world.run(60)
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_request_that_nobody_answers_is_given_up(world: World) -> None:
    """The scheduler set it aside, or is away: whoever waits for it is told."""
    world.scheduler.answers_at_once = False
    await world.request(1)
    await world.run(599, step=10)
    assert world.rollout.phase is Phase.RESERVING
    await world.run(30, step=10)
    assert world.said(RolloutAborted)[0].reason == "no capacity within 600 s: waits for the scheduler's answer"


async def test_rejected_capacity_aborts_with_its_reason(world: World) -> None:
    await world.promoted(1)
    world.scheduler.answers_at_once = False
    await world.request(2)
    world.scheduler.reject(stage_zero(2), QueueReason.QUOTA_EXCEEDED, "5 of 4 GPUs")
    await world.run(30)
    assert world.story(2) == ["RolloutStarted", "RolloutAborted", "RolloutRolledBack"]
    assert world.said(RolloutAborted)[0].reason == "capacity was rejected: QuotaExceeded: 5 of 4 GPUs"
    assert not world.scheduler.released, "a refused reservation holds nothing"
    assert world.route() == {1: 100}


async def test_weight_waits_for_ready_pods(world: World) -> None:
    """Rule 4: no weight on a side without a ready endpoint."""
    await world.promoted(1)
    world.cluster.load_seconds = 50
    await world.request(2)
    await world.run(40)
    assert world.rollout.phase is Phase.SURGING
    assert world.route() == {1: 100}
    await world.run(20)
    assert world.route() == {1: 90, 2: 10}


async def test_weight_comes_before_scale(world: World) -> None:
    """Rule 2: stable shrinks only in a later pass than the one that moved its traffic."""
    await world.promoted(1)
    await world.request(2)
    await world.run(200)
    writes = world.cluster.writes
    assert writes.index("delete 1") > writes.index("route {2: 100}")
    assert writes.count("apply 1 x4") == 1


async def test_written_is_not_applied(world: World) -> None:
    """argo-rollouts TestReconcileTrafficRoutingVerifyWeightEndOfRollout: unverified at 100 % blocks the end."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=4)
    world.cluster.route_delay_seconds = 100
    await world.run(90)
    assert world.cluster.view(DEPLOYMENT).route.weights == {2: 100}
    assert world.rollout.phase is Phase.SHIFTING
    assert len(world.said(TrafficShifted)) == 4, "an event states what was read back"
    assert not world.said(RolloutPromoted)[1:]
    assert world.cluster.view(DEPLOYMENT).ready(1) == 4
    await world.run(60)
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_set_weight_error_freezes(world: World) -> None:
    """argo-rollouts TestReconcileTrafficRoutingSetWeightErr: when routing fails nothing is scaled."""
    await world.promoted(1)
    world.cluster.refuses_routes = True
    await world.request(2)
    await world.run(100)
    assert world.rollout.phase is Phase.SHIFTING
    before = list(world.cluster.writes)
    await world.run(100)
    assert world.cluster.writes == before
    world.cluster.refuses_routes = False
    await world.run(200)
    assert world.story(2) == CANARY_STORY


async def test_cluster_away_freezes(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    before = world.rollout
    world.cluster.is_away = True
    await world.run(100)
    assert world.rollout == before
    world.cluster.is_away = False
    await world.run(200)
    assert world.story(2) == CANARY_STORY


async def test_metrics_away_is_not_a_verdict(world: World) -> None:
    await world.request(1)
    world.metrics.is_away = True
    await world.run(100)
    assert world.rollout.phase is Phase.OBSERVING
    assert not world.said(AnalysisCompleted)


async def test_bad_canary_is_rolled_back(world: World) -> None:
    await world.promoted(1)
    world.metrics.of[2] = BAD
    await world.request(2)
    await world.run(60)
    assert world.story(2) == [
        "RolloutStarted",
        "StageEntered 10",
        "TrafficShifted 10",
        "AnalysisCompleted",
        "RolloutAborted",
        "TrafficShifted 0",
        "RolloutRolledBack",
    ]
    assert world.route() == {1: 100}
    assert world.scheduler.released == {stage_zero(2): 1}
    assert "error rate 40.0%" in world.said(RolloutRolledBack)[0].reason


async def test_abort_in_mid_promotion(world: World) -> None:
    """All traffic is on the canary, the promotion is not done: it goes back to stable, which kept its GPUs."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=5)
    assert world.route() == {2: 100}
    await world.command(CommandKind.ABORT)
    await world.run(30)
    assert world.route() == {1: 100}
    assert world.story(2)[-3:] == ["RolloutAborted", "TrafficShifted 0", "RolloutRolledBack"]
    assert world.held() == {stage_zero(1)}


async def test_abort_never_moves_traffic_to_a_broken_stable(world: World) -> None:
    """The healthy side keeps the traffic, whichever it is, and its pods."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=3)
    world.cluster.crash(DEPLOYMENT, 1, seconds=100)
    await world.command(CommandKind.ABORT)
    await world.run(60)
    assert world.rollout.phase is Phase.DRAINING
    assert world.cluster.view(DEPLOYMENT).ready(2) > 0
    await world.run(100)
    assert world.story(2)[-1] == "RolloutRolledBack"


async def test_canary_stays_until_stable_is_at_full_strength(world: World) -> None:
    """Without traffic, but still the only reserve."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    await world.command(CommandKind.ABORT)
    await world.run_until(TrafficShifted, count=3)
    world.cluster.crash(DEPLOYMENT, 1, seconds=100)
    await world.run(90)
    assert world.rollout.phase is Phase.COOLING
    assert world.cluster.view(DEPLOYMENT).ready(2) == 1
    await world.run(30)
    assert world.story(2)[-1] == "RolloutRolledBack"


async def test_canary_without_a_ready_pod_loses_its_traffic_at_once_and_has_a_deadline(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    world.cluster.crash(DEPLOYMENT, 2, seconds=1000)
    await world.run(3)
    assert world.route() == {1: 100}
    assert world.story(2)[-1] == "TrafficShifted 0"
    assert world.rollout.reason == "no replica of the new version is ready any more"
    await world.run(290)
    assert world.rollout.phase is Phase.SURGING
    await world.run(20)
    assert world.said(RolloutAborted)[0].reason == (
        "0 of 1 replicas are ready: no replica of the new version is ready any more after 300 s"
    )


async def test_pods_that_come_back_take_the_stage_up_again(world: World) -> None:
    """A cluster that is made anew in mid-rollout: nothing is ready for a while, and nothing is wrong."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=3)
    world.cluster.forget()
    await world.run(300)
    begun = CANARY_STORY[: CANARY_STORY.index("TrafficShifted 25") + 1]
    rest = CANARY_STORY[CANARY_STORY.index("StageEntered 25") :]
    assert world.story(2) == [*begun, *rest]


async def test_canary_that_crashes_again_in_the_same_stage_is_given_up_at_once(world: World) -> None:
    """It loads well and dies under traffic, each time."""
    await world.promoted(1)
    await world.request(2)
    for count in (2, 4):
        await world.run_until(TrafficShifted, count=count)
        world.cluster.crash(DEPLOYMENT, 2, seconds=4)
    await world.run(3)
    assert world.said(RolloutAborted)[0].reason == "no replica of the new version is ready any more"
    assert world.route() == {1: 100}


async def test_setbacks_are_counted_by_stage(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    for count in (2, 5):
        await world.run_until(TrafficShifted, count=count)
        world.cluster.crash(DEPLOYMENT, 2, seconds=4)
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_new_revision_resets_weight_first(world: World) -> None:
    """flagger …NewRevisionReset, argo-rollouts TestNewRolloutResetsWeightBeforeUpdatingHash."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=3)
    await world.request(3)
    await world.run(300)
    assert world.story(2)[-3:] == ["RolloutAborted", "TrafficShifted 0", "RolloutRolledBack"]
    assert world.said(RolloutAborted)[0].reason == "superseded by revision 3"
    names = [type(data).__name__ for data, _ in world.store.said]
    assert names.index("RolloutRolledBack") < len(names) - 1 - names[::-1].index("RolloutStarted")
    assert world.story(3) == CANARY_STORY
    assert world.said(RolloutStarted)[-1].stable_revision == 1


async def test_newest_of_several_wins(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    for revision in (3, 4, 5):
        await world.request(revision)
    await world.run(300)
    assert world.story(3) == world.story(4) == ["RolloutAborted"]
    assert world.story(5) == CANARY_STORY
    assert world.scheduler.released == {stage_zero(number): 1 for number in (1, 2, 3, 4)}


async def test_reservation_that_comes_too_late_is_released(world: World) -> None:
    """Reserved for a revision that was given up meanwhile: back it goes, once."""
    await world.promoted(1)
    world.scheduler.answers_at_once = False
    await world.request(2)
    await world.run(3)
    await world.request(3)
    await world.run(20)
    assert world.story(2)[-1] == "RolloutRolledBack"
    assert not world.said(ReleaseCapacity), "an unanswered one might be taken for an unknown one"
    world.scheduler.reserve(stage_zero(2))
    await world.run(20)
    assert world.scheduler.released == {stage_zero(2): 1}


async def test_no_data_extends_then_asks_a_person(world: World) -> None:
    await world.promoted(1)
    world.metrics.of[2] = SILENT
    await world.request(2)
    await world.run(70)
    verdicts = [event.verdict for event in world.said(AnalysisCompleted)[1:]]
    assert verdicts == [Verdict.NO_DATA] * 4
    assert world.story(2)[-1] == "RolloutPaused"
    spans = [(window.end - window.start).total_seconds() for window in world.metrics.windows[1:]]
    assert [round(span / OBSERVE_SECONDS) for span in spans] == [1, 2, 3, 4]
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPaused"
    world.metrics.of[2] = world.metrics.of[1]
    await world.command(CommandKind.RESUME)
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_no_resume_after_pause_duration_if_user_paused(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    await world.command(CommandKind.PAUSE, "look first")
    await world.run(500)
    assert world.said(RolloutPaused)[0].reason == "look first"
    assert world.story(2)[-1] == "RolloutPaused"
    assert world.route() == {1: 90, 2: 10}
    await world.command(CommandKind.RESUME, "looks well")
    await world.run(OBSERVE_SECONDS / 2)
    assert world.said(RolloutResumed)
    assert world.story(2)[-1] == "RolloutResumed", "an interrupted window begins anew"
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_deadline_does_not_run_in_a_pause(world: World) -> None:
    world.scheduler.answers_at_once = False
    await world.request(1)
    await world.run(500, step=10)
    await world.command(CommandKind.PAUSE)
    await world.run(500, step=10)
    await world.command(CommandKind.RESUME)
    await world.run(50, step=10)
    assert world.rollout.phase is Phase.RESERVING
    await world.run(100, step=10)
    assert world.said(RolloutAborted)


async def test_promote_ends_the_present_stage(world: World) -> None:
    await world.promoted(1)
    world.metrics.of[2] = SILENT
    await world.request(2)
    await world.run_until(RolloutPaused)
    await world.command(CommandKind.PROMOTE)
    await world.run_until(TrafficShifted, count=3)
    assert world.route() == {1: 75, 2: 25}
    await world.run(60)
    assert world.story(2)[-1] == "RolloutPaused", "the next stage is judged again"


async def test_canary_promote_full(world: World) -> None:
    """argo-rollouts TestCanaryPromoteFull: steps and verdicts are skipped, GPUs and ready pods are not."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    await world.command(CommandKind.PROMOTE_FULL)
    await world.run(60)
    assert world.story(2) == [
        "RolloutStarted",
        "StageEntered 10",
        "TrafficShifted 10",
        "StageEntered 100",
        "TrafficShifted 100",
        "RolloutPromoted",
    ]
    assert [(command.stage, command.replicas) for command in world.said(ReserveCapacity)] == [(3, 3)]


@pytest.mark.parametrize("kind", [CommandKind.PAUSE, CommandKind.RESUME, CommandKind.PROMOTE, CommandKind.ABORT])
async def test_command_without_meaning_is_dropped(world: World, kind: CommandKind) -> None:
    await world.promoted(1)
    before, said = world.rollout, len(world.store.said)
    await world.command(kind)
    await world.run(5)
    assert world.rollout == before
    assert len(world.store.said) == said
    assert not world.store.rows[DEPLOYMENT].commands


async def test_several_commands_are_carried_out_in_order(world: World) -> None:
    await world.request(1)
    await world.run(1)
    for kind in (CommandKind.PAUSE, CommandKind.RESUME, CommandKind.ABORT):
        await world.command(kind)
    await world.run(30)
    assert world.story(1) == [
        "RolloutStarted",
        "RolloutPaused",
        "RolloutResumed",
        "RolloutAborted",
        "RolloutRolledBack",
    ]
    aborted = next(origin for data, origin in world.store.said if isinstance(data, RolloutAborted))
    assert aborted.actor == "user:ada"


async def test_cancelled_deployment_leaves_nothing(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=4)
    held = world.held()
    await world.command(CommandKind.CANCEL, "not needed")
    await world.run(30)
    assert world.said(RolloutRemoved)[0].reason == "not needed"
    assert world.route() == {}
    assert not world.cluster.live_slots()
    assert set(world.scheduler.released) == held == set(world.scheduler.claims)


async def test_request_for_a_deleted_deployment_is_passed_over(world: World) -> None:
    await world.promoted(1)
    await world.command(CommandKind.CANCEL)
    await world.run(30)
    await world.request(2)
    await world.run(10)
    assert world.story(2) == ["RolloutAborted"]
    assert world.scheduler.released == {stage_zero(1): 1, stage_zero(2): 1}


async def test_suspended_tenant_starts_nothing_and_keeps_what_is_stable(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    await world.store.suspend(None, TenantSuspended(tenant_id=TENANT, reason="unpaid"))
    await world.run(30)
    assert world.said(RolloutAborted)[0].reason == "the tenant is suspended: unpaid"
    assert world.route() == {1: 100}
    assert world.held() == {stage_zero(1)}


async def test_cluster_made_anew_gets_back_what_is_stable(world: World) -> None:
    """Level-triggered: what is wanted is compared with what is there, whoever took it away."""
    await world.promoted(1)
    world.cluster.forget()
    world.store.rows[DEPLOYMENT].signals += 1
    await world.tick()
    world.clock.advance(5)
    world.store.rows[DEPLOYMENT].signals += 1
    await world.tick()
    world.clock.advance(5)
    assert world.cluster.view(DEPLOYMENT).ready(1) == 4
    assert world.route() == {1: 100}


async def test_old_owner_can_store_nothing(world: World) -> None:
    await world.request(1)
    world.store.epoch = 2
    with pytest.raises(LeaseLostError):
        await world.tick()
    assert not world.store.said
    assert not world.cluster.writes


@pytest.mark.parametrize("lost", range(0, 60, 3))
async def test_restart_in_each_state_gives_the_same_end(world: World, lost: int) -> None:
    """Between storing and telling the cluster the process dies; its successor remembers nothing (as in every pass)."""
    await world.promoted(1)
    await world.request(2)
    for number in range(400):
        world.cluster.refuses_writes = lost <= number < lost + 3
        await world.tick()
        world.clock.advance(0.5)
    assert world.story(2) == CANARY_STORY
    assert world.scheduler.released == {stage_zero(1): 1}


async def test_events_carry_the_request_that_caused_them(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run(100)
    correlations = {origin.correlation_id for data, origin in world.store.said if getattr(data, "revision", 0) == 2}
    assert correlations == {"request-2"}
    assert {origin.actor for _, origin in world.store.said} == {"service:deployer"}
