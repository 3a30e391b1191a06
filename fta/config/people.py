"""Sections of who and what there is: businesses, people, keys, credentials."""

from functools import partial
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Model

from fta.config.connections import secret_fault
from fta.config.document import Run
from fta.config.reader import Errors, Reader
from fta.lib.secrets import digest
from fta.models import ApiKey, Business, Credential, Person
from fta.models.scope import ROLES


def people_named(names: list[str], path: str, errors: Errors) -> list[Person]:
    """Find people by username, or name the one that is missing."""
    rows = Person.objects.filter(user__username__in=names).select_related("user") if names else ()
    known = {person.user.get_username(): person for person in rows}
    for index, name in enumerate(names):
        if name not in known:
            errors.add(f"{path}[{index}]", f'no person "{name}"')
    return [known[name] for name in names if name in known]


def _set_people(row: Model, relation: str, names: list[str], path: str, run: Run) -> None:
    run.set_many(row, relation, people_named(names, path, run.errors))


def _businesses(reader: Reader, key: str) -> list[Business]:
    known = {business.code: business for business in Business.objects.filter(archived=False)}
    codes = reader.texts(key)
    for index, code in enumerate(codes):
        if code not in known:
            reader.errors.add(f"{reader.path}.{key}[{index}]", f'no business "{code}"')
    return [known[code] for code in codes if code in known]


def business_named(reader: Reader, key: str = "business") -> Business | None:
    """Take the code of a business; a fault when there is none of that code."""
    code = reader.text(key)
    found = Business.objects.filter(code=code, archived=False).first() if code else None
    if code and found is None:
        reader.fault(key, f'no business "{code}"')
    return found


def service_user(username: str, role: str, businesses: list[Business], run: Run) -> User:
    """Make the user that a key acts as: no password, one role, its businesses."""
    user, created = User.objects.get_or_create(username=username)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    user.groups.set([Group.objects.get_or_create(name=role)[0]])
    person, _ = Person.objects.get_or_create(user=user)
    run.set_many(person, "businesses", businesses)
    return user


class Businesses:
    name = "businesses"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            code = reader.text("code", required=True, limit=64)
            values = {"name": reader.text("name", code, limit=128), "archived": False}
            maintainers = reader.texts("maintainers")
            reader.end()
            if not code:
                continue
            named.add(code)
            row = run.upsert(Business, {"code": code}, values)
            run.later(partial(_set_people, row, "maintainers", maintainers, f"{reader.path}.maintainers", run))
        run.archive(Business.objects.filter(archived=False).exclude(code__in=named))

    def export(self) -> Any:
        rows = Business.objects.filter(archived=False).prefetch_related("maintainers__user")
        return [
            {"code": row.code, "name": row.name, "maintainers": [p.user.get_username() for p in row.maintainers.all()]}
            for row in rows
        ]


class People:
    name = "people"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            username = reader.text("username", required=True, limit=150)
            if username:
                named.add(username)
                self._apply_one(username, reader, run)
        gone = Person.objects.filter(managed=True, active=True).exclude(user__username__in=named)
        run.archive(gone, active=False)

    def _apply_one(self, username: str, reader: Reader, run: Run) -> None:
        roles = reader.texts("roles")
        for role in roles:
            if role not in ROLES:
                reader.fault("roles", f"no role {role!r}; one of {', '.join(ROLES)} is expected")
        user, created = User.objects.get_or_create(
            username=username,
            defaults={"first_name": reader.text("name", limit=150), "email": reader.text("email", limit=254)},
        )
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        for key, column in (("name", "first_name"), ("email", "email")):
            if reader.has(key) and getattr(user, column) != reader.text(key):
                User.objects.filter(pk=user.pk).update(**{column: reader.text(key)})
        user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles if role in ROLES])
        if user.is_staff != ("admin" in roles) and not user.is_superuser:
            User.objects.filter(pk=user.pk).update(is_staff="admin" in roles, is_superuser="admin" in roles)
        wecom = reader.text("wecom_userid", limit=64).strip().casefold()
        taken = Person.objects.filter(wecom_userid=wecom).exclude(user=user).exclude(wecom_userid="").first()
        if taken is not None:
            reader.fault("wecom_userid", f'"{wecom}" belongs to {taken.user.get_username()} already')
            wecom = ""
        person = run.upsert(
            Person, {"user": user}, {"wecom_userid": wecom, "active": reader.flag("active", True), "managed": True}
        )
        run.set_many(person, "businesses", _businesses(reader, "businesses"))
        self._deputy(person, reader, run)
        reader.end()

    def _deputy(self, person: Person, reader: Reader, run: Run) -> None:
        child = reader.child("deputy")
        name, until = child.text("person"), child.moment("until")
        child.end()

        def settle() -> None:
            found = people_named([name], f"{child.path}.person", run.errors) if name else []
            run.upsert(Person, {"pk": person.pk}, {"deputy": found[0] if found else None, "deputy_until": until})

        run.later(settle)

    def export(self) -> Any:
        rows = Person.objects.filter(managed=True, active=True).select_related("user", "deputy__user")
        return [_person_out(row) for row in rows.prefetch_related("businesses", "user__groups")]


def _person_out(row: Person) -> dict[str, Any]:
    found: dict[str, Any] = {
        "username": row.user.get_username(),
        "name": row.user.first_name,
        "email": row.user.email,
        "wecom_userid": row.wecom_userid,
        "roles": sorted(group.name for group in row.user.groups.all()),
        "businesses": [business.code for business in row.businesses.all()],
    }
    if row.deputy and row.deputy_until:
        found["deputy"] = {"person": row.deputy.user.get_username(), "until": row.deputy_until.isoformat()}
    return {key: value for key, value in found.items() if value not in ("", [])}


class ApiKeys:
    name = "api_keys"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = reader.text("name", required=True, limit=64)
            key = reader.text("key", limit=255)
            role = reader.choice("role", ROLES, required=True)
            businesses = _businesses(reader, "businesses")
            reader.end()
            if not name or role not in ROLES:
                continue
            if key and len(key) < 16:
                reader.fault("key", "must be at least 16 characters long")
            named.add(name)
            user = service_user(f"api:{name}", role, businesses, run)
            stored = ApiKey.objects.filter(name=name, enabled=True).values_list("key_digest", flat=True).first() or ""
            value = digest(key) if key else stored  # an export has no keys
            run.upsert(ApiKey, {"name": name}, {"user": user, "key_digest": value, "enabled": bool(value)})
        run.archive(ApiKey.objects.filter(enabled=True).exclude(name__in=named), enabled=False)

    def export(self) -> Any:
        rows = ApiKey.objects.filter(enabled=True).select_related("user")
        return [
            {
                "name": row.name,
                "role": next(iter(row.user.groups.values_list("name", flat=True)), "viewer"),
                "businesses": list(row.user.person.businesses.values_list("code", flat=True)),
            }
            for row in rows
        ]


class Credentials:
    name = "credentials"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = reader.text("name", required=True, limit=64)
            kind = reader.choice("kind", Credential.Kind.values, required=True)
            url = reader.text("url", limit=500)
            secret = reader.text("secret", limit=20000)
            business = business_named(reader)
            reader.end()
            if url and kind != Credential.Kind.TOKEN:
                reader.fault("url", "only a token has an address")
            elif url and not url.startswith(("http://", "https://")):
                reader.fault("url", "must begin with http:// or https://")
            if secret and kind and (fault := secret_fault(kind, secret)):
                reader.fault("secret", fault)
            if name and kind:
                named.add(name)
                given = {"secret": secret} if secret else {}
                run.upsert(Credential, {"name": name}, {"kind": kind, "url": url, "business": business, **given})
        unused = Credential.objects.exclude(name__in=named).filter(host=None)
        for row in unused:
            run.changed(f"- credential {row}", row)
            row.delete()

    def export(self) -> Any:
        return [_credential_out(row) for row in Credential.objects.select_related("business")]


def _credential_out(row: Credential) -> dict[str, Any]:
    found = {"name": row.name, "kind": row.kind, "url": row.url, "business": row.business.code if row.business else ""}
    return {key: value for key, value in found.items() if value}
