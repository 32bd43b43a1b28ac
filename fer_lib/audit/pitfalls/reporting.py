"""Traps of the report: the wrong metric, the epoch chosen on test, the best of several seeds."""

import numpy as np

from fer_lib.audit import noise_checks
from fer_lib.audit.pitfalls.pitfall import Pitfall, over_faces, over_seeds
from fer_lib.audit.score_checks import reported_accuracy, selection
from fer_lib.evaluation.bootstrap import in_words


def binary_accuracy(training):
    """Replay binary accuracy reported for a softmax over several classes.

    It asks of each class "is it this one?", with 0.5 for yes, and most right answers are no.

    Args:
        training: A `Training` of `train_seeds`.
    """
    faces = training.faces["test"]
    answers = training.probabilities["test"][training.best("validation")]
    truth = np.arange(len(faces.label_set)) == faces.classes[:, None]
    binary = ((answers > 0.5) == truth).mean(axis=1)
    scores = {
        "binary accuracy": over_faces(binary),
        "binary, always answering no": over_faces((~truth).mean(axis=1)),
        "accuracy": over_faces(answers.argmax(axis=1) == faces.classes),
    }
    value = scores["binary accuracy"]["accuracy"]["value"]
    check = reported_accuracy(value, faces.classes, answers, "scores.json")
    return Pitfall(
        f"binary accuracy of a {len(faces.label_set)}-class softmax",
        scores,
        "binary accuracy",
        "accuracy",
        "keras.metrics.CategoricalAccuracy, or metrics.score",
        [check],
        f"One network, the same {len(faces):,} answers.",
    )


def epoch_chosen_on_test(trainings):
    """Replay the choice of the epoch on the set that is reported.

    Args:
        trainings: List of `Training` of `train_seeds`, at least 2.
    """
    import pandas as pd

    rows = []
    for seed, training in enumerate(trainings):
        accuracy = training.right("test").mean(axis=1)
        by_test, by_validation = training.best("test"), training.best("validation")
        rows.append(
            (seed, by_test + 1, by_validation + 1, accuracy[by_test], accuracy[by_validation])
        )
    columns = ["seed", "epoch by test", "epoch by validation", "best on test", "honest"]
    table = pd.DataFrame(rows, columns=columns)
    gap = over_seeds(table["best on test"] - table["honest"])
    scores = {
        "epoch chosen on test": over_seeds(table["best on test"]),
        "epoch chosen on validation": over_seeds(table["honest"]),
    }
    test, answers = trainings[0].faces["test"], trainings[0].probabilities["test"]
    answers = answers[trainings[0].best("test")]
    predictions = {"ids": test.ids, "probabilities": answers}
    predictions |= {f"validation_{name}": values for name, values in predictions.items()}
    names = {"test_name": test.name, "validation_name": test.name, "selected_by": "val_accuracy"}
    return Pitfall(
        "picking the epoch on the test set",
        scores,
        *scores,
        "choose on validation faces (training.fit), look at test once",
        [selection(names, predictions)],
        f"Mean and 95 % interval over {len(trainings)} seeds; the gap is "
        f"{in_words(gap['accuracy'])}.",
        table.set_index("seed"),
    )


def one_seed(trainings):
    """Replay the report of the best seed.

    Args:
        trainings: List of `Training` of `train_seeds`, at least 2.
    """
    rights = [training.right("test")[training.best("validation")] for training in trainings]
    values = [float(right.mean()) for right in rights]
    best, mean = int(np.argmax(values)), f"mean of {len(values)} seeds"
    scores = {f"seed {seed}": over_faces(right) for seed, right in enumerate(rights)}
    scores[mean] = over_seeds(values)
    return Pitfall(
        "one seed, the best one",
        scores,
        f"seed {best}",
        mean,
        "repeat with other seeds and report mean and spread (sweep seeds=0,1,2)",
        [noise_checks.seeds({best: values[best]})],
        f"Standard deviation over seeds {np.std(values, ddof=1):.4f}. The interval of a seed is of "
        "the test faces, that of the mean of the seeds.",
    )
