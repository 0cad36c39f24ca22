"""Retrieval over windows and several matches, against other implementations."""

import numpy as np
import pytest
import torch
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR

from keras_vatt.evaluation import retrieval_metrics, retrieval_ranks
from tests.golden_files import golden_arrays

pytestmark = pytest.mark.once


def _cosines(queries, candidates):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return queries @ (candidates / np.linalg.norm(candidates, axis=1, keepdims=True)).T


def _torchmetrics(metric, similarities, is_match):
    similarities = similarities + 2  # It takes matches below zero for none.
    rows = np.repeat(np.arange(len(similarities)), similarities.shape[1])
    return metric(
        torch.tensor(similarities.ravel()),
        torch.tensor(is_match.ravel()),
        indexes=torch.tensor(rows),
    ).item()


@pytest.mark.parametrize(
    ("window_average", "name"),
    [("embedding", "mean_embedding"), ("similarity", "mean_similarity")],
)
def test_windows_are_averaged_as_in_the_original(window_average, name):
    golden = golden_arrays("measures.npz")
    windows = golden["in.video_windows"].reshape(40, int(golden["in.windows"]), -1)
    metrics = retrieval_metrics(golden["in.text"], windows, window_average)
    assert metrics.recall_at_1 == pytest.approx(float(golden[f"{name}/R1"]))
    assert metrics.recall_at_5 == pytest.approx(float(golden[f"{name}/R5"]))
    assert metrics.recall_at_10 == pytest.approx(float(golden[f"{name}/R10"]))
    assert metrics.median_rank == pytest.approx(float(golden[f"{name}/MedianRank"]))

    similarities = golden[f"{name}/similarity"]
    ahead = (similarities > np.diag(similarities)[:, None]).sum(axis=1)
    ranks = retrieval_ranks(golden["in.text"], windows, window_average)
    np.testing.assert_array_equal(ranks.ranks, ahead + 1)


def test_windows_of_queries_are_averaged_over_all_pairs():
    generator = np.random.default_rng(0)
    queries = generator.normal(size=(30, 3, 5))
    candidates = generator.normal(size=(30, 2, 5))
    pairs = [
        _cosines(queries[:, q], candidates[:, c]) for q in range(3) for c in range(2)
    ]
    similarities = np.mean(pairs, axis=0)
    expected = (similarities > np.diag(similarities)[:, None]).sum(axis=1) + 1
    ranks = retrieval_ranks(queries, candidates, window_average="similarity")
    np.testing.assert_array_equal(ranks.ranks, expected)


def test_one_window_is_none():
    queries, candidates = np.random.default_rng(0).normal(size=(2, 20, 6))
    whole = retrieval_metrics(queries, candidates)
    for window_average in ("embedding", "similarity"):
        windows = (queries[:, None], candidates[:, None], window_average)
        assert retrieval_metrics(*windows) == whole


@pytest.mark.parametrize("seed", range(3))
def test_several_matches_agree_with_torchmetrics(seed):
    generator = np.random.default_rng(seed)
    videos, captions = generator.normal(size=(20, 6)), generator.normal(size=(55, 6))
    video_of_caption = np.concatenate([np.arange(20), generator.integers(20, size=35)])
    cases = {
        "text->video": (captions, videos, video_of_caption, np.arange(20)),
        "video->text": (videos, captions, np.arange(20), video_of_caption),
    }
    for queries, candidates, query_ids, candidate_ids in cases.values():
        ranks = retrieval_ranks(
            queries, candidates, query_ids=query_ids, candidate_ids=candidate_ids
        )
        case = (
            _cosines(queries, candidates),
            query_ids[:, None] == candidate_ids,
        )
        for k in (1, 5, 10):
            recall = _torchmetrics(RetrievalHitRate(top_k=k), *case)
            assert ranks.hits(k).mean() == pytest.approx(recall, abs=1e-6)
        reciprocal = _torchmetrics(RetrievalMRR(), *case)
        assert (1 / ranks.ranks).mean() == pytest.approx(reciprocal, abs=1e-6)


def test_ties_of_several_matches_are_the_mean_over_all_orders():
    generator = np.random.default_rng(0)
    # Candidates in few directions: many are equal.
    queries = np.eye(3)[generator.integers(3, size=12)] + [0.0, 0.1, 0.2]
    candidates = np.eye(3)[generator.integers(3, size=15)]
    query_ids, candidate_ids = np.arange(12) % 5, np.arange(15) % 5
    ranks = retrieval_ranks(
        queries, candidates, query_ids=query_ids, candidate_ids=candidate_ids
    )
    similarities = _cosines(queries, candidates).round(9)
    is_match = query_ids[:, None] == candidate_ids
    drawn = []
    for _ in range(4000):
        order = np.lexsort((generator.random(similarities.shape), -similarities))
        drawn.append(np.take_along_axis(is_match, order, axis=1).argmax(axis=1) + 1)
    drawn = np.array(drawn)
    np.testing.assert_allclose(ranks.ranks, drawn.mean(axis=0), atol=0.15)
    for k in (1, 2, 5):
        expected = (drawn <= k).mean(axis=0)
        np.testing.assert_allclose(ranks.hits(k), expected, atol=0.04)


def test_a_caption_of_two_videos_is_found_first_half_of_the_time():
    videos = np.eye(4)
    captions = np.eye(4)
    captions[1] = captions[0]
    metrics = retrieval_metrics(videos[[0]], captions)
    assert metrics.recall_at_1 == pytest.approx(0.5)
    same = retrieval_metrics(
        videos[[0]], captions, query_ids=[0], candidate_ids=[0, 0, 2, 3]
    )
    assert same.recall_at_1 == 1


def test_ids_may_be_names():
    metrics = retrieval_metrics(
        np.eye(3), np.eye(3)[::-1], query_ids=["a", "b", "c"], candidate_ids=list("cba")
    )
    assert metrics.recall_at_1 == 1


def test_hits_and_ranks_are_those_of_the_metrics():
    ranks = retrieval_ranks(*np.random.default_rng(0).normal(size=(2, 40, 6)))
    metrics = ranks.metrics()
    assert metrics.recall_at_5 == pytest.approx(ranks.hits(5).mean())
    assert metrics.mean_rank == pytest.approx(ranks.ranks.mean())
    np.testing.assert_array_equal(ranks.hits(40), np.ones(40))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window_average": "mean"}, "embedding"),
        ({"query_ids": [0, 1]}, "together"),
        ({"query_ids": [0, 1, 2], "candidate_ids": [0, 1]}, "an id for each"),
        ({"query_ids": [0, 7], "candidate_ids": [0, 1]}, "1 without a match"),
        ({"candidates": np.ones((2, 3))}, "the same size"),
        ({"candidates": np.ones((2, 0, 2))}, "must have shape"),
        ({"candidates": np.full((2, 4, 2), np.inf)}, "must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    given = {"queries": np.eye(2), "candidates": np.eye(2)} | arguments
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(**given)
