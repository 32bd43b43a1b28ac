"""Compare the detectors on photographs and a clip: found faces, false alarms, time, tilt.

python tests/benchmarks/detection.py [--rounds N] [--json FILE]

Needs the photographs and the clip in the folder that FER_SHARED names (by default ../shared),
YuNet's file in FER_WEIGHTS or FER_HOME/weights (without it only Haar is measured) and OpenCV.
The true faces are marked below, middle and size in pixels: boxes of YuNet at a low threshold,
checked and sorted by eye, so that a face that it missed there would be missing here. A face counts
as found when the middle of a box lies within half its size. A box on a face marked as optional
(dim, cut off, turned away) counts neither way. Times are medians for a frame of 640 x 480 pixels
with four faces: wall time, and CPU time of all threads, which says more on a busy machine.
"""

import argparse
import json
import math
import os
import statistics
import time
from pathlib import Path

SHARED = Path(os.environ.get("FER_SHARED", Path(__file__).parents[3] / "shared"))
# The photograph of 1927 is a part of the known one: six whole faces, with boxes drawn on them.
PHOTOS = {
    "two_men_and_two_bystanders.jpg": [
        (176, 144, 122),
        (304, 107, 119),
        (465, 150, 64),
        (27, 131, 58),
    ],
    "grace_hopper.png": [(267, 227, 209)],
    "astronaut.png": [(223, 120, 111)],
    "solvay_1927_29_people.jpg": [
        (282, 134, 117),
        (904, 117, 103),
        (92, 231, 108),
        (639, 111, 97),
        (823, 227, 113),
        (429, 252, 116),
    ],
}
CLIP = "several_faces_275_frames.mp4"
FRAMES = {
    0: [(546, 72, 59), (70, 201, 36)],
    20: [(518, 120, 257)],  # a profile
    40: [(411, 244, 213)],  # a profile
    100: [(244, 137, 110)],
    120: [(246, 89, 110)],
    140: [(210, 86, 114)],
    160: [(287, 78, 114)],
    180: [(245, 88, 113)],
    200: [(306, 92, 124)],
    220: [(73, 99, 78), (417, 132, 106), (196, 122, 98), (345, 88, 98)],  # half profiles
    240: [(79, 95, 85), (421, 133, 106), (197, 125, 99), (346, 91, 99)],
    260: [(68, 104, 80), (424, 136, 108), (202, 130, 93), (356, 92, 110)],
}
OPTIONAL = {
    220: [(609, 88, 77), (51, 56, 56)],
    240: [(611, 88, 71), (288, 43, 69)],
    260: [(615, 93, 71)],
}
ANGLES = (0, 10, 20, 30, 45, 60, 75, 90)


def pictures():
    """Return the photographs and the frames of the clip: lists of (image, true, optional)."""
    import cv2

    from fer_lib.vision.pictures import read_photo

    photos = [(read_photo(SHARED / "media" / name), true, []) for name, true in PHOTOS.items()]
    clip, frames = cv2.VideoCapture(str(SHARED / "media" / CLIP)), []
    for number in range(max(FRAMES) + 1):
        image = clip.read()[1]
        if number in FRAMES:
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            frames.append((rgb, FRAMES[number], OPTIONAL.get(number, [])))
    return photos, frames


def counted(find, images):
    """Return (faces found, false alarms) over a list of (image, true, optional)."""
    found = alarms = 0
    for image, true, optional in images:
        open_boxes = list(find(image))
        for wanted in (true, optional):
            for x, y, size in wanted:
                near = [b for b in open_boxes if math.dist(b.centre, (x, y)) < size / 2]
                if near:
                    open_boxes.remove(near[0])
                    found += wanted is true
        alarms += len(open_boxes)
    return found, alarms


def turned(images, angle):
    """Return the images turned in their plane, the true faces with them."""
    import cv2

    result = []
    for image, true, optional in images:
        height, width = image.shape[:2]
        side = int(math.hypot(height, width))
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
        matrix[:, 2] += ((side - width) / 2, (side - height) / 2)
        moved = [(*(matrix @ [x, y, 1]), size) for x, y, size in true]
        result.append((cv2.warpAffine(image, matrix, (side, side)), moved, optional))
    return result


def turn_seen(images, angle):
    """Return the median turn, in degrees, that YuNet's eyes show in images turned by `angle`."""
    from fer_lib.vision import detection

    def tilts(pictures):
        for image, true, _ in pictures:
            faces = detection.detect(image, "yunet")
            for x, y, size in true:
                near = [f for f in faces if math.dist(f.centre, (x, y)) < size / 2]
                yield math.degrees(detection._tilt(near[0])) if near else None

    pairs = zip(tilts(images), tilts(turned(images, angle)), strict=True)
    return statistics.median(b - a for a, b in pairs if None not in (a, b))


def timed(find, image, rounds):
    """Return the median wall and CPU time in milliseconds."""
    wall, cpu = [], []
    for _ in range(rounds):
        start = time.perf_counter(), time.process_time()
        find(image)
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return statistics.median(wall) * 1e3, statistics.median(cpu) * 1e3


def main():
    """Measure and print."""
    import cv2

    from fer_lib.vision import detection, yunet

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="frames timed (15)")
    parser.add_argument("--sides", type=int, nargs="+", default=[320, 480, 640, 960])
    parser.add_argument("--json", metavar="FILE", help="also write the numbers here")
    options = parser.parse_args()
    photos, frames = pictures()
    frame = cv2.resize(photos[0][0], (640, 480))
    faces = [sum(len(true) for _, true, _ in images) for images in (photos, frames)]
    names = [n for n in detection.DETECTORS if n != "yunet" or yunet.yunet_file()]
    print(f"{'':14}{'photos, of ' + str(faces[0]):>20}{'clip, of ' + str(faces[1]):>20}")
    print("detector  side    found  false alarms  found  false alarms   wall ms   CPU ms")
    rows = []
    for name in names:
        for side in options.sides:

            def find(image, name=name, side=side):
                return detection.detect(image, name, max_side=side)

            numbers = *counted(find, photos), *counted(find, frames)
            wall, cpu = timed(find, frame, options.rounds)
            rows.append([name, side, *numbers, wall, cpu])
            print(
                "{:8}{:6}{:9}{:14}{:7}{:14}".format(name, side, *numbers)
                + f"{wall:10.1f}{cpu:9.1f}"
            )
    print(f"\nFaces found of {faces[0]} (false alarms) in photos turned by degrees")
    print("detector" + "".join(f"{angle:>9}" for angle in ANGLES))
    tilt = {}
    for name in names:
        tilt[name] = [
            counted(lambda image, name=name: detection.detect(image, name), turned(photos, angle))
            for angle in ANGLES
        ]
        print(f"{name:8}" + "".join(f"{f'{hit} ({alarms})':>9}" for hit, alarms in tilt[name]))
    if "yunet" in names:
        seen = ", ".join(f"{-turn_seen(photos, angle):.0f} of {angle}" for angle in (10, 20, 30))
        print(f"\nDegrees of the turn that YuNet's eyes show, median: {seen}")
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": rows, "tilt": tilt}, indent=2))


if __name__ == "__main__":
    main()
