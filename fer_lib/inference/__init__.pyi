from .explanations import explainer as explainer
from .explanations import occlusion_maps as occlusion_maps
from .formats import FORMATS as FORMATS
from .formats import export as export
from .peers import find_peers as find_peers
from .predictor import PREDICTORS as PREDICTORS
from .predictor import Predictor as Predictor
from .predictor import load_predictor as load_predictor
