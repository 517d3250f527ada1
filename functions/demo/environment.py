#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Shows what a function is told about its request: all of its environment."""
import html
import os

GROUPS = [
    ("The request", ("REQUEST_", "QUERY_", "PATH_INFO", "PATH_TRANS",
                     "CONTENT_", "REMOTE_", "AUTH_", "HTTPS")),
    ("Headers of the client", ("HTTP_",)),
    ("The server", ("SERVER_", "SCRIPT_", "GATEWAY_", "DOCUMENT_")),
    ("The host", ("FN_", "TRACEPARENT")),
    ("Everything else", ("",)),
]
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>environment</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 3rem auto; padding: 0 1rem; color: #223 }}
h1, h2 {{ font-weight: 600 }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
table {{ border-collapse: collapse; width: 100%; table-layout: fixed }}
td {{ border-top: 1px solid #dde; padding: .3rem .6rem; vertical-align: top;
  overflow-wrap: anywhere; font-family: ui-monospace, monospace }}
td:first-child {{ width: 17rem; color: #06c }}
</style>
<h1>What this function is told</h1>
{}"""

left = dict(os.environ)
parts = []
for title, prefixes in GROUPS:
    names = sorted(name for name in left if name.startswith(prefixes))
    rows = "".join(f"<tr><td>{html.escape(name)}<td>"
                   f"{html.escape(left.pop(name))}" for name in names)
    if rows:
        parts.append(f"<h2>{title}</h2><table>{rows}</table>")

print("Content-Type: text/html; charset=utf-8\n")
print(PAGE.format("\n".join(parts)).encode("utf-8", "replace").decode())
