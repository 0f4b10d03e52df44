"""pytest plugin of the conformance run (run.ts): tells each test's outcome, markers and first error as a JSON line, keeps
only the tests of one phase, and goes on under another bucket prefix where a bucket could not be emptied."""
import json
import os

import pytest

# Tests that compare what the whole account holds, which tests beside them would change.
ALONE = {
    "test_account_usage",
    "test_buckets_create_then_list",
    "test_buckets_list_ctime",
    "test_head_bucket_usage",
    "test_list_buckets_paginated",
}
WAITING_MARKS = {"lifecycle_expiration", "lifecycle_transition", "bucket_logging", "cloud_transition", "cloud_restore"}


def plain_name(item):
    return getattr(item, "originalname", None) or item.name


def marks_of(item):
    return sorted({mark.name for mark in item.iter_markers()} - {"parametrize", "usefixtures"})


def test_id(item):
    module = os.path.splitext(os.path.basename(item.location[0]))[0]
    return f"{module}::{item.name}".replace(" ", "_")


def phase_of(item):
    if plain_name(item) in ALONE:
        return "alone"
    waits = WAITING_MARKS & set(marks_of(item)) or plain_name(item).startswith(
        ("test_lifecycle_expiration", "test_lifecycle_transition"))
    return "waiting" if waits else "together"


def repeats_the_matrix(item):
    """Copies between encryptions are tried once, not again for each pair of storage classes."""
    spec = getattr(item, "callspec", None)
    params = spec.params if spec else {}
    copies = plain_name(item) in ("test_copy_enc", "test_copy_part_enc")
    classes = [params.get("source_storage_class"), params.get("dest_storage_class") if copies else None]
    return any(value not in (None, "STANDARD") for value in classes)


def pytest_collection_modifyitems(config, items):
    phase = os.environ["CONFORMANCE_PHASE"]
    only = os.environ.get("CONFORMANCE_ONLY")
    names = set(open(only, encoding="utf-8").read().split("\n")) if only else None
    full = os.environ.get("CONFORMANCE_FULL") == "1"
    kept, left = [], []
    for item in items:
        wanted = test_id(item) in names if names is not None else phase_of(item) == phase
        if not wanted or (repeats_the_matrix(item) and not full):
            left.append(item)
            continue
        item.user_properties += [("id", test_id(item)), ("marks", marks_of(item))]
        kept.append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def cleanup_that_goes_on(functional):
    """One bucket that cannot be emptied would otherwise fail every later test of this process."""
    def tolerant(clean):
        def run():
            try:
                clean()
            except Exception as error:  # whatever a client can raise
                functional.left_behind = f"{type(error).__name__}: {error}"[:300]
                functional.prefix = functional.choose_bucket_prefix(template="conformance-{random}-")
        return run

    functional.left_behind = None
    functional.setup, functional.teardown = tolerant(functional.setup), tolerant(functional.teardown)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    import s3tests.functional as functional
    if not hasattr(functional, "left_behind"):
        cleanup_that_goes_on(functional)
    functional.left_behind = None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    if call.when == "teardown":
        import s3tests.functional as functional
        if getattr(functional, "left_behind", None):
            item.user_properties.append(("leftBehind", functional.left_behind))
    yield


class Teller:
    """In the process that hears of all tests: with xdist, not in its workers."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")

    def pytest_runtest_logreport(self, report):
        if report.outcome == "passed" and report.when == "setup":
            return
        crash = getattr(report.longrepr, "reprcrash", None)
        error = crash.message if crash else str(report.longrepr) if report.failed else ""
        line = dict(report.user_properties)
        line.update(when=report.when, outcome=report.outcome, seconds=round(report.duration, 2),
                    error=error.split("\n")[0][:300])
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Teller(os.environ["CONFORMANCE_RESULTS"]))
