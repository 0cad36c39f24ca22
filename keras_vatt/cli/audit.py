"""Ranks the clips of a corpus by how well video, audio and caption agree.

A model that was pre-trained on the corpus, or on one like it, finds clips whose audio
or caption belongs to something else. The output folder then has audit.csv with one row
per clip, the worst first, audit.json, and contact_sheet.html, a page with the worst and
the best clips. With --drop it also has kept.jsonl, a manifest for `keras-vatt pretrain
--data` without the worst clips. The same command resumes an interrupted audit.
"""

import pathlib

from keras_vatt._setting_fields import add_setting_options, given_settings
from keras_vatt.auditing._settings import AuditSettings


def add_arguments(parser):
    """Adds the options of the command."""
    add_setting_options(parser, AuditSettings)


def run(arguments):
    """Runs the command."""
    # Imported here because it loads a backend, which --help does not need.
    from keras_vatt.auditing import audit

    settings = AuditSettings(**given_settings(arguments, AuditSettings))
    result = audit(settings)
    print(result.summary(settings))
    folder = pathlib.Path(settings.output)
    print(f"\nthe report is in {folder}")
    if settings.sheet_clips:
        print(f"open {folder / 'contact_sheet.html'} in a browser")
    if settings.drop is not None and not result.counts["dropped"]:
        print(f"no clip was dropped: {settings.drop:.2g} of them is less than one")
    elif settings.drop is not None:
        # Its paths are absolute, as it is not in the folder of the media.
        kept = folder / "kept.jsonl"
        print(f"to train without the worst: --data {kept} --allow-outside")
