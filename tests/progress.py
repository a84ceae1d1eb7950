"""What a run on several cores says of itself: a line a finished file, and what is on.

It needs no terminal: every line is whole, so a log of continuous integration can be
read while it grows. A run in one process, or with -v, keeps pytest's own report.
"""

import threading
import time
from collections import Counter

import pytest

EVERY = 30  # seconds between two words on what is running


def pytest_configure(config):
    workers = config.option.numprocesses and not hasattr(config, "workerinput")
    if workers and config.option.verbose <= 0 and not config.option.collectonly:
        config.pluginmanager.register(Progress(config), "course-progress")


class Progress:
    """Counts what workers report, in the process that started them."""

    def __init__(self, config):
        self.config, self.began = config, time.monotonic()
        self.wanted, self.done = Counter(), Counter()  # tests by file
        self.seconds, self.failed = Counter(), Counter()
        self.running: dict[str, float] = {}  # test: when it began
        self.over = threading.Event()

    def say(self, line: str):
        share = 100 * self.done.total() // max(1, self.wanted.total())
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        reporter.ensure_newline()
        when = f"{minutes:3d}:{seconds:02d} {share:3d}%"
        reporter.write_line(f"{when}  {line}", flush=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        self.config.pluginmanager.unregister(name="terminaldistreporter")
        self.config.pluginmanager.getplugin("dsession").terminal = None  # xdist's words
        number = self.config.option.numprocesses
        self.say(f"{number} processes collect the tests")
        threading.Thread(target=self.repeat, daemon=True).start()

    def repeat(self):
        while not self.over.wait(EVERY):
            now = time.monotonic()
            tests = [f"{t} ({now - at:.0f} s)" for t, at in [*self.running.items()]]
            self.say(f"still running: {', '.join(tests) or 'the collection'}")

    def pytest_xdist_node_collection_finished(self, ids):
        if not self.wanted:
            self.wanted.update(file_of(test) for test in ids)
            self.say(f"{len(ids)} tests in {len(self.wanted)} files")

    def pytest_runtest_logstart(self, nodeid):
        self.running[nodeid] = time.monotonic()

    def pytest_runtest_logreport(self, report):
        file = file_of(report.nodeid)
        self.seconds[file] += report.duration
        if report.failed:
            self.failed[file] += 1
            self.say(f"FAILED {report.nodeid}")

    def pytest_runtest_logfinish(self, nodeid):
        self.running.pop(nodeid, None)
        file = file_of(nodeid)
        self.done[file] += 1
        if self.done[file] == self.wanted[file]:
            bad = f", {self.failed[file]} FAILED" if self.failed[file] else ""
            took = f"{self.done[file]} in {self.seconds[file]:.1f} s"
            self.say(f"{file}: {took}{bad}")

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self):
        """Count all; the dots of what passes would only run into these lines."""
        category, _, _ = yield
        return category, "", ""

    def pytest_sessionfinish(self):
        self.over.set()


def file_of(test: str) -> str:
    return test.partition("::")[0]
