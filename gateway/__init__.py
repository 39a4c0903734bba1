"""Consent Gateway: asks before anything optional happens, and proves it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.config import load_config
    from gateway.front import ConsentMiddleware
    from gateway.wsgi_front import WSGIConsentMiddleware

__version__ = "0.1.0"
__all__ = ["ConsentMiddleware", "WSGIConsentMiddleware", "__version__", "load_config"]

_HOMES = {
    "ConsentMiddleware": "gateway.front",
    "WSGIConsentMiddleware": "gateway.wsgi_front",
    "load_config": "gateway.config",
}


def __getattr__(name: str) -> Any:
    """The public names, loaded when first asked for (PEP 562): every other module of the package is imported through this
    one, and keeper and command line would otherwise carry a whole front worker with them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
