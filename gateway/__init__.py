"""Consent Gateway: asks before anything optional happens, and proves it."""

__version__ = "0.1.0"

from gateway.config import load_config
from gateway.front import ConsentMiddleware

__all__ = ["ConsentMiddleware", "__version__", "load_config"]
