"""An engine that only pretends, for the benchmark's protocol; `steady`, `chatty` or `broken`."""

import os
import sys

import numpy as np
from peers.protocol import Engine, Request, serve


def prepare(request: Request) -> Engine:
    mood = sys.argv[3]

    def integrate(views: list[int]) -> np.ndarray:
        if mood == "broken":
            raise MemoryError("no room for the samples")
        if mood == "chatty":
            print("ready or not, a library says hello")
        if "STANDIN_DIARY" in os.environ:
            with open(os.environ["STANDIN_DIARY"], "a", encoding="utf-8") as diary:
                print(mood, *views, file=diary)
        return np.stack([np.full(request.size, request.field.sum() + view) for view in views])

    return Engine("standin 1.0", integrate)


if __name__ == "__main__":
    serve(prepare)
