"""Which videos a call of `video.predict_video` reads, and which files it writes of them."""

import glob
import os
from pathlib import Path

from fer_lib.choices import lookup
from fer_lib.vision import face_table, video_copy, video_files

# Of the files that a folder of videos may hold; a file given by name may end as it likes.
SUFFIXES = tuple(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .webm .wmv".split()
)
# What is written of each video, beside the tables → its endings, the usual one first.
KINDS = {
    "annotated": tuple(video_copy.COPIES),
    "timeline": (".png", ".pdf", ".svg"),
    "elan": (".txt", ".tsv"),
}


def find_videos(sources):
    """Return the videos that sources name, and whether they may be several.

    Args:
        sources: As of `predict_video`.

    Returns:
        `(videos, several)`: list of paths and addresses, none twice, and `False` for one that was
        named itself.

    Raises:
        ValueError: If a folder or pattern holds no video, or a source is a camera.
    """
    several = isinstance(sources, list | tuple)
    videos = []
    for source in sources if several else [sources]:
        if isinstance(source, int) or (str(source).isdecimal() and not os.path.exists(source)):
            raise ValueError(
                f"{source} is a camera: python -m fer_lib webcam --camera {source} shows it, and "
                "records its table with the key r."
            )
        source, found = os.fspath(source), None
        if os.path.isdir(source):
            found = [
                os.path.join(folder, name)
                for folder, below, names in sorted(os.walk(source))
                for name in sorted(names)
                if name.lower().endswith(SUFFIXES) and "/." not in f"/{os.path.join(folder, name)}"
            ]
        elif glob.has_magic(source) and not os.path.exists(source):
            if not video_files.is_address(source):
                found = sorted(filter(os.path.isfile, glob.glob(source, recursive=True)))
        if found == []:
            raise ValueError(f"{source} holds no videos.")
        several |= found is not None
        videos += found or [source]
    if not videos:
        raise ValueError("sources must name at least one video; the list is empty.")
    return list(dict.fromkeys(videos)), several


def find_files(tables, places, videos, several, also_read=None):
    """Return the files that are written of each video, after a look at their names.

    Args:
        tables: Files of tables of all videos, list of paths.
        places: Dict from a key of `KINDS` to a file, or a folder if there may be several videos,
            or `None`.
        videos: List of paths and addresses.
        several: Whether there may be several.
        also_read: Another file that is read, or `None`.

    Returns:
        Dict from a key of `KINDS` to a list: a `Path` or `None` for each video.

    Raises:
        ValueError: If a name does not fit, or is that of a video.
    """
    for path in tables:
        lookup(face_table.TABLE_FORMATS, Path(path).suffix.lower(), f"ending of a table ({path})")
    files = {name: _files(name, path, videos, several) for name, path in places.items()}
    written = [*map(Path, tables)]
    written += [path for paths in files.values() for path in paths if path]
    _check_sources_stay(written, [*videos, *filter(None, [also_read])])
    return files


def check_free(paths):
    """Raise FileExistsError if one of some files (or `None`) is there."""
    for path in paths:
        if path is not None and Path(path).exists():
            raise FileExistsError(f"{path} is there already; choose another name, or overwrite it.")


def _files(name, path, videos, several):
    """Return the file of one kind that is written for each video, or `None` for each."""
    known = dict.fromkeys(KINDS[name])
    if path is None:
        return [None] * len(videos)
    path = Path(path)
    if not several:
        lookup(known, path.suffix.lower(), f"ending of {name} ({path})")
        return [path]
    if path.suffix.lower() in known or path.is_file():
        raise ValueError(f"{name} must be a folder for several videos; got {path}.")
    stems, files = [Path(video_files.name_of(video)).stem for video in videos], []
    for number, stem in enumerate(stems):
        again = stems[:number].count(stem)
        files.append(path / f"{stem}{f'-{again + 1}' if again else ''}{KINDS[name][0]}")
    return files


def _check_sources_stay(written, videos):
    for path in written:
        for video in videos:
            if os.path.exists(video) and path.exists() and os.path.samefile(path, video):
                raise ValueError(f"{path} is the video that is read: choose another name for it.")
    if len({os.path.abspath(path) for path in written}) < len(written):
        raise ValueError("two of the files to write have one name; give each its own.")
