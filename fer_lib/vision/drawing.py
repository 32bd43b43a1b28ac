"""Faces marked in pictures: boxes, numbers, emotions and probabilities."""

import math

import numpy as np

from fer_lib.emotions import COLOURS


def annotate(image, rows):
    """Return a copy of a picture with boxes, face numbers, emotions and probabilities.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB.
        rows: The picture's rows of the table, as `pandas.DataFrame` or list of dicts; those
            without a face are left out.

    Returns:
        `uint8` array of the same shape, or, for a picture of less than 320 pixels a side, a whole
        number of times as large, so that the writing can be read.
    """
    from PIL import Image, ImageDraw

    rows = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
    fold = max(1, math.ceil(320 / max(image.shape[:2])))
    picture = Image.fromarray(image.repeat(fold, axis=0).repeat(fold, axis=1))
    draw = ImageDraw.Draw(picture)
    for row in rows:
        if row.get("emotion"):
            _mark(draw, picture.size, row, fold)
    return np.asarray(picture)


def _mark(draw, size, row, fold):
    from PIL import ImageColor, ImageFont

    longest = max(size)
    left, top = row["x"] * fold, row["y"] * fold
    right, bottom = left + row["width"] * fold - 1, top + row["height"] * fold - 1
    colour = ImageColor.getrgb(COLOURS.get(row["emotion"], "#8C8C8C"))
    line = max(1, round(longest / 300))
    draw.rectangle((left, top, right, bottom), outline=colour, width=line)
    # Between what can be read in the whole picture and what hides other faces.
    height = np.clip((right - left) / 6, max(10, longest / 70), max(10, longest / 30))
    font = ImageFont.load_default(float(height))
    mark = "?" if row["unsure"] else ""
    text = f"{row['face']} {row['emotion']}{mark} {row[row['emotion']]:.0%}"
    x0, y0, x1, y1 = draw.textbbox((0, 0), text, font=font)
    wide, high = x1 - x0 + 4 * line, y1 - y0 + 4 * line
    x = min(max(0, left), max(0, size[0] - wide))
    y = top - high if top >= high else min(bottom, size[1] - high)
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 128
    draw.text((x + 2 * line - x0, y + 2 * line - y0), text, "black" if light else "white", font)
