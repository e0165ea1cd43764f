"""paddle.distributed.launch, for several machines: without a line for each time that it asks."""

import logging

from paddle.distributed.launch.main import launch

if __name__ == "__main__":
    logging.getLogger("httpx").setLevel(logging.WARNING)
    launch()
