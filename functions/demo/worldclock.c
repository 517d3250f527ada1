/* SPDX-License-Identifier: MIT */
/* worldclock.c - click on the map: which city of the time zone database is the
 * nearest, and what time it is there.
 *
 * For each of 8192 x 4096 points of the earth, 5 km apart at the equator, the
 * nearest of 400 cities stands in a table of 64 MiB. fn_init() computes it in a
 * quarter of a second. With start = "fork" (worldclock.conf) that is done once, in the
 * template; each request has a process of its own that has the table already, and
 * the page says what that took. The memory is fn_alloc_huge()'s, by which the copy
 * of a process is as fast with it as without.
 *   http://127.0.0.1:8080/fn/demo/worldclock
 *   http://127.0.0.1:8080/fn/demo/worldclock?lat=52.5&lon=13.4 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fn.h>

/* Of Debian's tzdata. */
#define CITIES "/usr/share/zoneinfo/zone.tab"

enum {
	COLUMNS = 8192,
	ROWS = 4096,
	BLOCK = 32, /* of cells, which share their candidates */
	CITIES_MOST = 1000,
	MAP_WIDTH = 960,
	MAP_HEIGHT = 480,
	BMP_HEAD = 54,
	COLOURS = 97, /* the quarters of a day, by the time there; a line */
	LINE = COLOURS - 1,
	EARTH_KM = 6371,
};

static const size_t table_bytes = sizeof(uint16_t) * COLUMNS * ROWS;
static const float pi = 3.14159265f;

struct city {
	char zone[40]; /* "Europe/Berlin" */
	float x, y, z; /* on a sphere of radius 1; z is north */
};

struct candidates {
	size_t count;
	uint16_t city[CITIES_MOST];
};

static struct city cities[CITIES_MOST];
static size_t city_count;
static uint16_t *table; /* ROWS from the north, of COLUMNS from 180 W */
static struct {
	struct timespec begun, done;
	pid_t process;
} load;
static struct timespec copied; /* this process was; zero: it is none */

static int cities_read(void);
static bool city_parse(struct city *, const char *line);
static float degrees(const char *, int digits);
static void table_fill(void);
static void block_candidates(struct candidates *, int row, int column);
static void block_fill(const struct candidates *, int row, int column);
static void note_copy(void);
static bool place_asked(struct fn_request *, double *lat, double *lon);
static bool number_asked(struct fn_request *, const char *name, double most,
    double *);
static void page(struct fn_request *, struct fn_reply *, double lat,
    double lon);
static void page_place(struct fn_reply *, double lat, double lon);
static void page_figures(struct fn_reply *, const struct timespec *begun);
static void map(struct fn_reply *);
static void map_palette(uint8_t *);
static uint8_t quarter_of(const struct city *, time_t);
static void time_there(const struct city *, time_t, struct tm *);
static uint16_t nearest(double lat, double lon);
static long huge_kib(void);
static double ms_between(const struct timespec *, const struct timespec *);

int
fn_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	clock_gettime(CLOCK_MONOTONIC, &load.begun);
	if (cities_read() != 0)
		return 1;
	table = fn_alloc_huge(table_bytes);
	if (!table) {
		fn_log("no memory for the table");
		return 1;
	}
	table_fill();
	clock_gettime(CLOCK_MONOTONIC, &load.done);
	load.process = getpid();
	return fn_at_fork(NULL, NULL, note_copy);
}

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	double lat = 52.5, lon = 13.4;

	fn_reply_header(reply, "Cache-Control", "no-store");
	if (strcmp(fn_request_path(request), "/map") == 0)
		map(reply);
	else if (!place_asked(request, &lat, &lon))
		fn_reply_problem(reply, 400,
		    "lat is a number of degrees, from -90 to 90, and lon one "
		    "from -180 to 180");
	else
		page(request, reply, lat, lon);
	return 0;
}

/* ---- the cities ---------------------------------------------------------------- */

static int
cities_read(void)
{
	FILE *file = fopen(CITIES, "r");
	char line[400];

	if (!file) {
		fn_log(CITIES ": %m; it is in Debian's package tzdata");
		return -1;
	}
	while (city_count < CITIES_MOST && fgets(line, sizeof(line), file))
		if (city_parse(&cities[city_count], line))
			city_count++;
	fclose(file);
	if (city_count == 0)
		fn_log(CITIES " has no cities");
	return city_count > 0 ? 0 : -1;
}

/* "DE	+5230+01322	Europe/Berlin	most of Germany"; with seconds, too. */
static bool
city_parse(struct city *c, const char *line)
{
	char place[20];
	float lat, lon;
	size_t east;

	if (sscanf(line, "%*2[A-Z]\t%19s\t%39s", place, c->zone) != 2)
		return false;
	east = 1 + strcspn(place + 1, "+-");
	if (!place[east])
		return false;
	lon = degrees(place + east, 3);
	place[east] = '\0';
	lat = degrees(place, 2);
	c->x = cosf(lat) * cosf(lon);
	c->y = cosf(lat) * sinf(lon);
	c->z = sinf(lat);
	return true;
}

/* In radians, of a sign, so many digits of degrees, two of minutes, or four with
 * seconds. */
static float
degrees(const char *text, int whole)
{
	const long number = labs(strtol(text, NULL, 10));
	const int scale = (int)strlen(text) - 1 - whole == 4 ? 10000 : 100;
	const long minutes = number % scale * (10000 / scale);
	const long seconds =
	    number / scale * 3600 + minutes / 100 * 60 + minutes % 100;
	const float value = (float)seconds / 3600 * pi / 180;

	return text[0] == '-' ? -value : value;
}

/* ---- the table ------------------------------------------------------------------- */

/* Nobody compares 400 cities at 33 million points: what is the nearest anywhere in
 * a block is not much farther from its middle than the nearest there. */
static void
table_fill(void)
{
	static struct candidates near;

	for (int row = 0; row < ROWS; row += BLOCK)
		for (int column = 0; column < COLUMNS; column += BLOCK) {
			block_candidates(&near, row, column);
			block_fill(&near, row, column);
		}
}

static float
latitude(float row)
{
	return pi / 2 - row * pi / ROWS;
}

static float
longitude(float column)
{
	return column * 2 * pi / COLUMNS - pi;
}

static void
block_candidates(struct candidates *near, int row, int column)
{
	const float lat = latitude((float)row + BLOCK / 2.0f);
	const float lon = longitude((float)column + BLOCK / 2.0f);
	const float x = cosf(lat) * cosf(lon), y = cosf(lat) * sinf(lon);
	const float z = sinf(lat);
	/* To a corner: half the height and half the width, at most. */
	const float reach = 2 * (pi / ROWS * BLOCK / 2 + pi / COLUMNS * BLOCK);
	float cosine[CITIES_MOST], best = -1, least;

	for (size_t i = 0; i < city_count; i++) {
		cosine[i] = x * cities[i].x + y * cities[i].y + z * cities[i].z;
		best = fmaxf(best, cosine[i]);
	}
	least = cosf(fminf(acosf(fminf(best, 1)) + reach, pi)) - 1e-5f;
	near->count = 0;
	for (size_t i = 0; i < city_count; i++)
		if (cosine[i] >= least)
			near->city[near->count++] = (uint16_t)i;
}

static void
block_fill(const struct candidates *near, int row, int column)
{
	float east[BLOCK], north[BLOCK];

	for (int j = 0; j < BLOCK; j++) {
		const float lon = longitude((float)(column + j) + 0.5f);

		east[j] = cosf(lon);
		north[j] = sinf(lon);
	}
	for (int i = row; i < row + BLOCK; i++) {
		const float lat = latitude((float)i + 0.5f);
		float best[BLOCK];
		int which[BLOCK] = { 0 };

		for (int j = 0; j < BLOCK; j++)
			best[j] = -2;
		for (size_t n = 0; n < near->count; n++) {
			const struct city *c = &cities[near->city[n]];
			const float x = cosf(lat) * c->x, y = cosf(lat) * c->y;
			const float z = sinf(lat) * c->z;

			for (int j = 0; j < BLOCK; j++) {
				const float here =
				    x * east[j] + y * north[j] + z;

				which[j] =
				    here > best[j] ? near->city[n] : which[j];
				best[j] = here > best[j] ? here : best[j];
			}
		}
		for (int j = 0; j < BLOCK; j++)
			table[(size_t)i * COLUMNS + (size_t)(column + j)] =
			    (uint16_t)which[j];
	}
}

static uint16_t
nearest(double lat, double lon)
{
	const int row = (int)((90 - lat) / 180 * ROWS);
	const int column = (int)((lon + 180) / 360 * COLUMNS);

	return table[(size_t)(row < ROWS ? row : ROWS - 1) * COLUMNS +
	    (size_t)(column % COLUMNS)];
}

/* In each copy, before anything of its request. */
static void
note_copy(void)
{
	clock_gettime(CLOCK_MONOTONIC, &copied);
}

/* ---- the page ---------------------------------------------------------------------- */

/* ?lat=52.5&lon=13.4, or where the map was clicked: ?at.x=480&at.y=240. */
static bool
place_asked(struct fn_request *request, double *lat, double *lon)
{
	double x, y;

	if (!fn_request_query(request, "at.x"))
		return number_asked(request, "lat", 90, lat) &&
		    number_asked(request, "lon", 180, lon);
	x = y = 0;
	if (!number_asked(request, "at.x", MAP_WIDTH, &x) ||
	    !number_asked(request, "at.y", MAP_HEIGHT, &y) || x < 0 || y < 0)
		return false;
	*lat = 90 - y * 180 / MAP_HEIGHT;
	*lon = x * 360 / MAP_WIDTH - 180;
	return true;
}

/* True: there is none, or it is good. */
static bool
number_asked(struct fn_request *request, const char *name, double most,
    double *number)
{
	const char *text = fn_request_query(request, name);
	char *end;

	if (!text)
		return true;
	*number = strtod(text, &end);
	return end != text && !*end && fabs(*number) <= most;
}

static void
page(struct fn_request *request, struct fn_reply *reply, double lat, double lon)
{
	struct timespec begun;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	fn_reply_type(reply, "text/html; charset=utf-8");
	fn_reply_puts(reply,
	    "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
	    "<title>world clock</title>\n<style>\n"
	    "body { font: 18px/1.5 system-ui, sans-serif; color: #223;\n"
	    "  width: 960px; margin: 2rem auto }\n"
	    "h1 { font-weight: 600; margin: .5rem 0 0 } small { color: #667 }\n"
	    "figure { position: relative; margin: 1rem 0 } i {\n"
	    "  position: absolute; border: 2px solid white; width: 10px;\n"
	    "  height: 10px; margin: -7px; border-radius: 50%;\n"
	    "  box-shadow: 0 0 0 2px #223; pointer-events: none }\n"
	    "td { padding-right: 1.5rem }\n</style>\n");
	page_place(reply, lat, lon);
	fn_reply_puts(reply,
	    "<form><figure><input type=\"image\" name=\"at\" "
	    "alt=\"the earth, by its nearest city and the "
	    "time there\" src=\"");
	fn_reply_html(reply, fn_request_script(request));
	fn_reply_printf(reply,
	    "/map\" width=\"%d\" height=\"%d\">"
	    "<i style=\"left: %.0fpx; top: %.0fpx\"></i></figure></form>\n"
	    "<p>Bright is noon, dark is midnight. Click somewhere else.</p>\n",
	    MAP_WIDTH, MAP_HEIGHT, (lon + 180) / 360 * MAP_WIDTH,
	    (90 - lat) / 180 * MAP_HEIGHT);
	page_figures(reply, &begun);
}

static void
page_place(struct fn_reply *reply, double lat, double lon)
{
	const struct city *city = &cities[nearest(lat, lon)];
	const float north = (float)lat * pi / 180, east = (float)lon * pi / 180;
	const float cosine =
	    cosf(north) * (cosf(east) * city->x + sinf(east) * city->y) +
	    sinf(north) * city->z;
	char clock[40];
	struct tm there;

	time_there(city, time(NULL), &there);
	strftime(clock, sizeof(clock), "%A, %H:%M (UTC%z)", &there);
	fn_reply_printf(reply, "<h1>%s</h1>\n<p>", clock);
	for (const char *c = city->zone; *c; c++)
		fn_reply_printf(reply, "%c", *c == '_' ? ' ' : *c);
	fn_reply_printf(reply,
	    " is the nearest to %.2f, %.2f: %.0f km away.</p>\n", lat, lon,
	    (double)acosf(fminf(cosine, 1)) * EARTH_KM);
}

static void
page_figures(struct fn_reply *reply, const struct timespec *begun)
{
	const long huge = huge_kib();
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	fn_reply_printf(reply,
	    "<table><tr><td>The table<td id=\"table\">%zu MiB, %d cities, made "
	    "in %.0f ms, %.1f s ago, by process %ld\n"
	    "<tr><td>Huge pages<td id=\"huge\">%ld of 2 MiB",
	    table_bytes >> 20, (int)city_count,
	    ms_between(&load.begun, &load.done),
	    ms_between(&load.done, &now) / 1e3, (long)load.process,
	    huge / 2048);
	fn_reply_printf(reply, "\n<tr><td>This process<td id=\"process\">%ld, ",
	    (long)getpid());
	if (copied.tv_sec == 0)
		fn_reply_puts(reply, "executed: it has made the table itself");
	else
		fn_reply_printf(reply,
		    "a copy of process %ld, made %.3f ms before its request",
		    (long)load.process, ms_between(&copied, begun));
	clock_gettime(CLOCK_MONOTONIC, &now);
	fn_reply_printf(reply,
	    "\n<tr><td>This page<td id=\"page\">%.3f ms\n</table>\n",
	    ms_between(begun, &now));
}

/* Of this process, or 0: what the system says is not there or has none. */
static long
huge_kib(void)
{
	static const char name[] = "AnonHugePages:";
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtol(line + strlen(name), NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

/* ---- the map ------------------------------------------------------------------------- */

static void
put32(uint8_t *to, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(number >> 8 * i);
}

/* As a BMP of one byte a point, its lowest line first. */
static void
map(struct fn_reply *reply)
{
	const time_t now = time(NULL);
	const uint32_t at = BMP_HEAD + 4 * COLOURS;
	uint8_t head[BMP_HEAD + 4 * COLOURS] = { 'B', 'M' };
	uint8_t quarters[CITIES_MOST], line[MAP_WIDTH];

	put32(head + 2, at + MAP_WIDTH * MAP_HEIGHT);
	put32(head + 10, at);
	put32(head + 14, BMP_HEAD - 14);
	put32(head + 18, MAP_WIDTH);
	put32(head + 22, MAP_HEIGHT);
	put32(head + 26, 1 | 8 << 16); /* planes, bits */
	put32(head + 46, COLOURS);
	map_palette(head + BMP_HEAD);
	for (size_t i = 0; i < city_count; i++)
		quarters[i] = quarter_of(&cities[i], now);
	fn_reply_type(reply, "image/bmp");
	fn_reply_write(reply, head, sizeof(head));
	for (int y = 0; y < MAP_HEIGHT; y++) {
		const double lat = 180 * (y + 0.5) / MAP_HEIGHT - 90;
		uint16_t left = nearest(lat, -180);

		for (int x = 0; x < MAP_WIDTH; x++) {
			const double lon = 360 * (x + 0.5) / MAP_WIDTH - 180;
			const uint16_t here = nearest(lat, lon);

			line[x] = here == left ? quarters[here] : LINE;
			left = here;
		}
		if (fn_reply_write(reply, line, sizeof(line)) != FN_OK)
			return;
	}
}

/* From midnight's blue to the yellow of noon. */
static void
map_palette(uint8_t *to)
{
	for (int i = 0; i < LINE; i++) {
		const float noon = (1 - cosf(2 * pi * (float)i / LINE)) / 2;

		put32(to + 4 * i,
		    (uint32_t)(30 + 225 * noon) << 16 |
			(uint32_t)(40 + 190 * noon) << 8 |
			(uint32_t)(100 + 50 * noon));
	}
	put32(to + 4 * LINE, 0x606880);
}

static uint8_t
quarter_of(const struct city *city, time_t now)
{
	struct tm there;

	time_there(city, now, &there);
	return (uint8_t)(there.tm_hour * 4 + there.tm_min / 15);
}

static void
time_there(const struct city *city, time_t now, struct tm *there)
{
	setenv("TZ", city->zone, 1);
	tzset();
	localtime_r(&now, there);
}

static double
ms_between(const struct timespec *from, const struct timespec *to)
{
	return (double)(to->tv_sec - from->tv_sec) * 1e3 +
	    (double)(to->tv_nsec - from->tv_nsec) / 1e6;
}
