"""Skiagraph's own engines, each in a process of its own as the peers are; takes the name of an engine."""

import sys
from importlib.metadata import version

import torch

from peers.protocol import Engine, Request, serve
from skiagraph.drr import sliced
from skiagraph.drr.engines import engine
from skiagraph.geometry import Grid, View


def prepare(request: Request) -> Engine:
    torch.set_num_threads(request.threads)
    field = torch.from_numpy(request.field)[None]
    grid = Grid(request.shape, torch.from_numpy(request.world_from_ijk))
    parts = (request.source, request.origin, request.u_step, request.v_step)
    views = View(*map(torch.from_numpy, parts), request.size)
    name = sys.argv[3]
    integrate = engine(name)
    about = f"skiagraph {version('skiagraph')}" + (f", {sliced.level()}" if name == "sliced" else "")
    return Engine(about, lambda ns: integrate(field, grid, views[ns])[:, 0].numpy())


if __name__ == "__main__":
    serve(prepare)
