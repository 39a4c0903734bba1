"""Mount points: elements of the page that a held script would have filled, such as a map's or a captcha's."""

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace

import lolhtml

from gateway.consent.places import SHOWN_BY, Place, find_mount

# A selector of one element, the service that fills it, and the path under which the site itself serves that one, if it does.
Mount = tuple[str, str, str]


def find_mounts(mounts: Sequence[Mount], lowered: bytes) -> list[Mount]:
    """Those that a page (in small letters) can hold: each selector that is watched for costs time."""
    return [mount for mount in mounts if mount[0].replace("#", ".").rpartition(".")[2].lower().encode() in lowered]


def watch_mounts(rewriter: lolhtml.HTMLRewriter, mounts: Sequence[Mount], put: Callable[[Place], str]) -> None:
    """Have a placeholder put before each mount point that comes by, which is marked as waiting for its service."""
    for selector, service, path in mounts:
        rewriter.on(selector, SimpleNamespace(element=partial(_on_mount, service, path, put)))


def _on_mount(service: str, path: str, put: Callable[[Place], str], element: lolhtml.Element) -> None:
    if element.tag_name in SHOWN_BY or element.has_attribute("data-gw-mount"):
        return
    place = find_mount(service, path, element.attributes)
    if place is not None:
        element.before(put(place), lolhtml.ContentType.HTML)
        element.set_attribute("data-gw-mount", service)
