# SPDX-License-Identifier: MIT
"""The benches as pictures: a group of bars for each number of connections, a line
of percentiles for each latency."""
import statistics

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt		# noqa: E402

COLOURS = {"fcgi-host": "#1f6f54", "composite": "#c9d6cf", "fcgiwrap": "#b4694a",
           "lighttpd": "#7d6ba8", "Apache": "#a85c7f", "php": "#7d6ba8"}


def colour(name):
    return next((c for start, c in COLOURS.items()
                 if name.startswith(start)), "#999999")


def draw(results, path, shown=None, what="requests/s, a process each"):
    """shown: those names, without it static programs only; the limits of the
    machine are the pale bars."""
    figure, axes = plt.subplots(1, len(results), sharey=True, squeeze=False,
                                figsize=(3.6 * len(results), 3.4))
    for axis, (connections, rounds) in zip(axes[0], results.items()):
        names = shown or [
            name for name in rounds[0]
            if name.endswith("static") and not name.startswith("raw")]
        for at, name in enumerate(names):
            rates = [r[name]["rate"] for r in rounds]
            middle = statistics.median(rates)
            axis.barh(at, middle, color=colour(name), height=0.7,
                      xerr=[[middle - min(rates)], [max(rates) - middle]],
                      error_kw={"linewidth": 0.8, "ecolor": "#444444"})
            axis.text(middle, at, f" {middle:,.0f}", va="center", fontsize=8)
        axis.set_yticks(range(len(names)),
                        [name.removesuffix(" static") for name in names])
        axis.margins(x=0.25)
        axis.set_title(f"{connections} connection"
                       f"{'s' if connections > 1 else ''}", fontsize=10)
        axis.set_xlabel(what, fontsize=8)
        axis.tick_params(labelsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0][0].invert_yaxis()	# theirs is one
    figure.tight_layout()
    figure.savefig(path)


def draw_medians(results, path):
    """{what was asked: rounds}, a picture each below the other: medians on one
    scale, with the 99th percentile as a line."""
    counts = [len(rounds[0]) for rounds in results.values()]
    figure, axes = plt.subplots(
        len(results), 1, sharex=True, squeeze=False,
        figsize=(7.2, 0.26 * sum(counts) + 0.7 * len(counts)),
        gridspec_kw={"height_ratios": counts})
    for axis, (what, rounds) in zip(axes[:, 0], results.items()):
        for at, name in enumerate(rounds[0]):
            middle, slow = (statistics.median(r[name][measure] for r in rounds)
                            for measure in ("median_ms", "p99_ms"))
            axis.barh(at, middle, height=0.7, color=next(
                c for word, c in (("template", "#1f6f54"), ("stays", "#c9d6cf"),
                                  ("uWSGI", "#7d6ba8"), ("", "#b4694a"))
                if word in name))
            axis.plot([middle, slow], [at, at], color="#444444", linewidth=0.8)
            axis.text(max(middle, slow), at, f" {middle:.2f}", va="center",
                      fontsize=8)
        axis.set_yticks(range(len(rounds[0])), list(rounds[0]))
        axis.set_ylim(len(rounds[0]) - 0.4, -0.6)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_title(what, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[-1][0].set_xlim(left=0.03)
    axes[-1][0].set_xlabel("median, and with the line 99th percentile, ms",
                           fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def draw_latency(named, path):
    """{name: ms of every request}: which part of them took longer than what."""
    figure, axis = plt.subplots(figsize=(6.4, 3.4))
    for at, (name, values) in enumerate(named.items()):
        ordered = sorted(values)
        slower = [1 - number / len(ordered) for number in range(len(ordered))]
        axis.plot(ordered, slower, drawstyle="steps-post", label=name,
                  color=("#1f6f54", "#b4694a")[at % 2],
                  linestyle=("-", ":")[at // 2 % 2])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_yticks([1, 0.5, 0.1, 0.01], ["all", "half", "1 in 10",
                                          "1 in 100"], minor=False)
    axis.minorticks_off()
    axis.set_ylim(0.002, 1.2)
    axis.set_ylabel("requests that took", fontsize=8)
    axis.set_xlabel("longer than so many milliseconds", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, frameon=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
