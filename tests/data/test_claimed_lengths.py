"""The length of a file is what it holds, not what its header claims."""

import struct

import numpy as np
import pytest

from keras_vatt.data import ClipSpec, probe
from keras_vatt.data.decoding._raw_clips import raw_waveform
from tests.data._media import numbered_picture, write_media

pytestmark = pytest.mark.once

RATE = 48_000


def tone(seconds):
    return 0.5 * np.sin(np.arange(round(seconds * RATE)) / 20).astype(np.float32), RATE


def ogg_checksum(page):
    """The CRC-32 of Ogg: polynomial 0x04c11db7, nothing reflected or inverted."""
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            carry = remainder & 0x80000000
            remainder = (remainder << 1) & 0xFFFFFFFF ^ (0x04C11DB7 if carry else 0)
    return remainder


def test_the_checksum_of_the_test_is_that_of_ogg(tmp_path):
    path = write_media(tmp_path / "a.ogg", sound=tone(1.0), audio_codec="libopus")
    page = bytearray(path.read_bytes()[: path.read_bytes().index(b"OggS", 4)])
    (stored,) = struct.unpack_from("<I", page, 22)
    struct.pack_into("<I", page, 22, 0)
    assert ogg_checksum(page) == stored


def test_an_ogg_file_that_claims_600_hours_lasts_as_long_as_its_packets(tmp_path):
    path = write_media(tmp_path / "a.ogg", sound=tone(5.0), audio_codec="libopus")
    data = bytearray(path.read_bytes())
    page = data.rindex(b"OggS")
    struct.pack_into("<q", data, page + 6, 600 * 3600 * RATE)
    struct.pack_into("<I", data, page + 22, 0)
    struct.pack_into("<I", data, page + 22, ogg_checksum(data[page:]))
    assert probe(bytes(data)).end == pytest.approx(5.0, abs=0.1)
    waveform = raw_waveform(bytes(data), ClipSpec())
    np.testing.assert_allclose(waveform, raw_waveform(path, ClipSpec()), atol=1e-6)


def test_a_damaged_time_stamp_near_the_end_does_not_make_a_file_long(tmp_path):
    images = [numbered_picture(number) for number in range(50)]
    path = write_media(tmp_path / "a.flv", images, np.arange(50) / 25)
    data = bytearray(path.read_bytes())
    position, tags = 13, []
    while position < len(data):
        tags.append(position)
        position += 11 + int.from_bytes(data[position + 1 : position + 4], "big") + 4
    data[tags[-10] + 7] = 1  # The high byte of the time: 4.7 hours later.
    assert probe(bytes(data)).end == pytest.approx(2.0, abs=0.1)
