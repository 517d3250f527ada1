#!/bin/sh
# SPDX-License-Identifier: MIT
# Server-sent events: the time, once a second, for a minute. events?page is a
# page that shows them. Below /stream/ nothing on the way holds them back.
if [ "$QUERY_STRING" = page ]; then
	cat <<END
Content-Type: text/html; charset=utf-8

<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>events</title>
<style>body { font: 4rem system-ui, sans-serif; text-align: center;
  margin-top: 20vh; color: #223 }</style>
<div id="time">&hellip;</div>
<script>
new EventSource("$SCRIPT_NAME").onmessage = function (event) {
	document.getElementById("time").textContent = event.data;
};
</script>
END
	exit
fi

printf 'Content-Type: text/event-stream\nCache-Control: no-store\n\n'
for number in $(seq 60); do
	printf 'id: %d\ndata: %s\n\n' "$number" "$(date +%H:%M:%S)" || exit
	sleep 1
done
