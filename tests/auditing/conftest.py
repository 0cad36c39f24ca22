"""A preset and a corpus with everything that an audit has to handle, made once."""

import json

import pytest

from keras_vatt.cli.main import main
from tests.evaluation._tiny_datasets import CAPTIONS, save_vatt, write_clip

HOSTILE = "a red thing <img src=x onerror=\"document.title='owned'\"> & </style>"
HOSTILE_NAME = "<script>document.title='owned'<!--&'\".mp4"
WITHOUT_AUDIO, WITHOUT_CAPTION, WITHOUT_BOTH = "1.mp4", "2.mp4", "mute.mp4"


@pytest.fixture(scope="session")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "preset"
    save_vatt(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Nine segments with video, four of them with a truth, and two without a file."""
    folder = tmp_path_factory.mktemp("audited")
    rows = []
    for number, caption in enumerate(CAPTIONS):
        name = f"{number}.mp4"
        write_clip(
            folder / name, caption.split()[1], number, sound=name != WITHOUT_AUDIO
        )
        row = {"path": name, "caption": caption, "split": "train"}
        if number > 1:
            aligned = {"audio_aligned": number != 3, "text_aligned": number < 4}
            row |= {"source": f"tape {number}"} | aligned
        rows.append(row)
    del rows[int(WITHOUT_CAPTION[0])]["caption"]
    write_clip(folder / HOSTILE_NAME, "red", 7)
    rows.append({"path": HOSTILE_NAME, "caption": HOSTILE, "split": "train"})
    rows.append({"path": "0.mp4", "start": 0.2, "end": 1.2, "caption": "a blue thing"})
    write_clip(folder / WITHOUT_BOTH, "green", 8, sound=False)
    rows.append({"path": WITHOUT_BOTH, "caption": "...", "split": "train"})
    (folder / "noise.mp4").write_bytes(b"nothing" * 99)
    rows += [
        {"path": name, "caption": "a red thing"} for name in ("noise.mp4", "x.mp4")
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def silent_corpus(tmp_path_factory):
    """Two videos with neither audio nor captions, and one with only audio."""
    folder = tmp_path_factory.mktemp("silent")
    for number in range(2):
        write_clip(folder / f"{number}.mp4", "red", number, sound=False)
    write_clip(folder / "tone.mp4", "blue", 3)
    return folder


@pytest.fixture
def audit_command(capsys):
    """A function that runs the command: `(*arguments) -> (code, out, err)`."""

    def run(*arguments):
        code = main(["audit", *(str(argument) for argument in arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
