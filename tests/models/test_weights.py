"""pretrained: where weights are looked for and in which order, and that nothing is silent."""

import http.server
import signal
import threading
import time

import h5py
import keras
import numpy as np
import pytest

from fer_lib.models import classifier
from fer_lib.models import weights as module
from fer_lib.models.weights import SHIPPED_STARTS, Start, _local_file, find_weights, resolve_auto
from fer_lib.storage import file_hash
from soak.children import Child
from support.tiny_backbone import tiny_network

FILE = "tiny_1.0_224_no_top.weights.h5"


@pytest.fixture(autouse=True)
def no_weights_of_the_user(tiny, monkeypatch):
    """Leave no FER_WEIGHTS of the caller's; FER_HOME is already the test's own."""
    monkeypatch.delenv("FER_WEIGHTS", raising=False)


def put(path, fill):
    """Write a weights file of the tiny backbone whose every number is `fill`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tiny_network(input_shape=(96, 96, 3), fill=fill).save_weights(path)
    return path


def find(weights, alpha=1.0):
    return find_weights("tiny", "Tiny", alpha, weights)


def download(monkeypatch, fill):
    """Have Keras find weights of `fill` in its cache or on the net."""

    def application(weights=None, **arguments):
        return tiny_network(fill=fill if weights == "imagenet" else None, **arguments)

    monkeypatch.setattr(keras.applications, "Tiny", application)


def values(start):
    return {float(number) for value in start.values for number in np.unique(value)}


def test_weights_are_taken_from_fer_weights_then_fer_home_then_keras(
    fer_home, tmp_path, monkeypatch
):
    download(monkeypatch, 3)
    monkeypatch.setenv("FER_WEIGHTS", str(tmp_path / "named"))
    found = find("imagenet")
    assert values(found) == {3.0} and found.origin == "ImageNet, keras.applications.Tiny 1.0"
    put(fer_home / "weights" / FILE, 2)
    assert values(find("imagenet")) == {2.0}
    put(tmp_path / "named" / FILE, 1)
    assert values(find("imagenet")) == {1.0} and values(find("auto")) == {1.0}


def test_the_origin_names_the_file_and_its_hash(fer_home):
    path = put(fer_home / "weights" / FILE, 2)
    start = find("imagenet")
    assert start.origin == f"ImageNet, {FILE}, sha256 {file_hash(path)[:12]}"
    assert start.notice == ""


def test_an_exact_file_comes_before_one_converted_from_uint8(fer_home):
    put(fer_home / "weights" / "tiny_1.0_224_no_top_from_uint8.weights.h5", 1)
    assert "from_uint8" in find("imagenet").origin
    put(fer_home / "weights" / FILE, 2)
    assert values(find("imagenet")) == {2.0}


def test_a_file_of_another_width_or_backbone_is_not_taken(fer_home):
    put(fer_home / "weights" / "tiny_0.5_224_no_top.weights.h5", 1)
    put(fer_home / "weights" / "tiny_v2_1.0_224_no_top.weights.h5", 1)
    with pytest.raises(FileNotFoundError):
        find("imagenet")


def test_without_any_imagenet_is_an_error_that_names_file_and_places(
    fer_home, tmp_path, monkeypatch
):
    monkeypatch.setenv("FER_WEIGHTS", str(tmp_path / "named"))
    with pytest.raises(FileNotFoundError) as error:
        find("imagenet")
    text = str(error.value)
    assert FILE in text and str(tmp_path / "named") in text and str(fer_home / "weights") in text
    assert "~/.keras/models" in text and "URL fetch failure" in text and "weights=None" in text


def test_a_download_that_fails_without_a_word_is_the_same_error(monkeypatch):
    def application(**arguments):
        raise ConnectionError

    monkeypatch.setattr(keras.applications, "Tiny", application)
    with pytest.raises(FileNotFoundError, match="ConnectionError"):
        find("imagenet")


def test_auto_falls_to_a_random_start_with_a_notice():
    start = find("auto")
    assert start.values is None and "random start" in start.origin
    assert "RANDOM START" in start.notice and "URL fetch failure" in start.notice
    model = classifier.build_classifier("tiny", weights="auto")
    assert model.notice == start.notice and model.origin == start.origin


def test_none_is_a_random_start_without_a_notice(fer_home):
    put(fer_home / "weights" / FILE, 2)
    assert find(None) == Start(None, "random start", "")


def test_auto_is_resolved_to_what_can_be_had(fer_home, monkeypatch):
    name, notice = resolve_auto("tiny", "Tiny", 1.0)
    assert name is None and "RANDOM START" in notice
    download(monkeypatch, 3)
    assert resolve_auto("tiny", "Tiny", 1.0) == ("imagenet", "")
    put(fer_home / "weights" / FILE, 2)
    assert resolve_auto("tiny", "Tiny", 1.0) == ("imagenet", "")


def test_auto_is_resolved_without_building_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    asked = []

    def build(**arguments):
        raise AssertionError("a network was built")

    def get_file(name, origin, cache_dir, cache_subdir):
        asked.append(origin)
        if "v2" not in name:
            raise Exception(f"URL fetch failure on {origin}")  # as Keras says it
        (cache_dir / name).touch()
        return cache_dir / name

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    for application in ("MobileNet", "MobileNetV2"):
        monkeypatch.setattr(keras.applications, application, build)
    assert resolve_auto("mobilenet_v2", "MobileNetV2", 1.0) == ("imagenet", "")
    name, notice = resolve_auto("mobilenet", "MobileNet", 0.75)
    assert name is None and "RANDOM START" in notice and "URL fetch failure" in notice
    assert [origin.rpartition("/")[2] for origin in asked] == [
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5",
        "mobilenet_7_5_224_tf_no_top.h5",
    ]


def test_a_download_that_is_killed_midway_is_begun_anew(tmp_path, monkeypatch):
    content, sent = b"weights" * 30_000, tmp_path / "sent"

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            first = not sent.exists()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:150_000] if first else content)
            sent.touch()
            time.sleep(30 if first else 0)

        def log_message(self, *_):
            pass

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(module, "_KERAS", f"http://127.0.0.1:{server.server_port}/")
        wanted = ("vgg16", "VGG16", 1.0)
        child = Child(lambda: module._download(*wanted), tmp_path, tmp_path / "log.txt")
        while not sent.exists():
            time.sleep(0.02)
        child.send(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        assert not list(tmp_path.glob("models/vgg16*"))
        path = module._download(*wanted)
        server.shutdown()
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_fer_weights_of_another_backbone_name_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match=r"of tiny 1.0 are shipped \(those of mobilenet_v2"):
        find("fer")


def test_where_imagenets_cannot_be_had_a_shipped_start_is_taken(tmp_path, monkeypatch):
    shipped = tmp_path / "shipped.keras"
    classifier.build_classifier("tiny", weights=str(put(tmp_path / "x.weights.h5", 4))).save(
        shipped
    )
    monkeypatch.setitem(SHIPPED_STARTS, ("tiny", 1.0), shipped)
    for weights in ("fer", "auto"):
        start = find(weights)
        assert values(start) == {4.0}
        assert start.origin.startswith("face expressions, shipped.keras, sha256 ")
    assert start.notice.startswith("Starts from the shipped face model: no ImageNet weights")
    name, notice = resolve_auto("tiny", "Tiny", 1.0)
    assert name == "fer" and notice == start.notice


def test_the_model_starts_from_the_file(tmp_path):
    path = put(tmp_path / "mine.weights.h5", 0.5)
    model = classifier.build_classifier("tiny", weights=str(path))
    body = [value for layer in classifier.backbone_layers(model) for value in layer.get_weights()]
    assert all((value == 0.5).all() for value in body)
    assert model.origin == f"mine.weights.h5, sha256 {file_hash(path)[:12]}"


def test_a_run_s_model_can_be_started_from(tmp_path, rng):
    run = classifier.build_classifier("tiny", weights=None, classes=8, image_size=64)
    run.save(tmp_path / "model.keras")
    model = classifier.build_classifier("tiny", weights=str(tmp_path / "model.keras"))
    before = [w for layer in classifier.backbone_layers(run) for w in layer.get_weights()]
    after = [w for layer in classifier.backbone_layers(model) for w in layer.get_weights()]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert "model.keras" in model.origin


@pytest.mark.slow
def test_a_run_s_folder_is_its_model_and_one_without_says_so(tmp_path):
    run = tmp_path / "old"
    run.mkdir()
    with pytest.raises(FileNotFoundError, match="old' is a folder without model.keras"):
        find(run)
    (run / "experiment.json").write_text("{}")
    model = classifier.build_classifier("tiny", weights=put(tmp_path / "w.weights.h5", 4))
    model.save(run / "model.keras")
    start = find(run)
    assert values(start) == {4.0} and start.origin.startswith("run old, sha256 ")
    assert find(run / "model.keras").origin == start.origin


@pytest.mark.slow
def test_a_network_cut_for_its_attention_starts_one_that_is_cut_too(tmp_path):
    options = {"alpha": 0.25, "image_size": 32, "attention": "se"}
    run = classifier.build_classifier("mobilenet", weights=None, **options)
    run.save(tmp_path / "cut.keras")
    options["weights"] = str(tmp_path / "cut.keras")
    model = classifier.build_classifier("mobilenet", **options)
    before = [w for layer in classifier.backbone_layers(run) for w in layer.get_weights()]
    after = [w for layer in classifier.backbone_layers(model) for w in layer.get_weights()]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="lacks .* from conv_dw_12 on. Set attention"):
        classifier.build_classifier("mobilenet", **options | {"attention": None})


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match="'imagnet' is no file"):
        find("imagnet")


def test_a_file_of_another_width_is_an_error_that_names_it(tmp_path):
    path = put(tmp_path / "wide.weights.h5", 1)
    with pytest.raises(ValueError, match=r"wide\.weights\.h5 does not hold weights of Tiny 2\.0"):
        find(str(path), alpha=2.0)


@pytest.mark.parametrize("name", ["notes.txt", "broken.weights.h5", "broken.keras"])
def test_a_file_that_holds_no_weights_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / name).write_text("no weights")
    with pytest.raises(ValueError, match=f"{name} does not hold weights of Tiny"):
        find(str(tmp_path / name))


def test_a_broken_file_in_fer_home_is_not_passed_over(fer_home, monkeypatch):
    download(monkeypatch, 3)
    (fer_home / "weights").mkdir(parents=True)
    (fer_home / "weights" / FILE).write_text("half a download")
    for weights in ("imagenet", "auto"):
        with pytest.raises(ValueError, match=FILE):
            find(weights)


def test_a_run_of_another_backbone_is_an_error_that_names_it(tmp_path):
    classifier.build_classifier("cnn5x5", weights=None).save(tmp_path / "run.keras")
    with pytest.raises(ValueError, match=r"run\.keras does not hold weights of Tiny"):
        find(str(tmp_path / "run.keras"))


@pytest.mark.realdata
@pytest.mark.parametrize(
    "backbone, alpha",
    [
        ("mobilenet", 0.25),
        pytest.param("mobilenet_v2", 0.35, marks=pytest.mark.slow),
        pytest.param("mobilenet", 1.0, marks=pytest.mark.slow),
    ],
)
def test_real_imagenet_weights_load_from_fer_weights(shared, monkeypatch, backbone, alpha):
    monkeypatch.setenv("FER_WEIGHTS", str(shared / "weights"))
    model = classifier.build_classifier(backbone, alpha=alpha, weights="imagenet")
    application = getattr(keras.applications, classifier.BACKBONES[backbone].application)
    plain = application((96, 96, 3), alpha, include_top=False, weights=None)
    (path,) = (shared / "weights").glob(f"{backbone}_{alpha}_224_no_top*.weights.h5")
    plain.load_weights(path)
    assert path.name in model.origin and file_hash(path)[:12] in model.origin
    loaded = [w for layer in classifier.backbone_layers(model) for w in layer.get_weights()]
    for ours, theirs in zip(loaded, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.realdata
def test_real_weights_keep_their_names_when_auto_is_resolved(shared, monkeypatch):
    monkeypatch.setenv("FER_WEIGHTS", str(shared / "weights"))
    assert resolve_auto("mobilenet_v2", "MobileNetV2", 1.0) == ("imagenet", "")


@pytest.mark.parametrize(
    ("backbone", "alpha", "name"),
    [
        ("mobilenet", 1.0, "mobilenet_1_0_224_tf_no_top.h5"),
        ("mobilenet", 0.75, "mobilenet_7_5_224_tf_no_top.h5"),
        ("mobilenet", 0.25, "mobilenet_2_5_224_tf_no_top.h5"),
        (
            "mobilenet_v2",
            0.35,
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
        ),
    ],
)
def test_keras_s_own_downloads_may_lie_in_fer_home(fer_home, backbone, alpha, name):
    smaller = name.replace("224", "128")
    for file in (name, smaller):
        (fer_home / "weights").mkdir(parents=True, exist_ok=True)
        (fer_home / "weights" / file).touch()
    assert _local_file(backbone, alpha).name == name
    assert _local_file(backbone, 1.3) is None


def test_a_download_of_keras_s_own_format_is_read(fer_home):
    base = keras.applications.MobileNet(
        input_shape=(96, 96, 3), include_top=False, weights=None, alpha=0.25
    )
    path = fer_home / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    path.parent.mkdir(parents=True)
    whole = path.with_name("whole.h5")
    base.save(whole)  # the old format: the weights lie below "model_weights"
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for name, value in source["model_weights"].attrs.items():
            target.attrs[name] = value
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", target)
    start = find_weights("mobilenet", "MobileNet", 0.25, "imagenet")
    assert start.origin.startswith("ImageNet, mobilenet_2_5_224_tf_no_top.h5")
    for found, expected in zip(start.values, base.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
