import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from glitbuild.errors import ConfigError, DatasetError, EvaluationError, GlitbuildError
from glitbuild.stages.evaluate.zeroshot import ZeroShot, accuracies, ranks_of, read_image_folder, read_webdataset
from tests.stages.evaluate.layouts import image_folder, webdataset
from tests.stages.evaluate.vectors import unit


def plain_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The definitions, image by image."""
    first, five, of_class = [], [], {}
    for row, label in zip(scores, labels, strict=True):
        better = sum(other >= row[label] for index, other in enumerate(row) if index != label)
        first.append(better == 0)
        five.append(better <= 4)
        of_class.setdefault(label, []).append(better == 0)
    found = {"acc1": 100 * sum(first) / len(first)}
    if scores.shape[1] >= 5:
        found["acc5"] = 100 * sum(five) / len(five)
    return found | {"mean_per_class_recall": 100 * float(np.mean([np.mean(hits) for hits in of_class.values()]))}


@pytest.mark.parametrize("classes", [2, 4, 5, 12])
@pytest.mark.parametrize("levels", [3, 1000])
def test_the_metrics_are_those_of_the_definition(classes: int, levels: int) -> None:
    rng = np.random.default_rng(classes)
    scores = rng.integers(0, levels, (200, classes)).astype(np.float32)
    labels = rng.integers(0, max(2, classes - 2), 200)  # the last classes have no images
    ranks, ties = ranks_of(scores, labels)
    assert accuracies(ranks, labels, classes) == pytest.approx(plain_metrics(scores, labels), abs=1e-9)
    own = scores[np.arange(200), labels]
    assert ties == sum(int((row == value).sum() > 1) for row, value in zip(scores, own, strict=True))


def test_the_weights_are_the_normalised_means_of_normalised_prompts() -> None:
    rng = np.random.default_rng(0)
    classes, templates, labels = ("cat", "dog", "hen"), ("a {c}.", "the {c}!"), (0, 2, 1, 1, 0)
    benchmark = ZeroShot(classes, templates, (), labels, {})
    texts, images = unit(rng.normal(size=(6, 8))), unit(rng.normal(size=(5, 8)))
    assert benchmark.texts == ["a cat.", "the cat!", "a dog.", "the dog!", "a hen.", "the hen!"]
    means = unit(np.stack([texts[start : start + 2].mean(axis=0) for start in (0, 2, 4)]))
    report = benchmark.measure(texts, iter([images[:3], images[3:]]))
    assert report.figures["images"] == pytest.approx(plain_metrics(images @ means.T, np.array(labels)))
    assert report.facts == {"images": 5, "classes": 3, "ties": 0}
    assert 100 * report.scores["images"]["acc1"].mean() == pytest.approx(report.figures["images"]["acc1"])


def test_a_name_that_two_classes_share_is_a_tie_and_no_hit() -> None:
    benchmark = ZeroShot(("crane", "crane", "hen"), ("a {c}.",), (), (0, 1, 2), {})
    texts = np.eye(2, dtype=np.float32)
    report = benchmark.measure(texts, iter([texts[[0, 0, 1]]]))
    assert report.figures["images"]["acc1"] == pytest.approx(100 / 3)
    assert report.facts["ties"] == 2
    assert report.facts["repeated_class_names"] == 1


def test_embeddings_that_are_not_numbers_are_refused() -> None:
    benchmark = ZeroShot(("cat", "dog"), ("a {c}.",), (), (0,), {})
    with pytest.raises(EvaluationError, match="image embeddings: 1 of 1"):
        benchmark.measure(np.eye(2, dtype=np.float32), iter([np.full((1, 2), np.nan, dtype=np.float32)]))


def test_the_classes_of_a_folder_are_its_sub_folders_in_their_order(tmp_path: Path) -> None:
    root = image_folder(tmp_path, [("fire_truck", b"1"), ("Zebra", b"2"), ("fire_truck", b"3"), ("apple", b"4")])
    (root / "apple" / "notes.txt").write_text("not an image")
    (root / "apple" / ".hidden.png").write_bytes(b"")
    (root / ".git").mkdir()
    found = read_image_folder(root)
    assert found.classes == ("Zebra", "apple", "fire truck")
    assert [(image.name, label) for image, label in zip(found.images, found.labels, strict=True)] == [
        ("Zebra/00001.png", 0),
        ("apple/00003.png", 1),
        ("fire_truck/00000.png", 2),
        ("fire_truck/00002.png", 2),
    ]
    assert [image.read() for image in found.images] == [b"2", b"4", b"1", b"3"]
    assert found.facts == {
        "class_names": "sub-folders",
        "templates": 1,
        "templates_from": "default (a photo of a {c}.)",
    }


def test_names_and_templates_come_from_files_that_are_there(tmp_path: Path) -> None:
    root = image_folder(tmp_path, [("n02", b"2"), ("n01", b"1")])
    (root / "classnames.txt").write_text("tench\ngreat white shark\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n\nart of the {c}.\n")
    found = read_image_folder(root)
    assert found.classes == ("tench", "great white shark")
    assert found.templates == ("a photo of a {c}.", "art of the {c}.")
    assert found.facts["class_names"] == "classnames.txt"
    assert found.facts["templates_from"] == "zeroshot_classification_templates.txt"


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("classnames.txt", "one\n", "classnames.txt: 1 names for 2 sub-folders"),
        ("classnames.txt", "one\n\nthree\n", "classnames.txt, line 2: the name of a class is missing"),
        ("zeroshot_classification_templates.txt", "a {c}.\na photo\n", "templates.txt, line 2: .* has no {c}"),
        ("zeroshot_classification_templates.txt", "\n", "it has no templates"),
        ("hen/notes.txt", "", "hen: the class has no images"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(file: str, content: str, says: str, tmp_path: Path) -> None:
    root = image_folder(tmp_path, [("cat", b"1"), ("dog", b"2")])
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(content)
    with pytest.raises(GlitbuildError, match=says):
        read_image_folder(root)


def test_one_class_is_not_a_classification(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"too few classes \(1\); classification needs at least two"):
        read_image_folder(image_folder(tmp_path, [("cat", b"1")]))


def test_a_webdataset_is_read_in_place(tmp_path: Path) -> None:
    shards = [[(1, b"one"), (0, b"two, longer")], [(1, b"three")]]
    found = read_webdataset(webdataset(tmp_path / "wds", ["cat", "dog"], ["a {c}."], shards))
    assert found.classes == ("cat", "dog")
    assert found.labels == (1, 0, 1)
    assert [image.read() for image in found.images] == [b"one", b"two, longer", b"three"]
    assert found.images[2].name == "test/1.tar, s0000002.png"


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (2, "test/0.tar, sample s0000001: unknown class '2': classnames.txt has 2"),
        (-1, "sample s0000001: unknown class '-1'"),
        ("cat", "sample s0000001: unknown class 'cat'"),
    ],
)
def test_an_unknown_label_names_its_sample(label: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=says):
        read_webdataset(webdataset(tmp_path / "wds", ["cat", "dog"], [], [[(0, b"1"), (label, b"2")]]))


def test_a_damaged_webdataset_names_the_file(tmp_path: Path) -> None:
    root = webdataset(tmp_path / "wds", ["cat", "dog"], [], [[(0, b"1")], [(1, b"2" * 2000)]])
    whole = (root / "test" / "1.tar").read_bytes()
    for change, says in (
        (lambda: (root / "test" / "1.tar").write_bytes(whole[:100]), "test/1.tar: damaged tar"),
        (lambda: (root / "test" / "1.tar").write_bytes(b"version https://git-lfs" * 40), "test/1.tar: damaged tar"),
        (lambda: (root / "test" / "1.tar").unlink(), "test/1.tar: no such file, but test/nshards.txt counts it"),
        (lambda: (root / "test" / "nshards.txt").write_text("many"), "nshards.txt: 'many' is not a number"),
        (lambda: (root / "classnames.txt").unlink(), "classnames.txt: No such file"),
        (lambda: (root / "dataset_type.txt").write_text("multilabel"), "type is multilabel, not classification"),
    ):
        change()
        with pytest.raises(GlitbuildError, match=says):
            read_webdataset(root)


@pytest.mark.parametrize(
    ("names", "says"), [(["a.cls"], "sample a: it has no image"), (["a.png"], "sample a: it has no label")]
)
def test_a_sample_with_a_part_missing_is_refused(names: list[str], says: str, tmp_path: Path) -> None:
    root = webdataset(tmp_path / "wds", ["cat", "dog"], [], [[(0, b"1")]])
    with tarfile.open(root / "test" / "0.tar", "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"0"))
    with pytest.raises(DatasetError, match=says):
        read_webdataset(root)
