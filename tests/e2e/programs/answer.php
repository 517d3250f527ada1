#!/usr/bin/php-cgi
<?php
// SPDX-License-Identifier: MIT
// The same as fcgx.c for php-cgi, and what only PHP has: files that were
// uploaded, a script that fails.
$query = $_SERVER['QUERY_STRING'];
[$word, $value] = explode('=', $query, 2) + ['', ''];
if ($word === 'exit') {
	posix_kill(getmypid(), 9);
}
if ($word === 'status') {
	http_response_code((int)$value);
}
header('Content-Type: text/plain');
header('X-Pid: ' . getmypid());
// Nothing of a script outlives a request; but a constant of the process does
// not either, so the cache of compiled scripts is what shows the process's age.
header('X-Hits: ' . (opcache_get_status(true)['scripts'][__FILE__]['hits'] ?? -1));
if ($word === 'upload') {
	foreach ($_FILES as $name => $file) {
		echo "$name ", $file['name'], ' ', $file['size'], ' ',
		    md5_file($file['tmp_name']), "\n";
	}
	ksort($_POST);
	foreach ($_POST as $name => $text) {
		echo "$name $text\n";
	}
} elseif ($word === 'ignore') {
	echo "unread\n";
} elseif ($_SERVER['REQUEST_METHOD'] === 'POST') {
	readfile('php://input');
} elseif ($word === 'large') {
	echo str_repeat('x', (int)$value);
} elseif ($word === 'fatal') {
	nothing_of_this_name();
} elseif ($word === 'flush') {
	echo "first\n";
	flush();
	echo "second\n";
} else {
	echo $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['PATH_INFO'] ?? '-', "\n";
}
if ($word === 'error') {
	error_log("php says $value");
}
if ($word === 'after') {
	register_shutdown_function(function () use ($value) {
		file_put_contents($_SERVER['DOCUMENT_ROOT'] . "/data/$value",
		    "done\n", FILE_APPEND);
	});
}
