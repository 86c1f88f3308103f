"""Several engines in processes of this machine, one for each device, as one.

Each has its own decode workers and the same cache. Videos go to the engine with the fewest on its
way, and results come back in the order of the videos.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from actcli.cache import Cache
from actcli.config import WindowConfig
from actcli.engine_spec import EngineSpec
from actcli.errors import ActcliError, ResourceError, UsageError
from actcli.types import Failure, FrameEmbeddings, VideoRef
from actcli.video.spawning import interrupts_blocked, main_hidden
from actcli.video.worker import end_with_parent


@dataclass(slots=True, eq=False)
class _Child:
    process: BaseProcess
    connection: Connection
    numbers: deque[int] = field(default_factory=deque)
    """Videos on their way, in order."""


class ProcessEngine:
    """Engines in processes of their own; leaving the `with` block kills them."""

    def __init__(self, specs: Sequence[EngineSpec]) -> None:
        context = multiprocessing.get_context("spawn")
        self._condition = threading.Condition()
        self._children: list[_Child] = []
        self._results: dict[int, object] = {}
        self._num_fed = 0
        self._is_fed = self._is_closed = False
        self._error: Exception | None = None
        """Raised by the refs: after the results that came before it."""
        self._fatal: Exception | None = None
        self.batch_size = 0
        for spec in specs:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, spec), name="actcli-engine")
            with interrupts_blocked(), main_hidden():
                process.start()
            theirs.close()
            self._children.append(_Child(process, ours))

    def __enter__(self) -> ProcessEngine:
        return self

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        for child in self._children:
            child.process.kill()
            child.process.join(5)

    def wait_until_ready(self) -> None:
        """Return once all models are on their devices; raises what kept one from it."""
        for child in self._children:
            try:
                said = child.connection.recv()
            except (EOFError, OSError) as error:
                raise _died(child) from error
            if isinstance(said, ActcliError):
                raise said
            self.batch_size = max(self.batch_size, said)

    def embed(self, refs: Iterable[VideoRef]) -> Iterator[FrameEmbeddings | Failure]:
        """One result for each ref, in order, as soon as it and those before it are known."""
        for run in (lambda: self._feed(iter(refs)), self._collect):
            threading.Thread(target=run, daemon=True, name="actcli-engines").start()
        return self._in_order()

    def embed_windows(
        self, refs: Iterable[VideoRef], windows: WindowConfig
    ) -> Iterator[FrameEmbeddings | Failure]:
        """Refused: one film is read by one engine."""
        raise UsageError("--devices: several are not for --window", hint="--shard 0/2, 1/2, …")

    def _in_order(self) -> Iterator[FrameEmbeddings | Failure]:
        taken = 0
        while True:
            with self._condition:
                self._condition.wait_for(
                    lambda taken=taken: taken in self._results or self._fatal is not None  # type: ignore[misc]
                    or (self._is_fed and taken >= self._num_fed)
                )  # fmt: skip
                if self._fatal is not None:
                    raise self._fatal
                if taken not in self._results:
                    break
                result = self._results.pop(taken)
                self._condition.notify_all()
            taken += 1
            yield _restored(result)
        if self._error is not None:
            raise self._error

    def _feed(self, refs: Iterator[VideoRef]) -> None:
        most = 4 * max(self.batch_size, 4)
        try:
            for ref in refs:
                with self._condition:
                    self._condition.wait_for(
                        lambda: self._is_closed or self._num_waiting() < most * len(self._children)
                    )
                    if self._is_closed or self._fatal is not None:
                        return
                    child = min(self._children, key=lambda one: len(one.numbers))
                    child.numbers.append(self._num_fed)
                    self._num_fed += 1
                    child.connection.send(ref)
        except OSError:
            return  # it died: whoever collects finds out
        except Exception as error:
            self._error = error
        with self._condition:
            self._is_fed = True
            self._condition.notify_all()
        for child in self._children:
            with self._condition:
                child.connection.send(None)

    def _num_waiting(self) -> int:
        """Videos on their way, and results that nobody took yet."""
        return sum(len(child.numbers) for child in self._children) + len(self._results)

    def _collect(self) -> None:
        by_connection = {child.connection: child for child in self._children}
        while by_connection:
            for ready in wait(list(by_connection)):
                assert isinstance(ready, Connection)
                child = by_connection[ready]
                try:
                    result = ready.recv()
                except (EOFError, OSError):
                    del by_connection[ready]
                    if child.numbers and not self._is_closed:
                        self._break(_died(child))
                    continue
                if isinstance(result, ActcliError):
                    self._break(result)
                    return
                with self._condition:
                    self._results[child.numbers.popleft()] = result
                    self._condition.notify_all()

    def _break(self, error: Exception) -> None:
        with self._condition:
            self._fatal = error
            self._condition.notify_all()


def _died(child: _Child) -> ResourceError:
    child.process.join(1)
    code = child.process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return ResourceError(
        f"--devices: an engine died ({how})", hint="it may lack memory: fewer --devices"
    )


def serve(connection: Connection, spec: EngineSpec) -> None:
    """Be an engine until the parent has no more videos; first message: ready."""
    import torch

    from actcli.engine import Engine
    from actcli.video.loader import start_loader

    end_with_parent()
    torch.set_num_threads(spec.threads)
    try:
        with Cache(spec.cache_folder) as cache, start_loader(
            spec.reader, spec.workers, spec.limits,
            batch_size=spec.batch_size or 16, clip_bytes=spec.reader.clip_bytes,
        ) as loader:  # fmt: skip
            built = spec.build()
            engine = Engine(
                built.method, loader, cache, sampling=spec.sampling, limits=spec.limits,
                precision=built.precision, batch_size=spec.batch_size,
            )  # fmt: skip
            connection.send(engine.batch_size)
            for result in engine.embed(iter(connection.recv, None)):
                connection.send(_packed(result))
    except ActcliError as error:
        connection.send(error)
    except (EOFError, OSError):
        return  # the parent is gone


def _packed(result: FrameEmbeddings | Failure) -> object:
    """A result without tensors, which would travel through shared memory."""
    if isinstance(result, Failure):
        return result
    from actcli.engine import tensor_meta, to_bytes

    fields: dict[str, Any] = {
        name: getattr(result, name)
        for name in ("ref", "times_s", "start_s", "end_s", "warnings", "cached")
    }
    return to_bytes(result.values), tensor_meta(result.values), fields


def _restored(packed: Any) -> FrameEmbeddings | Failure:
    if isinstance(packed, Failure):
        return packed
    from actcli.engine import stored_tensor

    value, meta, fields = packed
    return FrameEmbeddings(values=stored_tensor(value, meta), **fields)
