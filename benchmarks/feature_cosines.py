"""Compares the cosine at a clip's features with that of the parameters' gradients.

    KERAS_BACKEND=torch python benchmarks/feature_cosines.py --output results

A tiny VATT is trained on the demo corpus, in which audio and captions of some clips
belong to other clips. At several points of the training, for each clip of a few
batches, the gradients of both losses are compared at the video features
(`compare="features"`), and exactly: at all parameters and at those that both losses
depend on (`compare="parameters", num_groups="per_clip"`, which takes a backward pass
through the whole batch per clip; here each clip is encoded on its own, which gives the
same cosines up to float32 rounding). A low cosine should mean a misaligned clip: that
is the AUROC.
"""

import argparse
import importlib
import pathlib
import time

import keras
import numpy as np
from keras import ops
from report import environment, progress, write
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import keras_vatt
from keras_vatt import harmonization
from keras_vatt.data import ClipSource, make_dataset, make_demo_corpus, read_corpus
from keras_vatt.models import VATTTokenizer
from keras_vatt.training._feature_comparison import _sample_grams
from keras_vatt.training._gradient_lists import sum_gradients
from keras_vatt.training._harmonized_step import HarmonizedStep
from keras_vatt.training._parameter_comparison import (
    grams_of_variables,
    sum_of_shared,
)
from keras_vatt.training._replicas import OneReplica

backend = importlib.import_module(
    f"keras_vatt.training.backends.{keras.config.backend()}"
)
EXACT = ("all", "shared")
THRESHOLDS = (-0.3, -0.15, 0.0)

COLUMNS = {
    "seed": lambda r: str(r["seed"]),
    "steps": lambda r: str(r["steps"]),
    "loss": lambda r: f"{r['loss']:.2f}",
    "parameters": lambda r: r["exact"],
    "clips": lambda r: str(r["clips"]),
    "mean cosine (features, parameters)": lambda r: (
        f"{r['mean'][0]:.3f}, {r['mean'][1]:.3f}"
    ),
    "Spearman": lambda r: f"{r['spearman']:.2f}",
    "equal signs": lambda r: f"{r['signs']:.0%}",
    "equal decisions at -0.3, -0.15, 0": lambda r: _percentages(r["decisions"]),
    "skipped by features at these": lambda r: _percentages(r["skipped"][0]),
    "skipped by parameters": lambda r: _percentages(r["skipped"][1]),
    "AUROC (features, parameters)": lambda r: (
        f"{r['auroc'][0]:.2f}, {r['auroc'][1]:.2f}"
    ),
}


def main():
    arguments = _arguments()
    report = {"environment": environment(), "settings": vars(arguments), "results": []}
    for seed in range(arguments.seeds):
        report["results"] += _results(arguments, seed)
    write(arguments.output, "feature_cosines", report, COLUMNS)


def _results(arguments, seed):
    clips, is_wrong, words = _clips(arguments, seed)
    keras.utils.set_random_seed(seed)
    model, probe = _model(words), _model(words)
    model.compile(keras.optimizers.Adam(arguments.learning_rate))
    probe.compile("sgd", harmonization.Realignment(), num_groups="per_clip")
    order = np.random.default_rng(seed)
    results, steps, loss = [], 0, float("nan")
    points = np.array([0, 0.25, 0.5, 1])
    for until in (arguments.steps * points).astype(int):
        if until > steps:
            batches = ((_batch(clips, order, arguments),) for _ in range(until - steps))
            history = model.fit(batches, epochs=1, verbose=0)
            steps, loss = until, history.history["loss"][-1]
        probe.set_weights(model.get_weights())
        results += [
            {"seed": seed, "steps": int(until), "loss": loss, **row}
            for row in _compared(probe, clips, is_wrong, arguments, seed)
        ]
        progress(results[-len(EXACT) :])
    return results


def _model(words):
    return keras_vatt.VATT.from_preset(
        "vatt_tiny_agnostic",
        load_weights=False,
        vocabulary_size=words,
        trainable_word_embedding=True,
    )


def _clips(arguments, seed):
    """Returns all train clips, whether each is misaligned, and the number of words."""
    folder = make_demo_corpus(
        pathlib.Path(f"{arguments.corpus}{seed}"),
        train_clips=arguments.clips,
        test_clips=0,
        seed=seed,
        misaligned_audio=arguments.misaligned,
        misaligned_text=arguments.misaligned,
        progress=False,
    )
    segments, _ = read_corpus(folder)
    tokenizer = VATTTokenizer.from_captions(segment.caption for segment in segments)
    preset = keras_vatt.models.VATTPreprocessor.from_preset("vatt_tiny_agnostic")
    source = ClipSource(segments, preset.clip_spec, tokenizer, candidates=1)
    (clips,) = make_dataset(source, len(source), training=False)
    truth = [segment.extra for segment in segments]
    aligned = [t["audio_aligned"] and t["text_aligned"] for t in truth]
    return clips, ~np.array(aligned), tokenizer.vocabulary_size()


def _batch(clips, order, arguments):
    chosen = order.choice(len(clips["video"]), arguments.batch_size, replace=False)
    return {name: rows[chosen] for name, rows in clips.items()}


def _compared(model, clips, is_wrong, arguments, seed):
    """Returns a result for each set of parameters, from the same batches of clips."""
    start = time.perf_counter()
    size, count = arguments.batch_size, arguments.batches
    order = np.random.default_rng(1000 + seed).permutation(len(is_wrong))
    chosen = order[: size * count].reshape(count, size)
    parts = [
        _cosines(model, {name: rows[index] for name, rows in clips.items()})
        for index in chosen
    ]
    cosines = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    progress(f"compared {size * count} clips in {time.perf_counter() - start:.0f} s")
    wrong = is_wrong[chosen].ravel()
    return [
        {"exact": name, **_agreement(cosines["features"], cosines[name], wrong)}
        for name in EXACT
    ]


def _cosines(model, batch):
    """Returns the cosines of each clip of a batch: at features, all, shared."""
    batch = {name: ops.convert_to_tensor(rows) for name, rows in batch.items()}
    step = HarmonizedStep(backend, model, OneReplica(), batch)
    step._run_forward()
    _, cotangents = step.differentiate()
    _, of_features = step.pull_back(step.vjp_of_embed, cotangents)
    grams = {"features": _sample_grams(step, of_features)}
    exact = [_clip_gradients(step, of_features, i) for i in range(step.num_samples)]
    grams["all"] = ops.stack([harmonization.gradient_gram(g) for g in exact])
    grams["shared"] = ops.stack([sum_of_shared(grams_of_variables(g)) for g in exact])
    return {
        name: ops.convert_to_numpy(harmonization.smallest_cosine(gram))
        for name, gram in grams.items()
    }


def _clip_gradients(step, of_features, clip):
    """Returns the gradient of each loss through one clip, as in a group of its own."""
    _, cotangents = step.differentiate(clip)
    of_embed, _ = step.pull_back(step.vjp_of_embed, cotangents)
    own = {name: rows[clip : clip + 1] for name, rows in step.batch.items()}
    vjps = {
        name: backend.pullback(
            step.model,
            lambda _, branch=branch: branch.encode(own, training=True),
            {},
            [],
            num_uses=1,
        )[1]
        for name, branch in step.model.branches().items()
    }
    rows = [
        {name: leaf[clip : clip + 1] for name, leaf in branches.items()}
        for branches in of_features
    ]
    of_encode, _ = step.pull_back(vjps, rows)
    return [sum_gradients(*both) for both in zip(of_embed, of_encode, strict=True)]


def _agreement(features, exact, is_wrong):
    thresholds = np.array(THRESHOLDS)[:, None]
    kept = features > thresholds, exact > thresholds
    return {
        "clips": len(exact),
        "mean": [float(features.mean()), float(exact.mean())],
        "spearman": float(spearmanr(features, exact).statistic),
        "signs": float(np.mean((features < 0) == (exact < 0))),
        "decisions": np.mean(kept[0] == kept[1], axis=1).tolist(),
        "skipped": [np.mean(~of_kind, axis=1).tolist() for of_kind in kept],
        "auroc": [float(roc_auc_score(is_wrong, -c)) for c in (features, exact)],
    }


def _percentages(values):
    return ", ".join(f"{value:.0%}" for value in values)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--corpus", default="results/misaligned_", help="folders")
    parser.add_argument("--clips", type=int, default=960, help="train clips")
    parser.add_argument("--misaligned", type=float, default=0.4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=4, help="batches compared")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
