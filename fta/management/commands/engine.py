"""manage.py engine: the poller that finds due work and does it."""

import logging
import os
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fta.engine.loop import Engine


class Command(BaseCommand):
    help = "Find due work in the database and do it, until SIGTERM or Ctrl-C. Several may run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--threads", type=int, default=None, help="threads for steps (FTA_ENGINE_THREADS)")
        parser.add_argument("--kinds", default="", help="only these work kinds, joined by commas")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = [name for name in options["kinds"].split(",") if name]
        engine = Engine(threads=options["threads"], work=wanted or None)
        signal.signal(signal.SIGTERM, lambda *_: engine.stop())
        signal.signal(signal.SIGINT, lambda *_: engine.stop())
        self.stdout.write("engine: started")
        if engine.run():
            self.stdout.write("engine: stopped")
            return
        self.stdout.write("engine: stopped; what is still at work is left to its lease (see the log)")
        self.stdout.flush()
        logging.shutdown()
        os._exit(0)  # an ordinary end would wait for the threads that are still at work
