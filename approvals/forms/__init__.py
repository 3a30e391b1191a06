"""Forms that validate what people say about approvals and policies; they save nothing."""

from approvals.forms.deciding import DecideForm, DecideManyForm, FilterForm, LeaveForm
from approvals.forms.policies import PolicyForm

__all__ = ["DecideForm", "DecideManyForm", "FilterForm", "LeaveForm", "PolicyForm"]
