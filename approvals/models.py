"""Policies, approvals and decisions."""

import functools
import operator
from typing import Any

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from fta.models import Execution, Incident, Person, StepRun
from fta.models.engine import DbNow, in_choices
from fta.models.scope import ScopedQuerySet, in_scope

# A seat that changed hands keeps whose right it is and where that comes from: `delegate:<user id>:<why>`.
HANDED = ("delegate:", "deputy:")


class PolicyOnExpiry(models.TextChoices):
    REFUSE = "refuse", _("视为驳回")
    ESCALATE = "escalate", _("升级一次")


class Policy(models.Model):
    """审批策略: who is asked, in which stages, for how long."""

    OnExpiry = PolicyOnExpiry

    name = models.CharField(_("名称"), max_length=64, unique=True)
    # [{"approvers": [{"person"|"role"|"group"|"duty": …}], "quorum": 1}]
    stages = models.JSONField(_("阶段"), default=list)
    exclude_requester = models.BooleanField(_("发起人与作者不得审批"), default=True)
    expires_after = models.PositiveIntegerField(_("有效期（秒）"), default=1800)
    on_expiry = models.CharField(_("过期后"), max_length=10, choices=OnExpiry.choices, default=OnExpiry.REFUSE)
    escalate_to = models.JSONField(_("升级给"), default=list, blank=True)
    remind_channel = models.CharField(_("提醒通道"), max_length=64, blank=True)
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("审批策略")
        verbose_name_plural = verbose_name
        constraints = [in_choices("policy_on_expiry", "on_expiry", PolicyOnExpiry)]

    def __str__(self) -> str:
        return self.name


class ApproverGroup(models.Model):
    """A named list of people that a policy may name."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    people = models.ManyToManyField(Person, blank=True, verbose_name=_("人员"))

    class Meta:
        verbose_name = _("审批组")
        verbose_name_plural = verbose_name

    def __str__(self) -> str:
        return self.name


class ApprovalAdminQuerySet(models.QuerySet["ApprovalAdmin"]):
    def of(self, user: Any) -> "ApprovalAdminQuerySet":
        """Return the entry of this user, none for somebody who may not act."""
        return self.filter(person__in=Person.objects.active().filter(user_id=user.pk or 0))


class ApprovalAdmin(models.Model):
    """审批管理员: receives every approval message and may decide every approval. Edited on the WeCom page."""

    person = models.OneToOneField(Person, on_delete=models.CASCADE, verbose_name=_("人员"))

    objects = ApprovalAdminQuerySet.as_manager()

    class Meta:
        verbose_name = _("审批管理员")
        verbose_name_plural = verbose_name

    def __str__(self) -> str:
        return str(self.person)


class ApprovalQuerySet(ScopedQuerySet["Approval"]):
    scope_field = "execution__business"

    def in_time(self) -> "ApprovalQuerySet":
        """Return those that wait and can still be answered, by the database's clock."""
        return self.filter(state="pending", expires_at__gt=DbNow())

    def rounds_of(self, code: str) -> "ApprovalQuerySet":
        """Return all rounds of the question whose first has this code."""
        return self.filter(Q(first_code=code) | Q(first_code=None, code=code))

    def visible_to(self, user: Any) -> "ApprovalQuerySet":
        """Return the approvals that the user may read: of own businesses, or asked of the user; all for an approval admin."""
        if ApprovalAdmin.objects.of(user).exists():
            return self.all()
        asked = Q(pk__in=Asked.objects.held_by(user).values("approval_id"))
        answered = Q(pk__in=Decision.objects.filter(user_id=user.pk or 0).values("approval_id"))
        scope = in_scope(user, self.scope_field, "operator", "approver", "viewer")
        return self.filter(scope | asked | answered if user.is_active else Q(pk__in=[]))

    def decidable_by(self, user: Any) -> "ApprovalQuerySet":
        """Return the pending approvals that wait for this user's answer (`decide` judges the right to it again).

        An approval admin answers also what was asked before the appointment; nobody answers what is their own.
        """
        answered = Decision.objects.filter(approval=OuterRef("approval"), user=OuterRef("user"))  # one right, one voice
        turn = Asked.objects.held_by(user).filter(~Exists(answered), approval=OuterRef("pk"), stage=OuterRef("stage"))
        said = Decision.objects.filter(approval=OuterRef("pk"), user_id=user.pk or 0)  # one person, one stage
        own = Q(execution__requested_by_id=user.pk or 0) | Q(execution__version__author=user.get_username())
        barred = own & (Q(policy=None) | Q(policy__exclude_requester=True))
        gone = Asked.objects.handed_by(user).filter(approval=OuterRef("pk"), stage=OuterRef("stage"))
        admin = Exists(ApprovalAdmin.objects.of(user)) & ~Exists(gone)
        return self.in_time().filter(Exists(turn) | admin, ~Exists(said), ~barred)


class ApprovalKind(models.TextChoices):
    GATE = "gate", _("执行前审批")
    NODE = "node", _("节点审批")
    EXTERNAL = "external", _("外部审批")


class ApprovalState(models.TextChoices):
    PENDING = "pending", _("待审批")
    APPROVED = "approved", _("已同意")
    REFUSED = "refused", _("已驳回")
    EXPIRED = "expired", _("已过期")
    CANCELLED = "cancelled", _("已取消")
    SUPERSEDED = "superseded", _("已作废")


class Approval(models.Model):
    """审批: one question to some people about one plan."""

    Kind = ApprovalKind

    State = ApprovalState

    MOVES = {
        State.PENDING: frozenset({State.APPROVED, State.REFUSED, State.EXPIRED, State.CANCELLED, State.SUPERSEDED}),
        State.APPROVED: frozenset({State.SUPERSEDED}),  # the plan drifted before it was used
    }

    # What an answer names. A later round has a code of its own: whoever read an earlier one has not read it.
    code = models.CharField(_("编号"), max_length=80, unique=True)
    # Empty on what a process of the release before this column asked while the portal was updated: the code is its first.
    first_code = models.CharField(max_length=64, null=True, help_text="of the first round: what all rounds share")
    kind = models.CharField(_("类型"), max_length=10, choices=Kind.choices)
    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, null=True, blank=True, related_name="approvals")
    step = models.ForeignKey(StepRun, on_delete=models.PROTECT, null=True, blank=True, related_name="approvals")
    incident = models.ForeignKey(Incident, on_delete=models.SET_NULL, null=True, blank=True, related_name="approvals")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, blank=True)
    round = models.PositiveIntegerField(default=1)
    state = models.CharField(_("状态"), max_length=12, choices=State.choices, default=State.PENDING)
    message = models.TextField(_("内容"))
    evidence = models.JSONField(_("证据"), default=dict, blank=True)
    plan_sha256 = models.CharField(max_length=64, blank=True)
    stage = models.PositiveIntegerField(default=0)
    quorum = models.PositiveIntegerField(default=1)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("发起"))
    expires_at = models.DateTimeField(_("过期"))
    remind_at = models.DateTimeField(null=True, blank=True)
    escalated = models.BooleanField(default=False)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(_("决定"), null=True, blank=True)
    comment = models.TextField(_("意见"), blank=True)
    channel = models.CharField(_("途径"), max_length=16, blank=True, help_text="reply, card, todo, web, api")
    callback_url = models.URLField(max_length=1024, blank=True)
    external_ref = models.CharField(max_length=128, blank=True)
    over: bool  # whether its time was over by the database's clock: only on a row that was locked to be decided

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        verbose_name = _("审批")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [
            in_choices("approval_state", "state", ApprovalState),
            in_choices("approval_kind", "kind", ApprovalKind),
            models.UniqueConstraint(
                fields=["first_code"], condition=Q(state="pending"), name="approval_one_pending_round"
            ),
            models.UniqueConstraint(fields=["first_code", "round"], name="approval_round"),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="approval_expiry"),
            models.Index(fields=["state", "-id"], name="approval_state_id"),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def shared_code(self) -> str:
        """Return the code of the first round."""
        return self.first_code or self.code

    def later(self) -> "Approval | None":
        """Return the newest of the rounds in which this was asked again, None for the newest itself."""
        rounds = Approval.objects.rounds_of(self.shared_code).filter(round__gt=self.round)
        return rounds.select_related("decided_by").order_by("-round").first()


class AskedQuerySet(models.QuerySet["Asked"]):
    def held_by(self, user: Any) -> "AskedQuerySet":
        """Return the seats that this user may answer from now: own ones, and those of people whose deputy the user is."""
        if not getattr(user, "is_active", False):
            return self.none()
        deputed = Q(
            user__is_active=True,
            user__person__active=True,
            user__person__deputy__user_id=user.pk,
            user__person__deputy_until__gt=DbNow(),
        )
        return self.filter(Q(user_id=user.pk) | deputed)

    def handed_by(self, user: Any) -> "AskedQuerySet":
        """Return the seats that others have in this user's right."""
        handed = [Q(why__startswith=f"{how}{user.pk or 0}:") for how in HANDED]
        return self.filter(functools.reduce(operator.or_, handed))


class Asked(models.Model):
    """One person who was asked: the frozen set of those who may decide. `stage` tells when their turn is."""

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="asked")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    stage = models.PositiveIntegerField(default=0)
    why = models.CharField(max_length=64, blank=True, help_text="role:operator, admin, person, delegate:<user> …")

    objects = AskedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["approval", "user", "stage"], name="asked_once")]

    def __str__(self) -> str:
        return f"{self.approval_id}: {self.user_id}"


class DecisionAnswer(models.TextChoices):
    APPROVE = "approve", _("同意")
    REFUSE = "refuse", _("驳回")


class Decision(models.Model):
    """What one person said to one approval; append-only."""

    Answer = DecisionAnswer

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="decisions")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=10, choices=Answer.choices)
    comment = models.TextField(blank=True)
    channel = models.CharField(max_length=16)
    stage = models.PositiveIntegerField(default=0)
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["approval", "user", "stage"], name="decision_once"),
            in_choices("decision_answer", "answer", DecisionAnswer),
        ]

    def __str__(self) -> str:
        return f"{self.approval_id}: {self.answer}"
