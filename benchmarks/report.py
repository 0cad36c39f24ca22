"""Environment and output of the benchmark reports."""

import importlib.metadata
import json
import os
import pathlib
import platform
import sys

import keras

_PACKAGES = ("keras", "jax", "tensorflow", "torch", "numpy", "torchjd", "LibMTL")


def environment():
    """Returns the machine, its current load, and the versions of the software."""
    return {
        "backend": keras.config.backend(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": _load_average(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def write(folder, name, report, columns):
    """Writes a report as JSON and as a Markdown table, and prints the table.

    Args:
        folder: path, created if it does not exist.
        name: string. The files are `<name>_<backend>.json` and `.md`.
        report: dict with `environment`, `settings` and `results`, a list of
            dicts.
        columns: dict from the heading of a column to a function that formats a
            result.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = {**report, "load_average_at_end": _load_average()}
    stem = f"{name}_{report['environment']['backend']}"
    (folder / f"{stem}.json").write_text(json.dumps(report, indent=2) + "\n")
    text = _markdown(name, report, columns)
    (folder / f"{stem}.md").write_text(text)
    print(text)


def progress(message):
    """Prints progress to standard error."""
    print(message, file=sys.stderr, flush=True)


def milliseconds(seconds):
    return f"{1000 * seconds:.1f}"


def spread(quartiles):
    low, median, high = quartiles
    return f"{median:.3f} [{low:.3f}, {high:.3f}]"


def mebibytes(size):
    return "-" if size is None else f"{size / 2**20:.1f}"


def _load_average():
    """Returns the load average over the last 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def _markdown(name, report, columns):
    facts, settings = report["environment"], report["settings"]
    versions = ", ".join(f"{k} {v}" for k, v in facts["packages"].items() if v)
    lines = [
        f"# {name}, {facts['backend']}",
        "",
        f"{facts['processor']}, {facts['cores']} cores, {facts['system']}; "
        f"Python {facts['python']}, {versions}; "
        f"load average {facts['load_average']} at the start, "
        f"{report['load_average_at_end']} at the end; {settings}",
        "",
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
    ]
    for result in report["results"]:
        cells = (text(result) for text in columns.values())
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *[f"Left out: {reason}" for reason in report.get("left_out", [])]]
    lines += ["", report.get("note", "")]
    return "\n".join(lines).rstrip() + "\n"


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor():
    details = pathlib.Path("/proc/cpuinfo")
    lines = details.read_text().splitlines() if details.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()
