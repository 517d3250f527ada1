# What gitweb reads at every start (see gitweb.conf(5)).
our $projectroot = $ENV{GITWEB_PROJECTROOT};
our $projects_list = $projectroot;
our $project_maxdepth = 2;
our $site_name = 'repositories behind fcgi-host';
our $home_link_str = 'repositories';

# Its pictures and styles come from a function beside it.
(my $static = $ENV{SCRIPT_NAME}) =~ s{[^/]+$}{static};
our @stylesheets = ("$static/gitweb.css");
our $logo = "$static/git-logo.png";
our $favicon = "$static/git-favicon.png";
our $javascript = "$static/gitweb.js";

$feature{blame}{default} = [1];
$feature{highlight}{default} = [0];
1;
