"""Retrieval metrics against hand-made ranks; retrieval of a model's embeddings."""

import numpy as np
import pytest

from keras_vatt.evaluation import (
    format_retrieval,
    retrieval_metrics,
    retrieval_ranks,
    zero_shot_ranks,
    zero_shot_retrieval,
)
from tests.models.tiny import tiny_batch, tiny_vatt


def test_ranks_agree_with_sorting_in_float64():
    generator = np.random.default_rng(0)
    queries, candidates = generator.normal(size=(2, 60, 8))
    metrics = retrieval_metrics(queries, candidates)

    ranks = []
    for index, query in enumerate(queries):
        cosines = [
            query @ c / np.linalg.norm(query) / np.linalg.norm(c) for c in candidates
        ]
        ranks.append(1 + sorted(cosines, reverse=True).index(cosines[index]))
    ranks = np.array(ranks)
    assert metrics.recall_at_1 == pytest.approx((ranks <= 1).mean())
    assert metrics.recall_at_5 == pytest.approx((ranks <= 5).mean())
    assert metrics.recall_at_10 == pytest.approx((ranks <= 10).mean())
    assert metrics.median_rank == np.median(ranks)
    assert metrics.mean_rank == pytest.approx(ranks.mean())


def test_perfect_embeddings_are_found_first():
    metrics = retrieval_metrics(np.eye(12), 3 * np.eye(12))
    assert metrics.recall_at_1 == 1
    assert metrics.median_rank == 1


def test_a_collapsed_model_is_at_chance():
    constant = np.random.default_rng(0).normal(size=(1, 33)).repeat(100, axis=0)
    metrics = retrieval_metrics(constant, constant)
    assert metrics.recall_at_1 == pytest.approx(0.01)
    assert metrics.recall_at_10 == pytest.approx(0.1)
    assert metrics.median_rank == pytest.approx(50.5)


def test_many_queries_are_ranked_in_chunks(monkeypatch):
    generator = np.random.default_rng(1)
    queries, candidates = generator.normal(size=(2, 50, 4))
    whole = retrieval_metrics(queries, candidates)
    monkeypatch.setattr("keras_vatt.metrics._ranking._CHUNK", 7)
    assert retrieval_metrics(queries, candidates) == whole


def test_more_candidates_than_queries_make_it_harder():
    queries = np.eye(4)[:2]
    candidates = np.concatenate([queries, queries])
    metrics = retrieval_metrics(queries, candidates)
    assert metrics.num_candidates == 4
    assert metrics.recall_at_1 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("queries", "candidates"),
    [
        (np.ones((3, 2)), np.ones((2, 2))),
        (np.ones((0, 2)), np.ones((2, 2))),
        (np.ones(3), np.ones((3, 1))),
        (np.full((2, 2), np.nan), np.ones((2, 2))),
    ],
)
def test_what_cannot_be_ranked_is_refused(queries, candidates):
    with pytest.raises(ValueError, match="must"):
        retrieval_metrics(queries, candidates)


class _LookUp:
    """Embeds clip number n, wherever it appears, as row n of a matrix."""

    def __init__(self, num_clips):
        self.table = np.random.default_rng(0).normal(size=(num_clips, 6))

    def encode(self, video=None, audio=None, text=None):
        def embed(numbers):
            return self.table[np.asarray(numbers, int)]

        outputs = {}
        if video is not None:
            outputs["video"] = {"to_audio": embed(video), "to_text": embed(video)}
        if audio is not None:
            outputs["audio"] = {"to_video": embed(audio)}
        if text is not None:
            outputs["text"] = {"to_video": embed(text[:, 0])}
        return outputs


def _batches(audio, audio_mask):
    numbers = np.arange(len(audio))
    for start in range(0, len(audio), 4):
        batch = slice(start, start + 4)
        yield {
            "video": numbers[batch],
            "audio": np.array(audio)[batch],
            # The second caption of each clip is another clip's.
            "text": np.stack([numbers, numbers[::-1]], axis=1)[batch, :, None],
            "audio_mask": np.array(audio_mask)[batch],
            "text_mask": np.ones(len(numbers))[batch],
        }


def test_clips_without_audio_are_candidates_but_not_queries():
    audio_mask = [1, 0, 1, 1, 0, 1]
    results = zero_shot_retrieval(_LookUp(6), _batches(range(6), audio_mask))
    assert results["text->video"].recall_at_1 == 1
    assert results["text->video"].num_queries == 6
    assert results["audio->video"].recall_at_1 == 1
    assert results["audio->video"].num_queries == 4
    assert results["audio->video"].num_candidates == 6


def test_wrong_audio_is_not_found():
    results = zero_shot_retrieval(_LookUp(6), _batches([1, 2, 3, 4, 5, 0], [1] * 6))
    assert results["audio->video"].recall_at_1 == 0


def test_a_task_without_queries_is_omitted():
    results = zero_shot_retrieval(_LookUp(6), _batches(range(6), [0] * 6))
    assert list(results) == ["text->video"]


def test_videos_find_their_texts_and_audio():
    tasks = ("video->text", "video->audio")
    batches = list(_batches([1, 0, 2, 3, 4, 5], [1, 1, 1, 0, 1, 1]))
    results = zero_shot_retrieval(_LookUp(6), batches, tasks)
    assert list(results) == list(tasks)
    assert results["video->text"].recall_at_1 == 1
    # Clip 3 has no audio: it is neither a query nor a candidate.
    assert results["video->audio"].num_queries == 5
    assert results["video->audio"].num_candidates == 5
    # The audio of the first two is exchanged.
    assert results["video->audio"].recall_at_1 == pytest.approx(3 / 5)


def test_only_the_modalities_of_the_tasks_are_needed():
    batches = [
        {name: batch[name] for name in ("video", "text")}
        for batch in _batches(range(6), [1] * 6)
    ]
    results = zero_shot_retrieval(_LookUp(6), batches, ("text->video", "video->text"))
    assert [metrics.recall_at_1 for metrics in results.values()] == [1, 1]


@pytest.mark.parametrize("window_average", ["embedding", "similarity"])
def test_the_windows_of_a_clip_are_averaged(window_average):
    model = _LookUp(30)
    # Clip n has rows 2n and 2n + 1 of video, 3 clips a batch, 1 in the last.
    batches = [
        {
            "video": np.arange(2 * start, 2 * stop),
            "text": np.arange(20 + start, 20 + stop)[:, None, None],
        }
        for start, stop in [(0, 3), (3, 6), (6, 7)]
    ]
    ranks = zero_shot_ranks(
        model, batches, ["text->video"], num_windows=2, window_average=window_average
    )
    expected = retrieval_ranks(
        model.table[20:27], model.table[:14].reshape(7, 2, -1), window_average
    )
    np.testing.assert_array_equal(ranks["text->video"].ranks, expected.ranks)


def test_all_captions_are_queries():
    model = _LookUp(12)
    # Word 0 is padding: the second clip has one caption, the last none.
    captions = np.array([[1, 7], [2, 0], [3, 4], [0, 0]])
    videos = np.array([1, 2, 4, 5])
    batch = {"video": videos, "text": captions[..., None]}
    tasks = ("text->video", "video->text")
    ranks = zero_shot_ranks(model, [batch], tasks, all_captions=True)

    clips = np.array([0, 0, 1, 2, 2])
    texts = model.table[[1, 7, 2, 3, 4]]
    expected = retrieval_ranks(
        texts, model.table[videos], query_ids=clips, candidate_ids=np.arange(4)
    )
    np.testing.assert_array_equal(ranks["text->video"].ranks, expected.ranks)
    # One of the captions of each video is its own embedding.
    np.testing.assert_array_equal(ranks["video->text"].ranks, [1, 1, 1])
    assert ranks["video->text"].num_candidates == 5


def test_a_dataset_of_other_windows_is_refused():
    batches = list(_batches(range(6), [1] * 6))
    with pytest.raises(ValueError, match="different numbers of clips"):
        zero_shot_retrieval(_LookUp(6), batches, num_windows=2)
    with pytest.raises(ValueError, match="multiple of 3 windows"):
        zero_shot_retrieval(_LookUp(6), batches, num_windows=3)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="text->audio"):
        zero_shot_retrieval(_LookUp(6), [], ["text->audio"])


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ValueError, match="at least one clip"):
        zero_shot_retrieval(_LookUp(6), [])


def test_the_table_has_a_line_per_task():
    results = zero_shot_retrieval(_LookUp(6), _batches(range(6), [1] * 6))
    lines = format_retrieval(results).splitlines()
    assert [line.split()[0] for line in lines] == ["task", *results]
    assert len({len(line) for line in lines}) == 1


def test_a_model_gives_the_embeddings_that_are_compared():
    model = tiny_vatt()
    masks = {name: np.ones(8, "float32") for name in ("audio_mask", "text_mask")}
    results = zero_shot_retrieval(model, [tiny_batch() | masks])
    assert {metrics.num_queries for metrics in results.values()} == {8}


def test_a_model_is_given_the_windows_of_clips():
    batch = tiny_batch()
    model = tiny_vatt()
    outputs = model.encode(**batch)
    expected = retrieval_ranks(
        outputs["text"]["to_video"],
        outputs["video"]["to_text"].reshape(4, 2, -1),
        query_ids=np.arange(16) // 4,
        candidate_ids=np.arange(4),
    )
    # 8 rows of video are 2 windows of 4 clips, which have 4 captions each.
    batch["text"] = batch["text"].reshape(4, 4, -1)
    tasks = ("text->video", "video->text", "audio->video", "video->audio")
    ranks = zero_shot_ranks(model, [batch], tasks, num_windows=2, all_captions=True)
    assert list(ranks) == list(tasks)
    np.testing.assert_allclose(ranks["text->video"].ranks, expected.ranks)
