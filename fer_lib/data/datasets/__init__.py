"""One file per data set: how it is found, read, and what is known about it.

fer2013        FER-2013, the official protocol
fer2013_soft   FER-2013 with targets softened by FER+'s votes
ferplus        FER+, the votes of ten taggers
ckplus         CK+ in Kaggle's form
fer2013plus    FER-2013 "cleaned", as shared on Kaggle
jaffe          JAFFE, ten women
tfeid          TFEID, forty models
rafdb          RAF-DB, faces from the web
affectnet      AffectNet, faces from the web
facerec2       Roboflow's exports
cards          Card and Dataset: what is known of a data set
image_sets     what data sets of image files share
"""
