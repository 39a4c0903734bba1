"""`gateway report --mail-test`: a report mailed now, to see whether mails arrive and how they look."""

from datetime import UTC, datetime

from gateway.analytics.period import Days
from gateway.analytics.query import Query, parse_query
from gateway.analytics.results import Report
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.keeper_mail import find_site, open_desk
from gateway.report_client import fetch_report


def send_test_mail(config: Config, fields: dict[str, str], to: str) -> None:
    """Mail the report of the asked days. Raises ConfigError without a mail server, NotSent, and what a report raises."""

    def ask(query: Query) -> Report:
        asked = {"site": query.site, "from": str(query.first), "to": str(query.last)}
        return fetch_report(config, asked | {"limit": str(query.limit), "compare": query.compare})

    if not config.settings.mail.host:
        raise ConfigError("gateway.toml", "mail.host", "", "wanted the name of a mail server")
    if to.count("@") != 1 or any(letter.isspace() for letter in to):
        raise ConfigError("command line", "--mail-test", to, "wanted an address such as anke@example.org")
    query = parse_query(fields, {site.id: site.config.timezone for site in config.sites}, datetime.now(UTC))
    site = find_site(config, query.site)
    language = next((one.language for one in config.settings.mail.reports if one.site in ("", site.id)), "en")
    desk = open_desk(config, ask)
    desk.mailer.send(desk.write_report(site, Days(query.first, query.last), language, to))
