"""CSV files of FER-2013's form: every valid file gives back its faces, no bad row a wrong one."""

import csv
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_lib import emotions
from fer_lib.data.readers import fer2013_csv
from support.layouts import csv_bytes, text_of


def pixels_of(rng, n=3):
    return rng.integers(0, 256, (n, 48, 48), dtype=np.uint8)


def read_bytes(data, **options):
    return fer2013_csv.read_fer2013_csv(io.BytesIO(data), **options)


# CSV: what is right


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 20),
    columns=st.permutations(["emotion", "pixels", "Usage", "comment"]),
    kept=st.sampled_from([("Usage", "comment"), ("Usage",), ("comment",), ()]),
    space=st.sampled_from(["", " ", "  "]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    blank=st.booleans(),
    upper=st.booleans(),
    high=st.sampled_from([1, 10, 100, 256]),
)
def test_any_valid_csv_gives_back_its_faces(
    seed, rows, columns, kept, space, quoting, end, bom, blank, upper, high
):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, high, (rows, 48, 48), dtype=np.uint8)
    labels = rng.integers(0, 7, rows)
    usage = rng.choice(fer2013_csv.USAGES, rows)
    columns = [c for c in columns if c in ("emotion", "pixels", *kept)]
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    padded = [columns[0], *(space + c for c in columns[1:])]
    writer.writerow([c.upper() if upper else c for c in padded])
    for image, label, use in zip(images, labels, usage, strict=True):
        values = {
            "emotion": label,
            "pixels": text_of(image),
            "Usage": use,
            "comment": 'a, "quoted" one',
        }
        writer.writerow([values[c] for c in columns])
    data = (b"\xef\xbb\xbf" if bom else b"") + out.getvalue().encode() + (b"\r\n" if blank else b"")

    faces = read_bytes(data)

    np.testing.assert_array_equal(faces.images, images)
    np.testing.assert_array_equal(faces.labels, labels)
    np.testing.assert_array_equal(faces.ids, np.arange(rows))
    assert faces.label_set == emotions.FER7
    assert faces.skipped == ()
    if "Usage" in columns:
        np.testing.assert_array_equal(faces.usage, usage)
    else:
        assert faces.usage is None


@pytest.mark.parametrize(
    "header", ["emotion,pixels,Usage", "emotion, Usage, pixels", "emotion,pixels"]
)
def test_lines_longer_than_a_chunk_and_across_chunks_are_whole(rng, header, monkeypatch):
    monkeypatch.setattr(fer2013_csv, "_CHUNK", 1009)
    images = pixels_of(rng, 19)
    np.testing.assert_array_equal(read_bytes(csv_bytes(images, header=header)).images, images)


def test_every_pixel_value_is_read_at_every_length_of_its_neighbours():
    values = np.array([(a, b) for a in (0, 7, 10, 99, 100, 255) for b in range(256)])
    image = np.resize(values.ravel(), (2, 48, 48)).astype(np.uint8)
    np.testing.assert_array_equal(read_bytes(csv_bytes(image)).images, image)


def test_repeated_spaces_tabs_and_leading_zeros_are_still_the_same_numbers(rng):
    image = pixels_of(rng, 1)
    numbers = text_of(image).split()
    for text in ("  ".join(numbers), "\t".join(numbers), " ".join(n.zfill(4) for n in numbers)):
        data = f"emotion,pixels\n3,{text}\n".encode()
        np.testing.assert_array_equal(read_bytes(data).images, image)


# CSV: what is wrong


def _bad_rows():
    ok = ["12"] * 2304
    texts = {
        "one pixel too few": (ok[:-1], "has 2303 pixels instead of 2304"),
        "one pixel too many": ([*ok, "12"], "has 2305 pixels instead of 2304"),
        "no pixels": ([], "has 0 pixels"),
        "256": ([*ok[:-1], "256"], "pixel 2304 is '256', outside 0 to 255"),
        "259": (["259", *ok[1:]], "pixel 1 is '259', outside 0 to 255"),
        "300": ([*ok[:7], "300", *ok[8:]], "pixel 8 is '300', outside"),
        "999": ([*ok[:-1], "999"], "outside 0 to 255"),
        "1234": ([*ok[:-1], "1234"], "outside 0 to 255"),
        "2560": (["2560", *ok[1:]], "outside 0 to 255"),
        "negative": ([*ok[:-1], "-1"], "pixel 2304 is '-1', outside"),
        "letters": ([*ok[:-1], "abc"], "pixel 2304 is 'abc', not a whole number"),
        "fraction": (["1.5", *ok[1:]], "pixel 1 is '1.5', not a whole number"),
        "underscore": (["1_2", *ok[1:]], "not a whole number"),
        "colon (the byte after 9)": (["1:", *ok[1:]], "not a whole number"),
        "slash (the byte before 0)": (["1/", *ok[1:]], "not a whole number"),
        "NUL": (["1\0", *ok[1:]], "not a whole number"),
    }
    rows = {name: (f"3,{' '.join(text)},Training", why) for name, (text, why) in texts.items()}
    good = " ".join(ok)
    return rows | {
        "unknown label": (f"7,{good},Training", "emotion is '7', not one of 0 to 6"),
        "negative label": (f"-1,{good},Training", "emotion is '-1'"),
        "empty label": (f",{good},Training", "emotion is ''"),
        "unknown usage": (f"3,{good},Trai", "Usage is 'Trai'"),
        "missing field": (f"3,{good}", "has 2 fields instead of 3"),
        "additional field": (f"3,{good},Training,x", "has 4 fields instead of 3"),
        "unclosed quote": (f'3,"{good},Training', "fields instead of 3"),
        "cut off": (f"3,{good[:900]}", "fields instead of 3"),
    }


@pytest.mark.parametrize("kind", _bad_rows())
@pytest.mark.parametrize("place", [0, 5, 9])
def test_a_bad_row_is_named_or_skipped_and_leaves_its_neighbours_alone(rng, kind, place):
    bad, reason = _bad_rows()[kind]
    images = pixels_of(rng, 10)
    lines = csv_bytes(images).split(b"\n")
    lines[1 + place] = bad.encode()
    data = b"\n".join(lines)

    with pytest.raises(ValueError) as error:
        read_bytes(data)
    assert f"row {place + 1}: " in str(error.value) and reason in str(error.value)
    assert 'on_error="skip"' in str(error.value)

    faces = read_bytes(data, on_error="skip")
    rest = [row for row in range(10) if row != place]
    np.testing.assert_array_equal(faces.images, images[rest])
    assert faces.ids.tolist() == rest
    assert len(faces.skipped) == 1 and faces.skipped[0].startswith(f"row {place + 1}: ")


def test_a_row_too_long_and_one_too_short_do_not_make_up_for_each_other(rng):
    lines = csv_bytes(pixels_of(rng, 2), header="emotion,pixels").split(b"\n")
    lines[1], last = lines[1].rsplit(b" ", 1)
    lines[2] += b" " + last
    faces_missing = "row 1: has 2303 pixels"
    with pytest.raises(ValueError, match=faces_missing) as error:
        read_bytes(b"\n".join(lines))
    assert "row 2: has 2305 pixels" in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2303), st.integers(0, 99_999), st.booleans())
def test_a_number_is_read_exactly_or_refused(place, number, zero_filled):
    numbers = ["9"] * 2304
    numbers[place] = str(number).zfill(4) if zero_filled else str(number)
    data = f"emotion,pixels\n0,{' '.join(numbers)}\n".encode()
    if number > 255:
        with pytest.raises(ValueError, match=f"pixel {place + 1} is"):
            read_bytes(data)
    else:
        assert read_bytes(data).images.ravel()[place] == number


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_byte_damaged_to_what_is_no_digit_or_space_never_gives_a_wrong_image(data):
    good = csv_bytes(pixels_of(np.random.default_rng(1), 3))
    start = good.index(b"\n") + 1
    place = data.draw(st.integers(start, len(good) - 1))
    byte = data.draw(st.sampled_from(b'\0\n\r,"-.:/a\xff'))
    damaged = good[:place] + bytes([byte]) + good[place + 1 :]
    before = read_bytes(good)
    try:
        faces = read_bytes(damaged, on_error="skip")
    except ValueError:
        return
    if not faces.skipped:  # then the byte made no difference: another line end
        np.testing.assert_array_equal(faces.images, before.images)
    assert all(any((image == other).all() for other in before.images) for image in faces.images)


def test_only_five_bad_rows_are_shown_but_all_are_counted(rng):
    data = csv_bytes(pixels_of(rng, 20), labels=[9] * 20)
    with pytest.raises(ValueError, match="20 of its faces cannot be read") as error:
        read_bytes(data)
    assert str(error.value).count("emotion is '9'") == 5 and "15 more" in str(error.value)


def test_a_file_cut_off_inside_its_last_pixel_gives_a_warning(rng):
    data = csv_bytes(pixels_of(rng), header="emotion, Usage, pixels")
    with pytest.warns(UserWarning, match="cut off"):
        read_bytes(data.rstrip(b"\n"))


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1,2\n", b"emotion,pixel\n", b"pixels,pixels,emotion\n"]
)
def test_a_header_without_the_columns_is_an_error_that_names_them(data):
    with pytest.raises(ValueError, match="must have one column '(emotion|pixels)'"):
        read_bytes(data)


def test_a_csv_without_rows_is_an_error():
    with pytest.raises(ValueError, match="at least one readable row"):
        read_bytes(b"emotion,pixels\n")


def test_on_error_knows_two_values(rng):
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        read_bytes(csv_bytes(pixels_of(rng)), on_error="ignore")
