from .detection import crop_faces as crop_faces
from .detection import detect as detect
from .episodes import emotion_series as emotion_series
from .own_photos import add_faces as add_faces
from .page import serve as serve
from .photos import predict_photos as predict_photos
from .video import predict_video as predict_video
from .webcam import show_webcam as show_webcam
