"""Rules, convergence rules and shields over the API: read, made, changed, and archived by DELETE.

An item has the shape that it has in the configuration file and is read by the same code. Operators keep those that are confined
to their businesses; what concerns every business is for admins.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import django_filters
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fta.api import rule_serializers as s
from fta.api import territory
from fta.api.base import Reading, said, user_of
from fta.config import editing, healing
from fta.config.reader import Errors, Reader
from fta.healing.inner import given_problems
from fta.healing.parameters import resolve
from fta.healing.variables import check, names_in
from fta.models import Business, ConvergenceRule, Package, PackageVersion, Rule, Shield
from fta.models.scope import in_scope, is_admin


class Faults(Errors):
    """The faults of one item, by field."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, list[str]] = {}

    def add(self, path: str, message: str) -> None:
        super().add(path, message)
        self.fields.setdefault(path.lstrip(".") or "non_field_errors", []).append(message)

    def refuse(self) -> None:
        """Answer 400 when there is a fault."""
        if self.fields:
            raise ValidationError(self.fields)


class NotYours(PermissionDenied):
    """The item concerns businesses that the key does not operate."""

    def __init__(self) -> None:
        super().__init__(_("只能设置你负责的业务；对所有业务生效的由管理员设置"))


class Configuring(Reading):
    """One kind of item: `save` takes it, `out` gives it back, `may_change` judges whose it is."""

    model: ClassVar[Any]

    @abstractmethod
    def save(self, row: Any, data: Any) -> None:
        """Check what was said and write it into a new or a stored row."""

    @abstractmethod
    def out(self, row: Any) -> dict[str, Any]:
        """Return the item as `save` takes it."""

    @abstractmethod
    def may_change(self, row: Any) -> bool:
        """Tell whether the key may make or change a row with these values."""

    def create(self, request: Request) -> Response:
        """Make one."""
        row = self.model()
        self.save(row, request.data)
        return Response(self.get_serializer(row).data, status=201)

    def update(self, request: Request, **key: Any) -> Response:
        """Replace one; what is not said becomes the default."""
        return self._change(request, whole=True)

    def partial_update(self, request: Request, **key: Any) -> Response:
        """Change what is said."""
        return self._change(request, whole=False)

    def destroy(self, request: Request, **key: Any) -> Response:
        """Take it out of use for good; executions that stand on it keep it."""
        editing.archive(self.mine(), user_of(request).get_username(), timezone.now())
        return Response(status=204)

    def mine(self) -> Any:
        """Return the row of this address, which the key must be allowed to change."""
        row = self.get_object()
        if not self.may_change(row):
            raise NotYours
        return row

    def _change(self, request: Request, whole: bool) -> Response:
        with transaction.atomic():
            row = self.model.objects.select_for_update().get(pk=self.mine().pk)
            data: Any = request.data
            self.save(row, data if whole or not isinstance(data, dict) else {**self.out(row), **data})
        return Response(self.get_serializer(self.get_object()).data)


class Ruling(Configuring):
    """An item that is known by its name."""

    @abstractmethod
    def read(self, reader: Reader) -> dict[str, Any]:
        """Take everything of the item but its name; faults go to the reader's errors."""

    def save(self, row: Any, data: Any) -> None:
        """Check what was said and write it."""
        faults = Faults()
        reader = Reader(data, "", faults)
        name = reader.text("name", required=True, limit=128)
        values = {"name": name, **self.read(reader)}
        faults.refuse()
        if not self.may_change(
            self.model(**{field: value for field, value in values.items() if field != "blocked_by"})
        ):
            raise NotYours
        editing.save(row, values, user_of(self.request).get_username(), timezone.now())


class _Filter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of rules and shields; ?business= finds those that are confined to it."""

    business = django_filters.CharFilter(method="of_business")

    def of_business(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return territory.naming(rows, value)


class RuleFilter(_Filter):
    """Filters of rules/."""

    package = django_filters.CharFilter(field_name="package__key")

    class Meta:
        model = Rule
        fields = ("name", "enabled", "mode")


class ShieldFilter(_Filter):
    """Filters of shields/."""

    class Meta:
        model = Shield
        fields = ("name", "enabled", "repeat")


class ConvergenceRuleFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of convergence-rules/."""

    business = django_filters.CharFilter(field_name="business__code")

    class Meta:
        model = ConvergenceRule
        fields = ("name", "enabled", "function")


class RuleViewSet(Ruling):
    """Rules, in the order in which they are asked."""

    model = Rule
    serializer_class = s.RuleSerializer
    filterset_class = RuleFilter
    queryset = Rule.objects.none()

    def get_queryset(self) -> QuerySet[Rule]:
        rows = Rule.objects.filter(archived=False).select_related("package__current")
        return territory.visible(rows, self.request.user)

    def read(self, reader: Reader) -> dict[str, Any]:
        return read_rule(reader, self.request.user)

    def out(self, row: Rule) -> dict[str, Any]:
        return healing.rule_out(row)

    def may_change(self, row: Rule) -> bool:
        return territory.may_change(row.match, self.request.user)


def read_rule(reader: Reader, user: Any) -> dict[str, Any]:
    """Take everything of a rule but its name; a foreign package is one that is not there."""
    values = healing.rule_values(reader)
    healing.check_rule(values["approval_policy"], values["notify"], reader)
    package: Package | None = values["package"]
    if package and not Package.objects.visible_to(user).filter(pk=package.pk).exists():
        reader.fault("package", f'no package "{package.key}"')
    elif package and package.current:
        given = values["parameters"]
        for problem in [*_misfits(package.current, given), *given_problems(package, given)]:
            reader.fault("parameters", problem)
    return values


def _misfits(version: PackageVersion, given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a rule's parameters; one that names variables has its value, and so its type, later."""
    later = {name for name, value in given.items() if names_in(value)}
    known = {each["name"] for each in version.parameters}
    declared = [each for each in version.parameters if each["name"] not in later]
    fixed = {name: value for name, value in given.items() if name not in later & known}
    unknown = [name for value in given.values() for name in check(value, version.parameters, version.nodes)]
    return resolve(declared, fixed)[1] + [_("未知的变量：${%(name)s}") % {"name": name} for name in unknown]


class ShieldViewSet(Ruling):
    """Shields, the newest first."""

    model = Shield
    serializer_class = s.ShieldSerializer
    filterset_class = ShieldFilter
    queryset = Shield.objects.none()

    def get_queryset(self) -> QuerySet[Shield]:
        return territory.visible(Shield.objects.filter(archived=False), self.request.user)

    def read(self, reader: Reader) -> dict[str, Any]:
        return healing.shield_values(reader)

    def out(self, row: Shield) -> dict[str, Any]:
        return healing.shield_out(row)

    def may_change(self, row: Shield) -> bool:
        return territory.may_change(row.match, self.request.user)

    def create(self, request: Request) -> Response:
        """Make one, in the name of the key."""
        row = Shield(author=user_of(request).get_username())
        self.save(row, request.data)
        return Response(self.get_serializer(row).data, status=201)


class ConvergenceRuleViewSet(Ruling):
    """Convergence rules, in the order in which they are asked."""

    model = ConvergenceRule
    serializer_class = s.ConvergenceRuleSerializer
    filterset_class = ConvergenceRuleFilter
    queryset = ConvergenceRule.objects.none()

    def get_queryset(self) -> QuerySet[ConvergenceRule]:
        rows = ConvergenceRule.objects.filter(archived=False).select_related("business")
        mine = in_scope(self.request.user, "business", "operator", "approver", "viewer")
        return rows.filter(mine | Q(business=None)).prefetch_related("blocked_by")

    def read(self, reader: Reader) -> dict[str, Any]:
        return read_convergence_rule(reader, self.request.user)

    def out(self, row: ConvergenceRule) -> dict[str, Any]:
        return healing.convergence_rule_out(row)

    def may_change(self, row: ConvergenceRule) -> bool:
        return operates(row.business, self.request.user)

    @extend_schema(request=s.BlockSerializer, responses=s.ConvergenceRuleSerializer)
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: Any = None) -> Response:
        """Let a business do without this global rule, or take it up again; who operates the business decides."""
        rule, told = self.get_object(), said(s.BlockSerializer, request)
        mine = in_scope(request.user, "pk", "operator")
        business = Business.objects.filter(mine, code=told["business"], archived=False).first()
        if business is None:
            raise ValidationError({"business": [f'no business "{told["business"]}"']})
        editing.block(rule, business, told["blocked"], user_of(request).get_username(), timezone.now())
        return Response(self.get_serializer(self.get_object()).data)


def read_convergence_rule(reader: Reader, user: Any) -> dict[str, Any]:
    """Take everything of a convergence rule but its name; a foreign business is one that is not there."""
    values = healing.convergence_rule_values(reader)
    refuse_foreign(values["business"], user, reader)
    return values


def operates(business: Business | None, user: Any) -> bool:
    """Tell whether the user may keep what belongs to this business; what belongs to none is for admins."""
    if business is None:
        return is_admin(user)
    return Business.objects.filter(in_scope(user, "pk", "operator"), pk=business.pk).exists()


def refuse_foreign(business: Business | None, user: Any, reader: Reader) -> None:
    """Say of a business that the user does not operate what is said of one that is not there."""
    if business is not None and not operates(business, user):
        reader.fault("business", f'no business "{business.code}"')
