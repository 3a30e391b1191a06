"""The table of sources: one row a kind, one file a parser."""

from collections.abc import Mapping

from fta.intake.sources.alertmanager import Alertmanager
from fta.intake.sources.base import Parser
from fta.intake.sources.grafana import Grafana
from fta.intake.sources.rest import Rest

PARSERS: Mapping[str, Parser] = {parser.kind: parser for parser in (Rest(), Alertmanager(), Grafana())}
