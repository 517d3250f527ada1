#!/usr/bin/env fcgi-host-python
# SPDX-License-Identifier: MIT
"""A saying for whoever asks, and how its process came to be: the script is loaded
once, and each request gets a copy of that. /fn/demo/fortune?name=Ada greets, and
/fn/demo/fortune/json is for programs."""
import html
import os
import random

SAYINGS = [
    "What you do not start cannot hang.",
    "A limit that nobody has reached has not been tested.",
    "The first line of a log is written at noon, the last one read at three.",
    "Two caches agree until you look.",
    "It is faster to answer than to apologise.",
    "A queue is a promise with a length.",
]
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>fortune</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 20px/1.5 Georgia, serif; max-width: 32rem; margin: 15vh auto;
  padding: 0 1rem; color: #223 }}
small {{ font: 14px system-ui, sans-serif; color: #667 }}
</style>
<p>Dear {name}:</p><blockquote>{saying}</blockquote>
<p><small>Process {pid}, {made}; request {count} of it.</small></p>
"""

count, loaded = 0, os.getpid()


def handle(request):
    global count
    count += 1
    saying = random.choice(SAYINGS)
    name = request.query.get("name", "visitor")
    made = "a copy" if os.getpid() != loaded else "loaded for this"
    if request.path == "/json":
        return {"name": name, "saying": saying, "count": count, "made": made}
    if request.path:
        return 404, {}, "there is /json, and nothing else\n"
    return 200, {"Content-Type": "text/html; charset=utf-8"}, PAGE.format(
        name=html.escape(name), saying=html.escape(saying), count=count,
        made=made, pid=os.getpid())
