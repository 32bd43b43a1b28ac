"""The tables and captions of the pages, each made from the files that prove it.

A page holds `<!-- table: NAME -->`, the table and `<!-- end -->`, or `caption` and the name of a
figure in `figures`. After new results,

    python tests/support/tables.py

writes all of them anew; a test says so where a page lags behind.
"""

import importlib.util
import re
import sys
import textwrap
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
FIGURES, SHIPPED = ROOT / "figures", ROOT / "fer_lib" / "shipped"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), SHIPPED / "README.md"]
_BLOCK = re.compile(r"(<!-- (table|caption): (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# Run's hash → its number and what is special about it, as in figures/README.md.
STEPS = {
    "960e3268": "step 2",
    "75893aa4": "step 3: mixup, averaged weights",
    "3cada53e": "step 4: attention, labels softened by votes",
    "599d1f6d": "step 5: two teachers; shipped as `default`",
}


def interval(row, metric):
    """Return `"0.685 [0.669, 0.699]"` of a row with `metric`, `metric_low` and `metric_high`."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*(row[metric + end] for end in ("", "_low", "_high")))


def compare():
    """Return the models beside the other projects' on the same faces: README's one table."""
    scores = pd.read_csv(FIGURES / "cross_dataset.csv", keep_default_na=False).set_index("dataset")
    columns = {"FER-2013 accuracy": ("fer2013", "accuracy")}
    columns |= {"FER-2013 macro-F1": ("fer2013", "macro_f1")}
    columns |= {"FER+ accuracy": ("ferplus", "accuracy"), "CK+ accuracy": ("ckplus", "accuracy")}
    rows = []
    for model in scores.model.unique():
        of = scores[scores.model == model]
        row = {"model": f"`{model}`" if (model in ("default", "ferplus")) else model}
        rows.append(
            row
            | {
                name: interval(of.loc[k], m) if k in of.index else "–"
                for name, (k, m) in columns.items()
            }
        )
    return pd.DataFrame(rows)


def taggers():
    """Return the shipped models beside FER+'s taggers, from `figures/taggers.csv`."""
    table = pd.read_csv(FIGURES / "taggers.csv").set_index("model")
    places = {
        "FER-2013's labels": ("fer2013", "labels", "accuracy"),
        "FER+, the other nine": ("ferplus", "the other nine", "accuracy"),
        "the same, all faces": ("ferplus", "the other nine, all faces", "accuracy"),
        "minus a tagger's": ("ferplus", "the other nine, all faces", "difference"),
        "KL to the votes": ("ferplus", "all votes", "kl_divergence"),
    }
    return _pivot(table, places)


def accepted():
    """Return which share of the models' errors FER+'s taggers accept."""
    table = pd.read_csv(FIGURES / "taggers.csv").set_index("model")
    table = table[table.measure.str.startswith("errors")]
    places = {
        f"{kind}, {least} taggers or more": (
            dataset,
            against,
            f"errors that {least} taggers accept",
        )
        for kind, dataset, against in (
            ("FER-2013's labels", "fer2013", "labels"),
            ("FER+", "ferplus", "all votes"),
        )
        for least in (2, 3)
    }
    return _pivot(table, places)


def tagger_classes():
    """Return the recall of each class of one tagger and of the shipped models."""
    table = pd.read_csv(FIGURES / "taggers.csv").set_index("model")
    table = table[table.measure.str.startswith("recall of") & (table.against != "all votes")]
    table = table[table.against != "the other nine, all faces"]
    shown = {"fer2013": "FER-2013", "ferplus": "FER+"}
    rows = []
    for (dataset, measure), of in table.groupby(["dataset", "measure"], sort=False):
        row = {"faces": shown[dataset], "emotion": measure.removeprefix("recall of ")}
        row["n"] = f"{of.n.iloc[0]:,.0f}"
        for who in ("one FER+ tagger", "default", "ferplus"):
            row[who] = _cell(of.loc[who]) if who in of.index else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def _pivot(table, places):
    rows = []
    for who in table.index.unique():
        row = {"who answers": f"`{who}`" if who in ("default", "ferplus") else who}
        of = table.loc[[who]]
        for name, (dataset, against, measure) in places.items():
            keys = (of.dataset == dataset) & (of.against == against) & (of.measure == measure)
            row[name] = _cell(of[keys].iloc[0], measure == "difference") if keys.any() else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(row, signed=False):
    sign = "+" if signed else ""
    return f"{row.value:{sign}.3f} [{row.low:{sign}.3f}, {row.high:{sign}.3f}]"


def models():
    """Return the shipped LiteRT files, with what they were trained and scored on."""
    from fer_lib.storage import read_json

    rows = []
    for name, path in (("default", "fer7_float16"), ("ferplus", "ferplus_float16")):
        about = read_json(SHIPPED / f"{path}.tflite.json")
        size = (SHIPPED / f"{path}.tflite").stat().st_size / 1e6
        test = {
            f"{m}_{end}": v for m in ("accuracy", "macro_f1") for end, v in about["test"][m].items()
        }
        test |= {m: about["test"][m]["value"] for m in ("accuracy", "macro_f1")}
        row = {"name": f"`{name}`", "file": f"`{path}.tflite`, {size:.1f} MB"}
        row |= {"trained on": f"`{about['trained_on']}`"}
        row |= {"scored on": f"{about['test_name'].split(' (')[0]}, n = {about['test']['n']:,}"}
        row |= {"accuracy [95 % interval]": interval(test, "accuracy")}
        rows.append(row | {"macro-F1": interval(test, "macro_f1")})
    return pd.DataFrame(rows)


def runs():
    """Return the runs on FER-2013, best accuracy first."""
    table = pd.read_csv(FIGURES / "results.csv", keep_default_na=False)
    rows = []
    for row in table.sort_values("accuracy", ascending=False).to_dict("records"):
        key = row["run"].rsplit("-", 1)[1]
        start = row["started_from"].split(",")[0]
        note = STEPS.get(key, f"from {start}")
        rows.append(
            {
                "accuracy [95 % interval]": interval(row, "accuracy"),
                "macro-F1": interval(row, "macro_f1"),
                "backbone": row["backbone"],
                "unfrozen": row["unfreeze"],
                "px": str(row["image_size"]),
                "epochs": str(row["epochs"]),
                "minutes": str(row["minutes"]),
                "what is special": note,
                "run": f"`{key}`",
            }
        )
    people = pd.read_csv(FIGURES / "taggers.csv").set_index(["dataset", "against", "measure"])
    people = people[people.model == "one FER+ tagger"].loc[("fer2013", "labels")]
    cells = {"accuracy [95 % interval]": "accuracy", "macro-F1": "macro_f1"}
    empty = dict.fromkeys(rows[0], "–")
    row = empty | {k: _cell(people.loc[m]) for k, m in cells.items()}
    rows.append(row | {"what is special": "one FER+ tagger, for comparison"})
    return pd.DataFrame(rows)


def speed():
    """Return the table of `python tests/benchmarks`, from `figures/benchmarks.csv`."""
    place = ROOT / "tests" / "benchmarks" / "__main__.py"
    spec = importlib.util.spec_from_file_location("benchmarks", place)
    benchmarks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmarks)
    table = benchmarks.summary_table(pd.read_csv(FIGURES / "benchmarks.csv"))
    table = table.drop(columns="benchmark")
    names = ["what", "against", "its median", "fer_lib", "our median", "times as fast (as small)"]
    return table.set_axis([*names, "goal"], axis=1)


TABLES = {
    "compare": compare,
    "models": models,
    "runs": runs,
    "speed": speed,
    "taggers": taggers,
    "accepted": accepted,
    "tagger_classes": tagger_classes,
}


def markdown(table):
    """Return a DataFrame of text as a table of Markdown."""
    rows = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def filled(text):
    """Return the text of a page with each of its tables and captions made anew."""
    from fer_lib.plots import read_captions

    captions = read_captions(FIGURES)

    def made(found):
        begin, kind, name, end = found.groups()
        if kind == "table":
            return begin + markdown(TABLES[name]()) + end
        return begin + "\n".join(textwrap.wrap(captions[name], 100)) + "\n" + end

    return _BLOCK.sub(made, text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for page in PAGES:
        if page.exists():
            page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
