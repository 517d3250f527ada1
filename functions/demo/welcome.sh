#!/bin/sh
# SPDX-License-Identifier: MIT
# The way in: a page with what there is to try.
here=${SCRIPT_NAME%/*}
stream=/stream/${here#/fn/}
php=
[ ! -x /usr/bin/php-cgi ] || php="
<li><a href='$here/daylight'>daylight</a>: the year's days and nights at a place,
  from a process that stays (PHP)"
# The client says what it called us; only what a name can be goes into the page.
case $HTTP_HOST in
'' | *[!][A-Za-z0-9.:-]*) HTTP_HOST=127.0.0.1:$SERVER_PORT ;;
esac
cat <<END
Content-Type: text/html; charset=utf-8

<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>fcgi-host</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem;
  margin: 4rem auto; padding: 0 1rem; color: #223 }
h1 { font-weight: 600 } a { color: #06c; text-decoration: none }
li { margin: .4rem 0 } code { background: #eef; padding: .1rem .3rem }
</style>
<h1>It answers.</h1>
<p>Each link is a file in <code>functions/demo/</code>. Drop another executable
there and it has a link of its own, at once.</p>
<ul>
<li><a href="$here/hello">hello</a>: a C program
<li><a href="$here/environment">environment</a>: what a function is told (Python)
<li><a href="$here/echo">echo</a>: a form and a file, sent and shown (Python)
<li><a href="$here/calendar">calendar</a>: a month on a page (Perl)
<li><a href="$here/chart?apples=5&amp;pears=8&amp;plums=3">chart</a>: numbers
  as a picture, from a directory of its own (Python)
<li><a href="$here/qr?text=${REQUEST_SCHEME:-http}://$HTTP_HOST/">qr</a>: a QR code from a
  command-line tool (shell)$php
<li><a href="$here/whoami">whoami</a>: where and as whom functions run (shell)
<li><a href="$stream/events?page">events</a>: server-sent events (shell)
<li><a href="$here/guestbook">guestbook</a>: what visitors wrote, kept in state (C)
<li><a href="$here/counter">counter</a>, <a href="$here/visits">visits</a>: the
  same in a line of C and in shell
<li><a href="$here/ratelimit">ratelimit</a>: five requests in ten seconds (C)
<li><a href="$here/lock?work=1000">lock</a>: one at a time, with a fencing token (C)
<li><a href="$here/fortune">fortune</a>: a saying; each request has a copy of a process
  that has loaded the script (Python, forked)
<li><a href="$here/worldclock">worldclock</a>: where it is what time, from a table of
  64 MiB that each request's process has from the start (C, forked)
<li><a href="$here/slow">slow</a>: runs into its time limit, after ten seconds
</ul>
<p>Request <code>$FN_REQUEST_ID</code></p>
END
