"""manage.py ensure_admin: make sure that there is an administrator who can sign in."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from fta import audit
from fta.lib.env import secret
from fta.models import Person


class Command(BaseCommand):
    help = "Create the administrator with the password of ADMIN_PASSWORD; an existing user keeps it and gets the rights back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin")

    def handle(self, *args: Any, **options: Any) -> None:
        user, created = User.objects.get_or_create(
            username=options["username"], defaults={"is_staff": True, "is_superuser": True}
        )
        if created:
            password = secret("ADMIN_PASSWORD")
            if not password:
                user.delete()
                raise CommandError("ADMIN_PASSWORD is not set, nor ADMIN_PASSWORD_FILE.")
            user.set_password(password)
            user.save()
        user.groups.add(Group.objects.get_or_create(name="admin")[0])
        Person.objects.get_or_create(user=user)
        _restore(user)
        self.stdout.write(f"{options['username']}: {'created' if created else 'exists'}")


@transaction.atomic
def _restore(user: User) -> None:
    """Be the way back in, also for whom the configuration file or a colleague has taken the rights from."""
    rights = {"is_active": True, "is_staff": True, "is_superuser": True}
    restored = User.objects.filter(pk=user.pk).exclude(**rights).update(**rights)
    restored += Person.objects.filter(user=user, active=False).update(active=True)
    if restored:
        audit.record("ensure_admin", "user.restore", user)
