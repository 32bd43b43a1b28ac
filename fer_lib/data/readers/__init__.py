"""Files on disk to `Faces`.

sources         read: any file, folder or zip; find_source: the one that a folder holds
class_folders   images in folders named after emotions
path_tables     CSV files of path and label
fer2013_csv     FER-2013's CSV file
image_files     the image files of a data set
pictures        one picture file, decoded with care
archives        folders and zips as sources of files
cache           parsed data sets, kept by content
"""
