"""Significance: what may be luck is told from what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fer_lib.evaluation.significance import holm, mcnemar


def answers(only_first, only_second, both=10):
    """Labels and two classifiers of which so many faces only one gets right."""
    labels = np.zeros(only_first + only_second + both, int)
    first, second = labels.copy(), labels.copy()
    second[:only_first] = 1
    first[only_first : only_first + only_second] = 1
    return labels, np.eye(2)[first], np.eye(2)[second]


def test_few_discordant_faces_are_tested_exactly():
    p, only_first, only_second = mcnemar(*answers(9, 2))
    assert (only_first, only_second) == (9, 2)
    assert p == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert mcnemar(*answers(0, 0)) == (1.0, 0, 0)


def test_many_discordant_faces_are_tested_by_the_corrected_chi_square():
    # The example of Dietterich's statistic: (|40 - 20| - 1)^2 / 60 = 6.0167, one degree of freedom.
    p, *_ = mcnemar(*answers(40, 20))
    assert p == pytest.approx(0.01417, abs=1e-5)
    assert p == pytest.approx(binomtest(40, 60).pvalue, rel=0.1)
    assert mcnemar(*answers(20, 40))[0] == p
    assert mcnemar(*answers(30, 30))[0] == 1.0


def test_answers_are_exchanged_by_whole_groups():
    faces = answers(40, 20)
    alone = mcnemar(*faces, groups=np.arange(70))
    assert alone[0] == pytest.approx(binomtest(40, 60).pvalue) and alone[1:] == (40, 20)
    copies = [np.repeat(part, 3, axis=0) for part in faces]
    p, *only = mcnemar(*copies, groups=np.repeat(np.arange(70), 3))
    assert p == pytest.approx(alone[0]) and only == [120, 60]
    assert mcnemar(*copies)[0] < 0.001 < p  # taken for 210 faces
    assert mcnemar(*faces, groups=np.zeros(70))[0] == 1.0  # one person tells nothing
    # Two people, by hand: gains 3 and 1 reach 4 in two of four ways.
    labels, first, second = answers(4, 0, both=0)
    assert mcnemar(labels, first, second, groups=[0, 0, 0, 1])[0] == 0.5


def test_mcnemar_refuses_faces_that_do_not_match():
    labels, first, second = answers(3, 2)
    with pytest.raises(ValueError, match=r"got \(15,\) and \(14, 2\)"):
        mcnemar(labels, first, second[1:])


def test_holm_s_correction_by_hand():
    corrected = holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_lies_between_none_and_bonferroni(p_values):
    corrected = holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(np.array(p_values) * len(p_values), 1)).all()
    assert (np.diff(corrected[np.argsort(p_values, kind="stable")]) >= 0).all()
