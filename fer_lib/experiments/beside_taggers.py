"""Models beside FER+'s taggers, number by number: accuracy, classes, votes and errors."""

import dataclasses
import typing

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
        test = _voted_on(parts["test"])
        if test.votes is None:
            continue
        whole = _whole(test) if human.by_votes(test.faces, test.votes) else None
        scored = _people(test, whole, resamples, seed)
        for model, answering in models.items():
            told = _beside(answering, test, whole, resamples, seed)
            scored += [(model, *of) for of in told]
        rows += [
            {"model": who, "dataset": name, "against": against} | row
            for who, against, score in scored
            for row in _rows(score)
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


class _Voted(typing.NamedTuple):
    """Faces, their votes (those for the label set first) and the groups to resample."""

    faces: object
    votes: object
    groups: object


def _voted_on(faces):
    return _Voted(faces, human.votes_for(faces), resampled(faces)[0])


def _whole(test):
    """Return all faces of FER-2013's same split, which have no labels but the votes."""
    whole = human.all_rows(test.faces)
    labels, label_set = np.zeros(len(whole), np.int64), test.faces.label_set
    return _voted_on(dataclasses.replace(whole, labels=labels, label_set=label_set))


def _known_to(model, test):
    """Return the faces of the emotions that a model knows; votes for others stand behind."""
    faces = test.faces
    unknown = [emotion for emotion in faces.label_set if emotion not in model.label_set]
    rows = ~np.isin(faces.classes, [faces.label_set.index(emotion) for emotion in unknown])
    kept = without({"test": faces}, unknown)["test"]
    groups = None if test.groups is None else test.groups[rows]
    return _Voted(kept, _ordered(test, kept.label_set)[rows], groups)


def _ordered(test, label_set):
    """Return the votes with those for a label set's emotions in its order before the others."""
    first = [test.faces.label_set.index(emotion) for emotion in label_set]
    return test.votes[:, first + [n for n in range(test.votes.shape[1]) if n not in first]]


def _people(test, whole, resamples, seed):
    """Return `(who, against, scores)` of one tagger and of most of them."""
    faces, votes, groups = test
    how = {"groups": groups, "resamples": resamples, "seed": seed}
    if whole is not None:
        more = how | {"groups": whole.groups, "majority": True}
        return [
            (human.NAME, "the other nine", taggers.tagger_score(votes, faces.label_set, **how)),
            (
                human.NAME,
                "the other nine, all faces",
                taggers.tagger_score(whole.votes, faces.label_set, **more),
            ),
        ]
    most = np.eye(len(faces.label_set))[votes[:, : len(faces.label_set)].argmax(axis=1)]
    one = taggers.tagger_score(votes, faces.label_set, labels=faces.classes, **how)
    crowd = metrics.score(faces.classes, most, faces.label_set, **how)
    return [(human.NAME, "labels", one), (CROWD, "labels", crowd)]


def _answers(model, faces, label_set):
    answers = np.asarray(model.predict(faces.images))
    return align(answers, model.label_set, label_set)[0]


def _beside(model, test, whole, resamples, seed):
    """Yield `(against, scores)` of a model on faces, and on all of them where votes label them."""
    faces, votes, groups = _known_to(model, test)
    answers, label_set = _answers(model, faces, faces.label_set), faces.label_set
    how = {"groups": groups, "resamples": resamples, "seed": seed}
    if whole is None:
        score = metrics.score(faces.classes, answers, label_set, **how)
        yield "labels", score | _accepted(votes, answers, faces, how)
        return
    yield "the other nine", taggers.model_score(votes, answers, label_set, **how)
    more = how | {"groups": whole.groups, "majority": True}
    all_votes, all_answers = _ordered(whole, label_set), _answers(model, whole.faces, label_set)
    told = taggers.model_score(all_votes, all_answers, label_set, **more)
    yield "the other nine, all faces", told
    counted = np.where(votes > 1, votes, 0)[:, : len(label_set)]
    targets = counted / counted.sum(axis=1, keepdims=True)
    score = metrics.score(faces.classes, answers, label_set, targets=targets, **how)
    kept = {name: score[name] for name in ("n", "kl_divergence")}
    yield "all votes", kept | _accepted(votes, answers, faces, how)


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
