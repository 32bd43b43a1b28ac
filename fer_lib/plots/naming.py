"""Names of runs in figures: what tells them from one another."""

from collections import Counter

# Parameter → how a name says its value. In this order; what is the same everywhere is left out.
_SAID = {
    "backbone": str,
    "alpha": "width {}".format,
    "unfreeze": str,
    "image_size": "{} px".format,
    "epochs": "{} epochs".format,
    "seed": "seed {}".format,
}
# Parameter → what a name adds, unless the run has none of it or what most runs have.
_ADDED = {
    "attention": "+ {}".format,
    "mixing": "+ {}".format,
    "auxiliary": "+ {}".format,
    "distill_from": lambda value: "+ teachers",
    "dataset": "on {}".format,
}


def names_by_difference(settings):
    """Name each run by the parameters in which it differs from the others.

    Args:
        settings: `{run: dict of its parameters}`. A parameter `title` that is not empty is the
            run's name.

    Returns:
        `{run: name}`, each name once. Runs that the usual parameters do not tell apart are told
        apart by any other one, or by the key itself.
    """
    varied = [key for key in (*_SAID, *_ADDED) if _varies(key, settings.values())]
    usual = {key: _most_common(key, settings.values()) for key in _ADDED}
    names = {run: of.get("title") or _name(of, varied, usual) for run, of in settings.items()}
    others = {key for of in settings.values() for key in of}
    for key in sorted(others - {*_SAID, *_ADDED, "results_dir", "title"}):
        for name in [name for name, count in Counter(names.values()).items() if count > 1]:
            twins = {run: settings[run] for run, same in names.items() if same == name}
            if _varies(key, twins.values()):
                part = key.replace("_", " ")
                names |= {run: f"{name}, {part} {of.get(key)}" for run, of in twins.items()}
    counts = Counter(names.values())
    return {
        run: name.removeprefix(", ") if name and counts[name] == 1 else run
        for run, name in names.items()
    }


def _name(of, varied, usual):
    said = ", ".join(_SAID[key](of.get(key)) for key in varied if key in _SAID)
    added = [
        _ADDED[key](of[key])
        for key in varied
        if key in _ADDED and of.get(key) and of[key] != usual[key]
    ]
    return " ".join(filter(None, (said, *added)))


def _varies(key, settings):
    return len({str(of.get(key)) for of in settings}) > 1


def _most_common(key, settings):
    if key != "dataset":
        return None
    return Counter(of.get(key) for of in settings).most_common(1)[0][0]
