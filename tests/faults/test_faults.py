"""A small run with real kills; `make faults` does the long one."""

import os

import pytest

from tests.conftest import skip_or_fail
from tests.faults.__main__ import lacking
from tests.faults.run import Size, run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]


@pytest.mark.skipif(os.environ.get("FTA_FAULTS") != "1", reason="FTA_FAULTS=1 runs it; it takes minutes")
def test_it_keeps_every_promise_while_its_processes_are_killed() -> None:
    if missing := lacking():
        skip_or_fail("postgres", missing)
    result = run(Size(executions=60, kills=12, aimed=9, pauses=2), seed=1)
    assert result.breaches == []
