"""A process that speaks with espeak-ng: utterances in, 16-bit samples out.

`_speech.py` runs this file as a script, with nothing but the standard library, and
never imports it. The library keeps state that nothing resets (the
position in a table of pitch variations, the gain), so that the sound of an utterance
depends on all that were spoken before it in the same process. A fresh process for
each list of utterances makes it depend on that list alone.

Reads a JSON object from standard input: `library` and `data` (paths), `utterances`
(objects with `text`, `voice`, `rate`, `pitch`). Writes the sampling rate, then for
each utterance the number of samples and the samples; integers of 4 bytes, samples of
2 bytes, in the order of the machine.
"""

import ctypes
import json
import struct
import sys

# Names and values of espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE, _PITCH = 1, 3

_SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def _main():
    request = json.load(sys.stdin)
    library = ctypes.CDLL(request["library"])
    rate = library.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS, 0, request["data"].encode(), _INITIALIZE_DONT_EXIT
    )
    if rate <= 0:
        sys.exit(f"espeak-ng can't use its data in {request['data']}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    chunks = []

    @_SYNTH_CALLBACK
    def collect(samples, count, _events):
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    output = sys.stdout.buffer
    output.write(struct.pack("=i", rate))
    for utterance in request["utterances"]:
        chunks.clear()
        _speak(library, utterance)
        sound = b"".join(chunks)
        output.write(struct.pack("=i", len(sound) // 2) + sound)


def _speak(library, utterance):
    text = utterance["text"].encode()
    results = (
        library.espeak_SetVoiceByName(utterance["voice"].encode()),
        library.espeak_SetParameter(_RATE, utterance["rate"], 0),
        library.espeak_SetParameter(_PITCH, utterance["pitch"], 0),
        library.espeak_Synth(
            text, len(text) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        ),
    )
    if any(results):
        sys.exit(f"espeak-ng can't speak {utterance}: error codes {results}")


if __name__ == "__main__":
    _main()
