from __future__ import annotations

import pytest
from django.db import connection

from tests.alerts_app.spending import lined


@pytest.fixture
def spending(tmp_path, transactional_db):
    with lined(tmp_path) as made:
        yield made
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, session, request_alias, pending_amendment")
        cursor.execute("TRUNCATE usage_delta, facet_delta")
