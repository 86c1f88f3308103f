"""Embedding on a Ray cluster: tasks that decode on any core, and models that embed on their own.

Two stages of a Ray Data pipeline, each of actors whose number follows the load: one decodes, with a
worker process under our watchdog, so that a clip that kills its decoder costs itself alone; the
other holds the model and runs the engine's forward pass. What waits between them is bounded by
Ray's object store. Work that a lost actor or machine had taken is done again by another.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from actcli.cache import Cache
from actcli.config import WindowConfig
from actcli.engine_spec import EngineSpec
from actcli.errors import ActcliError, ResourceError, UsageError, VideoError
from actcli.types import Clip, Failure, FrameEmbeddings, VideoRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = dict[str, Any]

_CHUNK = 20_000
"""Videos of one pipeline: a list of them is held, and models are loaded anew for the next."""
_BLOCK_BYTES = 32 << 20
"""Of frames that travel together."""
_CONNECT_S = 5.0


class RayEngine:
    """Embeds videos on a cluster; leaving the `with` block lets go of it.

    address: HOST:PORT of the head; None starts a cluster on this machine
    """

    def __init__(self, spec: EngineSpec, address: str | None) -> None:
        self._spec = spec
        frames = spec.sampling.num_frames
        self.batch_size = spec.batch_size or max(1, 64 // frames)
        self._ray = _connect(address)

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def embed(self, refs: Iterable[VideoRef]) -> Iterator[FrameEmbeddings | Failure]:
        """One result for each ref, in order.

        Raises ResourceError if the cluster fails, and what keeps the model from being built there.
        """
        left = iter(refs)
        while chunk := list(islice(left, _CHUNK)):
            try:
                yield from self._embed(chunk)
            except self._ray.exceptions.RayError as error:
                raise _translated(error) from error

    def embed_windows(
        self, refs: Iterable[VideoRef], windows: WindowConfig
    ) -> Iterator[FrameEmbeddings | Failure]:
        """Refused: films are read as streams, which a batch is not."""
        raise UsageError("--backend ray: is not for --window", hint="--shard 0/2, 1/2, …")

    def _embed(self, refs: Sequence[VideoRef]) -> Iterator[FrameEmbeddings | Failure]:
        from ray import data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        each = max(1, min(64, _BLOCK_BYTES // self._spec.reader.clip_bytes))
        items = [{"number": n, "ref": _to_json(asdict(ref))} for n, ref in enumerate(refs)]
        rows = data.from_items(items, override_num_blocks=-(-len(items) // each))
        for row in self._staged(rows, each).iter_rows():
            yield _result(refs[row["number"]], row)

    def _staged(self, rows: Any, each: int) -> Any:
        from ray.data import ActorPoolStrategy

        there = self._ray.cluster_resources()
        cores, gpus = there.get("CPU", 1), int(there.get("GPU", 0))
        share = 1.0 if cores >= 2 else cores / 2
        models = gpus or max(1, int(cores) // 4)
        decoded = rows.map_batches(
            _Decoder,
            fn_constructor_args=(self._spec,),
            batch_size=each,
            num_cpus=share,
            compute=ActorPoolStrategy(min_size=1, max_size=max(1, int(cores) - (not gpus))),
        )
        return decoded.map_batches(
            _Embedder,
            fn_constructor_args=(self._spec,),
            batch_size=each,
            num_cpus=0 if gpus else share,
            num_gpus=1 if gpus else 0,
            compute=ActorPoolStrategy(min_size=1, max_size=models),
        )


def _connect(address: str | None) -> Any:
    """The library, connected; raises ResourceError where it is missing or nobody answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ResourceError(
            "--backend ray: Ray is not installed", hint='pip install "actcli[ray]"'
        ) from error
    if address is not None and address not in ("auto", "local"):
        _check_address(address)
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(
            address=address or "local", include_dashboard=False, log_to_driver=False,
            logging_level=logging.ERROR,
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise ResourceError(f"--ray-address {address}: no cluster ({error})") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _check_address(address: str) -> None:
    """Ask now: the library waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"--ray-address {address}: no cluster answers ({error})",
            hint="expected HOST:PORT of a head that runs: ray status",
        ) from error


def _translated(error: BaseException) -> ActcliError:
    """What one of our own classes said on the cluster, or that the cluster failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ActcliError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    last = [line for line in str(error).splitlines() if line.strip()][-1:]
    return ResourceError(f"the Ray cluster failed ({last[0].strip() if last else error})")


class _Decoder:
    """An actor that decodes the videos of a batch, in a process of its own."""

    def __init__(self, spec: EngineSpec) -> None:
        from actcli.video.bounds import Bounds
        from actcli.video.pool import DecodePool

        self._done: dict[int, object] = {}
        self._news = threading.Condition()
        self._count = 0
        bounds = Bounds.of(spec.limits, spec.reader.clip_bytes)
        self._pool = DecodePool(1, spec.reader, bounds, self._deliver, self._fail)
        self._pool.start()

    def __call__(self, batch: Batch) -> Batch:
        """number, ref -> with what was decoded: about (JSON) and pixels."""
        refs = [VideoRef(**json.loads(text)) for text in batch["ref"]]
        first, self._count = self._count, self._count + len(refs)
        for number, ref in enumerate(refs, first):
            self._pool.submit((number, 0), ref)
        results = [self._wait(number) for number in range(first, self._count)]
        about, pixels = zip(*map(_from_clip, results), strict=True)
        return {**batch, "about": list(about), "pixels": list(pixels)}

    def _wait(self, number: int) -> object:
        with self._news:
            self._news.wait_for(lambda: number in self._done)
            result = self._done.pop(number)
        if isinstance(result, Exception) and not isinstance(result, VideoError):
            raise result
        return result

    def _deliver(self, job: tuple[int, int], result: object) -> None:
        with self._news:
            self._done[job[0]] = result
            self._news.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._news:
            self._done |= dict.fromkeys(range(self._count), error)
            self._news.notify_all()


class _Embedder:
    """An actor that holds the model."""

    def __init__(self, spec: EngineSpec) -> None:
        from actcli.engine import Engine

        built = spec.build()
        self._engine = Engine(
            built.method, None, Cache(None), sampling=spec.sampling,  # type: ignore[arg-type]
            limits=spec.limits, precision=built.precision, batch_size=spec.batch_size,
        )  # fmt: skip

    def __call__(self, batch: Batch) -> Batch:
        """number, about, pixels -> number, about, values (bytes)."""
        import numpy as np
        import torch

        from actcli.engine import tensor_meta, to_bytes

        about = [json.loads(text) for text in batch["about"]]
        good = [i for i, item in enumerate(about) if "error" not in item]
        values = [b""] * len(about)
        if good:
            clips = [_frames(about[i], batch["pixels"][i]) for i in good]
            found = self._engine.embed_clips(torch.from_numpy(np.concatenate(clips)))
            for i, own in zip(good, torch.split(found, list(map(len, clips))), strict=True):
                about[i] |= tensor_meta(own)
                values[i] = to_bytes(own)
        return {"number": batch["number"], "about": list(map(_to_json, about)), "values": values}


def _from_clip(result: object) -> tuple[str, bytes]:
    """A clip, or why there is none, as JSON and its pixels."""
    if isinstance(result, VideoError):
        error = {"kind": result.kind, "message": result.message, "hint": result.hint}
        return _to_json({"error": error}), b""
    assert isinstance(result, Clip), "the pool delivers clips or errors"
    about = {
        "frames": result.frames.shape,
        "times_s": result.times_s.tolist(),
        "start_s": result.start_s,
        "end_s": result.end_s,
        "warnings": result.warnings,
    }
    return _to_json(about), result.frames.tobytes()


def _frames(about: dict[str, Any], pixels: bytes) -> NDArray[np.uint8]:
    """uint8 [V, T, 3, X, X]"""
    import numpy as np

    return np.frombuffer(bytearray(pixels), np.uint8).reshape(about["frames"])


def _result(ref: VideoRef, row: dict[str, Any]) -> FrameEmbeddings | Failure:
    from actcli.engine import stored_tensor

    about = json.loads(row["about"])
    if "error" in about:
        return Failure(ref, VideoError(**about["error"]))
    return FrameEmbeddings(
        ref,
        stored_tensor(row["values"], about),
        tuple(map(tuple, about["times_s"])),
        about["start_s"],
        about["end_s"],
        tuple(about["warnings"]),
    )


def _to_json(value: Any) -> str:
    return json.dumps(value)
