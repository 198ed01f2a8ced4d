"""Whatever is asked, the answer is one the document describes, and never a defect of ours."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from api.server import Services, create_app
from api.server.app import furnish
from api.server.stream import StreamLimits
from tests.api.server.conftest import GUARDS
from tests.examples import examples

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


# The document is read before there are services; each test brings its own.
# A stream of events would go on for an hour: here it ends after an instant, by the same code.
STREAMS = StreamLimits(longest_s=0.02)
APP = create_app(cast("Services", None), guards=GUARDS, streams=STREAMS)
DOCUMENT = schemathesis.openapi.from_asgi("/api/v1/openapi.json", APP)


@pytest.fixture
def key(services: Services) -> str:
    furnish(APP, services, guards=GUARDS, streams=STREAMS)
    key = services.users.ensure_admin()
    assert key is not None
    admin = services.users.authenticate_key(key)
    services.accounts.create("paper", {"USDT": Decimal(1000)}, admin, account_id="paper")
    return key


@pytest.mark.slow
@DOCUMENT.parametrize()
@examples(15, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(key: str, case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"X-API-Key": key}, checks=CHECKS)
