"""Facial-expression recognition: honest experiments on small grey faces, with Keras 3.

Data
    load_dataset       the faces of a data set: train, validation and test
    describe           the card of a data set, or a list of the data sets
    Faces              images with labels: what load_dataset returns

Train and compare
    build_classifier   a Keras model: a backbone of BACKBONES and a head
    BACKBONES          the networks by name
    Experiment         the parameters of one run
    run                train, choose the epoch on validation, score test once
    find_runs          the finished runs of a folder
    load_run           one run, from its folder

Use a model
    recognise          photographs to a table: a row per face
    load_predictor     a shipped or exported model: faces in, probabilities out
    plots              figures of data, runs and answers

The wings behind this door, lowest first, each with a list of its own (`help(fer_lib.data)`):
    data         data sets, faces, splits, duplicates, drawn faces
    evaluation   scores with intervals, calibration, tests between classifiers
    models       backbones, their weights, attention and head
    plots        one function draws one figure
    inference    finished models: files, predictions, explanations
    training     what fits a classifier to faces
    experiments  runs: made, found, compared, published
    vision       photographs, videos and cameras
    sweeps       many runs, here or on a cluster
    audit        is this number right?

On the command line: `fer --help`.
"""

import os

import lazy_loader

__version__ = "0.1.0"

# Where a processor lacks AVX-512, TensorFlow leaves oneDNN out unless it is asked to use it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
