"""Opens reports in a browser, as the console serves them."""

from typing import Any

RUN, ODD, MANY = "20260102T030405-abcdef", "20260102T030406-abcdef", "20260102T030407-abcdef"
SEVERAL = "20260102T030408-abcdef"


class Opener:
    """Opens a run's report; `close` tells what the pages complained of and asked for."""

    def __init__(self, browser: Any, address: str) -> None:
        self._browser, self._address = browser, address
        self.problems: list[str] = []
        self.asked: list[str] = []

    def open(self, run_id: str = RUN, **options: Any) -> Any:
        page = self._browser.new_context(**options).new_page()
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.goto(f"{self._address}/runs/{run_id}/report")
        return page
