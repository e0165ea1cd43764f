"""Ranks that wait for one another, and what they say of one that is gone."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from paddle.framework import core

from pipelines.local.second_home import find_free_ports
from serving.job.errors import ServiceError, UserError
from training.ranks import Ranks, explain_loss


@pytest.fixture
def begin() -> Iterator[Callable[[int], Ranks]]:
    """Called in a thread, makes it a rank of two; each has its own connection to the store."""
    port, mine = find_free_ports(1)[0], threading.local()
    stores = [core.TCPStore("127.0.0.1", port, not rank, 1) for rank in range(2)]

    def make(rank: int) -> Ranks:
        mine.store = stores[rank]
        return Ranks(rank, 2, "cpu")

    with mock.patch.object(core, "create_or_get_global_tcp_store", lambda: mine.store):
        yield make


def meet_beside(
    begin: Callable[[int], Ranks], *, rank: int, times: int
) -> tuple[threading.Thread, list[threading.Event]]:
    """A thread in which a rank waits some times, and says each time when it is through."""
    through = [threading.Event() for _ in range(times)]

    def meet() -> None:
        ranks = begin(rank)
        for each in through:
            ranks.wait()
            each.set()

    thread = threading.Thread(target=meet, daemon=True)
    thread.start()
    return thread, through


def test_waiting_ends_when_the_last_rank_has_come_each_time(begin: Callable[[int], Ranks]) -> None:
    late, (thread, through) = begin(1), meet_beside(begin, rank=0, times=2)
    for each in through:
        assert not each.wait(0.5)
        late.wait()
        assert each.wait(10)
    thread.join()


def test_whoever_keeps_the_store_leaves_last(begin: Callable[[int], Ranks]) -> None:
    """By then the other one looks four times a second; at its end, it would find nobody."""
    keeper, (thread, through) = begin(0), meet_beside(begin, rank=1, times=3)
    for each in through:
        time.sleep(0.65)
        keeper.wait()
        assert each.wait(0.03)
    thread.join()


@pytest.mark.parametrize("kind", [UserError, ServiceError])
def test_what_one_raises_for_a_person_all_raise(
    kind: type[UserError] | type[ServiceError], begin: Callable[[int], Ranks]
) -> None:
    def work(rank: int) -> tuple[list[type[Exception]], list[str]]:
        ranks, met = begin(rank), list[Exception]()
        for failing in (1, -1, 0):
            try:
                with ranks.share_errors():
                    if rank == failing:
                        raise kind(f"rank {rank}: no samples")
            except (UserError, ServiceError) as error:
                met.append(error)
        return [type(one) for one in met], [str(one) for one in met]

    with ThreadPoolExecutor() as pool:
        for kinds, said in pool.map(work, range(2)):
            assert kinds == [kind, kind]
            assert said == ["rank 1: no samples", "rank 0: no samples"]


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_a_peer_that_is_gone_is_said_in_a_sentence(kind: type[Exception]) -> None:
    said = "[/paddle/third_party/gloo/gloo/transport/tcp/pair.cc:584] TIMEOUT self_rank = 0"
    with pytest.raises(ServiceError, match="it goes on where it was"), explain_loss():
        raise kind(said)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), UserError("no samples")])
def test_every_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)) as met, explain_loss():
        raise error
    assert met.value is error
