"""The one cache of the page."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from sedid.ui.recent import Recent


def test_what_was_looked_at_last_stays() -> None:
    cache: Recent[str, int] = Recent(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1  # now the most recent one
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert cache.get("b", 7) == 7
    cache.clear()
    assert len(cache) == 0


@given(
    puts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=60),
    most=st.integers(1, 6),
    weight=st.integers(0, 100),
)
def test_it_is_bounded_in_number_and_weight_but_keeps_the_newest(
    puts: list[tuple[int, int]], most: int, weight: int
) -> None:
    cache: Recent[int, int] = Recent(most, float, weight)
    model: list[tuple[int, int]] = []  # the oldest first
    for key, value in puts:
        cache.put(key, value)
        model = [*(one for one in model if one[0] != key), (key, value)]
        while len(model) > 1 and (len(model) > most or sum(one for _, one in model) > weight):
            model.pop(0)
        assert [cache._kept[one] for one, _ in model] == [one for _, one in model]
        assert len(cache) == len(model)


def test_threads_do_not_break_it() -> None:
    cache: Recent[int, int] = Recent(5, lambda _: 1.0, 4)

    def work(start: int) -> None:
        for number in range(2000):
            cache.put((start + number) % 11, number)
            cache.get(number % 11)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(cache) == 4
    assert cache._weighs == 4
