"""Callers that never stop asking, and what became of each request."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from tests.serving.tiny import plain


@dataclass
class Load:
    """answers: label of a white picture → how often; failures: what went wrong, in words."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def wait_for_more(self, label: str, count: int = 20, seconds: float = 120) -> None:
        """Until so many more requests were answered with this label."""
        wanted, end = self.answers[label] + count, time.monotonic() + seconds
        while self.answers[label] < wanted:
            assert time.monotonic() < end, (self.answers, self.failures[:3])
            time.sleep(0.02)


@contextmanager
def run_load(
    address: str, callers: int = 4, kept: int = 2, grey: int = 255, token: str = ""
) -> Iterator[Load]:
    """So many callers at once; `kept` of them keep their connection, the others open new ones."""
    load, stop, lock = Load(), threading.Event(), threading.Lock()
    picture = plain(grey)
    headers = {"Content-Type": "application/octet-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"

    def ask(session: requests.Session | None) -> None:
        while not stop.is_set():
            begin = time.monotonic()
            try:
                answer = (session or requests).post(
                    f"{address}/v1/predict",
                    data=picture,
                    headers=headers,
                    timeout=30,
                )
                label = answer.json()["results"][0]["label"] if answer.ok else None
                problem = "" if answer.ok else f"{answer.status_code}: {answer.text[:200]}"
            except requests.RequestException as error:
                label, problem = None, repr(error)
            with lock:
                if label is not None:
                    load.answers[label] += 1
                else:
                    load.failures.append(f"{problem} after {time.monotonic() - begin:.2f} s")

    sessions = [requests.Session() if n < kept else None for n in range(callers)]
    threads = [threading.Thread(target=ask, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        for session in sessions:
            if session is not None:
                session.close()
