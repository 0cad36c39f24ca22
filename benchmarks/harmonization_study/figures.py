"""Figures of the guide, from the stored results."""

import numpy as np
from differences import PRIMARY, outcome
from experiments import Experiment
from measures import FALSE_POSITIVE_RATES
from settings import SUM, Arm, runs_of

from keras_vatt.auditing._settings import RANKED_BY
from keras_vatt.training._cosine_histogram import BIN_EDGES


def draw_all(records, folder):
    """Draws the figures whose results are there.

    Args:
        records: the result of `records.read_records`.
        folder: `pathlib.Path` of the folder of the PNG files.
    """
    import matplotlib

    matplotlib.use("agg")
    folder.mkdir(exist_ok=True)
    for corpus in ("demo", "stamps"):
        experiment = Experiment(f"{corpus}_audit", records)
        for audits in filter(None, map(experiment.audits, experiment.results)):
            _save(_draw_cosines(audits), folder / f"conflicts_cosines_{corpus}.png")
            _save(_draw_roc(audits), folder / f"conflicts_roc_{corpus}.png")
    by_noise = _by_noise(records)
    if by_noise:
        _save(_draw_noise(by_noise), folder / "conflicts_noise.png")
        _save(_draw_conflicts(by_noise), folder / "conflicts_over_steps.png")


def _save(figure, path):
    # Without the version of Matplotlib, equal figures are equal files.
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_cosines(audits):
    from matplotlib import pyplot

    steps = sorted(audits[0])
    figure, axes = pyplot.subplots(
        1, len(steps), figsize=(2 * len(steps), 2.4), sharey=True, layout="constrained"
    )
    centers = (BIN_EDGES[1:] + BIN_EDGES[:-1]) / 2
    for axis, step in zip(axes, steps, strict=True):
        for name in ("aligned", "misaligned"):
            counts = np.sum([audit[step][name] for audit in audits], axis=0)
            density = counts / max(counts.sum(), 1)
            axis.plot(centers, density, label=name, drawstyle="steps-mid")
        axis.axvline(0, color="gray", linewidth=0.5)
        axis.set(title=f"step {step}", xlabel="gradient cosine")
    axes[0].set_ylabel("fraction of clips")
    axes[0].legend(fontsize="small")
    return figure


def _draw_roc(audits):
    from matplotlib import pyplot

    last = max(audits[0])
    figure, axis = pyplot.subplots(figsize=(4, 4), layout="constrained")
    for name in RANKED_BY.values():
        curves = np.array([audit[last]["roc"][name] for audit in audits])
        area = np.mean([audit[last]["auroc"][name] for audit in audits])
        label = f"{name.replace('_', ' ')}: {area:.2f}"
        axis.plot(FALSE_POSITIVE_RATES, curves.mean(axis=0), label=label)
        low, high = curves.min(axis=0), curves.max(axis=0)
        axis.fill_between(FALSE_POSITIVE_RATES, low, high, alpha=0.2)
    axis.plot([0, 1], [0, 1], color="gray", linewidth=0.5)
    axis.set(xlabel="false positive rate", ylabel="true positive rate")
    axis.legend(title="AUROC", fontsize="small")
    return figure


def _by_noise(records):
    """Returns a dict from arm to a dict from fraction to the results of its seeds."""
    found = {}
    for name in ("demo_noise", "demo_confirm"):
        experiment = Experiment(name, records)
        for noise in experiment.results:
            for arm, (_, results) in experiment.best(noise).items():
                found.setdefault(arm, {})[noise.fraction] = list(results.values())
    if len(found.get(str(SUM), {})) < 2:
        return {}  # `demo_noise` was not run.
    return {arm: fractions for arm, fractions in found.items() if len(fractions) > 1}


def _draw_noise(by_noise):
    from matplotlib import pyplot
    from scipy import stats

    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for index, (arm, fractions) in enumerate(sorted(by_noise.items())):
        x = np.array(sorted(fractions))
        values = [
            np.array([outcome(results, PRIMARY) for results in fractions[fraction]])
            for fraction in x
        ]
        errors = [
            stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1) / len(v) ** 0.5
            for v in values
        ]
        shifted = x + 0.006 * (index - len(by_noise) / 2)
        means = [v.mean() for v in values]
        axis.errorbar(shifted, means, errors, label=arm, capsize=2, marker="o", ms=3)
    axis.set(xlabel="misaligned audio and captions", ylabel=PRIMARY)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _draw_conflicts(by_noise):
    from matplotlib import pyplot

    arms = {
        "of clips, training with the sum": str(SUM),
        "of batches, training with both algorithms": str(
            Arm("curriculum+realign", "batch", "all", "-0.3 to 0")
        ),
    }
    log_steps = runs_of("demo_noise")[0].training.log_steps
    figure, axes = pyplot.subplots(
        1, len(arms), figsize=(9, 3.4), sharey=True, layout="constrained"
    )
    for axis, (title, arm) in zip(axes, arms.items(), strict=True):
        for fraction, results in sorted(by_noise.get(arm, {}).items()):
            rates = np.mean([r["curves"]["conflict_rate"] for r in results], axis=0)
            steps = log_steps * np.arange(1, len(rates) + 1)
            axis.plot(steps, rates, label=f"{fraction:.0%} misaligned")
        axis.axhline(0.5, color="gray", linewidth=0.5)
        axis.set(title=title, xlabel="step")
    axes[0].set(ylabel="cosines below 0", ylim=(0, 0.7))
    axes[0].legend(fontsize="small")
    return figure
