"""Static files: the first start works without `collectstatic`, and the first `collectstatic` is enough for production."""

import re
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string


def test_names_carry_a_digest_from_the_first_collection_on(tmp_path: Path) -> None:
    storage = import_string(settings.STORAGES["staticfiles"]["BACKEND"])
    (tmp_path / "a.css").write_text("a { color: red }")
    first = storage(location=tmp_path, base_url="/static/")
    assert first.url("a.css") == "/static/a.css"

    assert all(done is not None for _name, _hashed, done in first.post_process({"a.css": (first, "a.css")}))
    assert re.fullmatch(r"/static/a\.[0-9a-f]{12}\.css", storage(location=tmp_path, base_url="/static/").url("a.css"))
