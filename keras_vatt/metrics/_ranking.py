"""Retrieval metrics: ranks of the matches of queries, with ties and windows."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from keras_vatt._choices import check_choice

_CHUNK = 1024
# Products of equal embeddings may differ by rounding, depending on their row.
_TIE = 1e-9
_WINDOW_AVERAGES = ("embedding", "similarity")


@dataclasses.dataclass(frozen=True)
class RetrievalMetrics:
    """Metrics of the ranks of the matches of queries among the candidates.

    Args:
        num_queries: int. Number of queries.
        num_candidates: int. Number of candidates that each query is compared with.
        recall_at_1: float. Fraction of queries whose match has rank 1.
        recall_at_5: float. Fraction of queries whose match is among the first 5.
        recall_at_10: float. Fraction of queries whose match is among the first 10.
        median_rank: float. Median rank of the match; 1 is the best.
        mean_rank: float. Mean rank of the match.
    """

    num_queries: int
    num_candidates: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    mean_rank: float


@dataclasses.dataclass(frozen=True, eq=False)
class RetrievalRanks:
    """Ranks of the best match of each query among the candidates.

    Candidates that are as similar as the best match are in random order.

    Args:
        num_candidates: int. Number of candidates.
        ahead: int array of shape `(queries,)`. Number of candidates that are more
            similar than the best match.
        tied: int array of shape `(queries,)`. Number of wrong candidates that are as
            similar as the best match.
        matches: int array of shape `(queries,)`. Number of matches that are as similar
            as the best match, including itself.
    """

    num_candidates: int
    ahead: np.ndarray
    tied: np.ndarray
    matches: np.ndarray

    @property
    def ranks(self) -> np.ndarray:
        """float64 array of the expected ranks, shape `(queries,)`; 1 is the best."""
        return self.ahead + 1 + self.tied / (self.matches + 1)

    def hits(self, k: int) -> np.ndarray:
        """Computes the probability that a match of a query is among the first `k`.

        Args:
            k: int.

        Returns:
            float64 array of shape `(queries,)`, whose mean is the recall at `k`.
        """
        # Draw `k - ahead` of the tied candidates: none of them is a match ...
        missed = np.ones(len(self.ahead))
        for drawn in range(k):
            left = self.tied + self.matches - drawn
            wrong = np.clip(self.tied - drawn, 0, None) / np.maximum(left, 1)
            missed *= np.where(drawn < k - self.ahead, wrong, 1.0)
        return 1 - missed

    def metrics(self) -> RetrievalMetrics:
        """Computes the `RetrievalMetrics` of all queries."""
        return RetrievalMetrics(
            num_queries=len(self.ahead),
            num_candidates=self.num_candidates,
            recall_at_1=float(self.hits(1).mean()),
            recall_at_5=float(self.hits(5).mean()),
            recall_at_10=float(self.hits(10).mean()),
            median_rank=float(np.median(self.ranks)),
            mean_rank=float(self.ranks.mean()),
        )


def retrieval_metrics(
    queries: ArrayLike,
    candidates: ArrayLike,
    window_average: Literal["embedding", "similarity"] = "embedding",
    query_ids: ArrayLike | None = None,
    candidate_ids: ArrayLike | None = None,
) -> RetrievalMetrics:
    """Computes retrieval metrics by cosine similarity.

    Query `i` matches candidate `i`, unless ids are given. Candidates that are as
    similar as the match (within 1e-9) are in random order, and recalls and ranks are
    expected values. (In order of their indices, as argsort does it, a collapsed model
    would look perfect.) So of two clips with the same caption, either comes first with
    a probability of one half.

    Args:
        queries: float array of shape `(queries, dim)`, or `(queries, windows, dim)`.
        candidates: float array of shape `(candidates, dim)`, at least as many, or
            `(candidates, windows, dim)`.
        window_average: string. `"embedding"` averages the embeddings of the windows
            and compares the means (`embd` in the original code); `"similarity"`
            averages the cosine similarities of all windows (`cosine` there). Defaults
            to `"embedding"`.
        query_ids: int or string array of shape `(queries,)`. A query matches every
            candidate with the same id, and the rank is that of the best match; this is
            for several captions per video. Defaults to `None`.
        candidate_ids: int or string array of shape `(candidates,)`; `None` if
            `query_ids` is. Defaults to `None`.

    Returns:
        `RetrievalMetrics`.

    Raises:
        ValueError: if the shapes don't match, there is no query, a query has no match,
            or a number is not finite.

    Example:
    ```python
    import numpy as np

    from keras_vatt.metrics import retrieval_metrics

    embeddings = np.eye(20)
    retrieval_metrics(embeddings, embeddings).recall_at_1  # 1.0

    # Two captions for each of ten videos.
    videos = np.arange(20) // 2
    retrieval_metrics(
        embeddings, embeddings[::2], query_ids=videos, candidate_ids=np.arange(10)
    ).recall_at_1  # 0.55: the second captions match nothing
    ```
    """
    return retrieval_ranks(
        queries, candidates, window_average, query_ids, candidate_ids
    ).metrics()


def retrieval_ranks(
    queries: ArrayLike,
    candidates: ArrayLike,
    window_average: Literal["embedding", "similarity"] = "embedding",
    query_ids: ArrayLike | None = None,
    candidate_ids: ArrayLike | None = None,
) -> RetrievalRanks:
    """Computes the rank of the match of each query; see also `retrieval_metrics`.

    Args:
        queries: see `retrieval_metrics`.
        candidates: see `retrieval_metrics`.
        window_average: see `retrieval_metrics`.
        query_ids: see `retrieval_metrics`.
        candidate_ids: see `retrieval_metrics`.

    Returns:
        `RetrievalRanks`.

    Raises:
        ValueError: see `retrieval_metrics`.

    Example:
    ```python
    import numpy as np

    from keras_vatt.metrics import retrieval_ranks

    ranks = retrieval_ranks(np.eye(3), np.eye(3)[[0, 2, 1]])
    ranks.ranks  # [1, 2.5, 2.5]
    ranks.hits(1)  # [1, 0, 0]
    ```
    """
    queries = _joined_windows(queries, "queries", window_average)
    candidates = _joined_windows(candidates, "candidates", window_average)
    if queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            "The embeddings of queries and candidates must have the same size. "
            f"Received: {queries.shape[1]} and {candidates.shape[1]}"
        )
    query_ids, candidate_ids = _checked_ids(
        query_ids, candidate_ids, len(queries), len(candidates)
    )
    chunks = [
        _compare(
            queries[start : start + _CHUNK] @ candidates.T,
            query_ids[start : start + _CHUNK, None] == candidate_ids,
        )
        for start in range(0, len(queries), _CHUNK)
    ]
    ahead, tied, matches = (np.concatenate(c) for c in zip(*chunks, strict=True))
    return RetrievalRanks(len(candidates), ahead, tied, matches)


def _compare(similarities, is_match):
    best = np.where(is_match, similarities, -np.inf).max(axis=1, keepdims=True)
    as_good = np.abs(similarities - best) <= _TIE
    return (
        (similarities > best + _TIE).sum(axis=1),
        (as_good & ~is_match).sum(axis=1),
        (as_good & is_match).sum(axis=1),
    )


def _joined_windows(embeddings, name, window_average):
    """Computes one vector per clip, whose dot products are the similarities."""
    check_choice("window_average", window_average, _WINDOW_AVERAGES)
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim == 2:
        embeddings = embeddings[:, None]
    if embeddings.ndim != 3 or 0 in embeddings.shape[1:]:
        raise ValueError(
            f"`{name}` must have shape `(clips, dim)` or `(clips, windows, dim)`. "
            f"Received shape: {embeddings.shape}"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError(f"`{name}` must be finite. Received a NaN or infinity.")
    if window_average == "embedding":
        return _unit(embeddings.mean(axis=1))
    # The mean of the cosines of all windows is the product of the mean unit vectors.
    return _unit(embeddings).mean(axis=1)


def _unit(vectors):
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)


def _checked_ids(query_ids, candidate_ids, num_queries, num_candidates):
    if (query_ids is None) != (candidate_ids is None):
        raise ValueError("`query_ids` and `candidate_ids` must be given together.")
    if query_ids is None:
        if not 0 < num_queries <= num_candidates:
            raise ValueError(
                "There must be at least one query, and a candidate for each. "
                f"Received: {num_queries} queries, {num_candidates} candidates"
            )
        return np.arange(num_queries), np.arange(num_candidates)
    query_ids, candidate_ids = np.asarray(query_ids), np.asarray(candidate_ids)
    if query_ids.shape != (num_queries,) or candidate_ids.shape != (num_candidates,):
        raise ValueError(
            "There must be an id for each query and each candidate. Received shapes: "
            f"{query_ids.shape} for {num_queries} queries, {candidate_ids.shape} for "
            f"{num_candidates} candidates"
        )
    without = query_ids[~np.isin(query_ids, candidate_ids)]
    if without.size or not num_queries:
        raise ValueError(
            "There must be at least one query, and each must have a match. Received: "
            f"{num_queries} queries, {without.size} without a match {without[:1]}"
        )
    return query_ids, candidate_ids
