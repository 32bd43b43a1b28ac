"""REFORMS: the checklist for science by machine learning, filled in as far as a run can.

Kapoor et al., REFORMS: Consensus-based Recommendations for Machine-learning-based Science, Science
Advances 10, 2024, doi:10.1126/sciadv.adk3452: 32 items in eight modules, numbered as there. The
items are given in short here; their full wording is in table 1 of the paper. What a run does not
know is left as a question to its author.
"""

from fer_lib import storage
from fer_lib.audit import report
from fer_lib.data import catalogue
from fer_lib.evaluation import bootstrap
from fer_lib.experiments import model_card, published

TO_ANSWER = "**To answer.**"
MODULES = {
    "1": "Study goals",
    "2": "Computational reproducibility",
    "3": "Data quality",
    "4": "Data preprocessing",
    "5": "Modeling",
    "6": "Data leakage",
    "7": "Metrics and uncertainty",
    "8": "Generalizability and limitations",
}
# The items in short, with the question to the author where a run has no answer.
ITEMS = {
    "1a": ("population or distribution of the claim", "Whose faces, in what situations, is it of?"),
    "1b": ("why this population", "Why these people and situations?"),
    "1c": ("why machine learning", "Why a classifier, and not people who rate the faces?"),
    "2a": ("data set, with a link or DOI", "Which version of the data, and where is it?"),
    "2b": ("code and its version, with a link or DOI", "Where is the code, at which commit?"),
    "2c": ("computing infrastructure", "On which machine did it run?"),
    "2d": ("README with instructions", "Which file tells a reader how to get the results?"),
    "2e": ("script that produces all results", "Which command makes every number and figure?"),
    "3a": ("sources of the data, when collected, how annotated", "Who labelled what, and when?"),
    "3b": ("sampling frame", "From which set were the faces drawn?"),
    "3c": ("why the data suits the task", "Why do these faces and labels suit the question?"),
    "3d": ("outcome variable and its definition", "What does a label mean: shown, felt or seen?"),
    "3e": ("sample size and outcome frequencies", "How many faces has each class?"),
    "3f": ("missing data by class", "How many faces or labels are missing in each class?"),
    "3g": ("why the data represents the population of 1a", "Who is missing in the data?"),
    "4a": ("samples excluded, and why", "Which faces were left out, and why?"),
    "4b": ("impossible or corrupt samples", "What was done with pictures that are no faces?"),
    "4c": ("all transformations of the raw data", "How were faces found, cut out and scaled?"),
    "5a": ("all models trained", "Which other models were trained, and what did they score?"),
    "5b": ("why these models", "Why this network?"),
    "5c": ("method of evaluation, with the splits", "How were the faces split?"),
    "5d": ("method of selecting the model", "How was the reported model chosen among others?"),
    "5e": ("hyperparameter tuning", "Which parameters were tried, on which faces?"),
    "5f": ("appropriate baselines", "Which other models were tuned as carefully?"),
    "6a": ("only training data in preprocessing and modelling", "Did any step see test faces?"),
    "6b": ("dependencies and duplicates between train and test", "Are people in two splits?"),
    "6c": ("each input is legitimate", "What but the face could tell the class?"),
    "7a": ("metrics, and why they suit the task", "Why does this metric suit the question?"),
    "7b": ("uncertainty estimates and how they are made", "How were the intervals made?"),
    "7c": ("statistical tests and their assumptions", "Which tests were made, of which claims?"),
    "8a": ("evidence of external validity", "What does it score on other data sets?"),
    "8b": ("contexts where the findings may not hold", "Where must nobody rely on this?"),
}

# Items to which a run's files are the whole answer.
_WHOLE = ("2c", "3e", "7b")


def checklist(run, findings=()):
    """Return the checklist as Markdown.

    Args:
        run: A finished `Run`.
        findings: List of `Finding` of its audit (`report.audit_run`).

    Returns:
        Text with a heading for each module and an entry for each item: what the run tells, with
        the file that proves it, and what is left to answer.
    """
    answers = _answers(run, {finding.check: finding for finding in findings})
    lines = [
        f"# REFORMS checklist of {published.public_name(run)}",
        "",
        "Kapoor et al. 2024, doi:10.1126/sciadv.adk3452. Items are in short; the full wording is "
        "in table 1 of the paper.",
        "",
        f"The run tells something of {len(answers)} of the {len(ITEMS)} items. This is no "
        f"judgement that they are met: read it, and answer what is marked {TO_ANSWER}",
    ]
    for number, title in MODULES.items():
        lines += ["", f"## {number}. {title}"]
        for item, (text, question) in ITEMS.items():
            if item[0] == number:
                lines += ["", f"**{item}. {text[0].upper()}{text[1:]}**", ""]
                lines += [f"- {sentence}" for sentence in answers.get(item, ())]
                if item not in answers or item not in _WHOLE:
                    lines.append(f"- {TO_ANSWER} {question}")
    return "\n".join([*lines, ""])


def write(run, findings, path):
    """Write `checklist` to a file, whole or not at all."""
    with storage.replacing(path) as temporary:
        temporary.write_text(checklist(run, findings), encoding="utf-8")


def _answers(run, found):
    """Return `{item: sentences}` of the items that the run tells something of."""
    experiment, scores, environment = run.experiment, run.scores, run.environment
    public = published.without_places(experiment)
    card = catalogue.DATASETS[public.dataset].card if public.dataset in catalogue.DATASETS else None
    data, test = environment.get("data", {}), scores["test"]
    answers = {
        "2a": [
            f"{split}: {of['name']}, {of['n']:,} faces, SHA-256 {of['sha256']} (environment.json)."
            for split, of in data.items()
            if {"name", "n", "sha256"} <= of.keys()
        ],
        "2b": _code(environment),
        "2c": _machine(environment),
        "2e": [f"The run: `{model_card.command(public)}`"],
        "3d": [f"One of {len(run.label_set)} emotions: {', '.join(run.label_set)}."],
        "3e": [
            f"Test: {test['n']:,} faces: "
            + ", ".join(f"{name} {of['n']:,}" for name, of in test["per_class"].items())
            + "."
        ],
        "4a": _of(found, "scored faces"),
        "4c": [
            f"The network scales pictures to {experiment.image_size} pixels itself; those of "
            f"training are changed at random (augmentation: {experiment.augmentation})."
        ],
        "5a": [
            f"{experiment.backbone}, width {experiment.alpha}, {experiment.unfreeze!r} trained, "
            f"started from {scores.get('weights', 'an unknown start')} (experiment.json).",
            *_of(found, "start and teachers"),
        ],
        "5c": [
            f"Fitted on {data.get('train', {}).get('name', 'train')}, reported on "
            f"{scores['test_name']}.",
            *_of(found, "scored faces", "evaluation rows"),
        ],
        "5d": _of(found, "selection of the epoch", "epoch", "seeds"),
        "5e": _of(found, "looks at test"),
        "5f": _of(found, "class collapse", "difference"),
        "6a": _of(found, "evaluation rows", "start and teachers", "selection of the epoch"),
        "6b": _of(
            found,
            "identical images",
            "near-duplicates",
            "score without duplicates",
            "subjects or sequences",
            "people",
            "score without known people",
        ),
        "6c": [found[name].sentence for name in found if name.startswith("shortcut")],
        "7a": [
            "Accuracy "
            + bootstrap.in_words(test["accuracy"])
            + ", macro-F1 "
            + bootstrap.in_words(test["macro_f1"])
            + f"; the epoch was chosen by {scores.get('selected_by', 'nothing recorded')}.",
            *_of(found, "macro-F1"),
        ],
        "7b": [_intervals(test), *_of(found, "seeds")],
        "7c": _of(found, "difference"),
    }
    if card is not None:
        answers["2a"].append(f"Source: {card.source}.")
        answers["3a"] = [f"{card.title}.", f"Citation: {card.citation}.", f"Notes: {card.notes}."]
        answers["4b"] = _of(found, "label conflicts")
    return {item: told for item, told in answers.items() if told}


def _of(found, *names):
    return [found[name].sentence for name in names if name in found]


def _code(environment):
    git, packages = environment.get("git"), environment.get("packages", {})
    told = [f"fer_lib at commit {git['commit']}."] if git else []
    versions = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
    return told + ([f"Packages: {versions} (environment.json)."] if versions else [])


def _machine(environment):
    known = {k: v for k, v in environment.items() if k not in ("data", "git", "packages", "files")}
    plain = {k: v for k, v in known.items() if isinstance(v, str | int | float) and v != ""}
    return [", ".join(f"{name}: {value}" for name, value in plain.items()) + "."] if plain else []


def _intervals(test):
    over = f"{test['groups']:,} groups of faces" if "groups" in test else "faces"
    return (
        f"{test['confidence']:.0%} percentile bootstrap intervals, {test['resamples']:,} resamples "
        f"of {over}. They hold nothing of the spread between seeds."
    )


def of_folder(folder, path):
    """Audit a run and write its checklist.

    Args:
        folder: Folder of a finished run.
        path: Markdown file.

    Returns:
        The findings of the audit.

    Raises:
        ValueError: If the folder holds no finished run.
    """
    from fer_lib.experiments.runs import load_run

    run = load_run(folder)
    findings = report.audit_run(run)
    write(run, findings, path)
    return findings
