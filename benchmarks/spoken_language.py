"""Compares fine-tuning methods on real speech in nine languages.

    python benchmarks/spoken_language_data.py --output spoken_language
    KERAS_BACKEND=jax python benchmarks/spoken_language.py --data spoken_language

Fine-tunes an audio classifier with the library's defaults, with VATT's recipe and with
other settings, on the same batches. The baselines are logistic regressions on frozen
features, and on the mean and standard deviation of a log-mel spectrogram. Two rows
isolate the effect of the audio patches: the same encoder with random weights, once on
patches of samples and once on a log-mel spectrogram with as many values per token.

Settings were chosen with `--validate`, which holds out 13 of the 53 training stamps and
does not use the test stamps.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
from report import environment, progress, write

import keras_vatt
from keras_vatt.data import ClipSpec
from keras_vatt.data.decoding._raw_clips import raw_waveform
from keras_vatt.evaluation import linear_probe
from keras_vatt.training import FineTuningSGD, fine_tuning_optimizer, warmup_cosine

RULES = ("repeat", "pad")
_NUM_VALIDATION_STAMPS = 13
COLUMNS = {
    "method": lambda r: r["method"],
    "mean": lambda r: f"{np.mean(r['accuracies']):.3f}",
    "each seed": lambda r: " ".join(f"{a:.3f}" for a in r["accuracies"]),
    "on the training clips": lambda r: " ".join(f"{a:.3f}" for a in r["fitted"]) or "-",
}


@dataclasses.dataclass(frozen=True)
class Tuning:
    """A fine-tuning method.

    Args:
        optimizer: function from the number of steps to an optimizer. Defaults to
            `None`, the default of `compile`.
        epochs: int. Defaults to `20`.
        load_weights: bool. `False` starts from random weights. Defaults to `True`.
        inputs: string: `"repeat"` or `"pad"` for waveforms with this rule for short
            clips, or `"log-mel"`. Defaults to `"repeat"`.
    """

    optimizer: Callable | None = None
    epochs: int = 20
    load_weights: bool = True
    inputs: str = "repeat"


TUNINGS = {
    "README": Tuning(),
    "README before: momentum, 1 epoch": Tuning(lambda _: FineTuningSGD(), epochs=1),
    "momentum, 0.005": Tuning(lambda _: FineTuningSGD()),
    "VATT's recipe, peak 0.08": Tuning(
        lambda steps: fine_tuning_optimizer(0.08, total_steps=steps)
    ),
    "Adam, 0.001": Tuning(lambda _: keras.optimizers.Adam(1e-3)),
    "Adam, 0.003, cosine": Tuning(
        lambda steps: keras.optimizers.Adam(
            warmup_cosine(3e-3, 0.0, steps // 10, steps)
        )
    ),
    "README, 60 epochs": Tuning(epochs=60),
    "README, padded": Tuning(inputs="pad"),
    "README, random weights": Tuning(load_weights=False),
    "README, random weights, log-mel": Tuning(load_weights=False, inputs="log-mel"),
}


def main():
    arguments = _arguments()
    clips = Clips(arguments.data, arguments.preset)
    results = {}
    for seed in range(arguments.seeds):
        train, test = clips.validation(seed) if arguments.validate else clips.parts()
        progress(f"seed {seed}: {len(train)} training and {len(test)} test clips")
        for name in arguments.tunings:
            tuning = TUNINGS[name]
            accuracy, fitted = fine_tuned(arguments, clips, tuning, seed, train, test)
            progress(f"seed {seed}: {name} {accuracy:.3f}, training {fitted:.3f}")
            result = results.setdefault(name, {"accuracies": [], "fitted": []})
            result["accuracies"].append(accuracy)
            result["fitted"].append(fitted)
            _write(arguments, clips, results)
    if arguments.probes:
        for name, features in clips.features().items():
            probe = linear_probe(
                features[train], clips.labels[train], features[test], clips.labels[test]
            )
            progress(f"{name} {probe.metrics.top_1:.3f}")
            results[name] = {"accuracies": [probe.metrics.top_1], "fitted": []}
        _write(arguments, clips, results)


class Clips:
    """The recordings of `spoken_language_data.py`, decoded once.

    Args:
        folder: string or path.
        preset: string, the model that defines the length and rate of the clips.
    """

    def __init__(self, folder, preset):
        self.paths = sorted(pathlib.Path(folder).glob("*/*/*.ogg"))
        if not self.paths:
            raise SystemExit(f"{folder} is empty: run spoken_language_data.py first")
        self.preset = preset
        self.languages, self.labels = np.unique(
            [path.parent.name for path in self.paths], return_inverse=True
        )
        self.stamps = np.array([path.stem for path in self.paths])
        self.is_test = np.array([p.parent.parent.name == "test" for p in self.paths])
        self.spec = keras_vatt.VATTAudioConverter.from_preset(preset).clip_spec
        self.inputs = {rule: self._decoded(self.spec, rule) for rule in RULES}
        self.inputs["log-mel"] = self._as_patches()

    def parts(self):
        """Returns the indices of the training clips and of the test clips."""
        return np.flatnonzero(~self.is_test), np.flatnonzero(self.is_test)

    def validation(self, seed):
        """Splits the training clips by holding out some stamps."""
        train = np.flatnonzero(~self.is_test)
        random = np.random.default_rng(seed)
        stamps = random.permutation(np.unique(self.stamps[train]))
        held_out = np.isin(self.stamps[train], stamps[:_NUM_VALIDATION_STAMPS])
        return train[~held_out], train[held_out]

    def features(self):
        """Returns frozen features: dict from name to an array `(clips, dim)`."""
        found = {}
        for rule in RULES:
            for rate in (16_000, self.spec.sampling_rate):
                name = f"probe, log-mel at {rate} Hz, {rule}"
                found[name] = self._log_mel_statistics(rate, rule)
        for load_weights in (True, False):
            keras.utils.set_random_seed(0)
            model = keras_vatt.VATT.from_preset(self.preset, load_weights=load_weights)
            name = f"probe, {'pre-trained' if load_weights else 'random'} features"
            features = model.encode(audio=self.inputs["repeat"])["audio"]
            found[name] = features["features_pooled"]
        return found

    def _log_mel_statistics(self, rate, rule):
        seconds = self.spec.audio_samples / self.spec.sampling_rate
        samples = round(seconds * rate)
        spec = ClipSpec(sampling_rate=rate, audio_samples=samples)
        mel = log_mel(self._decoded(spec, rule), rate, 512, 128)
        return np.concatenate([mel.mean(axis=-1), mel.std(axis=-1)], axis=-1)

    def _as_patches(self):
        """Returns a log-mel spectrogram with one column per patch of samples."""
        waveforms = self.inputs["repeat"]
        model = keras_vatt.VATT.from_preset(self.preset, load_weights=False)
        size = model.backbone.audio_patch_size
        rate = self.spec.sampling_rate
        mel = log_mel(waveforms, rate, 256, size, num_mel_bins=size)
        columns = mel.swapaxes(1, 2)[:, : waveforms.shape[1] // size]
        columns = (columns - columns.mean()) / (4 * columns.std())
        return columns.reshape(waveforms.shape).astype("float32")

    def _decoded(self, spec, rule):
        rows = [raw_waveform(path, spec, short_clips=rule) for path in self.paths]
        return np.concatenate(rows)[..., np.newaxis]


def log_mel(waveforms, rate, fft_length, stride, **options):
    """Returns log-mel spectrograms, `(clips, bins, frames)`."""
    spectrogram = keras.layers.MelSpectrogram(
        sampling_rate=rate, fft_length=fft_length, sequence_stride=stride, **options
    )
    batches = np.array_split(waveforms[..., 0], 16)
    return np.concatenate([np.asarray(spectrogram(batch)) for batch in batches])


def fine_tuned(arguments, clips, tuning, seed, train, test):
    """Returns the accuracies on the test clips and on the training clips."""
    keras.utils.set_random_seed(seed)
    classifier = keras_vatt.VATTAudioClassifier.from_preset(
        clips.preset,
        load_weights=tuning.load_weights,
        num_classes=len(clips.languages),
        modalities=("audio",),
    )
    if tuning.optimizer is not None:
        steps = tuning.epochs * -(-len(train) // arguments.batch_size)
        classifier.compile(optimizer=tuning.optimizer(steps))
    inputs = clips.inputs[tuning.inputs]
    classifier.fit(
        inputs[train],
        clips.labels[train],
        batch_size=arguments.batch_size,
        epochs=tuning.epochs,
        verbose=0,
    )
    logits = classifier.predict(inputs, verbose=0)
    is_right = logits.argmax(axis=1) == clips.labels
    return float(is_right[test].mean()), float(is_right[train].mean())


def _write(arguments, clips, results):
    report = {
        "environment": environment(),
        "settings": vars(arguments) | {"languages": clips.languages.tolist()},
        "results": [{"method": name} | result for name, result in results.items()],
    }
    write(arguments.output, "spoken_language", report, COLUMNS)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data",
        default="spoken_language",
        help="from spoken_language_data.py",
    )
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--preset", default="vatt_tiny_agnostic")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument(
        "--validate", action="store_true", help="evaluate on held-out training stamps"
    )
    parser.add_argument(
        "--tunings", nargs="*", default=list(TUNINGS), choices=TUNINGS, metavar="NAME"
    )
    parser.add_argument("--probes", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
