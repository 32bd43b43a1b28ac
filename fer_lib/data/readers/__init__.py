"""Files on disk to `Faces`.

sources         read: any file, folder or zip; find_parts: those that a folder holds
class_folders   images in folders named after emotions
path_tables     CSV files of path and label
fer2013_csv     FER-2013's CSV file
image_files     the image files of a data set
pictures        one picture file, decoded with care
layouts         LAYOUTS of image files that are known
annotations     labels in files of their own: known data sets, annotation tools
arrays          .npz, .npy and Parquet files
labels          what labels stand for: emotions, numbers, classes of your own
names           what names of folders and files tell: split and subject
votes           FER+'s file of votes
archives        folders and zips as sources of files
cache           parsed data sets, kept by content
"""
