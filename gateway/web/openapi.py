"""The description of the interface for programs (OpenAPI 3.1), made from the definitions that answer it."""

from typing import Any

from gateway import __version__
from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.filters import JOINS, OPERATORS
from gateway.analytics.metrics import METRICS
from gateway.analytics.period import MAX_DAYS, MODES
from gateway.analytics.query import MAX_DIMENSIONS, MAX_OFFSET
from gateway.web.query_body import DATE_RANGES, MAX_PAGE, PERCENTAGE

QUERY_PATH = "/api/v2/query"
OPENAPI_PATH = "/api/v2/openapi.json"
ERRORS = {
    "400": "The question has faults; all of them are listed.",
    "401": "No key in force.",
    "403": "The key is for something else.",
    "413": "The body is too large.",
    "429": "The key has had its requests of this minute.",
    "503": "The event store cannot answer now.",
}
TEXTS = {"type": "array", "items": {"type": "string"}}
FIGURE = {"type": ["number", "null"]}


def build_document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Consent Gateway", "version": __version__, "description": _metric_help()},
        "paths": {QUERY_PATH: {"post": _query_operation()}, OPENAPI_PATH: {"get": _document_operation()}},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Question": _question(), "Reply": _reply(), "Result": _result(), "Errors": _errors()},
        },
    }


def _query_operation() -> dict[str, Any]:
    failures = {status: _answer(text, "Errors") for status, text in ERRORS.items()}
    return {
        "operationId": "query",
        "summary": "Figures of a site and period",
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": _json("Question")},
        "responses": {"200": _answer("Rows of figures.", "Reply"), **failures},
    }


def _document_operation() -> dict[str, Any]:
    return {"operationId": "openapi", "summary": "This document", "responses": {"200": {"description": "OpenAPI."}}}


def _question() -> dict[str, Any]:
    metrics = [name for one in METRICS for name in dict.fromkeys((one.outside, one.name))]
    named = [name for one in DIMENSIONS for name in (one.outside, one.name)]
    prop = {"type": "string", "pattern": "^(event:props|prop):.+$"}
    order = {"type": "array", "prefixItems": [{"type": "string"}, {"enum": ["asc", "desc"]}], "minItems": 2}
    return {
        "type": "object",
        "required": ["site_id", "metrics", "date_range"],
        "additionalProperties": False,
        "properties": {
            "site_id": {"type": "string"},
            "metrics": {"type": "array", "minItems": 1, "items": {"enum": [*metrics, PERCENTAGE]}},
            "date_range": {
                "description": f"At most {MAX_DAYS} days, the present one included; `all` is as many.",
                "oneOf": [{"enum": list(DATE_RANGES)}, _pair("date"), _pair("date-time")],
            },
            "dimensions": {
                "type": "array",
                "maxItems": MAX_DIMENSIONS,
                "items": {"anyOf": [{"enum": [*named, "time", "visit:country_name"]}, prop]},
            },
            "filters": {
                "type": "array",
                "description": f"[operator, dimension, [value, ...]] with one of {', '.join(OPERATORS)}; "
                f"joined by {', '.join(JOINS)}.",
            },
            "order_by": {"type": "array", "items": order},
            "include": _include(),
            "pagination": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE},
                    "offset": {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
                },
            },
            "timezone": {"type": "string", "description": "An IANA name; without: the site's."},
        },
    }


def _pair(form: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "format": form}, "minItems": 2, "maxItems": 2}


def _include() -> dict[str, Any]:
    mode = {"type": "object", "required": ["mode"], "properties": {"mode": {"enum": list(MODES)}}}
    flags = {name: {"type": "boolean", "default": False} for name in ("imports", "time_labels", "total_rows")}
    return {"type": "object", "additionalProperties": False, "properties": {**flags, "comparisons": mode}}


def _reply() -> dict[str, Any]:
    result = {"type": "array", "items": {"$ref": "#/components/schemas/Result"}}
    meta = {
        "total_rows": {"type": "integer"},
        "time_labels": TEXTS,
        "withheld": {"enum": ["few", "few_others", "part_of_day"], "description": "Why there are no rows."},
        "imports_included": {
            "type": "boolean",
            "description": "Whether days that another tool counted are in the figures.",
        },
        "imports_skip_reason": {"enum": ["no_imported_data", "unsupported_interval", "unsupported_query"]},
        "imports_warning": {"type": "string", "description": "Which metrics are of the site's own days alone."},
        "others": {
            **result,
            "description": "What rows of too few visitors have in common; without figures where a filter leaves too few.",
        },
    }
    properties = {"results": result, "meta": {"type": "object", "properties": meta}, "query": {"type": "object"}}
    return {"type": "object", "required": list(properties), "properties": properties}


def _result() -> dict[str, Any]:
    figures = {"type": "array", "items": FIGURE}
    compared = {"metrics": figures, "dimensions": TEXTS, "change": figures}
    return {
        "type": "object",
        "required": ["metrics", "dimensions"],
        "properties": {
            "metrics": figures,
            "dimensions": TEXTS,
            "comparison": {"type": "object", "required": list(compared), "properties": compared},
        },
    }


def _errors() -> dict[str, Any]:
    properties = {"error": {"type": "string"}, "errors": TEXTS}
    return {"type": "object", "required": list(properties), "properties": properties}


def _answer(text: str, schema: str) -> dict[str, Any]:
    return {"description": text, "content": _json(schema)}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _metric_help() -> str:
    percentage = f"- `{PERCENTAGE}`: the share of all daily visitors that a row has; with dimensions only"
    return "\n".join([*(f"- `{one.outside}`: {one.help['en']}" for one in METRICS), percentage])
