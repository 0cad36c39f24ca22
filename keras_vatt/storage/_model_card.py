"""Writes model cards in the format of the Hugging Face Hub."""

import dataclasses

import huggingface_hub

from keras_vatt._printable import printable
from keras_vatt.storage import _preset_files as files

_PAPERS = (
    "[VATT: Transformers for Multimodal Self-Supervised Learning from Raw Video, "
    "Audio and Text](https://arxiv.org/abs/2104.11178)",
    "[Scaling Multimodal Pre-Training via Cross-Modality Gradient Harmonization]"
    "(https://arxiv.org/abs/2211.02077)",
)
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


def write_card(folder, name, facts, provenance, has_weights=True):
    """Writes the card of a preset, `README.md`, and its plots.

    Args:
        folder: `pathlib.Path` of the preset.
        name: string, the name or address by which users load the preset.
        facts: `CardFacts`.
        provenance: `keras_vatt.Provenance`.
        has_weights: bool. Defaults to `True`.

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
        _use(name, facts, has_weights),
        _inputs(facts),
        _made(provenance, has_weights),
        _evaluation(provenance),
        _list("Limits", facts.limits),
        _list("Papers", _PAPERS),
    ]
    text = "\n\n".join(section for section in sections if section)
    (folder / files.CARD).write_text(printable(text) + "\n", encoding="utf-8")


def _use(name, facts, has_weights):
    arguments = f'"{name}"' + ("" if has_weights else ", load_weights=False")
    return (
        "## Use\n\n```python\nimport keras_vatt\n\n"
        f"model = keras_vatt.{facts.class_name}.from_preset({arguments})\n"
        f"{facts.usage}\n```\n\n"
        "It runs on JAX, TensorFlow and PyTorch (`KERAS_BACKEND`). "
        f"Parameters: {facts.parameters:,}."
    )


def _inputs(facts):
    rows = [f"| {name} | {text} |" for name, text in facts.inputs.items()]
    return "\n".join(["## Inputs\n", "| modality | input |", "|---|---|", *rows])


def _made(provenance, has_weights):
    lines = ["## How it was made\n"]
    if not has_weights:
        lines.append("This preset holds the sizes of the model and no weights.")
    if provenance.source:
        lines.append(f"Source: {provenance.source}.")
    lines += [f"- {name}: {value}" for name, value in provenance.training.items()]
    lines += [
        f"\n![{file_name.removesuffix('.png')}]({files.PLOTS}/{file_name})"
        for file_name in provenance.plots
    ]
    if len(lines) == 1:
        lines.append("Not recorded.")
    return "\n".join(lines)


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
