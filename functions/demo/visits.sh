#!/bin/sh
# SPDX-License-Identifier: MIT
# State from a shell: who was here, in a page of plain text. The token goes to
# curl by its standard input, so that it stands in no list of processes.
#   curl 127.0.0.1:8080/fn/demo/visits
state() {
	curl -sS --fail --max-time 5 --unix-socket "$FN_SOCKET" -H @- "$@" <<END
Authorization: Bearer $FN_TOKEN
END
}

# {"value":12,"version":34}
number=$(state -d '{"by":1}' "$FN_STATE_URL/counter/visits/count") &&
    number=${number#*\"value\":} && number=${number%%[!0-9]*} &&
    state -X PUT -H 'Content-Type: text/plain' \
	-d "$(date -u +%H:%M:%S) $REMOTE_ADDR" \
	"$FN_STATE_URL/kv/visits/seen/$FN_REQUEST_ID?ttl=1h" &&
    last=$(state "$FN_STATE_URL/kv?prefix=visits/seen/&reverse=1&limit=5&values=1") || {
	printf 'Status: 503\nContent-Type: text/plain\n\nno state right now\n'
	exit 1
}
printf 'Content-Type: text/plain\nCache-Control: no-store\n\n'
printf 'visit number %s; the last ones:\n' "$number"
# The value of each item: nothing but a time and an address is ever put there.
printf '%s\n' "$last" | grep -o '"value":"[^"]*"' | cut -d '"' -f 4
