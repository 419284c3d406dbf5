"""Admission: each rule refuses what it must, in a fixed order, and what passes is announced exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.deployment import Canary
from services.ingest_api.domain.admission import (
    Admitted,
    Existing,
    Facts,
    Refused,
    Request,
    Verb,
    admit,
    first_stage_replicas,
)
from services.ingest_api.domain.problems import CATALOGUE
from tests.fakes.ingest_api.builders import DEPLOYMENT, HALF_GPU, NOW, SECOND, model, spec, tenant, version

NEW = UUID(int=99)
FACTS = Facts(tenant=tenant(), model=model(), version=version(), existing=None)
RUNNING = Existing(DEPLOYMENT, 3, spec(), is_cancelled=False)


def ask(verb: Verb = Verb.CREATE, **changes: Any) -> Request:
    """A request with these fields of the spec changed."""
    return Request(verb, spec(**changes), new_deployment_id=NEW, reservation_id=SECOND)


def test_a_new_deployment_gets_its_first_revision_and_all_its_replicas() -> None:
    decision = admit(ask(), FACTS)
    assert isinstance(decision, Admitted)
    assert decision.is_new
    event = decision.event
    assert (event.deployment_id, event.revision, event.reservation_id) == (NEW, 1, SECOND)
    assert event.first_stage_replicas == 4


def test_a_change_gets_the_next_revision_and_the_first_weights_share() -> None:
    for verb in (Verb.CHANGE, Verb.DEPLOY):
        decision = admit(ask(verb, replicas=15), replace(FACTS, existing=RUNNING))
        assert isinstance(decision, Admitted)
        assert not decision.is_new
        assert (decision.event.deployment_id, decision.event.revision) == (DEPLOYMENT, 4)
        assert decision.event.first_stage_replicas == 2


REFUSALS = [
    (ask(), replace(FACTS, tenant=None), "tenant-suspended", ""),
    (ask(), replace(FACTS, tenant=tenant(suspended_reason="unpaid")), "tenant-suspended", ""),
    (ask(name="a.b"), FACTS, "deployment-name-invalid", "/name"),
    (ask(name="a" * 41), FACTS, "deployment-name-invalid", "/name"),
    (ask(name="9lives"), FACTS, "deployment-name-invalid", "/name"),
    (ask(), replace(FACTS, existing=RUNNING), "deployment-exists", "/name"),
    (ask(Verb.CHANGE), FACTS, "not-found", "/name"),
    (ask(Verb.DEPLOY), replace(FACTS, existing=replace(RUNNING, is_cancelled=True)), "deployment-removing", "/name"),
    (ask(), replace(FACTS, model=None), "model-not-found", "/model"),
    (ask(), replace(FACTS, model=model(archived_at=NOW)), "model-archived", "/model"),
    (ask(), replace(FACTS, version=None), "version-not-found", "/version"),
    (ask(resources=HALF_GPU.model_copy(update={"cpu_milli": 0})), FACTS, "invalid-request", "/resources/cpu_milli"),
    (ask(Verb.CHANGE), replace(FACTS, existing=RUNNING), "no-change", ""),
    (ask(Verb.DEPLOY), replace(FACTS, existing=RUNNING), "no-change", ""),
]


@pytest.mark.parametrize(("request_", "facts", "code", "pointer"), REFUSALS)
def test_a_refusal_names_its_rule_and_field(request_: Request, facts: Facts, code: str, pointer: str) -> None:
    decision = admit(request_, facts)
    assert isinstance(decision, Refused)
    assert (decision.code, [v.pointer for v in decision.violations]) == (code, [pointer])
    assert decision.message
    assert code in CATALOGUE


def test_what_failed_may_be_asked_again() -> None:
    assert isinstance(admit(ask(Verb.CHANGE), replace(FACTS, existing=replace(RUNNING, heading_to=None))), Admitted)


def test_who_is_suspended_learns_nothing_else() -> None:
    nothing = Facts(tenant=tenant(suspended_reason="unpaid"), model=None, version=None, existing=RUNNING)
    decision = admit(ask(), nothing)
    assert isinstance(decision, Refused)
    assert decision.code == "tenant-suspended"


@given(replicas=st.integers(1, 1000), weight=st.integers(1, 99))
def test_the_first_stage_can_carry_its_weight_and_is_never_more_than_needed(replicas: int, weight: int) -> None:
    asked = spec(replicas=replicas, canary=Canary(weights=(weight, 100)))
    share = first_stage_replicas(asked, is_first=False)
    assert share * 100 >= replicas * weight
    assert share == 1 or (share - 1) * 100 < replicas * weight
    assert first_stage_replicas(asked, is_first=True) == replicas
