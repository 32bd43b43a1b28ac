"""Photographs, videos and cameras: from a picture to faces and their expressions.

photos           recognise: a table, one row a face
pictures         picture files and folders of them, read
face_table       the table of faces: its columns, and how it is saved
drawing          boxes and names on a picture
video            predict_video: a table, one row a face and frame
video_places     which videos and files a call means
video_files      files and streams: frames at their own times
video_copy       marked copies with the sound
people           a row per person; changes from a neutral beginning
webcam           show_webcam: a live window
page             serve: a local web page
web_page         write_web_page: a folder that a browser alone computes
own_origin       a guard before a local server
detection        detect and crop_faces: where faces are
yunet            the file and the network of YuNet, the detector
tracking         which face of this frame is which of those before
appearance       what a face looks like, to know a person again
recogniser       frames to rows
episodes         emotion_series and what becomes of it over time
own_photos       add_faces: your photographs as training data
part_file        a table that grows on disk
threads          stages that do not wait for each other
synthetic_clip   a drawn clip to try things with
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
