"""The form of a list of hosts to import."""

from django import forms
from django.utils.translation import gettext_lazy


class HostsForm(forms.Form):
    """A list of hosts."""

    file = forms.FileField(
        label=gettext_lazy("主机清单"),
        max_length=255,
        help_text=gettext_lazy(
            "CSV，UTF-8 或 GBK；第一行是表头，要有“IP”，可以有“名称”“业务”（代码或名称）“集群”“模块”“负责人”（账号）“备机”"
            "和“属性.机房”这样的列。按 IP 新增或更新，没有写的列不动；最多 1000 台。连接方式由管理员设置。"
        ),
    )
