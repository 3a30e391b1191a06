"""Sections of who and what there is: businesses, people, keys, credentials."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Model, Q

from fta.config import references, uses
from fta.config.connections import secret_fault, secret_needed
from fta.config.document import Run, Use
from fta.config.reader import Errors, Reader
from fta.lib.secrets import digest
from fta.models import ApiKey, Business, Credential, Host, Person
from fta.models.scope import ROLES, roles_of


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


def _account(username: str, values: Mapping[str, Any], roles: Iterable[str], run: Run) -> User:
    """Make a user with these roles, a new one without a password; groups that are no roles are not the file's business."""
    user: User = run.upsert(User, {"username": username}, values)
    if not user.password:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    before, wanted = set(_roles_in(user)), set(roles)
    if before != wanted:
        user.groups.remove(*Group.objects.filter(name__in=before - wanted))
        user.groups.add(*(Group.objects.get_or_create(name=role)[0] for role in wanted - before))
        old, new = (", ".join(sorted(names)) or "none" for names in (before, wanted))
        run.changed(f"~ user {username}: roles {old} → {new}", user)
    return user


def _roles_in(user: User) -> list[str]:
    """Return the roles that somebody would have, active or not."""
    return sorted(group.name for group in user.groups.all() if group.name in ROLES)


def _rights(active: bool, roles: Iterable[str] = ()) -> dict[str, bool]:
    """Return what of a user follows from the file: who is inactive has no session, and whoever was an admin is none any more."""
    admin = active and "admin" in roles
    return {"is_active": active, "is_staff": admin, "is_superuser": admin}


def _service_user(username: str, role: str, businesses: list[Business], run: Run) -> User:
    """Make the user that a key acts as: no password, one role, its businesses."""
    user = _account(username, {}, [role], run)
    run.set_many(run.upsert(Person, {"user": user}, {}), "businesses", businesses)
    return user


class Businesses:
    name = "businesses"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            code = run.claim(reader, "code", reader.text("code", required=True, limit=64))
            values = {"name": reader.text("name", code, limit=128), "archived": False}
            maintainers = reader.texts("maintainers")
            reader.end()
            if not code:
                continue
            named.add(code)
            row = run.upsert(Business, {"code": code}, values)
            run.later(partial(_set_people, row, "maintainers", maintainers, f"{reader.path}.maintainers", run))
        run.leave_out(self.name, Business.objects.filter(archived=False).exclude(code__in=named), "code")

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
            username = run.claim(reader, "username", reader.text("username", required=True, limit=150))
            if username:
                named.add(username)
                self._apply_one(username, reader, run)
        gone = Person.objects.filter(managed=True).exclude(user__username__in=named)
        for user in User.objects.filter(Q(is_active=True) | Q(is_superuser=True), person__in=gone):
            run.upsert(User, {"username": user.get_username()}, _rights(active=False))
        run.archive(gone.filter(active=True), active=False)

    def _apply_one(self, username: str, reader: Reader, run: Run) -> None:
        roles, active = reader.texts("roles"), reader.flag("active", True)
        for role in roles:
            if role not in ROLES:
                reader.fault("roles", f"no role {role!r}; one of {', '.join(ROLES)} is expected")
        told = {"first_name": reader.text("name", limit=150), "email": reader.text("email", limit=254)}
        for key, column in (("name", "first_name"), ("email", "email")):
            if not reader.has(key):
                told.pop(column)  # what the file does not tell stays
        user = _account(username, told | _rights(active, roles), [role for role in roles if role in ROLES], run)
        values = {"wecom_userid": self._wecom_userid(user, reader, run), "active": active, "managed": True}
        person = run.upsert(Person, {"user": user}, values)
        run.set_many(person, "businesses", _businesses(reader, "businesses"))
        self._deputy(person, reader, run)
        reader.end()

    def _wecom_userid(self, user: User, reader: Reader, run: Run) -> str:
        """Take a WeCom userid; whoever else has it keeps it only if active and not for the file to tell."""
        wanted = run.claim(reader, "wecom_userid", reader.text("wecom_userid", limit=64).strip().casefold())
        others = Person.objects.filter(wecom_userid=wanted).exclude(user=user).exclude(wecom_userid="")
        taken = others.filter(active=True, managed=False).first()
        if taken is not None:
            reader.fault("wecom_userid", f'"{wanted}" belongs to {taken.user.get_username()} already')
            return ""
        run.give_up(others, "wecom_userid")
        return wanted

    def _deputy(self, person: Person, reader: Reader, run: Run) -> None:
        child = reader.child("deputy")
        name, until = child.text("person"), child.moment("until")
        child.end()

        def settle() -> None:
            found = people_named([name], f"{child.path}.person", run.errors) if name else []
            run.upsert(Person, {"pk": person.pk}, {"deputy": found[0] if found else None, "deputy_until": until})

        run.later(settle)

    def export(self) -> Any:
        rows = Person.objects.filter(managed=True).select_related("user", "deputy__user")
        return [_person_out(row) for row in rows.prefetch_related("businesses", "user__groups")]

    def uses(self) -> Iterator[Use]:
        return uses.of_people()


def _person_out(row: Person) -> dict[str, Any]:
    found: dict[str, Any] = {
        "username": row.user.get_username(),
        "name": row.user.first_name,
        "email": row.user.email,
        "wecom_userid": row.wecom_userid,
        "roles": _roles_in(row.user),
        "businesses": [business.code for business in row.businesses.all() if not business.archived],
    }
    deputy = {"person": row.deputy.user.get_username()} if row.deputy else {}
    found["deputy"] = deputy | ({"until": row.deputy_until.isoformat()} if row.deputy_until else {})
    found.update({} if row.active else {"active": False})
    return {key: value for key, value in found.items() if value not in ("", [], {})}


class ApiKeys:
    name = "api_keys"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            key = reader.text("key", limit=255)
            role = reader.choice("role", ROLES, required=True)
            businesses = _businesses(reader, "businesses")
            reader.end()
            if not name or role not in ROLES:
                continue
            if key and len(key) < 16:
                reader.fault("key", "must be at least 16 characters long")
            named.add(name)
            user = _service_user(f"api:{name}", role, businesses, run)
            stored = ApiKey.objects.filter(name=name, enabled=True).values_list("key_digest", flat=True).first() or ""
            value = digest(key) if key else stored  # an export has no keys
            run.upsert(ApiKey, {"name": name}, {"user": user, "key_digest": value, "enabled": bool(value)})
        run.archive(ApiKey.objects.filter(enabled=True).exclude(name__in=named), enabled=False)

    def export(self) -> Any:
        rows = ApiKey.objects.filter(enabled=True).select_related("user")
        return [
            {
                "name": row.name,
                "role": next((role for role in ROLES if role in roles_of(row.user)), "viewer"),
                "businesses": [business.code for business in Business.objects.filter(people__user=row.user)],
            }
            for row in rows
        ]

    def uses(self) -> Iterator[Use]:
        return uses.of_api_keys()


class Credentials:
    name = "credentials"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            kind = reader.choice("kind", Credential.Kind.values, required=True)
            url = reader.text("url", limit=500)
            secret = reader.text("secret", limit=20000)
            business = business_named(reader)
            reader.end()
            if url and kind != Credential.Kind.TOKEN:
                reader.fault("url", "only a token has an address")
            elif url and not url.startswith(("http://", "https://")):
                reader.fault("url", "must begin with http:// or https://")
            if name and kind:
                named.add(name)
                stored = Credential.objects.filter(name=name).first()
                if fault := secret_fault(kind, secret) if secret else secret_needed(stored, kind, url):
                    reader.fault("secret", fault)
                given = {"secret": secret} if secret else {}
                run.upsert(Credential, {"name": name}, {"kind": kind, "url": url, "business": business, **given})
        # After what other sections put off: they may stop using it in the same file.
        run.later(lambda: run.later(partial(self._remove, named, run)))

    def _remove(self, named: set[str], run: Run) -> None:
        for row in Credential.objects.exclude(name__in=named):
            if users := references.users_of(row):
                run.errors.add(self.name, f'"{row}" is in use by {", ".join(users)}; keep it here, or end that first')
                continue
            Host.objects.filter(credential=row).update(credential=None)  # archived ones
            run.changed(f"- credential {row}", row)
            row.delete()

    def export(self) -> Any:
        return [_credential_out(row) for row in Credential.objects.select_related("business")]

    def uses(self) -> Iterator[Use]:
        return uses.of_credentials()


def _credential_out(row: Credential) -> dict[str, Any]:
    found = {"name": row.name, "kind": row.kind, "url": row.url, "business": row.business.code if row.business else ""}
    return {key: value for key, value in found.items() if value}
