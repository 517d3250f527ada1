#!/bin/sh
# SPDX-License-Identifier: MIT
# gitweb's own pictures, styles and script: static/gitweb.css
dir=/usr/share/gitweb/static
file=${PATH_INFO#/}
case $file in
gitweb.css)
	type=text/css ;;
gitweb.js)
	type=text/javascript ;;
git-logo.png | git-favicon.png)
	type=image/png ;;
*)
	printf 'Status: 404 Not Found\nContent-Type: text/plain\n\nno such file\n'
	exit ;;
esac
printf 'Content-Type: %s\nContent-Length: %d\n' "$type" \
    "$(stat -L -c %s $dir/$file)"
printf 'Cache-Control: max-age=86400\n\n'
cat $dir/$file
