"""manage.py post_alert: send one alert to the portal, as a script would."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fta.lib import http


class Command(BaseCommand):
    help = "Post one alert to the REST intake and print the answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:8000/intake/rest/?wait=1")
        parser.add_argument("--secret", required=True, help="the secret of a rest source")
        parser.add_argument("--type", default="disk_full", dest="alert_type")
        parser.add_argument("--ip", default="127.0.0.10")
        parser.add_argument("--content", default="/data 98%")
        parser.add_argument("--level", default="critical")
        parser.add_argument("--status", default="firing", choices=["firing", "resolved"])
        parser.add_argument("--id", default="", dest="source_id", help="source_id; a new one by default")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.localtime()
        body = {
            "source_id": options["source_id"] or f"post-alert-{now:%Y%m%d%H%M%S%f}",
            "alert_type": options["alert_type"],
            "ip": options["ip"],
            "source_time": now.isoformat(),
            "content": options["content"],
            "level": options["level"],
            "status": options["status"],
        }
        try:
            answer = http.request(
                "POST", options["url"], json=body, headers={"X-Secret": options["secret"]}, trusted=True
            )
        except http.HttpError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{answer.status} {answer.text}")
        if answer.status >= 300:
            raise CommandError(json.dumps(body, ensure_ascii=False))
