"""Evaluates a preset on an established dataset, or on your own clips.

Retrieval ranks videos for captions and audio, and the reverse, without training.
Zero-shot classification compares clips with the names of their classes. A linear probe
is trained on frozen features of the train clips. Classification tests a fine-tuned
classifier. Datasets are read with their official splits. With --output the report is
saved, and the same command resumes an interrupted evaluation.
"""

from keras_vatt._setting_fields import add_setting_options, given_settings
from keras_vatt.evaluation._settings import EvaluationSettings


def add_arguments(parser):
    """Adds the options of the command."""
    add_setting_options(parser, EvaluationSettings)


def run(arguments):
    """Runs the command."""
    # Imported here because it loads a backend, which --help does not need.
    from keras_vatt.evaluation import evaluate

    settings = EvaluationSettings(**given_settings(arguments, EvaluationSettings))
    _, text = evaluate(settings)
    print(text.split("## Versions")[0].strip())
    if settings.output is not None:
        print(f"\nthe report is in {settings.output}")
