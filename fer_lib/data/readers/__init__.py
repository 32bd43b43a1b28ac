"""Files on disk to `Faces`.

sources         read: any file, folder or archive; find_parts: which files of a folder are read
layouts         LAYOUTS: the forms of image files that are known; unknown: what is said otherwise
labels          Labels, SCHEMES: what labels, numbers and own classes stand for
names           what the names of folders and files tell: split_of, subjects
class_folders   images in folders named after emotions
path_tables     tables of image files and their labels
annotations     labels in files of their own: COCO, YOLO, AffectNet, CK+, ExpW, FERPlus, RAF-DB
fer2013_csv     FER-2013's CSV file
arrays          .npz, .npy, Parquet, DataFrames
votes           FER+'s file of votes
image_files     the image files of a data set
pictures        one picture file, decoded with care
archives        folders, zips and tar files as sources of files
cache           parsed data sets, kept by content
"""
