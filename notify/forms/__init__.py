"""Forms of the notification pages; they validate, and never save."""

from notify.forms.channels import ChannelForm
from notify.forms.filters import DeliveryFilter
from notify.forms.rules import RuleForm
from notify.forms.templates import PreviewForm, TemplateForm

__all__ = ["ChannelForm", "DeliveryFilter", "PreviewForm", "RuleForm", "TemplateForm"]
