"""Figures of the guide, from the stored results."""

import numpy as np
from differences import PRIMARY, outcome
from experiments import Experiment
from measures import FALSE_POSITIVE_RATES
from settings import SUM

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
    points = _noise_points(records)
    if points:
        _save(_draw_noise(points), folder / "conflicts_noise.png")


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


def _noise_points(records):
    """Returns a dict from arm to a dict from fraction to the outcomes of its seeds."""
    points = {}
    for name in ("demo_noise", "demo_confirm"):
        experiment = Experiment(name, records)
        for noise in experiment.results:
            for arm, (_, results) in experiment.best(noise).items():
                values = [outcome(found, PRIMARY) for found in results.values()]
                points.setdefault(arm, {})[noise.fraction] = values
    if len(points.get(str(SUM), {})) < 2:
        return {}  # `demo_noise` was not run.
    return {arm: f for arm, f in points.items() if len(f) > 1}


def _draw_noise(points):
    from matplotlib import pyplot
    from scipy import stats

    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for index, (arm, fractions) in enumerate(sorted(points.items())):
        x = np.array(sorted(fractions))
        values = [np.array(fractions[fraction]) for fraction in x]
        errors = [
            stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1) / len(v) ** 0.5
            for v in values
        ]
        shifted = x + 0.006 * (index - len(points) / 2)
        means = [v.mean() for v in values]
        axis.errorbar(shifted, means, errors, label=arm, capsize=2, marker="o", ms=3)
    axis.set(xlabel="misaligned audio and captions", ylabel=PRIMARY)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure
