"""The section of the configuration file that sets WeCom up."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError

from approvals.models import ApprovalAdmin
from fta.config.document import Run
from fta.config.reader import Reader
from fta.lib.secrets import digest
from wechat import forms
from wechat.forms import check_aes_key, check_api_token, check_token, check_verify_file, verify_content
from wechat.models import GatewayClient, WecomApp
from wechat.selectors import person_of_userid
from wechat.services.configuration import rotated
from wechat.services.gateway_clients import MIN_SECRET

_SECRETS = ("secret", "token", "encoding_aes_key", "api_token")
# As the configuration page checks them: what it refuses must not come in by the file.
_CHECKS = {"token": check_token, "encoding_aes_key": check_aes_key, "api_token": check_api_token}
_ADDRESSES = {"api_url": forms.api_url, "app_url": forms.app_url, "static_url": forms.static_url}


class Wecom:
    name = "wecom"

    def apply(self, data: Any, run: Run) -> None:
        items = data if isinstance(data, list) else [data]
        named = set()
        for index, item in enumerate(items):
            path = f"wecom[{index}]" if isinstance(data, list) else "wecom"
            reader = Reader(item, path, run.errors)
            name = run.claim(reader, "name", reader.text("name", "default", limit=64))
            named.add(name)
            self._apply_one(name, index == 0, reader, run)
        gone = WecomApp.objects.filter(archived=False).exclude(name__in=named)
        run.leave_out(self.name, gone, archived=True, is_default=False)

    def _apply_one(self, name: str, default: bool, reader: Reader, run: Run) -> None:
        values: dict[str, Any] = {
            "corp_id": reader.text("corp_id", limit=64),
            "agent_id": reader.number("agent_id", 0) or None,
            **{key: _address(reader, key, stored, run) for key, stored in _ADDRESSES.items()},
            "verify_files": [_verify_file(each) for each in reader.children("verify_files")],
            "is_default": default,
            "archived": False,
        }
        for key in _SECRETS:
            if secret := reader.text(key, limit=255):
                values[key] = secret  # one that the file does not give stays as it is: an export gives none
        for key, check in _CHECKS.items():
            problem = check(values[key]) if key in values else ""
            if problem:
                reader.fault(key, problem)
        admins = reader.texts("approval_admins")
        reader.end()
        if default:
            WecomApp.objects.filter(is_default=True).exclude(name=name).update(is_default=False)
        stored = WecomApp.objects.filter(name=name).first()
        if "secret" not in values and forms.secret_leaves(stored, values["api_url"]):
            reader.fault("secret", "is needed: api_url names another server than the one that the stored secret is for")
        run.upsert(WecomApp, {"name": name}, values | (rotated(stored, values, run.now) if stored else {}))
        if default:
            run.later(lambda: set_admins(admins, run))

    def export(self) -> Any:
        found = []
        for row in WecomApp.objects.filter(archived=False).order_by("-is_default", "name"):
            item: dict[str, Any] = {"name": row.name, "corp_id": row.corp_id, "agent_id": row.agent_id}
            item.update({"api_url": row.api_url, "app_url": row.app_url, "static_url": row.static_url})
            item.update({"verify_files": row.verify_files} if row.verify_files else {})
            if row.is_default:
                item["approval_admins"] = [
                    a.person.wecom_userid for a in ApprovalAdmin.objects.select_related("person")
                ]
            found.append({key: value for key, value in item.items() if value not in ("", None)})
        return found[0] if len(found) == 1 else found


def _address(reader: Reader, key: str, stored: Callable[[str], str], run: Run) -> str:
    """Return an address as it is stored; one whose origin is a variable that is not set, of which was warned, is none."""
    given = reader.text(key)
    unset = any(warning.startswith(f"{reader.path}.{key}: ") for warning in run.warnings)
    try:
        return stored("" if unset else given)
    except ValidationError as error:
        reader.fault(key, error.messages[0])
        return ""


def _verify_file(reader: Reader) -> dict[str, str]:
    name = reader.text("name", required=True)
    content = reader.text("content", verify_content(name)).strip()
    if problem := check_verify_file(name, content):
        reader.fault("name", problem)
    reader.end()
    return {"name": name, "content": content}


class Gateway:
    name = "gateway"

    def apply(self, data: Any, run: Run) -> None:
        outer = Reader(data or {}, self.name, run.errors)
        named = set()
        for index, item in enumerate(outer.items("clients")):
            reader = Reader(item, f"gateway.clients[{index}]", run.errors)
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            values: dict[str, Any] = {
                "corp_id": reader.text("corp_id", required=True, limit=64),
                "agent_id": reader.number("agent_id", 0),
                "per_minute": reader.number("per_minute", 200),
                "enabled": reader.flag("enabled", True),
                "archived": False,
            }
            secret = reader.text("secret", limit=255)
            if secret and len(secret) < MIN_SECRET:
                reader.fault("secret", f"must be at least {MIN_SECRET} characters long")
            if secret:
                values["secret_digest"] = digest(secret)  # one that the file does not give stays as it is
            if not values["agent_id"]:
                reader.fault("agent_id", "is missing: any number, the one that the tool is given")
            reader.end()
            named.add(name)
            if name:
                run.upsert(GatewayClient, {"name": name}, values)
        outer.end()
        run.archive(GatewayClient.objects.filter(archived=False).exclude(name__in=named), archived=True)

    def export(self) -> Any:
        found = []
        for row in GatewayClient.objects.filter(archived=False).order_by("name"):
            item = {"name": row.name, "corp_id": row.corp_id, "agent_id": row.agent_id, "per_minute": row.per_minute}
            found.append(item if row.enabled else {**item, "enabled": False})
        return {"clients": found} if found else {}


def set_admins(userids: list[str], run: Run) -> None:
    """Make the approval admins exactly these WeCom members; one whom the portal does not know yet becomes known."""
    people = [person_of_userid(userid, create=True) for userid in userids if userid.strip()]
    for person in people:
        _, created = ApprovalAdmin.objects.get_or_create(person=person)
        if created:
            run.changed(f"+ approval admin {person}", person)
    for row in ApprovalAdmin.objects.exclude(person__in=people):
        run.changed(f"- approval admin {row.person}", row)
        row.delete()
