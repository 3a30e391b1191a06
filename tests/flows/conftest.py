"""The portals that the flows share: starting one costs more than a flow."""

from collections.abc import Iterator

import pytest

from tests.stage import Stage

PREFIX = "/o/bk_fta_solution/"


@pytest.fixture(scope="package")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A portal on SQLite without a broker, under a path prefix."""
    made = Stage(tmp_path_factory.mktemp("embedded"), SITE_PREFIX=PREFIX)
    try:
        yield made.prepare_more_hosts().start("web", "engine")
    finally:
        made.close()
