"""The versions of a package: listed, compared, restored, exported, copied; and who stands on a package."""

from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from fta.healing.versions import save_version
from fta.models import AuditEntry, Business, Package, PackageVersion, Person
from fta.web.package_text import text_of_version
from tests import factories

OLD = [
    {"id": 1, "name": "等", "type": "sleep", "params": {"seconds": 5}, "next": {"success": [2], "failure": [3]}},
    {"id": 2, "name": "问", "type": "approval", "params": {"message": "可以吗"}},
    {"id": 3, "name": "标记", "type": "mark_almost_success"},
]
NEW = [
    {"id": 1, "name": "等", "type": "sleep", "timeout": 60, "params": {"seconds": 9}, "next": {"success": [2, 4]}},
    {"id": 2, "name": "问", "type": "approval", "params": {"message": "可以吗"}},
    {"id": 4, "name": "再等", "type": "sleep", "params": {"seconds": 1}},
]


@pytest.fixture
def package(game: Business) -> Package:
    """A package of three versions; the third differs from the first, the second only in a secret."""
    made = Package.objects.create(key="wait", name="等一等", business=game, mode="auto", risk="low", description="先等")
    secret = [{"name": "token", "type": "secret"}]
    for nodes, value, note in (
        (OLD, "first-secret", "第一回"),
        (OLD, "second-secret", "换密文"),
        (NEW, "", "再等一次"),
    ):
        save_version(made, nodes, secret, {"token": value}, "lisi", note, timezone.now())
    return made


def test_it_lists_who_when_and_why(as_operator: Client, package: Package) -> None:
    page = as_operator.get("/packages/wait/versions/").content.decode()

    assert page.index("再等一次") < page.index("换密文") < page.index("第一回")
    assert "lisi" in page


@pytest.mark.parametrize("order", [("1", "3"), ("3", "1")])
def test_it_compares_in_the_graph_and_in_text(as_operator: Client, package: Package, order: tuple[str, str]) -> None:
    page = as_operator.get("/packages/wait/compare/", {"from": order[0], "to": order[1]})

    assert page.context["changes"] == [
        ("added", 4, "再等", ""),
        ("changed", 1, "等", "等多久、超时、连线"),
        ("removed", 3, "标记", ""),
    ]
    drawing = page.context["drawing"]
    assert {box.id: box.look.state for box in drawing.boxes} == {
        1: "plan is-changed", 2: "plan", 3: "plan is-removed", 4: "plan is-added",
    }  # fmt: skip
    assert {(edge.source, edge.target, edge.css) for edge in drawing.edges} == {
        (1, 2, ""), (1, 4, "is-added"), (1, 3, "is-failure is-removed"),
    }  # fmt: skip
    lines = page.context["lines"]
    assert ("is-removed", "-    seconds: 5") in lines
    assert ("is-added", "+    seconds: 9") in lines
    assert "secret-" not in page.content.decode()


def test_it_says_that_two_versions_are_the_same(as_operator: Client, package: Package) -> None:
    page = as_operator.get("/packages/wait/compare/?from=1&to=2")

    assert page.context["changes"] == []
    assert "两版的节点和参数相同" in page.content.decode()
    for asked in ("from=1&to=9", "from=1", "from=x&to=1", "from=%C2%B2&to=1"):
        assert as_operator.get(f"/packages/wait/compare/?{asked}").status_code == 404


def test_it_restores_as_a_new_version_with_a_reason(as_operator: Client, package: Package) -> None:
    url = "/packages/wait/versions/1/restore/"
    assert "请填写原因" in as_operator.post(url, {"reason": " "}, follow=True).content.decode()
    assert package.versions.count() == 3
    assert "data-needs" in as_operator.get("/packages/wait/?version=1").content.decode()

    answer = as_operator.post(url, {"reason": "新版等太久"}, follow=True)

    assert "已恢复 v1，当前是 v4。" in answer.content.decode()
    first, fourth = (package.versions.get(number=number) for number in (1, 4))
    assert (fourth.sha256, fourth.note, fourth.author) == (first.sha256, "新版等太久", "lisi")
    assert Package.objects.get().current == fourth
    assert fourth.secrets == {"token": "second-secret"}, "a secret that was changed since stays changed"
    entry = AuditEntry.objects.get(verb="package.restore")
    assert (entry.data["version"], entry.data["restored"], entry.data["reason"]) == (4, 1, "新版等太久")

    again = as_operator.post(url, {"reason": "再来"}, follow=True)
    assert "v1 与当前版本相同" in again.content.decode()
    assert package.versions.count() == 4
    assert AuditEntry.objects.filter(verb="package.restore").count() == 1


def test_it_restores_nothing_that_would_not_be_saved_today(as_operator: Client, package: Package) -> None:
    PackageVersion.objects.filter(number=1).update(nodes=[{"id": 1, "type": "gone", "params": {}}])

    answer = as_operator.post("/packages/wait/versions/1/restore/", {"reason": "试试"}, follow=True)

    assert "未知的节点类型：gone" in answer.content.decode()
    assert package.versions.count() == 3


def test_it_exports_what_can_be_imported_and_applied(as_operator: Client, package: Package, tmp_path: Any) -> None:
    answer = as_operator.get("/packages/wait/export/")

    assert answer["Content-Disposition"] == 'attachment; filename="wait-v3.yaml"'
    text = answer.content.decode()
    assert "secret-" not in text
    assert yaml.safe_load(as_operator.get("/packages/wait/export/?version=1").content)["nodes"][0]["params"] == {
        "seconds": 5
    }

    document = {"version": 1, "packages": [yaml.safe_load(text)]}
    (tmp_path / "portal.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    call_command("apply_config", str(tmp_path / "portal.yaml"), verbosity=0)
    assert package.versions.count() == 3, "nothing differs"

    imported = as_operator.post("/packages/new/", {"action": "yaml", "yaml": text.replace("key: wait", "key: wait-2")})
    assert text_of_version(package.versions.get(number=3)) == text
    assert imported.context["draft"].head["key"].value() == "wait-2"
    assert imported.context["yaml"] == text.replace("key: wait", "key: wait-2")


def test_it_copies_to_a_business_without_secrets(as_operator: Client, package: Package) -> None:
    page = as_operator.get("/packages/new/?copy=wait")

    draft = page.context["draft"]
    assert (draft.head["name"].value(), draft.head["key"].value()) == ("等一等", None)
    assert draft.head["note"].value() == "复制自 wait v3"
    assert [form["name"].value() for form in draft.nodes] == ["等", "问", "再等"]
    assert "secret-" not in page.content.decode()
    assert as_operator.get("/packages/new/?copy=nothing").status_code == 404


def test_it_archives_nothing_that_is_in_use(as_operator: Client, package: Package, game: Business) -> None:
    rule = factories.rule("等待", package=package)
    outer = factories.package(
        "outer", [{"id": 1, "type": "package", "params": {"package": "wait"}}], name="外层", business=game
    )
    run = factories.execution(package=package, state="running", business=game)

    page = as_operator.post("/packages/wait/archive/", follow=True).content.decode()
    assert "还有人在用（接入规则：等待；套餐：外层；没有结束的执行 1 个），不能归档。" in page
    for used in (rule, outer):
        type(used).objects.filter(pk=used.pk).update(archived=True)
    assert "没有结束的执行 1 个" in as_operator.post("/packages/wait/archive/", follow=True).content.decode()
    assert not Package.objects.get(key="wait").archived

    type(run).objects.filter(pk=run.pk).update(state="succeeded")
    as_operator.post("/packages/wait/archive/")
    assert Package.objects.get(key="wait").archived


def test_it_keeps_to_the_users_businesses(
    client: Client, package: Package, viewer: Person, stranger: Person, pay: Business
) -> None:
    reads = [f"/packages/wait/{page}" for page in ("versions/", "compare/?from=1&to=2", "export/")]
    client.force_login(viewer.user)
    assert [client.get(url).status_code for url in reads] == [200, 200, 200]
    assert client.get("/packages/new/?copy=wait").status_code == 403
    assert client.post("/packages/wait/versions/1/restore/", {"reason": "试试"}).status_code == 404

    client.force_login(stranger.user)
    assert [client.get(url).status_code for url in reads] == [404, 404, 404]
    assert package.versions.count() == 3
