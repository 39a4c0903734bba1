"""An invented inventory of an invented site, for the console's tests."""

from sqlalchemy import Engine

from gateway.database import transaction
from gateway.event import Sight
from gateway.flows.inventory import add_sights
from gateway.flows.sightings import COOKIE, HOST, SCRIPT, SENT, VIOLATION
from tests.web.console_example import NOW

DAY = 86_400.0
STRANGER, KNOWN = "pixel.voorbeeld-advertenties.example", "www.google-analytics.com"
SEEN = [
    Sight(HOST, STRANGER, "/", "img", NOW - 3 * DAY, NOW - 60, 412, 100, 312),
    Sight(HOST, STRANGER, "/zaken/:id", "img", NOW - 2 * DAY, NOW - 90, 88, 0, 88),
    Sight(HOST, KNOWN, "/artikelen/wat-is-een-wik-brief", "script", NOW - 9 * DAY, NOW - 30, 40, 0, 40),
    Sight(COOKIE, "__Host-gw_consent", "/", "", NOW - DAY, NOW, 3, 0, 0),
    Sight(COOKIE, "mandje", "/diensten", "", NOW - DAY, NOW - 5, 17, 17, 0),
    Sight(COOKIE, "_hjSession_:id", "/", "", NOW - DAY, NOW - 5, 9, 0, 9),
    Sight(SENT, "_ga", "/", "", NOW - DAY, NOW - 5, 2, 2, 0),
    Sight(
        SCRIPT,
        "0123456789abcdef",
        "/",
        "window.dataLayer = window.dataLayer || []; function gtag(){",
        NOW,
        NOW,
        4,
        0,
        0,
    ),
    Sight(SCRIPT, "fedcba9876543210", "/", "document.documentElement.classList.add('js')", NOW, NOW, 4, 0, 0),
    Sight(VIOLATION, "fonts.gstatic.com", "", "font-src", NOW - DAY, NOW, 6, 6, 0),
]


def put_inventory(engine: Engine, site: str = "main") -> None:
    """Let the example have been seen on a site."""
    with transaction(engine) as connection:
        add_sights(connection, [(site, row) for row in SEEN])
