"""Tables of the study, in Markdown, from the stored results.

    python benchmarks/harmonization_study/summary.py

It writes `tables.md` with the table of each experiment, replaces the tables in the
guide, and draws its figures. It trains nothing.
"""

import pathlib
import re

import numpy as np
from differences import PRIMARY, TASKS, corrected, difference, outcome
from experiments import Experiment, mean
from records import read_records
from settings import SUM, comparisons_of, experiment_names

from keras_vatt.training._cosine_histogram import BIN_EDGES

FOLDER = pathlib.Path(__file__).parent
GUIDE = FOLDER.parents[1] / "guides" / "gradient_conflicts.md"
_MARKED = re.compile(
    r"(<!-- (table|detection|longer): (\w+) -->\n).*?(<!-- end -->)", re.DOTALL
)


def table(experiment, columns=None):
    """Returns the Markdown of an experiment: for each noise, a table of its arms.

    Args:
        experiment: `Experiment`.
        columns: dict from title to a function of learning rate and results by seed.
            Defaults to `None`, those of the guide.
    """
    if not experiment.results:
        return "No run is done.\n"
    best = {noise: experiment.best(noise) for noise in experiment.results}
    found = _differences(experiment.name, best)
    parts = []
    for noise, arms in best.items():
        seeds = sorted({len(results) for _, results in arms.values()})
        parts.append(f"**{describe(noise)}** (seeds: {', '.join(map(str, seeds))})\n")
        here = {key[1:]: cells for key, cells in found.items() if key[0] == noise}
        parts.append(_arms(arms, here, columns or _GUIDE_COLUMNS))
        rows = [(*pair, *here[pair]) for pair in here if pair[1] != str(SUM)]
        if rows:
            parts.append(_markdown(("compared", "with", *_DIFFERENCE), rows))
    if len(found) == 1:
        parts.append("One comparison: p-value of a paired t-test, interval of 95%.\n")
    elif found:
        parts.append(
            f"{len(found)} comparisons in this experiment; p-values of paired t-tests, "
            "corrected by Holm's method over all of them; intervals of 95%, not "
            "corrected.\n"
        )
    return "\n".join(parts)


def _differences(name, best):
    """Compares arms: dict from (noise, arm, reference) to difference and p-value."""
    differences = {
        (noise, *pair): _difference(arms, *pair)
        for noise, arms in best.items()
        for pair in comparisons_of(name)
    }
    return _with_corrected_p({k: found for k, found in differences.items() if found})


def _with_corrected_p(differences):
    """Formats a dict to `Difference`: a dict to the two cells of `_DIFFERENCE`."""
    p_values = corrected([found.p for found in differences.values()])
    return {
        key: (
            f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
            f"{p:.3f}" if p >= 0.001 else "< .001",
        )
        for (key, found), p in zip(differences.items(), p_values, strict=True)
    }


def against_longer(experiment, records):
    """Returns a Markdown table of arms against the sum in twice as many steps.

    Args:
        experiment: `Experiment` of an audit: the sum, and `drop`, which trains twice.
        records: the result of `read_records`.
    """
    longer = Experiment(experiment.name.replace("_audit", "_twice"), records)
    rows = []
    for noise in longer.results:
        arms, reference = experiment.best(noise), longer.best(noise)[str(SUM)][1]
        differences = {
            arm: difference(_outcomes(results), _outcomes(reference))
            for arm, (_, results) in arms.items()
            if arm == str(SUM) or arm.startswith("drop ")
        }
        rows += [
            (arm, _mean_and_deviation(arms[arm][1]), *cells)
            for arm, cells in _with_corrected_p(differences).items()
        ]
        rows.append(("twice as many steps", _mean_and_deviation(reference), "–", "–"))
    rows.sort(key=lambda row: row[1], reverse=True)
    titles = ("arm", PRIMARY, "difference with twice as many steps", "corrected p")
    return _markdown(titles, rows)


def detection(experiment):
    """Returns a Markdown table of how well measures find misaligned clips.

    Args:
        experiment: `Experiment` with runs of the arm `"audit"`.

    Returns:
        String. By step, mean and standard deviation over the seeds: the area under the
        ROC curve of each measure, and the fraction of gradient cosines below 0.
    """
    parts = []
    for noise in experiment.results:
        audits = experiment.audits(noise)
        if audits:
            parts.append(f"**{describe(noise)}, {len(audits)} seeds**\n")
            parts += [_areas(audits), _below_zero(audits)]
    return "\n".join(parts) or "No run is done.\n"


def _areas(audits):
    measures = audits[0][max(audits[0])]["auroc"]
    values = {
        name.replace("_", " "): lambda found, name=name: found["auroc"][name]
        for name in measures
    }
    return _by_step("AUROC of", audits, values)


def _below_zero(audits):
    is_below = BIN_EDGES[1:] <= 0
    values = {
        f"{clips} clips": lambda found, clips=clips: _fraction(found[clips], is_below)
        for clips in ("aligned", "misaligned")
    }
    return _by_step("cosine below 0", audits, values)


def _by_step(title, audits, values):
    """Returns a table with a column per step.

    Args:
        title: string. Title of the rows.
        audits: list of dicts from step to `measures.detection`.
        values: dict from the name of a row to a function of `measures.detection`.
    """
    steps = sorted(audits[0])
    rows = [
        (name, *(_spread([value(audit[step]) for audit in audits]) for step in steps))
        for name, value in values.items()
    ]
    return _markdown([title, *(f"step {step}" for step in steps)], rows)


def _fraction(counts, chosen):
    return np.sum(counts, where=chosen) / np.sum(counts)


def describe(noise):
    """Describes a `settings.Noise` in words."""
    what = {"both": "audio and captions", "audio": "audio", "caption": "captions"}
    kind = "" if noise.kind == "independent" else f", {noise.kind}"
    return f"{noise.fraction:.0%} misaligned {what[noise.where]}{kind}"


_DIFFERENCE = ("difference", "corrected p")


def _arms(best, differences, columns):
    """Returns a table with a row for each arm, in the order of `PRIMARY`."""
    rows = [
        (
            arm,
            _mean_and_deviation(results),
            *differences.get((arm, str(SUM)), ("–", "–")),
            *(column(rate, results) for column in columns.values()),
        )
        for arm, (rate, results) in sorted(
            best.items(),
            key=lambda item: -mean(item[1][1], PRIMARY),
        )
    ]
    titles = ("arm", PRIMARY, "difference with the sum", "corrected p", *columns)
    return _markdown(titles, rows)


def _difference(best, arm, reference):
    if arm not in best or reference not in best:
        return None
    return difference(_outcomes(best[arm][1]), _outcomes(best[reference][1]))


def _outcomes(results):
    return {seed: outcome(found, PRIMARY) for seed, found in results.items()}


def _mean_and_deviation(results):
    return _spread([*_outcomes(results).values()])


def _spread(values):
    """Formats the mean and the standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def _skipped(results):
    curves = _curves(results, "skip_rate")
    return f"{np.mean(curves):.0%}" if curves else "–"


def _conflicts(results):
    curves = _curves(results, "conflict_rate")
    if not curves:
        return "–"
    first, *_, last = np.mean(curves, axis=0)
    return f"{first:.0%} to {last:.0%}"


def _curves(results, name):
    return [r["curves"][name] for r in results.values() if name in r["curves"]]


def _markdown(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _mean_column(*names):
    """Returns the column of the mean of outcomes."""
    return lambda _, results: f"{np.mean([mean(results, n) for n in names]):.3f}"


def _seconds(_, results):
    return f"{np.mean([r['seconds']['cpu'] for r in results.values()]):.0f}"


_GUIDE_COLUMNS = {
    "text R@1": _mean_column("text->video R@1", "video->text R@1"),
    "audio R@1": _mean_column("audio->video R@1", "video->audio R@1"),
    "skipped": lambda _, results: _skipped(results),
}
_ALL_COLUMNS = {
    **{task.replace("->", " → "): _mean_column(f"{task} R@1") for task in TASKS},
    **{probe: _mean_column(probe) for probe in ("video probe", "audio probe")},
    "skipped": _GUIDE_COLUMNS["skipped"],
    "conflicts, first to last": lambda _, results: _conflicts(results),
    "rate": lambda rate, _: f"{rate:g}",
    "CPU seconds": _seconds,
}


def all_tables(records):
    """Returns the Markdown of `tables.md`."""
    text = "# Tables of the study\n\nMade by `summary.py`; do not edit.\n"
    for name in experiment_names():
        experiment = Experiment(name, records)
        done = f"{experiment.num_done} of {experiment.num_runs} runs"
        text += f"\n## {name} ({done})\n\n{table(experiment, _ALL_COLUMNS)}"
        if name.endswith("_audit"):
            text += f"\n{detection(experiment)}\n{against_longer(experiment, records)}"
    return text


def with_tables(text, records):
    """Returns a text in which the tables between markers are replaced."""
    kinds = {
        "table": table,
        "detection": detection,
        "longer": lambda experiment: against_longer(experiment, records),
    }

    def replaced(found):
        begin, kind, name, end = found.groups()
        return begin + kinds[kind](Experiment(name, records)) + end

    return _MARKED.sub(replaced, text)


def main():
    from figures import draw_all

    records = read_records()
    (FOLDER / "tables.md").write_text(all_tables(records), "utf-8")
    if GUIDE.is_file():
        GUIDE.write_text(with_tables(GUIDE.read_text("utf-8"), records), "utf-8")
    draw_all(records, GUIDE.parent / "figures")


if __name__ == "__main__":
    main()
