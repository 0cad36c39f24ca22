"""Synthetic speech is the same in every run and follows its parameters."""

import builtins
import time

import numpy as np
import pytest

from keras_vatt.data import Utterance, synthesize_speech
from keras_vatt.data.demo import _speech as speech

pytestmark = pytest.mark.once

UTTERANCES = [
    Utterance("red circle moving left", "en-us", 150, 40),
    Utterance("a purple star, up", "en-us+f2", 180, 60),
    Utterance("red circle moving left", "en-us", 150, 40),
]


def test_utterances_become_waveforms():
    waveforms, rate = synthesize_speech(UTTERANCES)
    assert rate == 22_050
    assert len(waveforms) == 3
    for waveform in waveforms:
        assert waveform.dtype == np.float32
        assert 0.5 < len(waveform) / rate < 4.0
        assert 0.1 < np.abs(waveform).max() <= 1.0


def test_the_same_list_gives_the_same_waveforms():
    # Breath is noise, and the library seeds it with the time in seconds.
    utterances = [*UTTERANCES, Utterance("a breathy voice", "en-us+whisper")]
    first, _ = synthesize_speech(utterances)
    time.sleep(1.1)
    again, _ = synthesize_speech(utterances)
    for expected, waveform in zip(first, again, strict=True):
        np.testing.assert_array_equal(waveform, expected)


def test_what_follows_does_not_change_what_came_before():
    whole, _ = synthesize_speech(UTTERANCES)
    (first,), _ = synthesize_speech(UTTERANCES[:1])
    np.testing.assert_array_equal(first, whole[0])


def test_rate_and_pitch_change_the_waveform():
    slow = Utterance("red circle moving left", rate=100)
    fast = Utterance("red circle moving left", rate=220)
    (slow, fast), _ = synthesize_speech([slow, fast])
    assert len(slow) > 1.5 * len(fast)
    low = Utterance("red circle moving left", pitch=20)
    high = Utterance("red circle moving left", pitch=90)
    (low, high), rate = synthesize_speech([low, high])
    assert _fundamental(high, rate) > 1.3 * _fundamental(low, rate)


def test_no_utterance_gives_no_waveform():
    assert synthesize_speech([]) == ([], 22_050)


def test_a_voice_that_does_not_exist_is_refused():
    with pytest.raises(RuntimeError, match="can't speak .*nobody"):
        synthesize_speech([Utterance("hello", voice="nobody")])


def test_without_espeak_the_error_says_what_to_install(monkeypatch):
    def no_espeak(name, *arguments):
        if name == "espeakng_loader":
            raise ImportError(name)
        return original(name, *arguments)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_espeak)
    with pytest.raises(ImportError, match=r'pip install "keras-vatt\[demo\]"'):
        synthesize_speech(UTTERANCES)


def test_a_synthesizer_that_finds_no_data_is_an_error(monkeypatch, tmp_path):
    library, _ = speech._espeak_paths()
    monkeypatch.setattr(speech, "_espeak_paths", lambda: (library, str(tmp_path)))
    with pytest.raises(RuntimeError, match="speech synthesizer failed"):
        synthesize_speech(UTTERANCES)


def _fundamental(waveform, rate):
    """The usual frequency of the voice in hertz, by autocorrelation."""
    found = []
    for first in range(0, len(waveform) - 2048, 1024):
        block = waveform[first : first + 2048].astype(np.float64)
        if np.abs(block).max() < 0.1:
            continue
        correlation = np.correlate(block, block, "full")[2047:]
        correlation /= np.arange(2048, 0, -1)
        shortest, longest = rate // 400, rate // 60
        found.append(rate / (shortest + correlation[shortest:longest].argmax()))
    return np.median(found)
