"""Whom a run fails: its answers by what a table says of the people on the pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib.choices import lookup
from fer_lib.evaluation import by_group
from fer_lib.evaluation.bootstrap import in_words

# RAF-DB's codes, from its readme: three lines below the landmarks in each *_manu_attri.txt.
_RAFDB = {
    "gender": ("male", "female", ""),  # the last is unsure
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70 and over"),
}
_RAFDB_FILES = "*_manu_attri.txt"
UNKNOWN = (
    "Not known. {data} does not say who is on its pictures. So nothing is known of how the model "
    "does for women and men, for children and old people, or for people of different skin "
    "colours. Nothing is guessed from the pictures here. Where a table tells it, "
    "`python -m fer_lib audit RUN --people TABLE` scores each group."
)


def read_people(path, ids):
    """Read what is known of the people on pictures.

    Args:
        path: CSV file with a column that holds the ids of the faces (rows or file names), and a
            column for each thing that is known; or RAF-DB's folder `Annotation/manual`.
        ids: Array of shape `(n,)`, such as `Faces.ids`.

    Returns:
        `pandas.DataFrame` of text with n rows, in the order of the ids, a column for each thing.
        Cells are empty where a face is not in the table.

    Raises:
        ValueError: If no column holds the ids, an id stands twice, or a file of RAF-DB is bad.
        FileNotFoundError: If there is nothing at the path.
    """
    path = Path(path)
    if path.is_dir():
        table, keys = _read_rafdb(path), [_rafdb_key(str(name)) for name in ids]
    else:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table, keys = _indexed(table, ids, path)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise ValueError(f"Each face must stand once in {path}; {twice!r} stands twice.")
    return table.reindex(keys).fillna("").reset_index(drop=True)


def _indexed(table, ids, path):
    """Return the table with the ids as index, and the ids as they stand there."""
    whole = [str(name) for name in ids]
    for keys in (whole, [Path(name).name for name in whole]):
        shares = {column: np.isin(keys, table[column]).mean() for column in table}
        best = max(shares, key=shares.get, default=None)
        if best is not None and shares[best] > 0.5:
            return table.set_index(best), keys
    raise ValueError(
        f"A column of {path} must hold the ids of the faces, such as {whole[0]!r}; its columns "
        f"are {', '.join(table)}."
    )


def _read_rafdb(folder):
    files = sorted(folder.glob(_RAFDB_FILES))
    if not files:
        raise FileNotFoundError(f"{folder} holds no {_RAFDB_FILES}, as RAF-DB's folder does.")
    rows = {}
    for file in files:
        lines = file.read_text().split("\n")
        codes = [line.strip() for line in lines if line.strip()][-len(_RAFDB) :]
        try:
            row = {k: names[int(c)] for (k, names), c in zip(_RAFDB.items(), codes, strict=True)}
        except (ValueError, IndexError):
            raise ValueError(
                f"{file} must end with three numbers for {', '.join(_RAFDB)}; it ends {codes}."
            ) from None
        rows[_rafdb_key(file.name)] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _rafdb_key(name):
    """`"test_0001_aligned.jpg"` and `"test_0001_manu_attri.txt"` are one face."""
    return "_".join(Path(name).stem.split("_")[:2])


def groups_of_run(run, people, columns=None, *, resamples=2000, seed=0):
    """Score a run by each column of a table of people.

    Args:
        run: A finished `Run` with predictions.
        people: File or folder for `read_people`.
        columns: Names of columns; by default all that have 2 to 12 values.
        resamples, seed: As of `by_group.group_table`.

    Returns:
        `{column: table of by_group.group_table}`.

    Raises:
        ValueError: If a column is unknown or none can be used; see `read_people`.
    """
    of = run.predictions
    table = read_people(people, of["ids"])
    if columns is None:
        columns = [name for name in table if 2 <= table[name].replace("", None).nunique() <= 12]
    for name in columns:
        lookup(dict.fromkeys(table), name, "column of people")
    if not columns:
        raise ValueError(f"{people} has no column with 2 to 12 groups: {', '.join(table)}.")
    answers = (of["labels"], of["probabilities"], run.label_set)
    how = {"subjects": of.get("groups"), "resamples": resamples, "seed": seed}
    return {name: by_group.group_table(*answers, table[name], **how) for name in columns}


def in_markdown(tables):
    """Return the tables of `groups_of_run` as Markdown, for a model card.

    Args:
        tables: `{column: table of by_group.group_table}`.
    """
    parts = []
    for column, table in tables.items():
        lines = [f"| {column} | n | mean recall | overconfidence |", "|---|--:|---|---|"]
        for row in table.to_dict("records"):
            cells = ["refused", "refused"]
            if row["judged"]:
                cells = [_cell(row, "recall"), _cell(row, "overconfidence", signed=True)]
            lines.append(f"| {row['group']} | {row['n']:,} | {cells[0]} | {cells[1]} |")
        parts.append("\n".join([*lines, "", told(table)]))
    return "\n\n".join(parts)


def told(table):
    """Return in a sentence whether the groups of a table differ."""
    if table.attrs["recall_p"] is None:
        return f"Fewer than two groups have {by_group.LEAST} faces, so they are not compared."
    return (
        f"Recall is the mean over {', '.join(table.attrs['emotions'])}. Groups dealt out at random "
        f"differ as much in recall with p = {table.attrs['recall_p']:.3g}, in overconfidence with "
        f"p = {table.attrs['overconfidence_p']:.3g}."
    )


def _cell(row, measure, signed=False):
    ends = {"value": row[measure], "low": row[f"{measure}_low"], "high": row[f"{measure}_high"]}
    return in_words(ends, signed=signed)
