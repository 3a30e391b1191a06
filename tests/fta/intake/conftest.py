"""The source that most of these tests post to."""

import pytest

from fta.models import Source
from tests import factories


@pytest.fixture
def rest(game: object) -> Source:
    factories.host("127.0.0.10")
    return factories.source(app_id="demo-app")
