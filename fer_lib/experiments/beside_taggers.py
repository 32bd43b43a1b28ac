"""Models beside FER+'s taggers, number by number: accuracy, classes, votes and errors."""

import dataclasses

import numpy as np
import pandas as pd

from fer_lib.data.combine import without
from fer_lib.evaluation import metrics, taggers
from fer_lib.experiments import human
from fer_lib.experiments.cross_dataset import align
from fer_lib.experiments.given import resampled

CROWD = "most of ten FER+ taggers"
_ENDS = ("value", "low", "high")
COLUMNS = ("model", "dataset", "against", "n", "measure", *_ENDS)


def tagger_table(models, loaded, *, resamples=2000, seed=0):
    """Set models beside one FER+ tagger and beside most of the ten.

    Args:
        models: `{name: model}` with `predict(uint8 faces) → probabilities` and `label_set`.
        loaded: `{data set: dict of Faces}`; those whose test faces have votes are scored.
        resamples, seed: As of `metrics.score`.

    Returns:
        `pandas.DataFrame` with the columns `model`, `dataset`, `against`, `n`, `measure`, `value`,
        `low` and `high`. `against` says what an answer is compared with:

        - "labels": the data set's, where the taggers did not make them;
        - "the other nine": most of the taggers but one, on the faces that the data set holds;
        - "the other nine, all faces": also on faces that the data set leaves out, wherever nine
          taggers agree by FER+'s rule (see `taggers.tagger_score`);
        - "all votes".

        Measures are `accuracy`, `macro_f1`, `recall of` each class, `difference` (the model's
        accuracy minus the tagger's on the same faces), `kl_divergence` of the probabilities from
        the votes, and the share of a model's errors whose answer two or three taggers gave. A
        model is scored over the emotions that it shares with the data set.
    """
    rows = []
    for name, parts in loaded.items():
        test = parts["test"]
        votes = human.votes_for(test)
        if votes is None:
            continue
        of_votes = human.by_votes(test, votes)
        scored = _people(test, votes, of_votes, resamples, seed)
        for model, answering in models.items():
            beside = _beside_votes if of_votes else _beside_labels
            scored += [(model, *of) for of in beside(answering, test, resamples, seed)]
        rows += [
            {"model": who, "dataset": name, "against": against} | row
            for who, against, score in scored
            for row in _rows(score)
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _people(test, votes, of_votes, resamples, seed):
    """Return `(who, against, scores)` of one tagger and of most of them."""
    how = {"groups": resampled(test)[0], "resamples": resamples, "seed": seed}
    if of_votes:
        whole, all_votes = _all(test)
        more = how | {"groups": resampled(whole)[0], "majority": True}
        chosen = taggers.tagger_score(all_votes, test.label_set, **more)
        same = taggers.tagger_score(votes, test.label_set, **how)
        return [
            (human.NAME, "the other nine", same),
            (human.NAME, "the other nine, all faces", chosen),
        ]
    most = np.eye(len(test.label_set))[votes[:, : len(test.label_set)].argmax(axis=1)]
    one = taggers.tagger_score(votes, test.label_set, labels=test.classes, **how)
    crowd = metrics.score(test.classes, most, test.label_set, **how)
    return [(human.NAME, "labels", one), (CROWD, "labels", crowd)]


def _all(test):
    """Return all faces of FER-2013's same split, and their votes in the order of a label set."""
    whole = human.all_rows(test)
    labels = np.zeros(len(whole), np.int64)
    whole = dataclasses.replace(whole, labels=labels, label_set=test.label_set)
    return whole, human.votes_for(whole)


def _answers(model, faces):
    answers = np.asarray(model.predict(faces.images))
    return align(answers, model.label_set, faces.label_set)[0]


def _beside_labels(model, test, resamples, seed):
    """Yield `(against, scores)` of a model on faces whose labels are not the taggers'."""
    test = _known(model, test)
    votes, answers = human.votes_for(test), _answers(model, test)
    how = {"groups": resampled(test)[0], "resamples": resamples, "seed": seed}
    score = metrics.score(test.classes, answers, test.label_set, **how)
    yield "labels", score | _accepted(votes, answers, test, how)


def _beside_votes(model, test, resamples, seed):
    """Yield `(against, scores)` of a model on faces whose labels are what most votes say."""
    test = _known(model, test)
    votes, answers = human.votes_for(test), _answers(model, test)
    how = {"groups": resampled(test)[0], "resamples": resamples, "seed": seed}
    yield "the other nine", taggers.model_score(votes, answers, test.label_set, **how)
    whole, all_votes = _all(test)
    more = how | {"groups": resampled(whole)[0], "majority": True}
    all_answers = _answers(model, whole)
    told = taggers.model_score(all_votes, all_answers, test.label_set, **more)
    yield "the other nine, all faces", told
    counted = np.where(votes > 1, votes, 0)[:, : len(test.label_set)]
    targets = counted / counted.sum(axis=1, keepdims=True)
    score = metrics.score(test.classes, answers, test.label_set, targets=targets, **how)
    kept = {name: score[name] for name in ("n", "kl_divergence")}
    yield "all votes", kept | _accepted(votes, answers, test, how)


def _known(model, test):
    unknown = [emotion for emotion in test.label_set if emotion not in model.label_set]
    return without({"test": test}, unknown)["test"]


def _accepted(votes, answers, test, how):
    answers = answers.argmax(axis=1)
    return {
        f"errors that {least} taggers accept": taggers.accepted_errors(
            votes, answers, test.classes, least=least, **how
        )
        for least in (2, 3)
    }


def _rows(score):
    """Return a row for each number that has an interval."""
    shown = ("accuracy", "macro_f1", "difference", "kl_divergence")
    measures = [name for name in score if name in shown or name.startswith("errors")]
    rows = [_row(name, score[name].get("errors", score["n"]), score[name]) for name in measures]
    for emotion, of in score.get("per_class", {}).items():
        ends = dict(zip(_ENDS, (of["recall"], of["recall_low"], of["recall_high"]), strict=True))
        rows.append(_row(f"recall of {emotion}", of["n"], ends))
    return rows


def _row(measure, n, told):
    return {"n": round(n, 1), "measure": measure} | {end: told[end] for end in _ENDS}
