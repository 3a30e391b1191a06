"""The convergence rules that a new portal starts with: global, enabled, and to be edited like any other. An old portal keeps its own."""

from typing import Any

from django.db import migrations

DEFAULTS = (
    ("同机同类 5 分钟", 30, ["host", "alert_type"], 1, "skip_when_success", "默认：同一台主机的同一类告警只自愈一次，失败了再来一次"),
    ("同机同套餐 5 分钟", 40, ["host", "package"], 1, "skip_when_success", "默认：不同告警由同一套餐处理的，同一台主机只做一次"),
    ("批量异常防御", 50, ["business", "alert_type"], 20, "defense", "默认：大批同类告警多半是网络或机房问题，逐台自愈会放大故障"),
)


def make_defaults(apps: Any, schema_editor: Any) -> None:
    rules = apps.get_model("fta", "ConvergenceRule").objects
    if rules.exists():
        return
    for name, priority, dimensions, count, function, remark in DEFAULTS:
        rules.create(
            name=name, priority=priority, dimensions=dimensions, count=count, function=function, remark=remark, window=300
        )
    version, _ = apps.get_model("fta", "ConfigVersion").objects.get_or_create(kind="convergence")
    version.number += 1
    version.save()


class Migration(migrations.Migration):
    dependencies = [("fta", "0002_roles")]
    operations = [migrations.RunPython(make_defaults, migrations.RunPython.noop)]
