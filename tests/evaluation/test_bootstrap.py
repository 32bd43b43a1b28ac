"""bootstrap: the quick draws are those of resampled faces."""

import numpy as np
import pytest

from fer_lib.evaluation import bootstrap


def test_many_resamples_of_many_faces_come_in_blocks_that_cover_all():
    values = np.arange(400_000.0)
    drawn = bootstrap.resample_means([values, -values], 5, seed=0)
    assert drawn[0] == pytest.approx(np.full(5, values.mean()), rel=0.01)
    assert len(set(drawn[0])) == 5
    assert (drawn[1] == -drawn[0]).all()


def test_sums_in_bins_are_of_the_faces_whose_means_are_drawn(rng):
    values, bins = rng.normal(size=300), rng.integers(4, size=300)
    sums = bootstrap.resample_sums(values, bins, 5, 5000, seed=1)
    assert sums.shape == (5000, 5) and not sums[:, 4].any()
    (means,) = bootstrap.resample_means([values], 5000, seed=1)
    assert sums.sum(axis=1) / 300 == pytest.approx(means)
    expected = [values[bins == number].sum() for number in range(4)]
    assert sums[:, :4].mean(axis=0) == pytest.approx(expected, abs=4 * sums.std() / 5000**0.5)


def test_counts_keep_their_shape_sum_and_empty_cells():
    counts = np.array([[[3, 0], [5, 2]], [[0, 0], [1, 9]]])
    drawn = bootstrap.resample_counts(counts, 2000, seed=0)
    assert drawn.shape == (2000, 2, 2, 2)
    assert (drawn.sum(axis=(1, 2, 3)) == 20).all()
    assert not drawn[:, counts == 0].any()
    assert drawn.mean(axis=0) == pytest.approx(counts, abs=0.3)


def test_any_metric_can_be_resampled():
    labels, probabilities = np.array([0, 1, 1, 1]), np.eye(2)[[0, 1, 1, 1]]
    drawn = bootstrap.resample_rows(lambda of, p: (of == 0).mean(), labels, probabilities, 4000, 0)
    assert drawn.mean() == pytest.approx(0.25, abs=0.02)
    assert set(drawn) <= {0, 0.25, 0.5, 0.75, 1}


def test_an_interval_cuts_both_tails():
    drawn = np.arange(1001.0)
    interval = bootstrap.interval(7.0, drawn, 0.9)
    assert interval == pytest.approx({"value": 7.0, "low": 50.0, "high": 950.0})
