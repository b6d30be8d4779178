"""How long the experiments of the paper scripts take: known times, and what is left of a run."""

import functools
import json
import pathlib
import sys
import time

# Seconds of one seed of an experiment, by script, experiment and scale; and the machine.
TIMES = pathlib.Path(__file__).parents[1] / "docs" / "results" / "paper_times.json"
SCALES = ("cpu", "paper")


@functools.cache
def known_times():
    """What `TIMES` holds; nothing where it is missing."""
    return json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}


def seconds_of(name, scale):
    """Seconds of one seed of an experiment, or None."""
    return known_times().get(pathlib.Path(sys.argv[0]).stem, {}).get(name, {}).get(scale)


def total_of(experiments, scale):
    """Seconds of one seed of all experiments, or None if one is not known."""
    seconds = [seconds_of(e.name, scale) for e in experiments]
    return None if None in seconds else sum(seconds)


def default_scale(experiments):
    """The paper's where it takes an hour at most."""
    seconds = total_of(experiments, "paper")
    return "paper" if seconds is not None and seconds <= 3600 else "cpu"


def duration(seconds):
    """Seconds in the units in which one waits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 600 else f"{minutes / 60:.0f} h"


def listed(experiments, args):
    """The lines of `--list`."""
    rows = [("experiment", "stands for", *SCALES)]
    rows += [(e.name, e.stands_for, *(time_of(e, scale) for scale in SCALES)) for e in experiments]
    rows.append(("all", "", *(total_text(experiments, scale) for scale in SCALES)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield from ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    yield f"\nTimes of one seed; --scale is {args.scale}."
    if known := known_times():
        yield f"{known['what']} {known['hardware']}, {known['date']}."


def total_text(experiments, scale):
    """The time of all, or of those whose time is known."""
    known = [s for e in experiments if (s := seconds_of(e.name, scale)) is not None]
    if len(known) == len(experiments):
        return duration(sum(known))
    return f"over {duration(sum(known))}" if known else "not known"


def time_of(experiment, scale):
    """What `--list` says of one experiment."""
    seconds = seconds_of(experiment.name, scale)
    if seconds is None:
        return experiment.times.get(scale, "not known")
    return duration(seconds) if seconds else "seconds"


class Clock:
    """Estimates how long the experiments that are left will take on this machine."""

    def __init__(self, jobs, is_done):
        self.jobs, self.is_done = jobs, is_done
        self.expected = self.measured = 0.0

    def timed(self):
        """All jobs, each with the time of those behind it; their own times correct it."""
        for number, (experiment, run) in enumerate(self.jobs):
            is_new, start = not self.is_done(run), time.perf_counter()
            yield experiment, run._replace(later=self.later(self.jobs[number + 1 :]))
            expected = seconds_of(experiment.name, run.args.scale)
            if is_new and expected:
                self.expected += expected
                self.measured += time.perf_counter() - start

    def later(self, jobs):
        """Seconds of the jobs that are not done, or None if one's time is not known."""
        left = [seconds_of(e.name, run.args.scale) for e, run in jobs if not self.is_done(run)]
        if None in left or any(run.args.smoke for _, run in jobs):
            return None
        return sum(left) * (self.measured / self.expected if self.expected else 1.0)
