"""The parameters of one experiment, the same in the notebook, in code and on disk."""

import ast
import dataclasses
import hashlib
import inspect
import json

from fer_lib import storage
from fer_lib.choices import lookup
from fer_lib.experiments import values
from fer_lib.models import own_network

# What `data_options` may name of `load_dataset`'s options.
DATA_OPTIONS = (
    *("labels", "drop", "on_error", "size", "colour", "protocol", "votes_file"),
    *("train", "validation", "test", "leave_out"),
)
MIXED_PRECISION = ("auto", "none", "bfloat16")
DISTILL_ON = ("clean", "augmented")

# In every run's name, also at their defaults. A parameter that came later is in it only where it
# is not at its default, so that runs keep their names.
_ALWAYS_NAMED = frozenset(
    "dataset backbone alpha weights unfreeze batch_norm image_size dense dropout epochs "
    "head_epochs batch_size learning_rate head_learning_rate optimizer schedule weight_decay "
    "label_smoothing class_weight augmentation monitor patience mixed_precision cache seed".split()
)

# What these parameters say is read only where the other one is set.
_READ_WITH = {
    "mixing_alpha": "mixing",
    "distill_weight": "distill_from",
    "distill_temperature": "distill_from",
    "distill_on": "distill_from",
}

# What an own network says itself.
_NOT_OF_OWN = ("alpha", "unfreeze", "batch_norm", "attention", "mixed_precision")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The parameters of one run; the same list as the parameters cell of `run_experiment.ipynb`.

    Text that papermill passes for a number (`-y 1e-4`) is read as one.

    Args:
        dataset: Key of `catalogue.DATASETS`, a path, several with + between (`data_options`
            `leave_out=NAME` tests on one of them and trains on the others), or `"auto"`: FER-2013
            if it can be had, else synthetic faces.
        classes: Names of the classes with commas between, or `None` for those that are there; see
            `catalogue.load_dataset`.
        data_options: More of `load_dataset`'s options, as name=value with spaces between, such as
            `"labels=rafdb drop=contempt,neutral size=96 on_error=skip"`; or `None`.
        train_fraction: Share of the training faces that is trained on, drawn by `split_seed`.
        validation_fraction: Share of the validation faces that stays validation; the others are
            trained on, too. For a last run, when a run with all of them has chosen the rest.
        folds: Into how many folds all faces are split, by subjects or sequences where they are
            known, instead of the data set's own splits; 0 for these.
        fold: Which of the folds is the test set, from 1. A sweep over all of them is
            cross-validation; `comparison.pooled` scores it.
        split_seed: Seed of the faces (or subjects) held out where there is no official split: by
            several, a score is one over several splits.
        backbone: Key of `classifier.BACKBONES`, or a network of your own, `"net.py:build"` or
            `"net.keras"` (see `own_network`): the hash of its file becomes part of it.
        alpha: Width of the backbone.
        weights: `"auto"`, `"imagenet"`, `"fer"`, a file, `None`, or the folder of a run with this
            backbone, which is gone on with, head and all; see `weights.find_weights`.
        unfreeze: `"top"`, `"100"` or `"all"`, see `classifier.set_trainable`; or `"progressive"`:
            after the head's epochs half of the others train from `"100"` on, the rest all.
        batch_norm: `"adapt"`, `"frozen"` or `"original"`; see `classifier.set_trainable`.
        image_size: Side in pixels at which the backbone sees the face.
        dropout: Share of features dropped before the output.
        attention: Key of `attention.ATTENTION`, or `None`.
        epochs: Epochs in all.
        head_epochs: How many of them train the head alone, before `unfreeze` takes effect; none
            where a network of `from_scratch.NETWORKS` starts at random, a run is gone on with, or
            the network is an own one.
        batch_size: Faces per step, on all devices together.
        learning_rate: Peak learning rate after the head's epochs, in which it is 0.001.
        optimizer: Key of `optimizers.OPTIMIZERS`.
        schedule: Key of `optimizers.SCHEDULES`; `"plateau"` halves the rate after 3 epochs
            without a lower validation loss.
        weight_decay: Decoupled weight decay.
        ema: Momentum of an average of the weights, which is validated and saved in their place,
            such as 0.999; 0 for none.
        label_smoothing: Share of the target spread over all classes.
        class_weight: `None` or `"balanced"`: rare classes weigh more.
        augmentation: Key of `augmentation.AUGMENTATIONS`.
        mixing: Key of `mixing.MIXING`, or `None`. Frozen layers can not be cached with it.
        mixing_alpha: Strength of `mixing`; the papers' are 0.2 for mixup, 1 for cutmix.
        auxiliary: Key of `catalogue.DATASETS`: other labels of the same faces, which a second
            output learns beside the first and which is left out of the saved model; or `None`.
        distill_from: Teachers, separated by commas: runs' folders or model files, see
            `predictor.load_predictor`; or `None`. Half of each target is theirs.
        distill_weight: Share of the teachers in the targets; 1 leaves the labels out.
        distill_temperature: Of the teachers' answers; above 1 makes them more even.
        distill_on: `"clean"` asks the teachers once about each training face, `"augmented"` about
            every mixed and augmented one (Beyer et al. 2022, arXiv:2106.05237), which takes their
            time in every epoch.
        monitor: Key of `loop.MONITORS`: what chooses the epoch, on validation.
        patience: Epochs without a better one before the run ends, or `None`.
        mixed_precision: `"auto"` (bfloat16 where it is quicker, see
            `devices.quick_in_bfloat16`), `"none"` or `"bfloat16"`.
        distribute: `"auto"` (all GPUs where there are several), `"none"` or `"data"`; see
            `devices.data_parallel`. Neither batch nor learning rate is changed by it.
        deterministic: Whether a GPU gives the same bits each time, more slowly; TensorFlow only.
        seed: Seed of weights, order, augmentation and mixing. Splits do not depend on it, see
            `split_seed`.
        results_dir: Where the run's folder goes.

    Raises:
        ValueError: If a value can not be what its parameter needs; the message names both.
    """

    # data and network
    dataset: str = "auto"
    classes: str | None = None
    data_options: str | None = None
    train_fraction: float = 1.0
    validation_fraction: float = 1.0
    folds: int = 0
    fold: int = 0
    split_seed: int = 0
    backbone: str = "mobilenet_v2"
    alpha: float = 1.0
    weights: str | None = "auto"
    unfreeze: str = "all"
    batch_norm: str = "adapt"
    image_size: int = 48
    dropout: float = 0.2
    attention: str | None = None
    # steps
    epochs: int = 15
    head_epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    schedule: str = "cosine"
    weight_decay: float = 1e-4
    ema: float = 0.0
    # what is fitted
    label_smoothing: float = 0.0
    class_weight: str | None = None
    augmentation: str = "standard"
    mixing: str | None = None
    mixing_alpha: float = 0.2
    auxiliary: str | None = None
    distill_from: str | None = None
    distill_weight: float = 0.5
    distill_temperature: float = 2.0
    distill_on: str = "clean"
    # which epoch
    monitor: str = "val_macro_f1"
    patience: int | None = None
    # how it is computed
    mixed_precision: str = "auto"
    distribute: str = "auto"
    deterministic: bool = False
    seed: int = 0
    results_dir: str = "runs"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = values.coerce(field.name, getattr(self, field.name), field.type)
            values.check_range(field.name, value)
            object.__setattr__(self, field.name, value)
        if self.folds == 1 or not bool(self.folds) <= self.fold <= self.folds:
            raise ValueError(
                f"fold counts the folds from 1 to folds, which is 2 or more; got fold={self.fold} "
                f"and folds={self.folds}."
            )
        values.options(self.data_options, DATA_OPTIONS)
        if own_network.is_own(self.backbone):
            object.__setattr__(self, "backbone", own_network.with_hash(self.backbone))

    @property
    def name(self):
        """Name of the run's folder: what tells runs apart, then a hash of `identity()`."""
        text = json.dumps(self.identity(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        dataset = "".join(c if c.isalnum() else "_" for c in self.dataset.rstrip("/"))[-40:]
        network = self.network.replace(":", "_")
        return f"{dataset}-{network}-{self.unfreeze}-{self.image_size}px-s{self.seed}-{digest}"

    @property
    def network(self):
        """What figures and folders call the backbone: of an own one its file and function."""
        return own_network.title(self.backbone)

    def identity(self):
        """Return the parameters that make the result, as a dict.

        All but `results_dir` and what nothing reads, and of those that older runs did not have,
        the ones that are not at their default. `from_record` reads it.
        """
        old = {name: value for name, value in values.RETIRED.items() if name in _ALWAYS_NAMED}
        return old | {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in _ALWAYS_NAMED or self._matters(field)
        }

    def _matters(self, field):
        if field.name in _READ_WITH and getattr(self, _READ_WITH[field.name]) is None:
            return False
        return field.name != "results_dir" and getattr(self, field.name) != field.default

    def options(self, function):
        """Return the parameters that a function takes by the same names, as a dict.

        Args:
            function: Such as `loop.fit`: a parameter that it and `Experiment` have needs no
                further line.
        """
        taken = inspect.signature(function).parameters
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in taken}

    def load_data(self, dataset=None):
        """Return the faces of `dataset` (or of another one, split by `split_seed` alone).

        See `catalogue.load_dataset` for its classes and options, and `given` for folds and
        fractions.
        """
        from fer_lib.data import catalogue
        from fer_lib.experiments import given

        if (dataset or self.dataset).startswith("given: "):
            raise ValueError(
                f"This run was made of faces that were passed in ({self.dataset}), and faces are "
                "not kept: pass the same ones in again (data=, or parts= of audit_run)."
            )
        options = {"split_seed": self.split_seed} if self.split_seed else {}
        if dataset is not None:
            return catalogue.load_dataset(dataset, **options)
        options |= values.options(self.data_options, DATA_OPTIONS)
        if self.classes:
            options["classes"] = self.classes
        loaded = catalogue.load_dataset(self.dataset, **options)
        if self.folds:
            loaded = given.in_fold(loaded, self.folds, self.fold, seed=self.split_seed)
        if self.validation_fraction < 1:
            loaded = given.with_validation(loaded, self.validation_fraction, seed=self.split_seed)
        if self.train_fraction < 1:
            loaded = given.with_fraction(loaded, self.train_fraction, seed=self.split_seed)
        return loaded

    def validate(self):
        """Check every name against the library's tables and return the experiment.

        Raises:
            ValueError: If a name is unknown (the message lists the known ones), or parameters do
                not go together.
        """
        from fer_lib.data import catalogue
        from fer_lib.models import attention, classifier
        from fer_lib.training import augmentation, devices, loop

        lookup({None: None} | catalogue.DATASETS, self.auxiliary, "auxiliary data set")
        lookup((*classifier.UNFREEZE, "progressive"), self.unfreeze, "unfreeze mode")
        lookup(classifier.BATCH_NORM, self.batch_norm, "batch_norm mode")
        lookup(loop.OPTIMIZERS, self.optimizer, "optimizer")
        lookup(loop.SCHEDULES, self.schedule, "schedule")
        lookup(loop.MONITORS, self.monitor, "monitor")
        lookup((None, *attention.ATTENTION), self.attention, "attention")
        lookup(loop.CLASS_WEIGHTS, self.class_weight, "class_weight")
        lookup((None, *loop.MIXING), self.mixing, "mixing")
        lookup(augmentation.AUGMENTATIONS, self.augmentation, "augmentation")
        lookup(MIXED_PRECISION, self.mixed_precision, "mixed_precision mode")
        lookup(DISTILL_ON, self.distill_on, "distill_on")
        lookup(devices.MODES, self.distribute, "distribute mode")
        self._check_combinations(classifier.spec_of(self.backbone))
        return self

    def _check_combinations(self, spec):
        for name in _NOT_OF_OWN if own_network.is_own(self.backbone) else ():
            if getattr(self, name) != (default := getattr(Experiment, name)):
                raise ValueError(f"{name} is not for own networks: leave it at {default!r}.")
        if self.unfreeze == "progressive" and not spec.trains_from:
            raise ValueError(
                f'unfreeze="progressive" needs a backbone with a layer 100 to train from; '
                f'{self.backbone} has none: use unfreeze="all".'
            )
        if self.attention and not spec.stride_32:
            raise ValueError(
                f"attention={self.attention!r} needs a transfer backbone with a map of stride 16; "
                f"{self.backbone} is none: use attention=None."
            )
        if self.split_seed and self.dataset == "synthetic":
            raise ValueError(
                "split_seed is for faces that are held out by a draw; synthetic ones are made for "
                "each split: leave it at 0."
            )


NAMES = tuple(field.name for field in dataclasses.fields(Experiment))


def check_name(name):
    """Refuse a name that is no parameter.

    Raises:
        ValueError: The message suggests the nearest one, or says what a retired parameter is now.
    """
    if name in values.RETIRED:
        always = values.RETIRED[name]
        raise ValueError(f"{name} is no parameter any more: it is always {always!r}.")
    lookup(NAMES, name, "parameter")


def from_record(record):
    """Return the experiment that a file of any version holds.

    Args:
        record: Dict of parameters: of a run's `experiment.json`, or of `identity`. What its
            version did not have is at its default.

    Raises:
        ValueError: If a parameter that is retired has another value than all experiments have
            now, or a value does not fit.
        TypeError: If a name is unknown.

    >>> from_record({"epochs": 3, "cache": "auto"}).epochs
    3
    """
    return Experiment(**values.current(record))


def from_notebook(namespace):
    """Return the experiment of a notebook's parameters cell.

    papermill only warns about a parameter that the notebook does not have; this refuses it.

    Args:
        namespace: The notebook's `globals()`, in which every parameter is a variable.

    Raises:
        ValueError: If papermill passed an unknown parameter, or a value does not fit.
    """
    for name in _injected(namespace):
        check_name(name)
    missing = [name for name in NAMES if name not in namespace]
    if missing:
        raise ValueError(f"The parameters cell must define {', '.join(missing)}.")
    return Experiment(**{name: namespace[name] for name in NAMES}).validate()


def from_words(words, files=()):
    """Return the experiment of a command line.

    Args:
        words: List of `NAME=VALUE`; they replace what the files say.
        files: List of YAML files with names and values, as papermill reads them with `-f`. A
            later file replaces what an earlier one says.

    Raises:
        ValueError: If a name is unknown, a value does not fit, or a file is no such file.
        FileNotFoundError: If a file is missing.

    >>> from_words(["dataset=synthetic", "epochs=3"]).epochs
    3
    """
    given = {}
    for file in files:
        given |= values.current(storage.read_yaml(file))  # also a run's experiment.json
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"A parameter is written NAME=VALUE; got {word!r}.")
        given[name] = value
    for name in given:
        check_name(name)
    return Experiment(**given)


def _injected(namespace):
    """Return the names that papermill's own cell assigned (it starts with `# Parameters`)."""
    sources = [text for text in namespace.get("In", []) if text.startswith("# Parameters\n")]
    return [
        target.id
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]
