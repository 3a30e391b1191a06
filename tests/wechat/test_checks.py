"""The system check of this floor."""

from typing import Any

from django.core.checks import run_checks


def test_it_warns_of_the_simulator_in_production_where_one_asks_for_it(settings: Any) -> None:
    for simulator, debug, deployed, warned in [
        (True, False, True, True),
        (True, False, False, False),  # every command would say so again, as in the demo
        (True, True, True, False),
        (False, False, True, False),
    ]:
        settings.WECOM_SIMULATOR, settings.DEBUG = simulator, debug
        found = [each for each in run_checks(include_deployment_checks=deployed) if each.id == "wechat.W001"]
        assert bool(found) is warned, (simulator, debug, deployed)
