"""No output of the command line controls the terminal, whoever wrote the text."""

import io
import json
import logging
import subprocess
import sys

import keras
import pytest
import tqdm

from keras_vatt._printable import printable, printable_line
from keras_vatt.cli import main as command
from keras_vatt.cli.terminal import PrintableStream, printable_streams

pytestmark = pytest.mark.once

# Clears the screen, sets the title, goes up and back, hides, overrides direction.
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x1b[A\rb\x08\x9b31m\x7f\u202egp4\u2066\u2028c\udcff"
ESCAPED = (
    r"a\x1b[2J\x1b]0;title\x07\x1b[A\x0db\x08\x9b31m\x7f\u202egp4\u2066\u2028c\udcff"
).replace(r"\x0d", r"\r")


def unsafe(text):
    """Returns the control characters in a text, except newline and tab."""
    return {
        character
        for character in text
        if not character.isprintable() and character not in "\n\t"
    }


def test_control_characters_are_escaped_and_text_is_not():
    assert printable(HOSTILE) == ESCAPED
    assert unsafe(printable("".join(map(chr, range(0x100))))) == set("\xa0\xad")
    kept = "Grüße, 日本語, עברית, 👩‍👩‍👧\n\t|"
    assert printable(kept) == kept
    assert printable("one\r\ntwo\rthree") == "one\ntwo\\rthree"
    assert printable_line("one\r\ntwo\t") == r"one\r\ntwo\t"


def test_every_bidirectional_control_is_escaped():
    import unicodedata

    controls = {"\u061c"} | {
        chr(code)
        for code in range(0x110000)
        if unicodedata.bidirectional(chr(code))
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    }
    assert len(controls) == 10
    assert all(len(printable(control)) == 6 for control in controls)


def test_streams_escape_prints_and_logs_and_are_put_back(capsys, monkeypatch):
    before = sys.stdout, sys.stderr
    handler = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("keras_vatt.test_terminal")
    # pytest's own handler would keep a text that no worker can send.
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(handler)
    with printable_streams():
        print(HOSTILE)
        print(HOSTILE, HOSTILE, sep=HOSTILE, file=sys.stderr)
        sys.stdout.writelines([HOSTILE, "\n"])
        logger.error(HOSTILE)
    logger.removeHandler(handler)
    assert (sys.stdout, sys.stderr, handler.stream) == (*before, before[1])
    out, err = capsys.readouterr()
    assert out == f"{ESCAPED}\n{ESCAPED}\n"
    assert err.count(ESCAPED) == 3 + 1
    assert unsafe(out + err) == set()


def test_what_an_encoding_lacks_is_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    print("é 日", file=PrintableStream(stream))
    stream.flush()
    assert stream.buffer.getvalue() == b"\\xe9 \\u65e5\n"


def bars(stream, description="reading"):
    """Returns the output of nested progress bars, the inner one of which is removed."""
    options = {"file": stream, "mininterval": 0, "ncols": 70}
    options["bar_format"] = "{desc}{bar}"
    for _ in tqdm.tqdm(range(3), description, **options):
        # With both bars, tqdm clears them in any order.
        tqdm.tqdm.write("a message", file=stream)
        for _ in tqdm.tqdm(range(2), "inner", leave=False, **options):
            pass
    return stream.getvalue()


def test_progress_bars_are_drawn_as_without_the_stream():
    drawn = bars(io.StringIO())
    assert {"\r", "\x1b"} <= set(drawn)
    assert bars(PrintableStream(io.StringIO())) == drawn


def test_a_description_of_a_progress_bar_is_escaped():
    drawn = bars(PrintableStream(io.StringIO()), HOSTILE)
    assert ESCAPED in drawn
    assert unsafe(drawn.replace("\x1b[A", "").replace("\r", "")) == set()
    assert unsafe(drawn.replace("\x1b[A", "")) == {"\r"}


def test_bars_of_keras_keep_colors_and_names_in_them_are_escaped(monkeypatch, capsys):
    with printable_streams():
        monkeypatch.setattr(
            type(sys.stdout), "isatty", lambda self: True, raising=False
        )
        bar = keras.utils.Progbar(2)
        bar.update(1, [("a\x1b[2Jb", 1.0)])
        bar.update(2, [("a\x1b[2Jb", 1.0)])
    out = capsys.readouterr().out
    assert "\x08\r\x1b[1m2/2\x1b[0m" in out
    assert "a\\x1b[2Jb: 1.0000" in out
    assert "\x1b[2J" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", HOSTILE, "--text", "star"],
        ["presets", HOSTILE],
        ["embed", HOSTILE, "--preset", "vatt_tiny_agnostic", "--output", "out"],
        ["convert", "--from", HOSTILE, "--config", HOSTILE, "--output", "out"],
        ["pretrain", "--data", HOSTILE, "--output", HOSTILE],
        ["evaluate", "--task", HOSTILE, "--preset", HOSTILE, "--data", HOSTILE],
        [HOSTILE],
    ],
)
def test_messages_of_every_command_are_escaped(
    capsys, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    try:
        code = command.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    out, err = capsys.readouterr()
    assert "error" in err
    assert unsafe(out + err) == set()


def test_the_card_of_a_preset_is_escaped(capsys, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text(
        f"# A card\r\n{HOSTILE[:-1]}\n", encoding="utf-8", newline=""
    )
    command.main(["presets", str(tmp_path)])
    out, err = capsys.readouterr()
    assert unsafe(out + err) == set()
    assert f"# A card\n{ESCAPED[:20]}" in out


def test_warnings_and_tracebacks_are_escaped():
    code = (
        "import warnings\n"
        "from keras_vatt.cli.terminal import printable_streams\n"
        "@printable_streams()\n"
        "def main():\n"
        "    warnings.warn('\\x1b[2Jwarned')\n"
        "    raise RuntimeError('\\x1b[2Jtalk.mp4')\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert r"UserWarning: \x1b[2Jwarned" in done.stderr
    assert r"RuntimeError: \x1b[2Jtalk.mp4" in done.stderr
    assert unsafe(done.stderr) == set()


def test_json_stays_json(capsys):
    from keras_vatt.cli.search import _json
    from keras_vatt.search import SearchResult

    result = SearchResult(HOSTILE, 0.0, 1.0, 0.5, "video", 0)
    with printable_streams():
        print(_json([result]))
    out = capsys.readouterr().out
    assert unsafe(out) == set()
    assert json.loads(out)[0]["path"] == HOSTILE
