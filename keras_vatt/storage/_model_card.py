"""Writes model cards in the format of the Hugging Face Hub."""

import dataclasses

import huggingface_hub

from keras_vatt._printable import printable
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._weights_status import DOWNLOAD, INCLUDED, NONE

_PAPERS = (
    "[VATT: Transformers for Multimodal Self-Supervised Learning from Raw Video, "
    "Audio and Text](https://arxiv.org/abs/2104.11178)",
    "[Scaling Multimodal Pre-Training via Cross-Modality Gradient Harmonization]"
    "(https://arxiv.org/abs/2211.02077)",
)
# Their clips were collected on web sites such as YouTube.
_WEB_VIDEOS = ("HowTo100M", "AudioSet", "Kinetics", "Moments in Time")
_NO_WEIGHTS = "This preset holds the sizes of the model and no weights."
_TEST = "Test it on your own data before you rely on it."
_LINE_LENGTH = 88
_TAGS = ["keras", "vatt", "video", "audio", "arxiv:2104.11178", "arxiv:2211.02077"]


@dataclasses.dataclass(frozen=True)
class CardFacts:
    """The facts on a card about a model, apart from the provenance of its weights.

    Args:
        class_name: string, the class that loads the preset.
        pipeline_tag: string, the name of the task on the Hub.
        parameters: int, their number.
        inputs: dict from modality to a string with its shape and units.
        usage: string, lines of Python that use `model`.
        limits: list of sentences about the limits of the model.
    """

    class_name: str
    pipeline_tag: str
    parameters: int
    inputs: dict
    usage: str
    limits: list


def write_card(folder, name, facts, provenance, weights=INCLUDED):
    """Writes the card of a preset, `README.md`, and its plots.

    Args:
        folder: `pathlib.Path` of the preset.
        name: string, the name or address by which users load the preset.
        facts: `CardFacts`.
        provenance: `keras_vatt.Provenance`.
        weights: string, `INCLUDED` in the preset, `DOWNLOAD` by `from_preset`, or
            `NONE`; see `weights_status`. Defaults to `INCLUDED`.

    Raises:
        PresetError: if there are too many plots for a preset.
    """
    files.check_plots({name: len(plot) for name, plot in provenance.plots.items()})
    for file_name, image in provenance.plots.items():
        (folder / files.PLOTS).mkdir(exist_ok=True)
        (folder / files.PLOTS / file_name).write_bytes(image)
    header = huggingface_hub.ModelCardData(
        library_name="keras-vatt",
        pipeline_tag=facts.pipeline_tag,
        license=provenance.license,
        datasets=list(provenance.datasets) or None,
        tags=_TAGS,
    )
    sections = [
        f"---\n{header.to_yaml()}\n---",
        f"# {name}",
        provenance.description or f"A {facts.class_name} of keras_vatt.",
        _use(name, facts, weights),
        _inputs(facts),
        _made(name, provenance, weights),
        _evaluation(provenance),
        _list("Limits", [*facts.limits, _caution(provenance, weights)]),
        _list("Papers", _PAPERS),
    ]
    text = "\n\n".join(section for section in sections if section)
    (folder / files.CARD).write_text(printable(text) + "\n", encoding="utf-8")


def _use(name, facts, weights):
    arguments = f'"{name}"' + (", load_weights=False" if weights == NONE else "")
    start = f"model = keras_vatt.{facts.class_name}.from_preset("
    call = f"{start}{arguments})"
    if len(call) > _LINE_LENGTH:
        call = f"{start}\n    {arguments}\n)"
    return (
        "## Use\n\n```python\nimport keras_vatt\n\n"
        f"{call}\n{facts.usage}\n```\n\n"
        "It runs on JAX, TensorFlow and PyTorch (`KERAS_BACKEND`). "
        f"Parameters: {facts.parameters:,}."
    )


def _inputs(facts):
    rows = [f"| {name} | {text} |" for name, text in facts.inputs.items()]
    return "\n".join(["## Inputs\n", "| modality | input |", "|---|---|", *rows])


def _made(name, provenance, weights):
    lines = ["## How it was made\n"]
    if weights == DOWNLOAD:
        lines.append(
            "The weights are not in the package. The first call of `from_preset`, or "
            f"`keras-vatt convert --from {name}`, downloads the checkpoint that its "
            "authors published, converts it, and keeps the result in the cache "
            "(`HF_HOME`). `KERAS_VATT_WEIGHTS_URL` sets another base address.\n"
        )
    if weights == NONE:
        lines.append(_NO_WEIGHTS)
    if provenance.source:
        lines.append(f"Source: {provenance.source}.")
    lines += [f"- {name}: {value}" for name, value in provenance.training.items()]
    if provenance.commands:
        lines += ["\nCommands:\n", "```sh", *provenance.commands, "```"]
    lines += [
        f"\n![{file_name.removesuffix('.png')}]({files.PLOTS}/{file_name})"
        for file_name in provenance.plots
    ]
    if len(lines) == 1:
        lines.append("Not recorded.")
    return "\n".join(lines)


def _caution(provenance, weights):
    """Returns the limit that follows from the origin of the weights."""
    if weights == NONE:
        return "Without weights its outputs are random: train it before you use it."
    if any(name.startswith(_WEB_VIDEOS) for name in provenance.datasets):
        return f"It was trained on web videos and reproduces their biases. {_TEST}"
    return f"A model reproduces the biases of its training data. {_TEST}"


def _evaluation(provenance):
    if not provenance.evaluation:
        return "## Evaluation\n\nNo evaluation was recorded."
    names = list(dict.fromkeys(n for m in provenance.evaluation.values() for n in m))
    rows = [
        f"| {task} | {' | '.join(str(metrics.get(n, '')) for n in names)} |"
        for task, metrics in provenance.evaluation.items()
    ]
    head = f"| task | {' | '.join(names)} |"
    return "\n".join(["## Evaluation\n", head, "|---" * (len(names) + 1) + "|", *rows])


def _list(title, entries):
    return "\n".join([f"## {title}\n", *(f"- {entry}" for entry in entries)])
