#!/bin/sh
# SPDX-License-Identifier: MIT
# qr?text=anything - a QR code, drawn by qrencode.
refuse() {
	printf 'Status: %s\nContent-Type: text/plain\n\n%s\n' "$1" "$2"
	exit 0
}
command -v qrencode >/dev/null || refuse '501 Not Implemented' \
    'the program qrencode is not installed on this machine'

text=$(printf %s "$QUERY_STRING" | tr '&' '\n' | sed -n 's/^text=//p' | head -1)
# Undo the encoding of a query: + is a blank, %41 is a byte. A backslash of the
# text itself is encoded first, so printf sees only our own.
text=$(printf %s "$text" | sed 's/\\/%5c/g; s/+/ /g; s/%\([0-9A-Fa-f][0-9A-Fa-f]\)/\\x\1/g')
text=$(/usr/bin/printf %b "$text")
[ -n "$text" ] || refuse '400 Bad Request' 'say what: qr?text=...'

picture=$(qrencode -t SVG -m 2 -s 8 -o - -- "$text") ||
    refuse '400 Bad Request' 'that is too long for a QR code'
printf 'Content-Type: image/svg+xml\n\n%s\n' "$picture"
