"""Procedural faces: grey cartoons whose facial action units are set by the emotion.

An emotion is an entry of `PROTOTYPES` (which facial action units contract, how strongly), a person
and a photograph are draws from `NUISANCES`. To add a nuisance: an entry, and its use in drawing.
Only `+ - * /`, square roots and comparisons touch the numbers, never `exp` or `sin`: those differ
in the last bit between processors, and the faces shall not.
Action units: Ekman and Friesen, *Facial Action Coding System* (1978). Prototypes, simplified: the
table of emotion predictions in Ekman, Friesen and Hager, *FACS Investigator's Guide* (2002).
"""

import contextlib

import numpy as np

from fer_lib.data.faces import Faces
from fer_lib.emotions import FER7

ACTION_UNITS = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}

# Emotion → mean intensity (0 to 1) of each action unit that takes part.
PROTOTYPES = {
    "angry": {4: 1.0, 5: 0.4, 7: 0.6, 24: 1.0},
    "disgust": {4: 0.4, 6: 0.4, 7: 0.5, 9: 1.0, 10: 1.0, 15: 0.3, 17: 0.5, 25: 0.3},
    "fear": {1: 1.0, 2: 0.4, 4: 0.4, 5: 0.9, 20: 1.0, 25: 0.8, 26: 0.3},
    "happy": {6: 0.8, 12: 1.0, 25: 0.7},
    "sad": {1: 1.0, 4: 0.3, 7: 0.3, 15: 1.0, 17: 0.7},
    "surprise": {1: 0.9, 2: 1.0, 5: 0.9, 25: 0.7, 26: 1.0},
    "neutral": {},
}

# FER-2013's Training rows per class, in FER7's order (Goodfellow et al. 2013, arXiv 1307.0414).
FER2013_COUNTS = (3995, 436, 4097, 7215, 4830, 3171, 4965)

# Name → range of a uniform draw. Lengths in face units (half the image's side at zoom 1), tones
# from 0 (black) to 1 (white); what starts below zero is absent there: (-7, 3) means "3 in 10".
NUISANCES = {
    # pose
    "shift_x": (-0.1, 0.1),
    "shift_y": (-0.1, 0.1),
    "zoom": (0.92, 1.1),
    "roll": (-0.11, 0.11),  # tangent of half the angle: ±12.5°
    "yaw": (-0.06, 0.06),
    "pitch": (-0.05, 0.05),
    # person
    "face_width": (0.60, 0.76),
    "face_height": (0.84, 0.94),
    "taper": (0.0, 0.22),
    "skin": (0.6, 0.85),
    "hair": (0.05, 0.35),
    "hairline": (-0.92, -0.66),
    "hairline_curve": (0.0, 0.45),
    "hair_length": (0.35, 1.1),
    "hair_volume": (1.02, 1.28),
    "eye_distance": (0.29, 0.35),
    "eye_width": (0.15, 0.19),
    "eye_height": (0.085, 0.11),
    "iris": (0.0, 0.3),
    "brow_height": (-0.02, 0.01),
    "brow_slant": (-0.01, 0.01),
    "brow_thickness": (0.035, 0.065),
    "nose_width": (0.09, 0.14),
    "nose_length": (0.12, 0.2),
    "mouth_height": (0.47, 0.54),
    "mouth_width": (0.26, 0.33),
    "mouth_curve": (-0.012, 0.012),
    "lip_thickness": (0.045, 0.075),
    "lip_tone": (0.62, 0.88),
    "beard": (-8.0, 2.0),
    "moustache": (-8.5, 1.5),
    "glasses": (-8.0, 2.0),
    "glasses_tone": (0.05, 0.4),
    "gaze": (-0.04, 0.04),
    # photograph
    "background": (0.25, 0.75),
    "background_slope": (-0.15, 0.15),
    "light_x": (-0.15, 0.15),
    "light_y": (-0.15, 0.1),
    "occluder": (-9.5, 0.5),
    "occluder_depth": (0.5, 0.95),
    "occluder_side": (-1.0, 1.0),
    "occluder_slope": (-0.5, 0.5),
    "occluder_tone": (0.05, 0.9),
    "softness": (0.9, 1.15),
    "contrast": (0.9, 1.1),
    "brightness": (-0.1, 0.1),
    "noise": (0.0, 0.012),
}

_CARICATURE = 1.3  # 48 pixels show an expression less clearly than life
# Strength of the weakest expression, its spread, the twitch of idle units, and times the noise.
_CLEAR, _SUBTLE = (0.95, 0.2, 0.08, 1.0), (0.2, 0.85, 0.25, 10 / 3)
_DARK = 0.25  # of the skin's tone: brows, lids, lip line
_MEANS = np.array([[PROTOTYPES[name].get(unit, 0.0) for unit in ACTION_UNITS] for name in FER7])


def make_faces(n, *, seed=0, balanced=True, blends=0.0, subtle=False, size=48):
    """Draw `n` synthetic faces.

    Face `i` depends on `seed`, the options and `i` alone: the first faces of a larger set are
    those of a smaller one, and every machine draws the same pixels.

    Args:
        n: Number of faces.
        seed: Non-negative integer; different seeds draw different people.
        balanced: Whether all seven classes are equally frequent (every seven faces in a row hold
            each once). Otherwise they are as frequent as in FER-2013's Training rows.
        blends: Fraction of faces, 0 to 1, that mix the action units of two emotions.
        subtle: Whether many expressions are weak, on noisier pictures: hard to tell from neutral.
        size: Height and width of the images in pixels, at least 24.

    Returns:
        `Faces` with `uint8` images of shape `(n, size, size)` and the label set `FER7`. Labels
        are `int64` of shape `(n,)` if `blends` is 0, else `float32` distributions of shape
        `(n, 7)`: a blend carries the weights of its two emotions, the larger (0.55 to 0.95) on
        the one that `balanced` counts.

    Raises:
        ValueError: If an argument is out of range.
    """
    for name, value, low in (("n", n, 1), ("size", size, 24)):
        if int(value) != value or value < low:
            raise ValueError(f"{name} must be an integer of at least {low}; got {value!r}.")
    if not 0 <= blends <= 1:
        raise ValueError(f"blends is a fraction from 0 to 1; got {blends!r}.")
    # One stream each, so that an option that takes more draws of one leaves the others alone.
    streams = [np.random.default_rng([seed, stream]) for stream in range(4)]
    classes = _draw_classes(streams[0], n, balanced)
    targets = _draw_targets(streams[1], classes, blends)
    actions, looks = _draw_parameters(streams[2], targets, subtle)
    images = np.empty((n, size, size), np.uint8)
    for start in range(0, n, 128):
        rows = slice(start, start + 128)
        face = {name: values[rows, None, None] for name, values in (actions | looks).items()}
        images[rows] = _photograph(_draw(face, size), face, streams[3])
    labels = targets.astype(np.float32) if blends else classes
    return Faces(images, labels, FER7, name="synthetic faces")


def _draw_classes(rng, n, balanced):
    """Return `int64` class numbers of shape `(n,)`, prefix-stable in `n`."""
    if balanced:
        order = rng.random((-(-n // len(FER7)), len(FER7))).argsort(axis=1)
        return order.ravel()[:n].astype(np.int64)
    # A golden-ratio sequence: even a small set comes within a few faces of the proportions.
    position = (rng.random() + np.arange(n) * (np.sqrt(5.0) - 1) / 2) % 1
    edges = np.cumsum(FER2013_COUNTS) / sum(FER2013_COUNTS)
    return np.searchsorted(edges[:-1], position, side="right").astype(np.int64)


def _draw_targets(rng, classes, blends):
    """Return `float64` distributions of shape `(n, 7)`: one-hot, or two emotions on blends."""
    is_blend, other, weight = rng.random((len(classes), 3)).T
    weight = np.where(is_blend < blends, 0.55 + 0.4 * weight, 1.0)
    shift = 1 + np.floor(other * (len(FER7) - 1)).astype(np.int64)
    rows = np.arange(len(classes))
    targets = np.zeros((len(classes), len(FER7)))
    targets[rows, classes] = weight
    targets[rows, (classes + shift) % len(FER7)] = 1 - weight
    return targets


def _draw_parameters(rng, targets, subtle=False):
    """Return the action units' intensities and the nuisances, `float32` of shape `(n,)` each."""
    weakest, spread, twitch, noise = _SUBTLE if subtle else _CLEAR
    draws = rng.random((len(targets), 1 + len(ACTION_UNITS) + len(NUISANCES)))
    strength, jitter, looks = np.split(draws, (1, 1 + len(ACTION_UNITS)), axis=1)
    mean = sum(targets[:, [k]] * _MEANS[k] for k in range(len(FER7)))
    # Every unit varies around its share of the expression; idle ones twitch a little.
    units = _CARICATURE * mean * (weakest + spread * strength) * (0.8 + 0.4 * jitter)
    units += twitch * jitter * (mean == 0)
    actions = dict(zip(ACTION_UNITS, units.astype(np.float32).T, strict=True))
    low, high = np.array(list(NUISANCES.values())).T
    looks = dict(zip(NUISANCES, (low + (high - low) * looks).astype(np.float32).T, strict=True))
    return actions, looks | {"noise": looks["noise"] * np.float32(noise)}


def _draw(face, size):
    """Return the unlit faces, tones 0 to 1, `float32` of shape `(batch, size, size)`."""
    face = face | _pose(face, size)
    canvas = _draw_head(face, size)
    _draw_beard(canvas, face)
    for side in (-1, 1):
        _draw_cheek(canvas, face, side)
        _draw_eye(canvas, face, side)
        _draw_brow(canvas, face, side)
    _draw_nose(canvas, face)
    _draw_mouth(canvas, face)
    return canvas


def _pose(face, size):
    """Return where the head's centre lies (pixels), its rotation, and lengths in face units."""
    half, tangent = size / 2, face["roll"]
    cos, sin = (1 - tangent**2) / (1 + tangent**2), 2 * tangent / (1 + tangent**2)
    x, y = (half - 0.5 + half * face[shift] for shift in ("shift_x", "shift_y"))
    scale = half * face["zoom"]
    return dict(cos=cos, sin=sin, x=x, y=y, scale=scale, edge=face["softness"] / scale)


def _coordinates(face, x, y):
    """Turn pixel offsets from a point of the face into face units (right and down)."""
    cos, sin = face["cos"] / face["scale"], face["sin"] / face["scale"]
    return cos * x + sin * y, cos * y - sin * x


@contextlib.contextmanager
def _patch(canvas, face, u, v, width, height):
    """Yield a window around the point `(u, v)` of every face, to be painted on.

    Yields:
        The window's tones, put back into the canvas afterwards, and the distance right and down
        from the point in face units, all `float32` of shape `(batch, rows, columns)`.
    """
    batch, size, _ = canvas.shape
    x = face["x"] + face["scale"] * (face["cos"] * u - face["sin"] * v)
    y = face["y"] + face["scale"] * (face["sin"] * u + face["cos"] * v)
    columns, rows = (min(size, int(extent * size / 2 + 2.5)) for extent in (width, height))
    left = np.clip(np.floor(x - columns / 2 + 1), 0, size - columns).astype(np.int64)
    top = np.clip(np.floor(y - rows / 2 + 1), 0, size - rows).astype(np.int64)
    column, row = left + np.arange(columns), top + np.arange(rows)[:, None]
    index = np.arange(batch)[:, None, None] * size**2 + row * size + column
    tones = canvas.ravel()[index]
    yield tones, *_coordinates(face, (column - x).astype(np.float32), (row - y).astype(np.float32))
    canvas.ravel()[index] = tones


def _cover(distance, edge):
    """Return how much of a pixel is covered, 0 to 1, at a signed distance (positive inside)."""
    return np.clip(distance / edge + 0.5, 0, 1)


def _stroke(along, across, thickness, edge):
    """Cover a line along `across = 0`, `-1 ≤ along ≤ 1`, that thins out towards its ends."""
    return _cover(thickness * (1 - along * along) - np.abs(across), edge)


def _paint(tones, coverage, tone):
    """Lay `tone` over `tones` in place."""
    tones += coverage * (tone - tones)


def _draw_head(face, size):
    """Return background, neck, hair and skin."""
    grid = np.arange(size, dtype=np.float32)
    u, v = _coordinates(face, grid - face["x"], grid[:, None] - face["y"])
    width, height = face["face_width"], face["face_height"] * (1 + 0.08 * face[26])
    skin, edge = face["skin"], face["edge"]
    background = face["background"] + face["background_slope"] * (grid / size - 0.5)
    canvas = np.repeat(background, size, axis=1)
    square = u * u
    hair_v = np.where(v < 0, v / (height * face["hair_volume"]), v / face["hair_length"])
    hair = np.sqrt(square / (width * face["hair_volume"]) ** 2 + hair_v * hair_v)
    _paint(canvas, _cover((1 - hair) * width, edge), face["hair"])
    neck = np.minimum(0.62 * width - np.abs(u), v - 0.5)
    _paint(canvas, _cover(neck, edge), 0.75 * skin)
    narrow = width * (1 - face["taper"] * np.maximum(v, 0))
    head = np.sqrt(square / (narrow * narrow) + (v / height) ** 2)
    below_hair = v - face["hairline"] - face["hairline_curve"] * square
    bare = _cover(np.minimum((1 - head) * width, below_hair), edge)
    _paint(canvas, bare, skin * (1.04 - 0.2 * head * head))
    return canvas


def _draw_beard(canvas, face):
    """Draw the beards and moustaches of those who wear one; the mouth comes on top."""
    with _patch(canvas, face, face["yaw"], 0.58, 1.5, 0.9) as (tones, u, v):
        jaw = (u / (0.96 * face["face_width"])) ** 2 + ((v + 0.6) / 0.9) ** 2
        around = np.minimum((1 - jaw) * 0.4, (u / 0.6) ** 2 * 0.4 + v + 0.06)
        strength = 0.5 * np.clip(face["beard"], 0, 1)
        _paint(tones, strength * _cover(around, 3 * face["edge"]), face["hair"])
        height = face["mouth_height"] + face["pitch"] - 0.74 - 0.06 * face[10]
        hairs = _stroke(u / 0.26, v - height - 0.7 * u * u, 0.042, face["edge"])
        _paint(tones, 0.9 * (face["moustache"] > 0) * hairs, face["hair"])


def _draw_cheek(canvas, face, side):
    """Draw the fold from nose wing to mouth corner: units 9, 10 and 12."""
    centre = side * 0.3 + face["yaw"], 0.34 + face["pitch"]
    depth = 0.6 * np.clip(0.6 * face[9] + 0.5 * face[10] + 0.4 * face[12], 0, 1)
    with _patch(canvas, face, *centre, 0.3, 0.55) as (tones, u, v):
        along = v / 0.22
        line = _stroke(along, u * side - 0.08 * along + 0.05 * along * along, 0.03, face["edge"])
        _paint(tones, depth * line, _DARK * face["skin"])


def _draw_eye(canvas, face, side):
    """Draw white, iris, lids, the fold below and glasses: units 5, 6 and 7."""
    centre = side * face["eye_distance"] + face["yaw"], -0.14 + face["pitch"]
    edge, skin = face["edge"], face["skin"]
    top = face["eye_height"] * (1 + 0.9 * face[5] - 0.35 * face[6] - 0.4 * face[7])
    bottom = face["eye_height"] * (0.75 + 0.25 * face[5] - 0.55 * face[6] - 0.4 * face[7])
    with _patch(canvas, face, *centre, 0.56, 0.5) as (tones, u, v):
        along = u / face["eye_width"]
        arch = np.maximum(1 - along * along, 0)
        upper, lower = v + top * arch, bottom * arch - v
        ball = _cover(np.minimum(upper, lower), edge) * (arch > 0)
        _paint(tones, ball, 0.35 + 0.75 * skin)
        iris = 0.078 - np.sqrt((u - face["gaze"]) ** 2 + v * v)
        _paint(tones, ball * _cover(iris, edge), face["iris"] * skin)
        _paint(tones, _stroke(along, upper, 0.03, edge) * (arch > 0), _DARK * skin)
        fold = _stroke(along, v - (bottom + 0.05) * arch, 0.02, edge)
        _paint(tones, np.clip(0.25 + 0.4 * face[6], 0, 1) * fold, 0.5 * skin)
        rim = 0.022 - 0.21 * np.abs(np.sqrt((u / 0.24) ** 2 + (v / 0.2) ** 2) - 1)
        _paint(tones, (face["glasses"] > 0) * _cover(rim, edge), face["glasses_tone"])


def _draw_brow(canvas, face, side):
    """Draw a brow and the furrow beside it: units 1, 2, 4 and 9."""
    apart = face["eye_distance"] - 0.035 * face[4]
    centre = side * apart + face["yaw"], -0.36 + face["pitch"] + face["brow_height"]
    inner = 0.14 * face[1] - 0.15 * face[4] - 0.07 * face[9] - face["brow_slant"]
    outer = 0.15 * face[2] - 0.02 * face[4] + face["brow_slant"]
    with _patch(canvas, face, *centre, 0.6, 0.56) as (tones, u, v):
        along = u * side / 0.21  # -1 at the nose, 1 at the temple
        lift = (inner + outer) / 2 + (outer - inner) / 2 * along
        lift = lift + (0.03 + 0.05 * face[2]) * (1 - along * along)
        brow = _stroke(along, v + lift, face["brow_thickness"], face["edge"])
        _paint(tones, brow, np.minimum(face["hair"], 0.4 * face["skin"]))
        furrow = _stroke((v + inner - 0.06) / 0.11, u * side + 0.25, 0.02, face["edge"])
        _paint(tones, 0.8 * np.clip(face[4] + 0.3 * face[9], 0, 1) * furrow, 0.4 * face["skin"])


def _draw_nose(canvas, face):
    """Draw the nose and the wrinkles on its bridge: unit 9."""
    centre = 1.25 * face["yaw"], 0.02 + face["pitch"]
    edge, dark = face["edge"], 0.45 * face["skin"]
    tip = face["nose_length"] - 0.05 * face[9] - 0.02
    with _patch(canvas, face, *centre, 0.42, 0.64) as (tones, u, v):
        along = u / (face["nose_width"] * (1 + 0.25 * face[9]))
        _paint(tones, 0.8 * _stroke(along, v - tip - 0.04 * along * along, 0.03, edge), dark)
        _paint(tones, 0.35 * _stroke((v - tip / 2 + 0.1) / 0.2, u - 0.05, 0.02, edge), dark)
        for height in (-0.17, -0.07):
            wrinkle = _stroke(u / 0.14, v - height - 3 * u * u, 0.024, edge)
            _paint(tones, np.clip(face[9], 0, 1) * wrinkle, dark)


def _lips(face):
    """Return the mouth's corners, middle, half width, opening up and down, and thickness."""
    corner = 0.15 * face[15] - 0.15 * face[12] + 0.03 * face[20] + face["mouth_curve"]
    # Corners that rise leave the middle low, and the other way round.
    middle = -0.4 * corner - 0.05 * face[17] - 0.03 * face[10]
    width = 1 + 0.3 * face[12] + 0.35 * face[20] - 0.3 * face[26] - 0.12 * face[24]
    up = 0.012 + 0.03 * face[25] + 0.075 * face[10] + 0.03 * face[26]
    down = 0.012 + 0.06 * face[25] + 0.2 * face[26] + 0.03 * face[20]
    thickness = face["lip_thickness"] * np.maximum(1 - 0.75 * face[24], 0.1)
    return corner, middle, face["mouth_width"] * width, up, down, thickness


def _draw_mouth(canvas, face):
    """Draw lips, opening, teeth and the wrinkle on the chin: units 10 to 26."""
    corner, middle, width, up, down, thickness = _lips(face)
    edge, skin = face["edge"], face["skin"]
    centre = face["yaw"], face["mouth_height"] + face["pitch"] + 0.06
    bared = 1.3 * (face[10] + face[12] + face[20]) * (face[10] + face[25]) - 0.3
    with _patch(canvas, face, *centre, 0.92, 0.8) as (tones, u, v):
        v = v + 0.06
        square = np.minimum((u / width) ** 2, 1)
        arch, inside = 1 - square, square < 1
        line = v - middle - (corner - middle) * square
        lips = np.minimum(line + (up + thickness) * arch, (down + 1.2 * thickness) * arch - line)
        _paint(tones, inside * _cover(lips, edge), face["lip_tone"] * skin)
        upper = line + up * arch
        opening = inside * _cover(np.minimum(upper, down * arch - line), edge)
        _paint(tones, opening, 0.2 * skin)
        teeth = _cover(np.minimum(upper - 0.01, 0.6 * down * arch - line), edge)
        _paint(tones, np.clip(bared, 0, 1) * opening * teeth, 0.4 + 0.7 * skin)
        wrinkle = _stroke(u / 0.13, v - 0.2 - 0.16 * face[26] + 4 * u * u, 0.022, edge)
        _paint(tones, 0.7 * np.clip(face[17], 0, 1) * wrinkle, 0.4 * skin)


def _photograph(canvas, face, rng):
    """Light, occlude and expose the faces: `uint8` images of the canvas's shape."""
    size = canvas.shape[1]
    x = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1
    y = x[:, None]
    canvas *= (1 + face["light_x"] * x) * (1 + face["light_y"] * y)
    side = np.where(face["occluder_side"] < 0, np.float32(-1), np.float32(1))
    beyond = side * x + face["occluder_slope"] * y - face["occluder_depth"]
    _paint(canvas, (face["occluder"] > 0) * _cover(beyond, 3 / size), face["occluder_tone"])
    # Sixteen random bits a pixel: their number of ones is close to normal, deviation 2.
    bits = np.frombuffer(rng.bytes(2 * canvas.size), "<u2").reshape(canvas.shape)
    noise = (np.bitwise_count(bits).astype(np.float32) - 8) * (face["noise"] / 2)
    canvas = (canvas - 0.5) * face["contrast"] + noise + (0.5 + face["brightness"])
    return np.clip(canvas * 255 + 0.5, 0, 255).astype(np.uint8)
