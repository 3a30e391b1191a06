"""Who may see, run, change and archive which package."""

from django.test import Client

from fta.models import AuditEntry, Business, Execution, Person
from tests import factories


def test_it_keeps_to_the_users_businesses(as_operator: Client, pay: Business, admin: Person) -> None:
    factories.package("global")
    factories.package("foreign", business=pay)
    listed = [each.package.key for each in as_operator.get("/packages/").context["listed"]]

    assert listed == ["global"]
    assert as_operator.get("/packages/global/").status_code == 200
    for url in ("/packages/global/edit/", "/packages/foreign/", "/packages/foreign/edit/"):
        assert as_operator.get(url).status_code == 404
    assert as_operator.post("/packages/global/archive/").status_code == 404
    assert not AuditEntry.objects.exists()

    as_operator.force_login(admin.user)
    assert as_operator.get("/packages/foreign/edit/").status_code == 200


def test_it_archives_only_what_no_rule_uses(as_operator: Client, game: Business) -> None:
    package = factories.package(business=game)
    rule = factories.rule(package=package)

    as_operator.post("/packages/clean-disk/archive/")
    package.refresh_from_db()
    assert not package.archived

    rule.archived = True
    rule.save()
    as_operator.post("/packages/clean-disk/archive/")
    package.refresh_from_db()
    assert package.archived
    assert AuditEntry.objects.get().verb == "package.archive"
    assert as_operator.get("/packages/clean-disk/").status_code == 404


def test_it_runs_by_hand_on_own_hosts_only(as_operator: Client, game: Business, pay: Business) -> None:
    package = factories.package(parameters=[{"name": "path", "type": "string", "required": True}])
    factories.host("127.0.0.10", business=game)
    factories.host("127.0.1.11", name="pay-11", business=pay)
    url = f"/packages/{package.key}/run/"

    refused = as_operator.post(url, {"ip": "127.0.1.11", "reason": "试试", "p_path": "/x"})
    assert "不在你的业务里" in refused.content.decode()
    assert "请填写原因" in as_operator.post(url, {"ip": "127.0.0.10", "p_path": "/x"}).content.decode()
    assert "参数 path 必填" in as_operator.post(url, {"ip": "127.0.0.10", "reason": "试试"}).content.decode()
    assert not Execution.objects.exists()

    answer = as_operator.post(url, {"ip": "127.0.0.10", "reason": "试试", "p_path": "/x", "dry_run": "1"})
    run = Execution.objects.get()
    assert answer["Location"] == f"/executions/{run.pk}/"
    assert (run.state, run.plan["parameters"]) == ("shadowed", {"path": "/x"})
    page = as_operator.get(answer["Location"]).content.decode()
    assert "如果现在执行" in page
    assert "没有超出影响面预算" in page
    assert AuditEntry.objects.get().data["reason"] == "试试"


def test_it_lets_viewers_look_only(client: Client, viewer: Person, game: Business) -> None:
    package = factories.package(business=game)
    factories.host()
    client.force_login(viewer.user)

    page = client.get("/packages/clean-disk/")

    assert page.status_code == 200
    assert page.context["run_form"] is None
    assert client.get("/packages/clean-disk/edit/").status_code == 404
    client.post(f"/packages/{package.key}/run/", {"ip": "127.0.0.10", "reason": "试试"})
    assert not Execution.objects.exists()
