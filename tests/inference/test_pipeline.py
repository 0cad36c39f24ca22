"""The batch-embedding pipeline pads, skips, resumes and keeps the order."""

import numpy as np
import pytest

from keras_vatt.data import Finding, MediaError, Problem
from keras_vatt.inference._pipeline import DecodedItem, embed


class MemoryStore(dict):
    """A store that keeps the outputs in memory: a dict from item to outputs."""

    def add(self, item, outputs, findings):
        self[item] = outputs

    def flush(self):
        pass


class FindingsStore(MemoryStore):
    """A store that also keeps findings and counts how often it is flushed."""

    def __init__(self):
        super().__init__()
        self.findings = {}
        self.flushed = 0

    def add(self, item, outputs, findings):
        super().add(item, outputs, findings)
        self.findings[item] = findings

    def flush(self):
        self.flushed += 1


class Encoder:
    """Sums each example, and records the shapes of the batches."""

    def __init__(self):
        self.shapes = []

    def __call__(self, modality, batch):
        self.shapes.append((modality, batch.shape))
        return {"sum": batch.sum(axis=1, keepdims=True)}


def video(number, rows=2):
    return np.full((rows, 4), number, np.float32) * np.arange(1, rows + 1)[:, None]


def decode_video(number):
    return DecodedItem({"video": video(number)})


def test_the_last_batch_is_padded_to_the_shape_of_the_others():
    encode, store = Encoder(), MemoryStore()
    embed(range(5), decode_video, encode, store, batch_size=3)
    assert encode.shapes == [("video", (6, 4))] * 2
    for number in range(5):
        np.testing.assert_array_equal(
            store[number]["video"]["sum"], [[4 * number], [8 * number]]
        )


def test_items_are_stored_in_order_once_whatever_thread_is_first():
    store = MemoryStore()
    embed([5, 3, 5, 9, 1], decode_video, Encoder(), store, batch_size=2, num_workers=3)
    assert list(store) == [5, 3, 9, 1]


def test_an_item_may_lack_a_modality():
    def decode(number):
        arrays = {"video": video(number), "audio": np.full((1, 3), number)}
        missing = {1: ["audio"], 2: ["video"], 3: ["video", "audio"]}
        for modality in missing.get(number, []):
            del arrays[modality]
        return DecodedItem(arrays)

    encode, store = Encoder(), MemoryStore()
    embed(range(4), decode, encode, store, batch_size=4)
    assert encode.shapes == [("video", (8, 4)), ("audio", (4, 3))]
    assert [sorted(store[n]) for n in range(4)] == [
        ["audio", "video"],
        ["video"],
        ["audio"],
        [],
    ]
    assert store[2]["audio"]["sum"] == 6
    np.testing.assert_array_equal(store[1]["video"]["sum"], [[4], [8]])


def test_the_finding_of_an_item_goes_to_the_store():
    finding = Finding(Problem.SHORT, "1.mp4", "repeated")

    def decode(number):
        return DecodedItem({"video": video(number)}, (finding,) * (number == 1))

    store = FindingsStore()
    assert embed(range(3), decode, Encoder(), store, batch_size=2) == []
    assert store.findings == {0: (), 1: (finding,), 2: ()}


def decode_but_one(number):
    if number == 1:
        raise MediaError("1.mp4", Problem.CORRUPT, "is damaged")
    return decode_video(number)


def test_a_file_that_can_not_be_used_is_skipped_and_the_next_takes_its_place():
    encode, store = Encoder(), FindingsStore()
    findings = embed(range(5), decode_but_one, encode, store, batch_size=2)
    assert findings == [Finding(Problem.CORRUPT, "1.mp4", "is damaged")]
    assert list(store) == [0, 2, 3, 4]
    assert len(encode.shapes) == 2


def test_a_file_that_can_not_be_used_can_raise_its_error():
    store = FindingsStore()
    with pytest.raises(MediaError, match="is damaged"):
        embed(range(5), decode_but_one, Encoder(), store, 1, on_error="raise")
    assert list(store) == [0]
    assert store.flushed == 1


def test_an_interrupted_run_resumes():
    def interrupted(modality, batch):
        if 5 in batch:
            raise KeyboardInterrupt
        return Encoder()(modality, batch)

    store, decoded = FindingsStore(), []
    with pytest.raises(KeyboardInterrupt):
        embed(range(6), decode_video, interrupted, store, batch_size=2)
    assert list(store) == [0, 1, 2, 3]
    assert store.flushed == 1

    def decode(number):
        decoded.append(number)
        return decode_video(number)

    embed(range(6), decode, Encoder(), store, batch_size=2)
    assert sorted(decoded) == [4, 5]
    assert list(store) == list(range(6))


def test_an_error_that_no_file_explains_ends_the_run():
    def decode(number):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        embed(range(3), decode, Encoder(), MemoryStore())


def test_an_unknown_rule_for_errors_is_refused():
    with pytest.raises(ValueError, match="on_error"):
        embed([], decode_video, Encoder(), MemoryStore(), on_error="ignore")
