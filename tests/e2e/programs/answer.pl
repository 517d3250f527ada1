#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# The same as fcgx.c with Perl's FCGI module.
use strict;
use warnings;
use FCGI;
use POSIX qw(_exit);

my $served = 0;
my $request = FCGI::Request();

sub answer {
	my ($query, $method) = @ENV{qw(QUERY_STRING REQUEST_METHOD)};

	print "Status: $1\r\n" if $query =~ /^status=(.*)/;
	print "Content-Type: text/plain\r\nX-Pid: $$\r\nX-Served: $served\r\n\r\n";
	if ($query =~ /^ignore/) {
		print "unread\n";
	} elsif ($method eq 'POST') {
		while (read(STDIN, my $block, 4000)) {
			print $block;
		}
	} elsif ($query =~ /^large=(\d+)/) {
		print 'x' x $1;
	} else {
		print "$method ", $ENV{PATH_INFO} // '-', "\n";
	}
	print STDERR "perl says $1\n" if $query =~ /^error=(.*)/;
	return;
}

while ($request->Accept() >= 0) {
	my ($after) = $ENV{QUERY_STRING} =~ /^after=(\w+)/;
	my $path = "$ENV{DOCUMENT_ROOT}/data/" . ($after // '');

	_exit(3) if $ENV{QUERY_STRING} =~ /^exit/;
	$served++;
	answer();
	$request->Finish();
	next if !$after;
	open(my $file, '>>', $path) or die "$path: $!\n";
	print {$file} "$served\n";
	close($file) or die "$path: $!\n";
}
