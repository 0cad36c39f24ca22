"""Tries the call that loads a published checkpoint while something fails.

See published_weights.py, which serves the checkpoint and runs the calls.
"""

import collections
import dataclasses
import pathlib
import signal
import time

from published_weights import PRESET, call_once, result_of, start_call, workplace
from report import progress

from keras_vatt.storage._published_checkpoints import PUBLISHED
from tests.published.weights_server import LOGIN_PAGE, Fault, running_server

_INDEX, _DATA = "*.index", "*.data-*"
_OTHER = pathlib.Path(__file__).parents[1] / "tests/golden/wat_classifier"
_OTHER_INDEX = (_OTHER / "ckpt-100000.index").read_bytes()
_HALF = 170_000_000
_ALWAYS = float("inf")
_OFFLINE = {"HF_HUB_OFFLINE": "1"}
# A stalled connection shall not take longer.
_TIMEOUT = {"HF_HUB_DOWNLOAD_TIMEOUT": "2"}
COLUMNS = {
    "fault": lambda r: r["fault"],
    "what happened": lambda r: r["outcome"].replace("|", "\\|"),
    "received MB": lambda r: f"{r['received'] / 1e6:.1f}",
    "files left": lambda r: ", ".join(r["files"]) or "none",
    "s": lambda r: f"{r['seconds']:.0f}",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A fault of the server, of the environment or of the process.

    Attributes:
        name: string.
        faults: list of tuples of pattern, `Fault` and times; see `WeightsServer.fail`.
        variables: dict, environment variables of the call.
        options: list of strings, options of the process.
        run: function `(case, server, place) -> result` that makes the calls.
    """

    name: str
    faults: tuple = ()
    variables: dict = dataclasses.field(default_factory=dict)
    options: tuple = ()
    run: object = None


def try_faults(weights, only):
    """Returns a result for each fault whose name contains `only`."""
    results = []
    with running_server(weights) as server:
        with workplace() as place:
            expected = call_once(server, place, PRESET)["checksum"]
        for case in _cases(server):
            if only in case.name:
                results.append(_try(case, server, expected))
                progress(results[-1])
    return results


def _try(case, server, expected):
    server.heal()
    for pattern, fault, times in case.faults:
        server.fail(pattern, fault, times)
    start = time.perf_counter()
    with workplace() as place:
        result = (case.run or _run)(case, server, place)
        files = _files(place.folder)
    return {
        "fault": case.name,
        "outcome": _outcome(result, expected, server),
        "received": server.sent,
        "files": files,
        "seconds": time.perf_counter() - start,
    }


def _outcome(result, expected, server):
    if not result["error"]:
        is_same = result["checksum"] == expected
        return "loaded" if is_same else "LOADED WITH OTHER WEIGHTS"
    error = result["error"].replace(f"{server.url}/{PUBLISHED[PRESET].path}", "PREFIX")
    lines = error.split("\n")
    return lines[0] + (f" ({len(lines)} lines)" if len(lines) > 1 else "")


def _files(folder):
    """Describes the files below a folder, those of a preset together."""
    sizes = collections.Counter()
    for path in folder.rglob("*"):
        is_of_preset = path.parent.parent.name == "presets"
        if path.is_file():
            name = path.parent if is_of_preset else path
            sizes[f"{name.relative_to(folder)}"] += path.stat().st_size
    return [f"{name} ({size:,} B)" for name, size in sorted(sizes.items())]


def _run(case, server, place):
    return call_once(server, place, PRESET, case.variables, case.options)


def _killed(case, server, place):
    """Kills the first call while its download stalls, and calls again."""
    process = start_call(server, place, PRESET)
    while server.sent < _HALF and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    result_of(process)
    server.release()
    return _run(case, server, place)


def _twice(case, server, place):
    """Runs two calls at the same time."""
    processes = [start_call(server, place, PRESET) for _ in range(2)]
    first, second = map(result_of, processes)
    return second if not first["error"] else first


def _home_is_a_file(case, server, place):
    place.home.rmdir()
    place.home.write_text("not a folder")
    return _run(case, server, place)


def _other_index(case, server, place):
    path = f"{PUBLISHED[PRESET].path}.index"
    right = server.file(path).content
    server.replace(path, _OTHER_INDEX)
    try:
        return _run(case, server, place)
    finally:
        server.replace(path, right)


def _cached(case, server, place):
    """Calls once without faults before the call."""
    call_once(server, place, PRESET)
    server.requests.clear()
    return _run(case, server, place)


def _always(name, pattern, **fault):
    return Case(name, ((pattern, Fault(**fault), _ALWAYS),), _TIMEOUT)


def _once(name, pattern, times=1, **fault):
    return Case(name, ((pattern, Fault(**fault), times),), _TIMEOUT)


def _cut_then(name, **fault):
    """Returns a case whose connection is cut once, and then has another fault."""
    faults = (_DATA, Fault(cut_after=_HALF), 1), (_DATA, Fault(**fault), _ALWAYS)
    return Case(name, faults)


def _full_disk(name, size):
    """Returns a case in which the kernel refuses writes past a size."""
    return Case(name, options=("--max-file-bytes", str(size)))


def _cases(server):
    elsewhere = server.url.replace("127.0.0.1", "localhost") + "/login"
    yield Case("no network", variables={"KERAS_VATT_WEIGHTS_URL": "http://127.0.0.1:9"})
    yield Case("offline mode, empty cache", variables=_OFFLINE)
    yield Case("offline mode, cached", variables=_OFFLINE, run=_cached)
    for status in (401, 403, 404, 500):
        yield _always(f"status {status}", _INDEX, status=status)
    yield _always("status 403 for the data", _DATA, status=403)
    yield _once("status 503 twice", _DATA, times=2, status=503)
    yield _once("status 429 with Retry-After", _DATA, status=429, retry_after="2")
    yield _once("connection cut once", _DATA, cut_after=_HALF)
    yield _always("connection cut at once, always", _DATA, cut_after=0)
    yield _always("index cut, always", _INDEX, cut_after=1000)
    yield _once("connection stalls once", _DATA, stall_after=_HALF)
    yield _once("no answer once", _INDEX, silent=True)
    yield _once("slow", _DATA, chunk_seconds=0.001)
    yield _cut_then("range ignored after a cut", ignores_range=True)
    yield _cut_then("data without length after a cut", without_length=True)
    yield _once("altered byte of the data, once", _DATA, altered_at=_HALF)
    yield _always("altered byte of the index", _INDEX, altered_at=5000)
    data = server.file(f"{PUBLISHED[PRESET].path}.data-00000-of-00001").content
    yield _once("file changed at half", _DATA, cut_after=_HALF, replacement=data)
    yield _always("data without length", _DATA, without_length=True)
    yield _always("data shorter than in the index", _DATA, claimed_size=_HALF)
    yield _always("endless data", _DATA, endless=True)
    yield _always("endless data with a length", _DATA, endless=True, claimed_size=2**50)
    yield _always("endless index", _INDEX, endless=True)
    yield _always("compressed data", _DATA, gzip=True)
    yield _always("redirect to a login page", _INDEX, location=elsewhere)
    yield _always("login page with status 200", _INDEX, page=LOGIN_PAGE)
    yield _always("login page for the data", _DATA, page=LOGIN_PAGE)
    yield Case("index of another model", run=_other_index)
    yield _full_disk("disk full at half of the data", _HALF)
    yield _full_disk("disk full in the index", 1000)
    yield Case("HF_HOME is a file", run=_home_is_a_file)
    for address in ("http://example.org/vatt", "ftp://example.org", "file:///tmp"):
        yield Case(f"address {address}", variables={"KERAS_VATT_WEIGHTS_URL": address})
    stall = (_DATA, Fault(stall_after=_HALF), 1)
    yield Case("killed at half of the download", (stall,), run=_killed)
    yield Case("two processes at the same time", run=_twice)
