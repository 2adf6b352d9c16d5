"""The page: one HTML text that contains its style and scripts, and loads nothing from elsewhere."""

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

SCRIPTS = (
    "dom",
    "data",
    "scales",
    "chart",
    "panels",
    "parallel",
    "heat",
    "table",
    "detail",
    "main",
)


def page(data: dict[str, Any]) -> str:
    """The page with `data` in it: the list of panels, and for a static page all answers."""
    return _read("board.html").format(
        policy=policy(live=False), style=style(), script=script(), data=inlined(data)
    )


def policy(live: bool) -> str:
    """The Content-Security-Policy: this style and this script by their hashes, and answers of the page's own server."""
    parts = {
        "default-src": "'none'",
        "script-src": _hash(script()),
        "style-src": _hash(style()),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if live:
        parts["frame-ancestors"] = "'none'"  # has no meaning in a <meta>
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def inlined(data: Any) -> str:
    """JSON that can stand in a <script>: no text in it can end the element or open another."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def style() -> str:
    """The text of the <style>."""
    return _read("board.css")


def script() -> str:
    """The text of the <script>: the files in one function of their own, nothing global."""
    parts = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _read(name: str) -> str:
    return (files("isogain.analysis.board") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
