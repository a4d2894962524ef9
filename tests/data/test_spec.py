"""How data sets are written."""

from pathlib import Path

import pytest

from sedid.data.images import ImageError
from sedid.data.spec import Spec, local_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cifar10:test", Spec("cifar10:test")),
        ("cifar10[5:20]", Spec("cifar10", 5, 20)),
        ("a b[:7]", Spec("a b", 0, 7)),
        ("a[7:]", Spec("a", 7)),
        ("a[:]", Spec("a")),
        ("photos[v2]", Spec("photos[v2]")),
        ("photos[v2][1:2]", Spec("photos[v2]", 1, 2)),
        ("x[1][2:3]/a.npz", Spec("x[1][2:3]/a.npz")),
    ],
)
def test_texts_are_read_and_written(text: str, expected: Spec) -> None:
    found = Spec.parse(text)
    assert found == expected
    assert Spec.parse(str(found)) == found


def test_a_path_that_exists_is_no_slice(tmp_path: Path) -> None:
    for name in ("set[0:5]", "set[v2]", "[1]"):
        (tmp_path / name).mkdir()
        assert Spec.parse(tmp_path / name) == Spec(f"{tmp_path}/{name}")
        assert Spec.parse(f"{tmp_path}/{name}[2:4]") == Spec(f"{tmp_path}/{name}", 2, 4)
    assert Spec.parse("[1:2]").source == "[1:2]"  # nothing is sliced


@pytest.mark.parametrize("text", ["a[1]", "a[-1:]", "a[1:2:3]", "a[1,2]", "a[ 1:2]", "a[]", "a[1.5:]"])
def test_a_misspelt_slice_is_no_name(text: str) -> None:
    with pytest.raises(ImageError, match=r"slice of .* is not understood; write \[start:stop\]"):
        Spec.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "An empty name"),
        ("  ", "An empty name"),
        ("https://example.org/a.png", r"https://example\.org/a\.png is an address, and addresses are not fetched"),
        ("hf://datasets/x[0:5]", "is an address"),
        ("x" * 5000, "neither the name of a data set nor a path"),
        ("~nobody-of-this-name/a", "neither the name of a data set nor a path"),
    ],
)
def test_what_names_nothing_is_said_so(text: str, said: str) -> None:
    for read in (Spec.parse, local_path):
        with pytest.raises(ImageError, match=said):
            read(text)


def test_the_first_images_of_a_slice() -> None:
    assert str(Spec.parse("a[10:30]").first(5)) == "a[10:15]"
    assert str(Spec.parse("x[0:9]/a.npz").first(5)) == "x[0:9]/a.npz[0:5]"
    with pytest.raises(ValueError, match=r"a\[10:30\] holds fewer than 21 images"):
        Spec.parse("a[10:30]").first(21)
