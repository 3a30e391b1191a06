"""The Django admin: what may be changed there is checked and audited, history can only be read."""

from typing import Any

import asyncssh
import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from approvals.models import ApprovalAdmin
from fta.admin.base import HistoryAdmin
from fta.engine.loop import Engine
from fta.lib.secrets import digest
from fta.models import Alert, ApiKey, AuditEntry, ConfigVersion, Credential, Execution, Person, Rule, Source
from tests import factories

HIDDEN = {"accesstoken", "allowance", "groupclock"}  # what one process leaves to the next; no person has use for it


@pytest.fixture
def root(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root", "root@example.com", "pass-word-12345"))
    return client


def changed(page: Any, **values: Any) -> dict[str, Any]:
    """Return what a browser would send back of an admin form, with some values changed."""
    form = page.context["adminform"].form
    data = {field.html_name: field.value() for field in form if field.value() not in (None, False)}
    data |= {f"{field.html_name}_0": "" for field in form if field.html_name.endswith("_at")}
    return data | values


def test_it_knows_every_model() -> None:
    ours = {
        model for app in ("fta", "notify", "approvals", "wechat") for model in apps.get_app_config(app).get_models()
    }
    shown = set(admin.site._registry) | {
        inline.model for each in admin.site._registry.values() for inline in each.inlines
    }

    assert {model._meta.model_name for model in ours - shown} == HIDDEN


def test_it_shows_every_list_and_row(root: Client) -> None:
    alert = factories.alert()
    run = factories.execution(alert=alert, package=factories.package())
    factories.step(run)
    factories.rule()
    factories.convergence_rule()
    for model, pages in admin.site._registry.items():
        name = f"admin:{model._meta.label_lower.replace('.', '_')}"
        answer = root.get(reverse(f"{name}_changelist"))
        assert answer.status_code == 200, model
        assert "img/favicon.svg" in answer.content.decode()
        assert "unsafe" not in answer["Content-Security-Policy"]
        may_add = pages.has_add_permission(answer.wsgi_request)
        assert root.get(reverse(f"{name}_add")).status_code == (200 if may_add else 403), model
        for row in model._default_manager.all()[:1]:
            assert root.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200, model


def test_the_icon_is_where_browsers_look_for_it(client: Client, settings: Any) -> None:
    assert client.get("/favicon.ico")["Location"] == settings.STATIC_URL + "img/favicon.svg"


def test_it_changes_a_rule_with_audit_and_a_new_version(root: Client) -> None:
    rule = factories.rule()
    url = reverse("admin:fta_rule_change", args=[rule.pk])
    data = changed(root.get(url), priority=7, match='{"alert_type": "cpu"}', parameters="{}", notify="{}")

    assert root.post(url, data).status_code == 302

    rule.refresh_from_db()
    assert (rule.priority, rule.match) == (7, {"alert_type": "cpu"})
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb) == ("root", "rule.change")
    assert entry.data["changes"]["priority"] == ["100", "7"]
    assert ConfigVersion.current("rules") == 1


def test_it_refuses_conditions_that_cannot_be_compiled(root: Client) -> None:
    rule = factories.rule()
    url = reverse("admin:fta_rule_change", args=[rule.pk])
    data = changed(root.get(url), match='{"content": {"regex": "("}}', parameters="{}", notify="{}")

    answer = root.post(url, data)

    assert "match" in answer.context["adminform"].form.errors
    assert Rule.objects.get().match == {"alert_type": "disk_full"}
    assert not AuditEntry.objects.exists()
    assert ConfigVersion.current("rules") == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 59),
        ("notify", '{"channels": "wecom"}'),
        ("notify", '[{"channels": 1}]'),
        ("notify", '{"mail_maintainers": "no"}'),
    ],
)
def test_it_refuses_a_rule_as_the_other_doors_do(root: Client, name: str, value: Any) -> None:
    rule = factories.rule()
    url = reverse("admin:fta_rule_change", args=[rule.pk])
    answer = root.post(url, changed(root.get(url), **{"match": "{}", "parameters": "{}", "notify": "{}", name: value}))
    assert list(answer.context["adminform"].form.errors) == [name]
    assert not AuditEntry.objects.exists()


def test_it_refuses_a_shield_that_would_never_end(root: Client) -> None:
    url = reverse("admin:fta_shield_add")
    data = {"name": "夜里", "match": "{}", "repeat": "daily", "reason": "发布", "enabled": "on"}
    data |= {"starts_at_0": "2026-01-01", "starts_at_1": "22:00", "ends_at_0": "2026-01-03", "ends_at_1": "06:00"}
    assert list(root.post(url, data).context["adminform"].form.errors) == ["ends_at"]
    assert root.post(url, data | {"ends_at_0": "2026-01-02"}).status_code == 302


def test_it_never_edits_a_state(root: Client) -> None:
    run = factories.execution(alert=factories.alert(), state="held")
    url = reverse("admin:fta_execution_change", args=[run.pk])

    assert root.post(url, {"state": "succeeded"}).status_code == 403
    assert root.post(reverse("admin:fta_execution_delete", args=[run.pk]), {"post": "yes"}).status_code == 403
    assert Execution.objects.get().state == "held"
    for model, site in admin.site._registry.items():
        if model._meta.app_label == "fta" and any(field.name == "state" for field in model._meta.fields):
            assert isinstance(site, HistoryAdmin), model


def test_it_replaces_a_source_secret_and_keeps_the_old_one_for_a_day(root: Client) -> None:
    source = factories.source()
    url = reverse("admin:fta_source_change", args=[source.pk])
    page = root.get(url)
    shapes = {"cidrs": "[]", "relay_to": "[]", "options": "{}"}

    assert root.post(url, changed(page, secret="short", **shapes)).status_code == 200
    assert root.post(url, changed(page, secret="another-secret-0123456789", **shapes)).status_code == 302

    fresh = Source.objects.get()
    assert fresh.secret_digest == digest("another-secret-0123456789")
    assert fresh.previous_digest == source.secret_digest
    assert source.secret_digest not in page.content.decode()
    entry = AuditEntry.objects.get()
    assert entry.verb == "source.change"
    assert "another-secret" not in str(entry.data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("options", '{"severity": 5}'),
        ("options", '{"severity": {"5": "informational"}}'),
        ("options", '{"colour": "red"}'),
        ("options", "7"),
        ("kind", "carrier-pigeon"),
        ("time_zone", "Mars/One"),
        ("time_zone", "../etc"),
        ("cidrs", '["everywhere"]'),
        ("cidrs", "[[]]"),
        ("cidrs", '"192.0.2.0/24"'),
        ("relay_to", '["nope"]'),
        ("relay_to", '{"nope": 1}'),
    ],
)
def test_it_refuses_a_source_that_alerts_could_not_be_read_by(root: Client, name: str, value: str) -> None:
    url = reverse("admin:fta_source_change", args=[factories.source().pk])
    shapes = {"cidrs": "[]", "relay_to": "[]", "options": "{}"}
    answer = root.post(url, changed(root.get(url), **(shapes | {name: value})))
    assert list(answer.context["adminform"].form.errors) == [name]


def test_a_source_finds_the_words_of_its_scale_whatever_their_case(root: Client) -> None:
    source = factories.source()
    url = reverse("admin:fta_source_change", args=[source.pk])
    scale = '{"severity": {" Sev1 ": "critical", "5": "info"}}'
    assert root.post(url, changed(root.get(url), cidrs="", relay_to="", options=scale)).status_code == 302
    source.refresh_from_db()
    assert (source.cidrs, source.relay_to) == ([], [])
    assert source.options == {"severity": {"sev1": "critical", "5": "info"}}
    alerts = [{"source_id": word, "ip": "127.0.0.1", "level": word} for word in ("SEV1", "5")]
    headers = {"X-Secret": "source-secret-0123456789"}
    assert Client().post("/intake/rest/", alerts, content_type="application/json", headers=headers).status_code == 202
    Engine(work=["inbox"]).drain()
    assert list(Alert.objects.order_by("external_id").values_list("severity", flat=True)) == ["info", "critical"]

    assert root.post(url, changed(root.get(url), cidrs="", relay_to="", options="")).status_code == 302
    assert Client().post("/intake/rest/", alerts, content_type="application/json", headers=headers).status_code == 202


def test_it_signs_out_a_person_who_is_made_inactive(root: Client, operator: Person) -> None:
    theirs = Client()
    theirs.force_login(operator.user)
    url = reverse("admin:fta_person_change", args=[operator.pk])
    data = changed(root.get(url), deputy_until_0="", deputy_until_1="")
    data.pop("active")
    assert root.post(url, data).status_code == 302
    assert theirs.get(reverse("web:executions")).status_code == 302
    assert root.post(url, data | {"active": "on"}).status_code == 302
    assert theirs.get(reverse("web:executions")).status_code == 200


def test_it_never_shows_a_credential(root: Client) -> None:
    made = Credential.objects.create(name="ssh", kind="password", secret="hunter2-hunter2")
    url = reverse("admin:fta_credential_change", args=[made.pk])
    page = root.get(url)

    assert "hunter2" not in page.content.decode()
    assert root.post(url, changed(page, name="ssh-2")).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.secret) == ("ssh-2", "hunter2-hunter2")
    assert "hunter2" not in str(AuditEntry.objects.get().data)


def test_it_takes_a_private_key_of_several_lines_and_no_other_text_for_one(root: Client) -> None:
    made = Credential.objects.create(name="ssh", kind="password", secret="hunter2-hunter2")
    url = reverse("admin:fta_credential_change", args=[made.pk])
    page = root.get(url)
    assert page.context["adminform"].form.fields["new_secret"].widget.template_name.endswith("textarea.html")
    key = asyncssh.generate_private_key("ssh-ed25519")
    locked = key.export_private_key("pkcs8-pem", passphrase="open sesame").decode()

    for wrong, word in (("", "重新填写"), ("no key", "私钥"), (locked, "口令")):
        answer = root.post(url, changed(page, kind="ssh_key", new_secret=wrong))
        assert word in str(answer.context["adminform"].form.errors["new_secret"])
        assert locked not in answer.content.decode()
    plain = key.export_private_key().decode()
    assert root.post(url, changed(page, kind="ssh_key", new_secret=plain.replace("\n", "\r\n"))).status_code == 302
    made.refresh_from_db()
    assert made.secret == plain


def test_it_names_what_is_wrong_with_a_connection(root: Client) -> None:
    token = Credential.objects.create(name="awx", kind="token", secret="hunter2-hunter2")
    host = factories.host()
    url = reverse("admin:fta_host_change", args=[host.pk])
    page = root.get(url)
    wrong = {"connection": "ssh", "ssh_user": "-oProxyCommand=x", "ssh_port": 70000, "host_key": "ssh-ed25519 AAAA"}

    answer = root.post(url, changed(page, **wrong, credential=token.pk, attributes="{}"))
    assert set(answer.context["adminform"].form.errors) == {"ssh_user", "ssh_port", "host_key", "credential"}
    pinned = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    right = {"connection": "ssh", "ssh_user": "ops", "ssh_port": 2222, "host_key": pinned}
    assert root.post(url, changed(page, **right, attributes="{}")).status_code == 302
    host.refresh_from_db()
    assert (host.connection, host.ssh_user, host.ssh_port) == ("ssh", "ops", 2222)


def test_it_sends_a_token_elsewhere_only_for_who_knows_it(root: Client) -> None:
    made = Credential.objects.create(name="awx", kind="token", url="https://awx", secret="hunter2-hunter2")
    url = reverse("admin:fta_credential_change", args=[made.pk])
    page = root.get(url)

    assert root.post(url, changed(page, url="https://elsewhere")).status_code == 200
    assert root.post(url, changed(page, kind="password", new_secret="hunter3")).status_code == 200
    made.refresh_from_db()
    assert (made.url, made.kind) == ("https://awx", "token")
    assert root.post(url, changed(page, url="https://elsewhere", new_secret="hunter3-hunter3")).status_code == 302
    made.refresh_from_db()
    assert (made.url, made.secret) == ("https://elsewhere", "hunter3-hunter3")


def test_it_is_closed_to_operators(client: Client, operator: Person) -> None:
    client.force_login(operator.user)

    assert client.get(reverse("admin:fta_rule_changelist")).status_code == 302


def test_a_key_acts_as_nobody_who_signs_in(root: Client, operator: Person) -> None:
    url = reverse("admin:fta_apikey_add")
    bot = factories.person("bot", "operator", wecom="")
    for person in (operator, bot):  # one with WeCom, one with a password
        answer = root.post(url, {"name": "key", "user": person.user.pk, "enabled": "on", "key": "k" * 16})
        assert list(answer.context["adminform"].form.errors) == ["user"]
    bot.user.set_unusable_password()
    bot.user.save()
    assert root.post(url, {"name": "key", "user": bot.user.pk, "enabled": "on", "key": "k" * 16}).status_code == 302

    User.objects.filter(pk=bot.user.pk).update(is_superuser=True)
    url = reverse("admin:fta_apikey_change", args=[ApiKey.objects.get().pk])
    assert "不能以人的身份" in root.post(url, {"name": "key", "user": bot.user.pk, "enabled": "on"}).content.decode()
    assert root.post(url, {"name": "key", "user": bot.user.pk}).status_code == 302  # but it can be switched off
    assert not ApiKey.objects.get().enabled


def test_it_audits_users_their_roles_and_their_passwords(root: Client, operator: Person) -> None:
    url = reverse("admin:auth_user_change", args=[operator.user.pk])
    admins = Group.objects.get_or_create(name="admin")[0]
    page = root.get(url)
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00", "last_login_0": "", "last_login_1": ""}
    data = changed(page, groups=[admins.pk], is_superuser="on", **joined)
    assert root.post(url, data).status_code == 302
    words = {"password1": "Another-pass-1234", "password2": "Another-pass-1234", "usable_password": "true"}
    assert root.post(reverse("admin:auth_user_password_change", args=[operator.user.pk]), words).status_code == 302
    group = Group.objects.create(name="old")
    selected = {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"}
    assert root.post(reverse("admin:auth_group_changelist"), selected).status_code == 302

    made, word, gone = AuditEntry.objects.order_by("pk")
    assert (made.verb, made.actor, made.data["groups"], made.data["is_superuser"]) == (
        "user.change",
        "root",
        ["admin"],
        True,
    )
    assert (word.verb, word.data["changes"]) == ("user.change", [{"changed": {"fields": ["password"]}}])
    assert (gone.verb, gone.object_type, gone.data["name"]) == ("group.delete", "auth.group", "old")
    assert "Another-pass" not in str(word.data)


def test_it_audits_each_approver_that_is_deleted_from_the_list(root: Client, operator: Person) -> None:
    row = ApprovalAdmin.objects.create(person=operator)
    selected = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    assert root.post(reverse("admin:approvals_approvaladmin_changelist"), selected).status_code == 302
    assert not ApprovalAdmin.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.object_id) == ("approvaladmin.delete", str(row.pk))


def test_a_mode_is_not_set_past_its_steps(root: Client) -> None:
    package = factories.package(mode="off")
    url = reverse("admin:fta_package_change", args=[package.pk])
    versions = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    answer = root.post(
        url, changed(root.get(url), mode="auto", name="新名", budget="{}", unverified_in_a_row="0", **versions)
    )
    assert answer.status_code == 302, (answer.context["errors"], answer.context["adminform"].form.errors)
    package.refresh_from_db()
    assert (package.mode, package.name) == ("off", "新名")


def test_a_credential_is_given_to_no_business_whose_hosts_do_not_use_it(root: Client) -> None:
    made = Credential.objects.create(name="ssh", kind="password", secret="hunter2-hunter2")
    host = factories.host(credential=made, business=factories.business("game"))
    pay = factories.business("pay", "支付")
    url = reverse("admin:fta_credential_change", args=[made.pk])
    answer = root.post(url, changed(root.get(url), business=pay.pk))
    assert list(answer.context["adminform"].form.errors) == ["business"]
    assert root.post(url, changed(root.get(url), business=host.business_id)).status_code == 302
    url = reverse("admin:fta_host_change", args=[host.pk])
    ssh = {"connection": "ssh", "ssh_user": "ops", "attributes": "{}", "business": pay.pk}
    assert list(root.post(url, changed(root.get(url), **ssh)).context["adminform"].form.errors) == ["credential"]
