#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A form with a file, and what arrived of it. GET shows the form, POST echoes."""
import email.policy
import hashlib
import html
import os
import sys
from email.parser import BytesParser
from urllib.parse import parse_qsl

STYLE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>echo</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem;
  margin: 3rem auto; padding: 0 1rem; color: #223 }
input, button, textarea { font: inherit; display: block; width: 100%;
  margin: .3rem 0 1rem; padding: .4rem; box-sizing: border-box }
dt { font-weight: 600; margin-top: 1rem } dd { margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere } small { color: #667 }
</style>"""
FORM = """<h1>Send something</h1>
<form method="post" enctype="multipart/form-data">
<label>A word <input name="word" value="Grüße"></label>
<label>More words <textarea name="text" rows="4"></textarea></label>
<label>A file <input type="file" name="file"></label>
<button>Send</button></form>"""


def fields(kind, body):
    """Yields (name, description, text) for each field of the form."""
    if kind.startswith("multipart/form-data"):
        head = b"Content-Type: " + kind.encode() + b"\r\n\r\n"
        form = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        for part in form.iter_parts():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True) or b""
            file = part.get_filename()
            if file:
                yield name, f"{file}, {len(data)} bytes, SHA-256", \
                    hashlib.sha256(data).hexdigest()
            else:
                yield name, f"{len(data)} bytes", data.decode("utf-8", "replace")
    else:
        for name, value in parse_qsl(body.decode("utf-8", "replace"), True):
            yield name, f"{len(value)} characters", value


print("Content-Type: text/html; charset=utf-8\n")
print(STYLE)
if os.environ["REQUEST_METHOD"] != "POST":
    print(FORM)
else:
    print("<h1>This arrived</h1><dl>")
    for row in fields(os.environ.get("CONTENT_TYPE", ""), sys.stdin.buffer.read()):
        name, size, text = (html.escape(str(part)) for part in row)
        print(f"<dt>{name} <small>{size}</small><dd>{text}")
    print('</dl><p><a href="?">Send more</a>')
