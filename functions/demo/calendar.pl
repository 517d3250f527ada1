#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# A month on a page: /fn/demo/calendar/2026/11; without a path, this month.
use strict;
use warnings;
use POSIX qw(mktime strftime);

my @now = localtime;
my ($year, $month) = ($ENV{PATH_INFO} // '') =~ m{^/(\d{4})/(\d{1,2})$};
($year, $month) = ($now[5] + 1900, $now[4] + 1) unless defined $year;
if ($month < 1 || $month > 12 || $year < 1902) {
	print "Status: 404 No such month\nContent-Type: text/plain\n\n",
	    "a month is /YEAR/1 to /YEAR/12, from 1902 on\n";
	exit;
}

sub noon { return mktime(0, 0, 12, $_[1], $month - 1 + $_[0], $year - 1900) }
sub path { return $ENV{SCRIPT_NAME} . strftime('/%Y/%m', localtime noon($_[0], 1)) }

my $title = strftime('%B %Y', localtime noon(0, 1));
my $days = (localtime noon(1, 0))[3];
my $blank = ((localtime noon(0, 1))[6] + 6) % 7;	# weeks begin on Monday
my $today = $year == $now[5] + 1900 && $month == $now[4] + 1 ? $now[3] : 0;

my $cells = '<td>' x $blank;
for my $day (1 .. $days) {
	$cells .= $day == $today ? "<td class=today>$day" : "<td>$day";
	$cells .= '<tr>' if ($blank + $day) % 7 == 0;
}
my $head = join '', map { "<th>$_" } qw(Mo Tu We Th Fr Sa Su);
my ($back, $on) = (path(-1), path(1));

print <<"END";
Content-Type: text/html; charset=utf-8

<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 18px/1.5 system-ui, sans-serif; max-width: 26rem; color: #223;
  margin: 3rem auto; padding: 0 1rem }
h1 { font-weight: 600; display: flex; justify-content: space-between }
a { color: #06c; text-decoration: none } table { width: 100% }
td, th { text-align: center; padding: .4rem 0; width: 14% }
th, td:nth-child(n+6) { color: #899 }
.today { background: #06c; color: white; border-radius: 50% }
</style>
<h1><a href="$back">&#8592;</a> $title <a href="$on">&#8594;</a></h1>
<table><tr>$head<tr>$cells</table>
END
