"""What the answers mean, how often they are wrong, and where such use is restricted."""

from pathlib import Path

from fer_lib import storage
from fer_lib.inference.predictor import PREDICTORS, sidecar

MEANING = """\
What is named here is the **apparent expression** of a face: the class of {labels} that the model
finds most likely in the pixels. It is **not what a person feels**: expressions are posed, hidden,
cultural and ambiguous, and people who named the faces of FER-2013 agreed with its labels in about
two of three cases. A probability says how sure the model is, not how strong the expression is.
"""
RESTRICTIONS = """\
### Where such use is restricted
In the European Union, inferring emotions of people **at work or in education** from their faces is
prohibited, except for medical or safety reasons (AI Act, Regulation (EU) 2024/1689, Article
5(1)(f)); elsewhere it counts as high-risk (Annex III), and the people concerned must be told
(Article 50(3)). Faces are personal data, in many countries biometric data: ask the people first.
Do not use this to decide about anybody: not on hiring, marks, credit, policing, care or guilt.
"""


def describe_errors(scores):
    """Return, as Markdown, how often a model is wrong per class.

    Args:
        scores: Dict with `test_name` and `test` (`metrics.score`), or `None`.
    """
    if scores is None:
        return (
            "**How often it is wrong** is not known for this model file; the scores lie in the "
            "folder of the run that it came from (open the page with that folder)."
        )
    test = scores["test"]
    lines = [
        f"**How often it is wrong**, on {test['n']:,} faces of {scores['test_name']} that it had "
        f"not learnt: {1 - test['accuracy']['value']:.0%} of all answers.",
        "",
        "| expression | faces of it that it misses | answers of it that are wrong |",
        "|---|--:|--:|",
    ]
    lines += [
        f"| {name} | {1 - of['recall']:.0%} | {1 - of['precision']:.0%} |"
        for name, of in test["per_class"].items()
    ]
    return "\n".join(lines)


def read_scores(model):
    """Return the scores of a run's folder, of a file in one or of a shipped model.

    Args:
        model: What `load_predictor` takes.

    Returns:
        Dict with `test_name` and `test`, or `None` where the scores are not known.
    """
    path = Path(PREDICTORS.get(model, model))
    folder = path if path.is_dir() else path.parent
    for file in (sidecar(path), folder / "scores.json"):
        if file.is_file() and "test" in (scores := storage.read_json(file)):
            return scores
    return None
