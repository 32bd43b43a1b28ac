"""Finished models: files that answer, and what spoke for an answer.

predictor         load_predictor: faces in, probabilities out, without TensorFlow
formats           export writes small files of a model, FORMATS
litert            the engine of .tflite files
onnx_file         ONNX files, also of .tflite files, with weights of half the size
explanations      explainer, occlusion_maps: which places of a face spoke for a class
activation_maps   the same by the last map of a network
peers             find_peers: other projects' models, to compare with
honest_use        what the answers mean, and where their use is restricted
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
