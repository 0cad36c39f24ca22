"""Measures the benefit of pre-training on real percussion recordings.

    python benchmarks/percussion_data.py --output percussion
    KERAS_BACKEND=jax python benchmarks/percussion.py --data percussion --output results

Each seed holds out some kits, so that no recording of a test kit is used for training.
An audio classifier is fine-tuned on the other kits, from the weights of a preset and
from random weights, with the same batches and steps. For each of the two, VATT's recipe
and Adam, each with its own peak learning rate, are compared on validation kits that are
held out of the training kits, and the better one is used. The baselines are logistic
regressions on frozen features of the preset and of random weights, and on the mean and
standard deviation of a log-mel spectrogram, at 16 kHz and at the sampling rate of the
preset.
"""

import argparse
import pathlib

import keras
import numpy as np
from report import environment, progress, write

import keras_vatt
from keras_vatt.evaluation import linear_probe
from keras_vatt.training import fine_tuning_optimizer, warmup_cosine

OPTIMIZERS = {
    "VATT's, 0.08": lambda steps: fine_tuning_optimizer(0.08, total_steps=steps),
    "Adam, 0.001": lambda steps: keras.optimizers.Adam(
        warmup_cosine(1e-3, 0.0, steps // 10, steps)
    ),
}
COLUMNS = {
    "method": lambda r: r["method"],
    "mean": lambda r: f"{np.mean(r['accuracies']):.3f}",
    "each seed": lambda r: " ".join(f"{a:.3f}" for a in r["accuracies"]),
    "optimizers chosen": lambda r: "; ".join(r["optimizers"]) or "-",
}


def main():
    arguments = _arguments()
    recordings = Recordings(arguments.data)
    audio = keras_vatt.VATTAudioConverter.from_preset(arguments.preset)
    waveforms = audio([str(path) for path in recordings.paths])
    probed = {
        "probe, pre-trained": features_of(arguments.preset, waveforms, True),
        "probe, random weights": features_of(arguments.preset, waveforms, False),
        "probe, log-mel 16 kHz": log_mel(recordings.paths, 16_000),
        f"probe, log-mel {audio.clip_spec.sampling_rate} Hz": log_mel(
            recordings.paths, audio.clip_spec.sampling_rate
        ),
    }
    results = {}
    for seed in range(arguments.seeds):
        train, test = recordings.split(seed, np.arange(len(recordings.paths)))
        progress(f"seed {seed}: {len(train)} training and {len(test)} test recordings")
        accuracies = {
            name: probe_accuracy(features, recordings.labels, train, test)
            for name, features in probed.items()
        }
        accuracies["most frequent class"] = majority(recordings.labels, train, test)
        for pre_trained in (True, False):
            name = f"fine-tuned, {'pre-trained' if pre_trained else 'random weights'}"
            tuner = Tuner(arguments, recordings, waveforms, pre_trained, seed)
            optimizer = tuner.best_optimizer(train)
            accuracies[name] = tuner.accuracy(optimizer, train, test)
            results.setdefault(name, {"accuracies": [], "optimizers": []})
            results[name]["optimizers"].append(optimizer)
        for name, accuracy in accuracies.items():
            progress(f"seed {seed}: {name} {accuracy:.3f}")
            results.setdefault(name, {"accuracies": [], "optimizers": []})
            results[name]["accuracies"].append(accuracy)
        _write(arguments, recordings, results)


class Recordings:
    """The recordings of `percussion_data.py`, each with its class and its kit."""

    def __init__(self, folder):
        self.paths = sorted(
            p for p in pathlib.Path(folder).glob("*/*/*") if p.is_file()
        )
        if not self.paths:
            raise SystemExit(f"{folder} is empty: run percussion_data.py first")
        classes = [path.parent.name for path in self.paths]
        self.kits = np.array([path.parent.parent.name for path in self.paths])
        self.class_names, self.labels = np.unique(classes, return_inverse=True)

    def split(self, seed, chosen, fraction=0.3):
        """Splits the given recordings into those of held-out kits and the others.

        Draws kits at random until about the given fraction of the recordings is held
        out and both parts contain recordings of every class.
        """
        random = np.random.default_rng(seed)
        kits = np.unique(self.kits[chosen])
        for _ in range(10_000):
            held_out = random.choice(kits, random.integers(2, 7), replace=False)
            is_test = np.isin(self.kits[chosen], held_out)
            sides = self.labels[chosen][is_test], self.labels[chosen][~is_test]
            both = len(np.intersect1d(*sides)) == len(np.unique(self.labels[chosen]))
            if both and abs(is_test.mean() - fraction) < 0.07:
                return chosen[~is_test], chosen[is_test]
        raise SystemExit("No choice of kits holds out some of each class.")


class Tuner:
    """Fine-tunes classifiers from given initial weights, with one seed."""

    def __init__(self, arguments, recordings, waveforms, pre_trained, seed):
        self.arguments, self.recordings = arguments, recordings
        self.waveforms, self.pre_trained, self.seed = waveforms, pre_trained, seed

    def best_optimizer(self, train):
        """Returns the name of the optimizer that is best on the validation kits."""
        inner, validation = self.recordings.split(self.seed, train)
        scores = {name: self.accuracy(name, inner, validation) for name in OPTIMIZERS}
        return max(OPTIMIZERS, key=scores.get)

    def accuracy(self, optimizer, train, test):
        """Returns the fraction of test recordings that are classified correctly."""
        keras.utils.set_random_seed(self.seed)
        classifier = keras_vatt.VATTAudioClassifier.from_preset(
            self.arguments.preset,
            load_weights=self.pre_trained,
            num_classes=len(self.recordings.class_names),
        )
        batch_size, epochs = self.arguments.batch_size, self.arguments.epochs
        steps = epochs * -(-len(train) // batch_size)
        classifier.compile(optimizer=OPTIMIZERS[optimizer](steps))
        classifier.fit(
            self.waveforms[train],
            self.recordings.labels[train],
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
        )
        logits = classifier.predict(self.waveforms[test], verbose=0)
        return float(np.mean(logits.argmax(axis=1) == self.recordings.labels[test]))


def features_of(preset, waveforms, load_weights):
    """Returns pooled features of the preset's backbone, `(recordings, dim)`."""
    keras.utils.set_random_seed(0)
    model = keras_vatt.VATT.from_preset(preset, load_weights=load_weights)
    return model.encode(audio=waveforms)["audio"]["features_pooled"]


def log_mel(paths, sampling_rate):
    """Returns the mean and standard deviation of each band of a log-mel spectrogram."""
    waveform = keras_vatt.VATTAudioConverter(sampling_rate, int(2.4 * sampling_rate))
    spectrogram = keras.layers.MelSpectrogram(
        sampling_rate=sampling_rate, fft_length=512, sequence_stride=128
    )
    features = []
    for path in paths:
        mel = np.asarray(spectrogram(waveform(str(path))[..., 0]))[0]
        features.append(np.concatenate([mel.mean(axis=-1), mel.std(axis=-1)]))
    return np.stack(features)


def probe_accuracy(features, labels, train, test):
    """Returns the top-1 accuracy of a logistic regression on frozen features."""
    result = linear_probe(features[train], labels[train], features[test], labels[test])
    return result.metrics.top_1


def majority(labels, train, test):
    """Returns the accuracy of always predicting the most frequent training class."""
    return float(np.mean(labels[test] == np.bincount(labels[train]).argmax()))


def _write(arguments, recordings, results):
    report = {
        "environment": environment(),
        "settings": vars(arguments)
        | {
            "recordings": len(recordings.paths),
            "classes": recordings.class_names.tolist(),
        },
        "results": [{"method": name} | result for name, result in results.items()],
    }
    write(arguments.output, "percussion", report, COLUMNS)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="percussion", help="from percussion_data.py")
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--preset", default="vatt_tiny_agnostic")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    main()
