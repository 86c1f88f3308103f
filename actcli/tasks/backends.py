"""Where videos are embedded: in this process, in several of this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from actcli.config import WindowConfig
from actcli.errors import ResourceError, UsageError
from actcli.types import VideoRef

if TYPE_CHECKING:
    from actcli.tasks.building import Built
    from actcli.tasks.pipeline import Embedder, Pipeline


@contextmanager
def open_engine(
    pipeline: Pipeline[Any], refs: Iterable[VideoRef], windows: WindowConfig | None
) -> Iterator[tuple[Built, Embedder, int]]:
    """The method of a run, what embeds with it, and how many processes decode; closed at the end.

    refs: the videos, where they are known
    windows: read videos in windows
    """
    if pipeline.config.run.backend == "ray":
        with _cluster(pipeline) as opened:
            yield opened
        return
    if pipeline.config.sampling.decode == "nvdec":
        _check_nvdec(pipeline, windows)
    if len(pipeline.config.run.devices) > 1 or "all" in pipeline.config.run.devices:
        with _processes(pipeline) as opened:
            yield opened
        return
    first = refs[0] if isinstance(refs, list | tuple) and refs else None
    is_eager = first is None or not pipeline.cache.knows(first.path)
    known = len(refs) if isinstance(refs, list | tuple) else None
    with pipeline.start_loader(windows=windows, is_eager=is_eager, num_films=known) as loader:
        from actcli.engine_windows import WindowEngine

        built, config = pipeline.plan.build(), pipeline.config
        engine = WindowEngine(
            built.method,
            loader,
            pipeline.cache,
            sampling=config.sampling,
            limits=config.limits,
            precision=built.precision,
            batch_size=config.run.batch_size,
        )
        yield built, engine, loader.workers


def _check_nvdec(pipeline: Pipeline[Any], windows: WindowConfig | None) -> None:
    from actcli.video import nvdec

    if windows is not None:
        raise UsageError(
            "--decode nvdec: a video in windows is decoded by the CPU", hint="--decode exact"
        )
    if pipeline.config.limits.sandbox == "require":
        raise UsageError(
            "--decode nvdec: a process that is locked in can't open a GPU", hint="--sandbox off"
        )
    nvdec.require()


@contextmanager
def _processes(pipeline: Pipeline[Any]) -> Iterator[tuple[Built, Embedder, int]]:
    """An engine for each of the run's devices; the text is embedded on the first of them."""
    from actcli.engine_processes import ProcessEngine
    from actcli.engine_spec import EngineSpec
    from actcli.video.cores import auto_workers

    plan, run = pipeline.plan, pipeline.config.run
    devices = _named(run.devices)
    each = run.workers
    if each is None:
        each = max(1, auto_workers() // len(devices))
    built = plan.on(devices[0], run.precision).build()
    specs = [
        EngineSpec(
            plan.on(device, built.precision).build,
            pipeline.clip_reader(),
            pipeline.cache.folder,
            each,
            max(1, auto_workers() // len(devices)),
            run.batch_size,
        )
        for device in devices
    ]
    with ProcessEngine(specs) as engine:
        engine.wait_until_ready()
        yield built, engine, each * len(devices)


@contextmanager
def _cluster(pipeline: Pipeline[Any]) -> Iterator[tuple[Built, Embedder, int]]:
    """Actors on a Ray cluster; the text is embedded here. Frames are kept in no cache."""
    from actcli.engine_ray import RayEngine
    from actcli.engine_spec import EngineSpec

    plan, run = pipeline.plan, pipeline.config.run
    built = plan.build()
    there = plan.on("auto" if run.device == "auto" else run.device, built.precision)
    spec = EngineSpec(there.build, pipeline.clip_reader(), None, 1, 1, run.batch_size)
    with RayEngine(spec, run.ray_address) as engine:
        yield built, engine, 1


def _named(devices: tuple[str, ...]) -> tuple[str, ...]:
    """The devices, with `all` as those that are there."""
    if "all" not in devices:
        return devices
    import torch

    found = tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    if not found:
        raise ResourceError("--devices all: no CUDA device is there", hint="--devices cpu,cpu")
    return found
