"""The description of the HTTP interface as a page that needs nothing from any other site."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

# Nothing is loaded or run but the page's own styles.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse } td, th { text-align: left; padding: .2em 1em .2em 0; vertical-align: top }
code, pre { font-family: ui-monospace, monospace } pre { overflow-x: auto }
"""


def page_of(description: Mapping[str, Any]) -> str:
    """The page of an OpenAPI description: what can be asked for, how, and what is answered."""
    info = description["info"]
    title = f"{info['title']} {info['version']}"
    parts = "\n".join(
        _operation(path, method, operation)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n<p>{escape(info['description'])} "
        f'<a href="/openapi.json">/openapi.json</a> describes this for programs.</p>\n{parts}\n</body></html>\n'
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    rows = "\n".join(_parameter(parameter) for parameter in operation.get("parameters", ()))
    table = f"<table><tr><th>parameter<th>value<th>meaning</tr>\n{rows}\n</table>" if rows else ""
    answers = "\n".join(
        f"<tr><td>{escape(status)}<td>{escape(answer['description'])}</tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>\n<p>{escape(operation['summary'])}</p>\n"
        f"{table}\n<h3>Answers</h3>\n<table>\n{answers}\n</table>"
    )


def _parameter(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    needed = "required" if parameter.get("required") else f"default {json.dumps(schema.get('default'))}"
    kind = ", ".join([*_kinds(schema), needed])
    meaning = parameter.get("description", "")
    return f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(kind)}<td>{escape(meaning)}</tr>"


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    """What values are taken, in words."""
    if "anyOf" in schema:
        kinds = [" ".join(_kinds(one)) for one in schema["anyOf"] if one.get("type") != "null"]
        yield " or ".join(kinds)
    elif "const" in schema:
        yield str(schema["const"])
    elif schema.get("type") == "array":
        yield f"{' '.join(_kinds(schema['items']))}, repeatable"
    else:
        low, high = schema.get("minimum"), schema.get("maximum")
        yield schema.get("type", "any") + (f" {low:g} to {high:g}" if low is not None and high is not None else "")
