"""Bad input: refused in one sentence, in bounded memory and time, through every door."""

import re

import pytest

from support import bad_input

SECONDS, MEGABYTES = 5, 256
CASES = [(name, door) for name, bad in bad_input.CORPUS.items() for door in bad.doors]


@pytest.fixture(scope="module")
def doors():
    """Doors without Keras, and with it for its files and notebooks, as its import takes long."""
    opened = {keras: bad_input.Doors(keras) for keras in (False, True)}
    yield opened
    for one in opened.values():
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "door"), CASES)
def test_bad_input_is_refused_in_one_sentence_and_little_room(doors, name, door, tmp_path):
    given = bad_input.CORPUS[name].write(tmp_path)
    keras = str(given).endswith(".keras") or door.endswith("notebook")
    said, seconds, megabytes = doors[keras].try_door(door, given)
    assert "Traceback" not in said and "signal" not in said, said
    assert 20 < len(said) < 2000 and said.count(". ") < 4, said[:3000]
    if door.split()[0] not in ("word", "grid"):
        assert given.stem in said, said
    assert not (tmp_path / "witness").exists()
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", said.replace("\r", "")), repr(said)
    assert megabytes < MEGABYTES and seconds < SECONDS, (seconds, megabytes, said)
