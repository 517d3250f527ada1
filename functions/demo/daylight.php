#!/usr/bin/php-cgi
<?php
// SPDX-License-Identifier: MIT
// The year's days and nights at a place: /fn/demo/daylight?lat=52.5&lon=13.4
// PHP as it is; the one line of daylight.conf keeps its process for the next
// request.
function degrees(string $name, float $default, float $most): float
{
	$value = $_GET[$name] ?? (string)$default;
	if (!is_numeric($value) || abs((float)$value) > $most) {
		http_response_code(400);
		header('Content-Type: text/plain');
		exit("$name is a number of degrees, from -$most to $most\n");
	}
	return (float)$value;
}

// Minute of the day by the sun's own clock; true: up all day, false: never.
function minute(int|bool $time, int $noon, int $always): float
{
	return is_bool($time) ? ($time ? $always : 720) :
	    max(0, min(1440, 720 + ($time - $noon) / 60));
}

function clock(float $minute): string
{
	$minute = (int)round($minute);
	return sprintf('%d:%02d', intdiv($minute, 60) % 24, $minute % 60);
}

$lat = degrees('lat', 52.5, 90);
$lon = degrees('lon', 13.4, 180);
$year = (int)gmdate('Y');
$days = 365 + (int)gmdate('L');
$today = (int)gmdate('z');
$bands = [['astronomical_twilight_begin', 'astronomical_twilight_end', '#22306b'],
    ['nautical_twilight_begin', 'nautical_twilight_end', '#41549c'],
    ['civil_twilight_begin', 'civil_twilight_end', '#8c9bd6'],
    ['sunrise', 'sunset', '#ffd978']];
$polygons = [];
foreach ($bands as [$begin, $end, $colour]) {
	$points = ['', ''];
	for ($day = 0; $day < $days; $day++) {
		$noon = gmmktime(12, 0, -(int)round($lon * 240), 1, 1 + $day, $year);
		$sun = date_sun_info($noon, $lat, $lon);
		$times = [minute($sun[$begin], $noon, 0),
		    minute($sun[$end], $noon, 1440)];
		$points[0] .= sprintf('%d,%.0f ', $day * 2, $times[0] / 3);
		$points[1] = sprintf('%d,%.0f ', $day * 2, $times[1] / 3) . $points[1];
		if ($day === $today) {
			[$rise, $set] = $times;	// of the last band: the sun's
		}
	}
	$polygons[$colour] = $points[0] . $points[1];
}

$length = $set - $rise;
$words = $length <= 0 ? 'The sun does not rise today.' : ($length >= 1440 ?
    'The sun does not set today.' : sprintf(
    'Sunrise %s, sunset %s, mean time of the place; %d h %02d min of day.',
    clock($rise), clock($set), intdiv((int)$length, 60), (int)$length % 60));
$places = ['Reykjavík' => [64.1, -21.9], 'Berlin' => [52.5, 13.4],
    'Singapore' => [1.3, 103.8], 'Cape Town' => [-33.9, 18.4],
    'Svalbard' => [78.2, 15.6]];
header('Content-Type: text/html; charset=utf-8');
?>
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>daylight</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem;
  margin: 4rem auto; padding: 0 1rem; color: #223 }
h1 { font-weight: 600 } a { color: #06c; text-decoration: none }
svg { width: 100%; border-radius: .5rem } input { width: 5rem; font: inherit }
text { font: 13px system-ui, sans-serif; fill: #fff }
</style>
<h1>Daylight at <?= $lat ?>°, <?= $lon ?>°</h1>
<svg viewBox="0 0 <?= $days * 2 - 2 ?> 480" role="img" aria-label="days of the year">
<rect width="100%" height="100%" fill="#101a3a"/>
<?php foreach ($polygons as $colour => $points): ?>
<polygon points="<?= $points ?>" fill="<?= $colour ?>"/>
<?php endforeach ?>
<?php foreach ([6, 12, 18] as $hour): ?>
<line x2="100%" y1="<?= $hour * 20 ?>" y2="<?= $hour * 20 ?>" stroke="#fff"
  stroke-opacity=".25"/><text x="6" y="<?= $hour * 20 - 4 ?>"><?= $hour ?>:00</text>
<?php endforeach ?>
<line x1="<?= $today * 2 ?>" x2="<?= $today * 2 ?>" y2="100%" stroke="#d33"
  stroke-width="2"/>
</svg>
<p><?= $words ?></p>
<p>
<?php foreach ($places as $name => [$there, $east]): ?>
<a href="?lat=<?= $there ?>&amp;lon=<?= $east ?>"><?= $name ?></a>&ensp;
<?php endforeach ?>
</p>
<form><input name="lat" value="<?= $lat ?>" aria-label="latitude">
<input name="lon" value="<?= $lon ?>" aria-label="longitude"> <button>show</button>
</form>
<p>From process <?= getmypid() ?> of PHP <?= PHP_VERSION ?>, request
<code><?= htmlspecialchars($_SERVER['FN_REQUEST_ID'] ?? '') ?></code>.</p>
