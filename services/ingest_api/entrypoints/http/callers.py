"""Credentials at the edge: who calls, and whether the credential is good for the route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from services.ingest_api.domain.identity import CredentialError, Scope
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.usecases.caller import Caller, identify, require, unauthenticated
from services.kit.observability import tracing

_BEARER = HTTPBearer(auto_error=False, description="A token of the issuer (JWT), or an API key.")
_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key: tw_live_<id>_<secret>.")


async def caller_of(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    api_key: Annotated[str | None, Security(_API_KEY)],
) -> Caller:
    """The verified caller; raises `Problem`."""
    desk = desk_of(request)
    credential = bearer.credentials if bearer is not None else api_key
    if not credential:
        raise unauthenticated(CredentialError("send Authorization: Bearer <token or API key>, or X-API-Key"))
    now = desk.clock.now()
    try:
        principal = await identify(credential, now, desk.tokens, desk.transactions.platform)
    except CredentialError as error:
        raise unauthenticated(error) from None
    return Caller(principal, now, request.state.trace_id, tracing.current_traceparent())


AnyCaller = Annotated[Caller, Depends(caller_of)]


def allowed(*scopes: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, whose credential must include one of `scopes`."""

    async def check(caller: AnyCaller) -> Caller:
        require(caller, *scopes)
        return caller

    return check


Operator = Annotated[Caller, Depends(allowed(Scope.OPERATOR))]
Admin = Annotated[Caller, Depends(allowed(Scope.ADMIN))]
Deployer = Annotated[Caller, Depends(allowed(Scope.DEPLOY))]
Reporter = Annotated[Caller, Depends(allowed(Scope.USAGE))]
Reader = Annotated[Caller, Depends(allowed(Scope.READ))]
CapacityReader = Annotated[Caller, Depends(allowed(Scope.OPERATOR, Scope.READ))]
UsageReader = Annotated[Caller, Depends(allowed(Scope.READ, Scope.USAGE))]
