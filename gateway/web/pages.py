"""HTML from templates. The only user of jinja2: every value is escaped, and a missing one is an error."""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.consent.foreign_text import ForeignText
from gateway.resources import template_folder
from gateway.web.labels import name_countries
from gateway.web.labels_periods import name_period

# A word of a path, an address or a name, with what joins it to the next; what all begins with would stand alone on a line.
PARTS = re.compile(r"[/.?&=_-]*[^/.?&=_-]+[/.?&=_-]*|[/.?&=_-]+")


def break_long(text: str) -> Markup:
    """A path, address or name that may go on at the next line after each of its parts, and is copied as it is."""
    return Markup("<wbr>").join(map(escape, PARTS.findall(text)))


def _say_language(value: object) -> object:
    """A text that its page's language lacks is marked as what it is, for whoever hears the page."""
    if isinstance(value, ForeignText):
        return Markup('<span lang="{}" dir="auto">{}</span>').format(value.language, str(value))
    return value


@cache
def _environment(folder: Path) -> Environment:
    """What compiles the templates of a folder, and keeps them."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_say_language,
    )
    environment.filters["country"] = name_countries
    environment.filters["period"] = name_period
    environment.filters["breakable"] = break_long
    environment.filters["plain"] = str  # inside an attribute nothing can be marked
    environment.tests["lent"] = lambda text: isinstance(text, ForeignText)
    return environment


class Pages:
    """Renders the package's templates; compiled once per process, safe to share between threads."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds the templates (default: the package's own)."""
        self._environment = _environment(folder or template_folder())

    def render(self, name: str, /, **context: object) -> str:
        """The HTML of template `name` ("banner.html", "console/overview.html")."""
        return self._environment.get_template(name).render(context)
