"""Pages of packages: list, view, editor without script, versions, a run by hand."""

from typing import Any

import pytest
import yaml
from django.forms import BooleanField
from django.test import Client

from fta.models import AuditEntry, Business, ConfigVersion, Execution, Package, PackageVersion
from tests import factories
from tests.fta.test_odd_packages import NODE

SCRIPT = '#!/bin/sh\necho "$FTA_PARAM_PATH"\n'


def node_data(at: int, **fields: Any) -> dict[str, Any]:
    return {f"nodes-{at}-{name.replace('p_', 'p-', 1)}": value for name, value in fields.items()}


def package_data(game: Business, **changes: Any) -> dict[str, Any]:
    data = {
        "key": "clean-logs",
        "name": "清理日志",
        "business": str(game.pk),
        "risk": "low",
        "mode": "approval",
        "note": "第一版",
        "nodes": ["0"],
        "parameters": ["0"],
        "parameters-0-name": "path",
        "parameters-0-type": "string",
        "parameters-0-default": "/var/tmp",
        "action": "save",
    }
    first = node_data(0, id="1", name="清理", type="script", p_script=SCRIPT.replace("\n", "\r\n"), timeout="60s")
    return data | first | {"nodes-0-p-arguments": "path=${params.path}\ndays=7"} | changes


def test_it_saves_a_script_package(as_operator: Client, game: Business) -> None:
    answer = as_operator.post("/packages/new/", package_data(game, max_hosts="3", window="10m", scope="module"))

    assert answer.status_code == 302, answer.context["draft"].wrong()
    assert answer["Location"] == "/packages/clean-logs/"
    package = Package.objects.get()
    assert (package.business, package.mode) == (game, "approval")
    assert package.budget == {"max_hosts": 3, "window": 600, "scope": "module"}
    version = package.current
    assert version is not None
    assert (version.number, version.author, version.note) == (1, "lisi", "第一版")
    assert version.parameters == [{"name": "path", "type": "string", "default": "/var/tmp"}]
    node = version.nodes[0]
    assert node["params"] == {"script": SCRIPT, "arguments": {"path": "${params.path}", "days": 7}}
    assert (node["timeout"], node["policy"]) == (60, "once")
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == ["package.add", "package.save"]
    assert ConfigVersion.current("packages") == 2


def composite(game: Business, **changes: Any) -> dict[str, Any]:
    data = package_data(game, nodes=["0", "3", "7"])
    data |= node_data(0, id="1", type="ping_check", p_tcp_port="9", success="3", failure="2")
    data |= node_data(3, id="2", type="approval", p_message="重启 ${ip}", success="3", failure="")
    data |= node_data(
        7, id="3", type="http", p_method="POST", p_url="http://127.0.0.1/restart", **{"p_success.status": "200, 202"}
    )
    data |= {"nodes-7-p-headers": "X-Trace: ${execution.id}", "nodes-7-p-body": '{"ip": "${ip}"}'}
    return data | changes


def test_it_saves_a_graph(as_operator: Client, game: Business) -> None:
    answer = as_operator.post("/packages/new/", composite(game))

    assert answer.status_code == 302, answer.context["draft"].wrong()
    nodes = PackageVersion.objects.get().nodes
    assert [node["next"] for node in nodes] == [{"success": [3], "failure": [2]}, {"success": [3]}, {}]
    assert nodes[2]["params"] == {
        "method": "POST",
        "url": "http://127.0.0.1/restart",
        "headers": {"X-Trace": "${execution.id}"},
        "body": {"ip": "${ip}"},
        "success": {"status": [200, 202]},
    }
    page = as_operator.get("/packages/clean-logs/").content.decode()
    assert "成功后 → 3 · 失败时 → 2" in page
    assert "重启 ${ip}" in page


JOB = {"nodes-7-type": "job", "nodes-7-p-preset": "awx", "nodes-7-p-inputs": "template=1", "nodes-7-p-url": ""}


@pytest.mark.parametrize(
    ("changes", "block", "message"),
    [
        ({"nodes-7-p-url": "ftp://x"}, "节点 3", "url 应以 http:// 或 https:// 开头"),
        ({"nodes-3-p-message": "重启 ${moon}"}, "节点 2", "未知的变量：${moon}"),
        ({"nodes-7-success": "1"}, "节点 3", "节点在一个环上，流程不会结束"),
        ({"nodes-3-success": "9"}, "节点 2", "指向不存在的节点 9"),
        ({"nodes-0-success": "", "nodes-0-failure": ""}, "节点 3", "从起始节点走不到这个节点"),
        ({"nodes-3-timeout": "soon"}, "节点 2", "超时：应为时长，如 30s、5m、1h"),
        ({"nodes-3-p-extra": "message: x"}, "节点 2", "其他参数（YAML）：message 已在上面填写，只留一处"),
        ({"nodes-3-p-extra": "moon: x"}, "节点 2", "没有参数 moon"),
        ({"nodes-3-p-policy": "nobody"}, "节点 2", "审批策略"),
        ({"nodes-3-p-extra": "channels: [nobody]", "nodes-3-type": "notify"}, "节点 2", "没有通知服务「nobody」"),
        (JOB | {"nodes-7-p-credential": "nope"}, "节点 3", "没有类型为令牌的凭据「nope」"),
        ({"parameters-0-name": "Bad"}, "参数 Bad", "参数名只能用小写字母"),
        ({"business": ""}, "基本信息", "业务：请选择你负责的业务；全局套餐由管理员设置"),
        ({"key": "new"}, "基本信息", "标识：这个标识不能用"),
    ],
)
def test_it_names_the_wrong_node(
    as_operator: Client, game: Business, changes: dict[str, Any], block: str, message: str
) -> None:
    answer = as_operator.post("/packages/new/", composite(game, **changes))

    assert answer.status_code == 200
    assert any(at == block and message in text for _anchor, at, text in answer.context["draft"].wrong())
    assert message in answer.content.decode()
    assert not Package.objects.exists()
    assert not AuditEntry.objects.exists()


def edges_of(page: Any) -> list[Any]:
    return [form["success"].value() or "" for form in page.context["draft"].nodes]


def test_it_adds_and_drops_blocks_and_keeps_what_was_typed(as_operator: Client, game: Business) -> None:
    page = as_operator.post("/packages/new/", composite(game, action="add-node", kind="sleep", name=""))

    draft = page.context["draft"]
    assert [form["id"].value() for form in draft.nodes] == ["1", "2", "3", 4]
    assert [str(form.prefix) for form in draft.nodes] == ["nodes-0", "nodes-3", "nodes-7", "nodes-8"]
    assert draft.nodes[2].params["url"].value() == "http://127.0.0.1/restart"
    assert (draft.nodes[3]["type"].value(), draft.picked) == ("sleep", "nodes-8")
    assert "要改后才能保存" not in page.content.decode()

    page = as_operator.post("/packages/new/", composite(game, action="add-node", kind="sleep", picked="nodes-7"))
    assert edges_of(page) == ["3", "3", "4", ""], "the new node follows the one that is looked at"
    page = as_operator.post("/packages/new/", composite(game, action="add-node", kind="sleep", picked="nodes-3"))
    assert edges_of(page) == ["3", "3", "", ""], "unless another one follows already"

    page = as_operator.post("/packages/new/", composite(game, action="copy-node:nodes-7"))
    twin = page.context["draft"].nodes[3]
    assert (twin["id"].value(), twin["type"].value(), twin["success"].value()) == (4, "http", "")
    assert twin.params["url"].value() == "http://127.0.0.1/restart"

    page = as_operator.post("/packages/new/", composite(game, action="drop:nodes-3"))
    assert [form["id"].value() for form in page.context["draft"].nodes] == ["1", "3"]
    assert page.context["draft"].nodes[0]["failure"].value() == "", "nothing leads to what is gone"

    page = as_operator.post("/packages/new/", composite(game, action="add-parameter"))
    assert [form["name"].value() for form in page.context["draft"].parameters] == ["path", None]

    page = as_operator.post("/packages/new/", composite(game, **{"action": "redraw", "nodes-7-type": "guard"}))
    assert set(page.context["draft"].nodes[2].params.fields) == {"count", "minutes", "extra"}

    for strange in ("²", "9" * 5000, "-1", ""):
        changes = {"nodes-0-id": strange, "nodes-0-success": strange, "nodes-0-place": strange}
        for action in ("save", "add-node", "redraw", "look", "tidy"):
            assert as_operator.post("/packages/new/", composite(game, action=action, **changes)).status_code == 200
    assert not Package.objects.exists()


def test_it_judges_a_draft_while_it_is_typed(as_operator: Client, game: Business) -> None:
    wrong = {"action": "look", "nodes-7-p-url": "ftp://x", "nodes-3-p-message": "${moon}", "parameters-0-name": "dir"}

    found = as_operator.post("/packages/new/", composite(game, **wrong)).json()

    assert found["faults"]["nodes-7-p-url"] == ["url 应以 http:// 或 https:// 开头"]
    assert found["faults"]["nodes-3-p-message"] == ["未知的变量：${moon}"]
    assert "2 处要改后才能保存" in found["problems"]
    assert "plan is-bad" in found["canvas"]
    names = dict(found["names"])
    assert names["params.dir"] == "套餐参数"
    assert {"ip", "node.3.status", "node.1.answered", "labels.<name>"} <= set(names)
    assert not {"params.path", "node.<id>.<field>"} & set(names)
    assert not Package.objects.exists()

    good = as_operator.post("/packages/new/", composite(game, action="look")).json()
    assert good["faults"] == {}
    assert "检查通过" in good["problems"]


def test_it_is_the_same_in_yaml_and_in_the_graph(as_operator: Client, game: Business) -> None:
    text = as_operator.post("/packages/new/", composite(game, action="look", max_hosts="3", scope="set")).json()["yaml"]

    page = as_operator.post("/packages/new/", {"action": "yaml", "yaml": text.replace("重启 ${ip}", "要重启 ${ip} 吗")})
    saved = as_operator.post("/packages/new/", sent_back(page))

    assert saved.status_code == 302, saved.context["draft"].wrong()
    package = Package.objects.get()
    assert (package.business, package.budget) == (game, {"max_hosts": 3, "window": 1800, "scope": "set"})
    as_operator.post("/packages/clean-logs/archive/")
    other = as_operator.post("/packages/new/", composite(game, key="other"))
    assert other.status_code == 302
    by_yaml, by_form = (PackageVersion.objects.get(package__key=key).nodes for key in ("clean-logs", "other"))
    assert by_yaml[1]["params"] == {"message": "要重启 ${ip} 吗"}
    by_yaml[1]["params"]["message"] = "重启 ${ip}"
    assert by_yaml == by_form


def test_it_keeps_defaults_of_nothing_in_yaml(as_operator: Client, game: Business) -> None:
    said = [{"name": "apply", "type": "boolean", "default": False}, {"name": "n", "type": "integer", "default": 0}]
    said.append({"name": "port", "type": "choice", "choices": ["80", "0"], "default": "0"})
    node = {"id": 1, "type": "swap_host"}
    package = factories.package("nothing", nodes=[node], parameters=said, business=game)
    url = "/packages/nothing/edit/"
    text = as_operator.get(url).context["yaml"]

    applied = as_operator.post(url, sent_back(as_operator.get(url), action="yaml", yaml=text))
    saved = as_operator.post(url, sent_back(applied, note="同样", **{"nodes-0-name": "换"}))

    assert saved.status_code == 302, saved.context["draft"].wrong()
    package.refresh_from_db()
    assert package.current is not None
    assert (package.current.number, package.current.parameters) == (2, said)


def test_a_choice_among_numbers_is_run_from_the_page(as_operator: Client, game: Business) -> None:
    host = factories.host(business=game)
    port = {"name": "port", "type": "choice", "choices": [80, 443], "default": 80}
    factories.package("port", nodes=[{"id": 1, "type": "swap_host"}], parameters=[port], business=game)
    assert '<option value="80" selected>' in as_operator.get("/packages/port/").content.decode()
    for given, taken in (("443", 443), ("", 80)):
        said = {"ip": host.ip, "reason": "看看", "dry_run": "1", "p_port": given}
        assert as_operator.post("/packages/port/run/", said).status_code == 302
        assert Execution.objects.latest("pk").plan["parameters"] == {"port": taken}


def test_whatever_yaml_says_of_a_node_is_drawn_or_refused(as_operator: Client, game: Business) -> None:
    whole = {**NODE, "type": "approval", "params": {"message": "m"}}
    odd = [None, 0, "x", [], [None], {"x": 1}]
    nodes = [{**whole, "id": at} | {key: value} for key in whole for at, value in enumerate(odd, 1)]
    unlike = [node for node in nodes if all(isinstance(node[key], dict) for key in ("params", "retries", "next"))]
    for said in (unlike, nodes, [{**whole, "next": None, "retries": None, "params": None}]):
        text = yaml.safe_dump({"key": "odd", "nodes": said})
        assert as_operator.post("/packages/new/", {"action": "yaml", "yaml": text}).status_code == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: [", "YAML 写法有误"),
        ("nodes: 3", "nodes 应为列表"),
        ("x" * (256 * 1024 + 1), "YAML 最长 256 KiB"),
        ("nodes: [3]", "nodes[0] 应为对象"),
        ("nodes: [{id: 1, typ: sleep}]", "nodes[0] 里没有 typ 这一项"),
        ("nodes: [{id: 1, type: sleep, params: 5}]", "nodes[0].params 应为对象"),
        ("nodes: [{id: 1, type: sleep, next: {then: 2}}]", "nodes[0].next 里没有 then 这一项"),
        ("budget: 5", "budget 应为对象"),
        ("business: nowhere", "没有业务 nowhere"),
        ("color: red", "套餐 里没有 color 这一项"),
        ("a: &x 1\nb: *x", "不能使用 YAML 别名"),
    ],
)
def test_it_keeps_yaml_that_it_cannot_read(as_operator: Client, game: Business, text: str, message: str) -> None:
    page = as_operator.post("/packages/new/", composite(game, action="yaml", yaml=text))

    assert any(message in said for _anchor, _block, said in page.context["draft"].wrong())
    assert page.context["yaml"] == text
    assert [form["id"].value() for form in page.context["draft"].nodes] == ["1", "2", "3"]


def test_it_keeps_where_nodes_were_put_beside_the_versions(as_operator: Client, game: Business) -> None:
    places = {"nodes-0-place": "1,0", "nodes-3-place": "0,2", "nodes-7-place": "3,1"}
    as_operator.post("/packages/new/", composite(game))
    plain = PackageVersion.objects.get().sha256
    url = "/packages/clean-logs/edit/"

    moved = dict(zip(("nodes-0-place", "nodes-1-place", "nodes-2-place"), places.values(), strict=True))
    assert as_operator.post(url, sent_back(as_operator.get(url), **moved)).status_code == 302

    assert Package.objects.get().layout == {"1": [1, 0], "2": [0, 2], "3": [3, 1]}
    assert PackageVersion.objects.get().sha256 == plain
    drawn = as_operator.get("/packages/clean-logs/").context["drawing"]
    assert [(box.column, box.row) for box in drawn.boxes] == [(1, 0), (0, 2), (3, 1)]

    text = as_operator.get(url).context["yaml"]
    again = as_operator.post(url, sent_back(as_operator.get(url), action="yaml", yaml=text))
    assert [form["place"].value() for form in again.context["draft"].nodes] == ["1,0", "0,2", "3,1"]

    tidied = as_operator.post(url, sent_back(as_operator.get(url), action="tidy"))
    assert [form["place"].value() for form in tidied.context["draft"].nodes] == ["", "", ""]


def test_it_saves_over_nobody(as_operator: Client, game: Business) -> None:
    as_operator.post("/packages/new/", composite(game))
    url = "/packages/clean-logs/edit/"
    mine = sent_back(as_operator.get(url), **{"nodes-0-name": "我的"})
    as_operator.post(url, sent_back(as_operator.get(url), **{"nodes-0-name": "先到的"}))

    page = as_operator.post(url, mine)

    assert "lisi 在你编辑时保存了 v2" in page.content.decode()
    assert PackageVersion.objects.get(number=2).nodes[0]["name"] == "先到的"
    assert PackageVersion.objects.count() == 2

    nameless = as_operator.post(url, sent_back(as_operator.get(url), note=""))
    assert "请写这一版改了什么" in nameless.content.decode()


def test_it_takes_a_package_of_many_nodes(as_operator: Client, game: Business) -> None:
    data = package_data(game, nodes=[str(at) for at in range(180)], action="look")
    for at in range(180):
        after = str(at + 2) if at < 179 else ""
        data |= node_data(at, id=str(at + 1), name="等", type="sleep", success=after, timeout="60s", p_seconds="1")
    assert len(data) > 1000, "what Django takes by itself"

    assert as_operator.post("/packages/new/", data).json()["faults"] == {}


def test_it_checks_without_saving(as_operator: Client, game: Business) -> None:
    page = as_operator.post("/packages/new/", composite(game, action="check"))

    assert "检查通过" in page.content.decode()
    assert not Package.objects.exists()


def sent_back(page: Any, **changes: Any) -> dict[str, Any]:
    """Return what a browser would send of the editor, with some values changed."""
    draft = page.context["draft"]
    forms = [draft.head, *draft.parameters, *draft.nodes, *(node.params for node in draft.nodes)]
    fields = [field for form in forms for field in form if field.value() is not None]
    ticked = [field for field in fields if field.value() is not False or not isinstance(field.field, BooleanField)]
    data = {field.html_name: field.value() for field in ticked}
    data["nodes"] = [str(form.prefix).removeprefix("nodes-") for form in draft.nodes]
    data["parameters"] = [str(form.prefix).removeprefix("parameters-") for form in draft.parameters]
    return data | {"action": "save", "note": "改一改"} | changes


def test_it_makes_a_version_of_a_change_and_none_without(as_operator: Client, game: Business) -> None:
    as_operator.post("/packages/new/", composite(game))
    url = "/packages/clean-logs/edit/"

    assert as_operator.post(url, sent_back(as_operator.get(url))).status_code == 302
    assert PackageVersion.objects.count() == 1

    assert as_operator.post(url, sent_back(as_operator.get(url), **{"nodes-0-name": "先看看"})).status_code == 302
    assert Package.objects.get().current == PackageVersion.objects.get(number=2)

    old = as_operator.get(f"{url}?version=1")
    assert as_operator.post(f"{url}?version=1", sent_back(old)).status_code == 302
    versions = PackageVersion.objects.order_by("number")
    assert (versions[2].number, versions[2].sha256) == (3, versions[0].sha256)
    assert "v2 是旧版本" in as_operator.get("/packages/clean-logs/?version=2").content.decode()
    assert as_operator.get("/packages/clean-logs/?version=9").status_code == 404


def test_it_changes_neither_key_nor_mode_with_a_version(as_operator: Client, game: Business) -> None:
    as_operator.post("/packages/new/", composite(game))
    url = "/packages/clean-logs/edit/"
    page = as_operator.get(url)

    as_operator.post(url, sent_back(page, mode="auto", key="other", **{"nodes-0-name": "先看"}))

    package = Package.objects.get()
    assert (package.key, package.mode, package.versions.count()) == ("clean-logs", "approval", 2)
    text = page.context["yaml"]
    for changed, said in (("mode: auto", "模式在套餐页的「运行方式」里改"), ("key: other", "标识保存后不能改")):
        line = next(line for line in text.splitlines() if line.startswith(changed[:4]))
        answer = as_operator.post(url, sent_back(page, action="yaml", yaml=text.replace(line, changed)))
        assert said in answer.content.decode()


def test_it_judges_the_packages_inside(as_operator: Client, game: Business) -> None:
    data = package_data(game, **{"nodes-0-type": "package", "nodes-0-p-package": "clean-logs", "action": "look"})

    found = as_operator.post("/packages/new/", data | {"nodes-0-p-script": ""}).json()

    assert found["faults"].keys() == {"nodes-0-p-package"}


def test_it_seals_secret_parameters(as_operator: Client, game: Business) -> None:
    data = package_data(game, **{"parameters-0-type": "secret", "parameters-0-default": ""})
    data |= {"parameters-0-secret": "hunter2-hunter2", "nodes-0-p-arguments": "", "nodes-0-p-secrets": "path"}

    assert as_operator.post("/packages/new/", data).status_code == 302
    version = PackageVersion.objects.get()
    assert version.secrets == {"path": "hunter2-hunter2"}
    url = "/packages/clean-logs/edit/"
    page = as_operator.get(url)
    assert "hunter2" not in page.content.decode()
    assert "hunter2" not in as_operator.get("/packages/clean-logs/").content.decode()

    as_operator.post(url, sent_back(page, **{"nodes-0-name": "再来"}))
    assert PackageVersion.objects.get(number=2).secrets == {"path": "hunter2-hunter2"}
    assert "hunter2" not in str(list(AuditEntry.objects.values_list("data", flat=True)))
