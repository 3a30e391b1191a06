"""What the audit trail tells of, in words: `package.set_mode` is 自愈套餐 · 改变运行方式. An unlisted verb is shown as it is."""

from django import template
from django.apps import apps
from django.utils.translation import gettext_lazy as _

register = template.Library()

# What a verb's first half names; the models of the portal are known by their own names.
_THINGS = {
    "convergence_rule": _("收敛规则"),
    "backtest": _("回测"),
    "user": _("用户"),
    "group": _("用户组"),
    "config": _("配置文件"),
    "step": _("步骤"),
    "flow_control": _("限流"),
}
_APPS = ("fta", "notify", "approvals", "wechat")
_DEEDS = {
    "add": _("新建"),
    "change": _("修改"),
    "delete": _("删除"),
    "archive": _("停用并归档"),
    "block": _("在业务中停用"),
    "unblock": _("在业务中恢复"),
    "save": _("保存新版本"),
    "restore": _("恢复旧版本"),
    "set_mode": _("改变运行方式"),
    "channels": _("改变通知服务"),
    "apply": _("应用"),
    "start": _("开始"),
    "replay": _("重放"),
    "close": _("关闭"),
    "release": _("放行"),
    "refuse": _("拒绝"),
    "abort": _("停止"),
    "retry": _("重试"),
    "run_by_hand": _("手动执行"),
    "refreeze": _("重算执行计划"),
    "void": _("告警恢复而作废"),
    "give_back": _("释放备机"),
    "import": _("导入"),
    "resolve_unknown": _("确认未知结果"),
    "settle_approval": _("结束审批步骤"),
    "tell": _("告知"),
    "ask": _("发起"),
    "decide": _("决定"),
    "decide_refused": _("决定未被接受"),
    "remind": _("提醒"),
    "escalate": _("升级"),
    "expired": _("过期"),
    "cancelled": _("取消"),
    "superseded": _("作废"),
    "refused": _("驳回"),
    "approved": _("同意"),
    "hand_over": _("转交"),
    "deputy": _("委托代理"),
    "resend": _("重新发送"),
    "test": _("发测试消息"),
    "replace": _("安排替班"),
    "take_back": _("取消替班"),
    "push": _("建群或更新群"),
    "pull": _("读取群的现状"),
}
_WHOLE = {
    "audit.begin_head": _("重新留存审计链尾"),
    "switch.halt": _("停止自愈"),
    "switch.resume": _("恢复自愈"),
    "user.restore": _("恢复管理员账号"),
    "secrets.reseal": _("用新密钥重新加密存储的密文"),
    "wechat.configure": _("企业微信 · 修改配置"),
    "wechat.approval_admins": _("企业微信 · 修改审批管理员"),
    "wechat.default_app": _("企业微信 · 改默认应用"),
    "wechat.archive_app": _("企业微信 · 归档应用"),
    "wechat.gateway_add": _("企业微信网关 · 添加客户端"),
    "wechat.gateway_change": _("企业微信网关 · 修改客户端"),
    "wechat.gateway_secret": _("企业微信网关 · 换密钥"),
    "wechat.gateway_archive": _("企业微信网关 · 归档客户端"),
    "wechat.import_members": _("企业微信 · 导入成员"),
    "wechat.menu_publish": _("企业微信 · 发布菜单"),
    "wechat.test_message": _("企业微信 · 发测试消息"),
    "wechat.sign_in": _("企业微信 · 登录"),
}


@register.filter
def verb_word(verb: str) -> str:
    """Return what was done, in words."""
    if verb in _WHOLE:
        return str(_WHOLE[verb])
    thing, _dot, deed = verb.partition(".")
    things = _things()
    return f"{things[thing]} · {_DEEDS[deed]}" if thing in things and deed in _DEEDS else verb


def verbs_like(text: str) -> list[str]:
    """Return the verbs whose words contain a text."""
    words = {verb: str(word) for verb, word in _WHOLE.items()}
    for thing, name in _things().items():
        words |= {f"{thing}.{deed}": f"{name} · {word}" for deed, word in _DEEDS.items()}
    return [verb for verb, word in words.items() if text in word]


@register.filter
def thing_word(label: str) -> str:
    """Return what a model is called: `fta.package` is 自愈套餐."""
    app, _dot, name = label.partition(".")
    return _models(app).get(name, label)


def _things() -> dict[str, str]:
    return {name: word for app in _APPS for name, word in _models(app).items()} | {
        name: str(word) for name, word in _THINGS.items()
    }


def _models(app: str) -> dict[str, str]:
    if app not in apps.app_configs:
        return {}
    return {
        str(model._meta.model_name): str(model._meta.verbose_name) for model in apps.get_app_config(app).get_models()
    }
