"""Where videos are embedded: in this process, in several of this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from actcli.config import WindowConfig
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
    first = refs[0] if isinstance(refs, list | tuple) and refs else None
    is_eager = first is None or not pipeline.cache.knows(first.path)
    with pipeline.start_loader(windows=windows, is_eager=is_eager) as loader:
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
