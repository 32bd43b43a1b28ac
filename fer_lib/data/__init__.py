"""Faces: what reads, splits, joins, draws and describes data.

catalogue     data sets by name: load_dataset, describe, DATASETS
faces         Faces: images, labels or votes, groups, ids; Splits: those of each split
splits        holdout and kfold keep classes in proportion and groups together; split_by_usage
draws         draws of whole groups, behind the splits
duplicates    duplicate_groups, near_duplicate_groups
combine       mix joins data sets over the emotions they share, without drops emotions
synthetic     make_faces draws faces, for tests and demonstrations
exploration   numbers that a figure of a data set shows
datasets      one file for each data set
readers       files on disk to Faces
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
