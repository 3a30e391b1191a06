"""The message of a notify node: whom it reaches, and what of it is the author's own."""

import pytest
from django.utils import timezone

from fta import ports
from fta.models import Person
from notify.models import Channel, Delivery
from tests import factories
from tests.notify.test_rules import local, texts

pytestmark = pytest.mark.django_db


def test_the_messenger_sends_a_nodes_message(app_channel: Channel, robots: Channel, operator: Person) -> None:
    run = factories.execution(alert=factories.alert(host=local()))
    step = factories.step(run, type="notify", idem_key="6f9619ff-8b86-d011-b42d-00c04fc964aa")
    now = timezone.now()
    ids = ports.messenger().tell(step, "127.0.0.10 处理完毕", ["wecom", "值班群"], ["lisi"], now)
    assert len(ids) == 3
    assert ports.messenger().tell(step, "127.0.0.10 处理完毕", ["wecom", "值班群"], ["lisi"], now) == ids
    assert Delivery.objects.get(pk=ids[0]).recipients == ["lisi"]
    assert texts(pk=ids[0])[0].startswith("127.0.0.10 处理完毕")
    with pytest.raises(ValueError, match="没有名为“nobody”"):
        ports.messenger().tell(step, "x", ["nobody"], [], now)
    with pytest.raises(ValueError, match="没有可用的"):
        ports.messenger().tell(step, "x", [], ["nobody"], now)
    assert Delivery.objects.count() == 3


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_node_says_what_its_author_wrote_and_makes_only_the_values_harmless(robots: Channel, form: str) -> None:
    Channel.objects.update(config={**robots.config, "message": form})
    written = "**${ip}** 见 https://wiki/x#${labels.team}\n输出：\n${node.1.output}\n<@lisi> " + "长" * 900
    values = {
        "${ip}": "127.0.0.10",
        "${labels.team}": "a](http://evil)",
        "${node.1.output}": "<@all>\n  http://evil **x**\u202e",
    }
    filled = written
    for name, value in values.items():
        filled = filled.replace(name, value)
    plan = {"nodes": [{"id": 1, "type": "notify", "params": {"message": written, "channels": ["值班群"]}}]}
    run = factories.execution(alert=factories.alert(host=local()), plan=plan)
    ports.messenger().tell(factories.step(run, type="notify"), filled, ["值班群"], [], timezone.now())
    text = texts()[0]
    assert "**127.0.0.10** 见 https://wiki/x#a" in text
    assert "\n<@lisi> " + "长" * 900 in text
    assert "＜@all＞\n  http：//evil" in text
    assert ("http://evil" in text, "\u202e" in text, "**x**" in text) == (False, False, form == "text")
    assert ("](http：" in text) is (form == "text")


def test_a_node_reaches_people_by_their_accounts_and_nobody_else(app_channel: Channel, operator: Person) -> None:
    Person.objects.filter(pk=operator.pk).update(wecom_userid="li.si")
    run = factories.execution(alert=factories.alert(host=local()))
    for node, (name, heard) in enumerate([("Li.Si", ["li.si"]), ("lisi", ["li.si"]), ("gone", [])]):
        (pk,) = ports.messenger().tell(
            factories.step(run, node, type="notify"), "好", ["wecom"], [name], timezone.now()
        )
        row = Delivery.objects.get(pk=pk)
        assert (row.recipients, row.to_nobody) == (heard, not heard)
