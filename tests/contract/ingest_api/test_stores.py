"""The contract of the front door's stores: whose rows are shown, what is unique, what stays, what a rollback leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.rollout import RolloutPromoted, RolloutRemoved, RolloutRolledBack, RolloutStarted
from schemas.tenant import Plan, ProducerScope
from services.ingest_api.domain.api_keys import ApiKey
from services.ingest_api.domain.fold import fold
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.problems import Problem
from services.ingest_api.domain.read import Deployment, Shown
from services.ingest_api.domain.resources import Producer
from services.ingest_api.domain.view import State
from services.ingest_api.ports import Page, StoredReply, Stores, Transactions
from services.kit.messaging.origin import Origin
from services.kit.persistence.tenancy import MissingTenantError
from tests.fakes.ingest_api.builders import NOW, event, model, requested, spec, version

LATER = NOW + timedelta(hours=1)
ALL = Page(500)


def api_key(owner: UUID, key_id: str) -> ApiKey:
    """A key."""
    return ApiKey(owner, key_id, "ci", (Scope.ADMIN,), bytes(32), NOW, "user:ann")


def producer(owner: UUID, key_id: str) -> Producer:
    """A producer's key."""
    return Producer(
        key_id=key_id,
        tenant_id=owner,
        public_key="x" * 43,
        scope=ProducerScope.TENANT,
        registered_at=NOW,
        registered_by="user:ann",
    )


async def test_a_tenants_name_is_unique_on_the_platform(door: Transactions, ours: UUID) -> None:
    async with door.platform(ours) as stores:
        own = await stores.tenants.find()
        assert own is not None
        await stores.act_for(other := uuid4())
        assert not await stores.tenants.add(own.model_copy(update={"tenant_id": other}))
        assert await stores.tenants.find() is None, "the transaction goes on after it"


async def test_plan_and_suspension_are_saved_and_the_name_stays(door: Transactions, ours: UUID) -> None:
    async with door.platform(ours) as stores:
        before = await stores.tenants.find(lock=True)
        assert before is not None
        changes = {"plan": Plan(name="big", max_models=7), "suspended_reason": "unpaid", "name": "other"}
        await stores.tenants.save(before.model_copy(update=changes))
    async with door.platform(ours) as stores:
        assert await stores.tenants.find() == before.model_copy(update=changes | {"name": before.name})


async def test_tenants_are_listed_by_name_whoever_asks(door: Transactions, ours: UUID, theirs: UUID) -> None:
    async with door.platform(None) as stores:
        everybody = [one.name for one in await stores.tenants.page(ALL)]
        behind = await stores.tenants.page(Page(1, everybody[0]))
    assert everybody == sorted(everybody)
    assert len(everybody) >= 2
    assert [one.name for one in behind] == everybody[1:2]


async def test_keys_are_listed_and_revoked_by_their_own_tenant_only(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    first, second, foreign = (f"k{uuid4().hex[:10]}" for _ in range(3))
    async with door.platform(ours) as stores:
        for key_id in (first, second):
            await stores.keys.add(api_key(ours, key_id))
    async with door.platform(theirs) as stores:
        await stores.keys.add(api_key(theirs, foreign))
    async with door.tenant(ours) as stores:
        listed = [key.key_id for key in await stores.keys.page(ALL)]
        assert listed == sorted((first, second))
        assert [key.key_id for key in await stores.keys.page(Page(5, listed[0]))] == listed[1:]
        assert not await stores.keys.revoke(foreign, NOW)
        assert await stores.keys.revoke(first, NOW)
        assert await stores.keys.revoke(first, LATER), "again is no error"
    async with door.platform(None) as stores:
        assert await stores.directory.api_key(first) == replace(api_key(ours, first), revoked_at=NOW)
        assert await stores.directory.api_key(foreign) == api_key(theirs, foreign), "a look-up sees all tenants"
        assert await stores.directory.api_key("nobodys") is None


async def test_a_producers_key_id_is_taken_once_and_for_ever_by_whomever(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    key_id = f"p-{uuid4().hex}"
    async with door.tenant(ours) as stores:
        assert await stores.producers.add(producer(ours, key_id))
        assert await stores.producers.revoke(key_id, NOW)
        assert not await stores.producers.revoke(key_id, LATER)
        assert not await stores.producers.revoke("nobodys", LATER)
    async with door.tenant(theirs) as stores:
        assert not await stores.producers.add(producer(theirs, key_id))
        assert await stores.producers.find(key_id) is None
        assert not await stores.producers.revoke(key_id, LATER)
        assert await stores.producers.page(ALL) == []
    async with door.platform(None) as stores:
        found = await stores.directory.producer(key_id)
    assert found == producer(ours, key_id).model_copy(update={"revoked_at": NOW})


async def test_models_are_a_tenants_own_and_archived_ones_do_not_count(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    async with door.tenant(ours) as stores:
        assert not await stores.models.add(model()), "the name is taken"
        assert await stores.models.add(model(name="code"))
        assert await stores.models.count() == 2
        archived = await stores.models.archive("code", NOW)
        assert archived is not None
        assert archived.archived_at == NOW
        assert await stores.models.archive("code", LATER) == archived, "since the first time"
        assert await stores.models.archive("nobodys", NOW) is None
        assert await stores.models.count() == 1
        assert [one.name for one in await stores.models.page(ALL)] == ["code", "llama"]
        assert [one.name for one in await stores.models.page(Page(5, "code"))] == ["llama"]
    async with door.tenant(theirs) as stores:
        assert await stores.models.find("code") is None
        assert await stores.models.find("llama") == model()


async def test_versions_are_a_models_own(door: Transactions, ours: UUID) -> None:
    async with door.tenant(ours) as stores:
        await stores.models.add(model(name="code"))
        assert not await stores.models.add_version(version())
        assert await stores.models.add_version(version(version="0.9"))
        assert await stores.models.add_version(version(model="code"))
        assert [one.version for one in await stores.models.versions("llama", ALL)] == ["0.9", "1.0"]
        assert [one.version for one in await stores.models.versions("llama", Page(5, "0.9"))] == ["1.0"]
        assert await stores.models.versions("nobodys", ALL) == []


async def test_an_answer_is_kept_for_its_account_and_key(door: Transactions, ours: UUID, theirs: UUID) -> None:
    reply = StoredReply(b"f" * 32, 201, "/there", {"a": [1, None]})
    async with door.tenant(ours) as stores:
        assert await stores.replies.claim(ours, "k", b"f" * 32) is None
        await stores.replies.keep(ours, "k", reply)
    async with door.tenant(ours) as stores:
        assert await stores.replies.claim(ours, "k", b"g" * 32) == reply, "whatever is asked now"
        assert await stores.replies.claim(ours, "other", b"f" * 32) is None
    async with door.tenant(theirs) as stores:
        assert await stores.replies.claim(theirs, "k", b"f" * 32) is None


async def test_a_rollback_leaves_no_trace(door: Transactions, ours: UUID) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it comes out when the block ends
        async with door.tenant(ours) as stores:
            await stores.replies.claim(ours, "k", b"f" * 32)
            await stores.models.add(model(name="code"))
            await record(stores, ours, is_new=True)
            raise ZeroDivisionError
    async with door.tenant(ours) as stores:
        assert await stores.replies.claim(ours, "k", b"f" * 32) is None
        assert await stores.models.find("code") is None
        assert await stores.views.page(ALL, None, None) == []


async def test_without_a_tenant_nothing_of_a_tenant_is_shown(door: Transactions) -> None:
    async with door.platform(None) as stores:
        for read in (
            stores.tenants.find,
            lambda: stores.models.find("llama"),
            lambda: stores.keys.page(ALL),
            lambda: stores.producers.page(ALL),
            lambda: stores.views.page(ALL, None, None),
        ):
            with pytest.raises(MissingTenantError):
                await read()


def admitted(about: UUID, revision: int = 1, **changes: Any) -> DeploymentRequested:
    """A revision of a deployment."""
    return requested(revision, uuid4(), **changes).model_copy(update={"deployment_id": about})


async def record(stores: Stores, owner: UUID, about: UUID | None = None, *, is_new: bool, **changes: Any) -> UUID:
    """What admission keeps of a revision."""
    data = admitted(about or uuid4(), **changes)
    await stores.deployments.record(stores.emit(data, Origin(owner, "user:ann")), is_new=is_new)
    return data.deployment_id


async def learn(door: Transactions, owner: UUID, *said: EventData) -> None:
    """What the projection does with events of one deployment."""
    for data in said:
        async with door.platform(owner) as stores:
            view = await stores.views.load(UUID(data.key))
            await stores.views.save(fold(view, data), event(data))


async def found(stores: Stores, about: UUID) -> Deployment:
    """The deployment, which is there."""
    deployment = await stores.deployments.find(about)
    assert deployment is not None
    return deployment


async def seen(stores: Stores, about: UUID) -> Shown:
    """What is shown of the deployment, which is there."""
    item = await stores.views.show(about)
    assert item is not None
    return item


def promoted(about: UUID) -> tuple[EventData, ...]:
    """A first revision that goes well."""
    return (
        RolloutStarted(deployment_id=about, revision=1, version="1.0", weights=(100,)),
        RolloutPromoted(deployment_id=about, revision=1, version="1.0"),
    )


async def test_a_name_is_taken_until_its_deployment_is_removed(door: Transactions, ours: UUID, theirs: UUID) -> None:
    async with door.tenant(ours) as stores:
        facts = await stores.deployments.facts(spec())
        assert (facts.model, facts.version, facts.existing) == (model(), version(), None)
        assert facts.tenant is not None
        about = await record(stores, ours, is_new=True)
    async with door.tenant(theirs) as stores:
        assert (await stores.deployments.facts(spec())).existing is None
        assert await stores.deployments.find(about) is None
    async with door.tenant(ours) as stores:
        existing = (await stores.deployments.facts(spec())).existing
        assert existing is not None
        assert (existing.deployment_id, existing.revision, existing.heading_to) == (about, 1, spec())
        for at in (NOW, LATER):
            await stores.deployments.cancel(about, at)
        existing = (await stores.deployments.facts(spec())).existing
        assert existing is not None
        assert existing.is_cancelled
        await stores.deployments.removed(about, LATER)
        assert (await stores.deployments.facts(spec())).existing is None
        deployment = await found(stores, about)
        assert (deployment.is_cancelled, deployment.is_removed) == (True, True)


async def test_facts_of_what_is_not_registered(door: Transactions, ours: UUID) -> None:
    async with door.tenant(ours) as stores:
        facts = await stores.deployments.facts(spec(model="nobodys"))
        assert (facts.model, facts.version) == (None, None)
        facts = await stores.deployments.facts(spec(version="9"))
        assert (facts.model, facts.version) == (model(), None)


async def test_a_revision_that_failed_heads_for_the_one_before(door: Transactions, ours: UUID) -> None:
    async with door.tenant(ours) as stores:
        about = await record(stores, ours, is_new=True)
    await learn(door, ours, *promoted(about))
    changed = spec(replicas=7)
    async with door.tenant(ours) as stores:
        await record(stores, ours, about, is_new=False, revision=2, replicas=7)
    async with door.tenant(ours) as stores:
        now = await found(stores, about)
        assert (now.revision, now.spec, now.heading_to, now.state) == (2, changed, changed, State.REQUESTED)
    second: dict[str, Any] = {"deployment_id": about, "revision": 2}
    await learn(door, ours, admitted(about, 2, replicas=7), RolloutStarted(**second, version="1.0", weights=(100,)))
    await learn(door, ours, RolloutRolledBack(**second, reason="bad"))
    async with door.tenant(ours) as stores:
        now = await found(stores, about)
        assert (now.spec, now.heading_to, now.state) == (changed, spec(), State.ROLLED_BACK)


async def test_what_is_asked_shows_before_it_is_folded(door: Transactions, ours: UUID, theirs: UUID) -> None:
    async with door.tenant(ours) as stores:
        about = await record(stores, ours, is_new=True)
        item = await seen(stores, about)
        assert (item.state, item.revision, item.as_of.position) == (State.REQUESTED, 1, None)
    await learn(door, ours, *promoted(about))
    async with door.tenant(ours) as stores:
        item = await seen(stores, about)
        assert (item.state, item.stable_revision, item.as_of.time) == (State.SERVING, 1, NOW)
        assert item.as_of.position is not None
        await record(stores, ours, about, is_new=False, revision=2)
        item = await seen(stores, about)
        assert (item.state, item.revision) == (State.REQUESTED, 2)
        await stores.deployments.cancel(about, NOW)
        assert (await seen(stores, about)).state is State.REMOVING
    await learn(door, ours, RolloutRemoved(deployment_id=about, revision=1, reason="deleted"))
    async with door.tenant(ours) as stores:
        assert (await seen(stores, about)).state is State.REMOVED
    async with door.tenant(theirs) as stores:
        assert await stores.views.show(about) is None


async def test_deployments_are_listed_newest_first_by_state_and_model(door: Transactions, ours: UUID) -> None:
    first = int(uuid4()) >> 2
    async with door.tenant(ours) as stores:
        ids = [
            await record(stores, ours, UUID(int=first + number), is_new=True, name=f"d{number}", model=name)
            for number, name in enumerate(("llama", "code", "llama"))
        ]
        await stores.deployments.cancel(ids[2], NOW)
    async with door.tenant(ours) as stores:

        async def listed(page: Page = ALL, state: str | None = None, of: str | None = None) -> list[UUID]:
            return [item.deployment_id for item in await stores.views.page(page, state, of)]

        assert await listed() == ids[::-1]
        assert await listed(Page(1)) == [ids[2]]
        assert await listed(Page(5, str(ids[2]))) == [ids[1], ids[0]]
        assert await listed(of="llama") == [ids[2], ids[0]]
        assert await listed(state="removing") == [ids[2]]
        assert await listed(state="requested", of="llama") == [ids[0]]
        with pytest.raises(Problem, match="another list"):
            await listed(Page(5, "no-uuid"))
