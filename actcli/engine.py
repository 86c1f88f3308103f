"""Videos to frame embeddings: packed batches, one forward pass for many videos, nothing twice.

The engine knows batches, devices and the cache. It does not know labels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from actcli.cache import Cache, make_key
from actcli.models.device import frames_per_pass
from actcli.models.tokens import warn_of_cut
from actcli.models.weight_file import read_shapes
from actcli.passes import Passes, Values
from actcli.types import Clip, Failure, FrameEmbeddings, Preprocessing, Text, VideoRef
from actcli.video.loader import IDLE, Loader

if TYPE_CHECKING:
    from actcli.config import LimitsConfig, SamplingConfig
    from actcli.methods.base import Method

# Bumped whenever decoding or resizing chooses other pixels: old entries are then never found.
_FRAMES_VERSION = "frames/1"
_TEXT_VERSION = "text/1"


@dataclass(frozen=True, slots=True)
class _Hit:
    """A video whose embeddings were in the cache."""

    ref: VideoRef
    value: bytes
    meta: dict[str, Any]


@dataclass(slots=True, eq=False)
class _Slot:
    """One video's place in the order of results."""

    result: FrameEmbeddings | Failure | None
    key: bytes | None = None
    clip: Clip | None = None
    views: list[Tensor] = field(default_factory=list)  # V tensors of [T', D], when computed


class Engine:
    """Embeds videos with one method on one device.

    batch_size: clips (views) per forward pass, packed across videos; None fits the device.
    """

    def __init__(
        self,
        method: Method,
        loader: Loader,
        cache: Cache,
        *,
        sampling: SamplingConfig,
        limits: LimitsConfig,
        precision: str,
        batch_size: int | None = None,
    ) -> None:
        self._method = method
        self._loader = loader
        self._cache = cache
        self._clip_frames = sampling.num_frames
        backbone = method.backbone
        if batch_size is None:
            shapes = read_shapes(backbone.spec.weights_path)
            most = frames_per_pass(backbone.device, precision, shapes)
            batch_size = max(1, most // sampling.num_frames)
        self._passes = Passes(
            method.embed,
            backbone.device,
            batch_size=batch_size,
            clip_frames=sampling.num_frames,
        )
        self._under_way: deque[tuple[list[tuple[_Slot, int]], Values]] = deque()
        self._key_parts = {
            "version": _FRAMES_VERSION,
            "sampling": sampling.model_dump(),
            # What is refused must be so whatever an earlier run allowed.
            "limits": limits.model_dump(exclude=set(limits.HELD_BY_WORKERS)),
            "transform": _transform_key(method.backbone.spec.preprocessing),
            "model": method.cache_key(),
            "precision": precision,
        }
        self._keys: deque[bytes | None] = deque()

    @property
    def batch_size(self) -> int:
        """Clips (views) a forward pass; less than at first where memory ran short."""
        return self._passes.batch_size

    def embed(self, refs: Iterable[VideoRef]) -> Iterator[FrameEmbeddings | Failure]:
        """One result for each ref, in order, as soon as it and those before it are known.

        Decoding starts now, so that it runs while the caller embeds text.

        Raises ResourceError if not even one clip fits the device.
        """
        return self._batches(self._loader.load(self._requests(refs)))

    def _batches(self, loaded: Iterator[object]) -> Iterator[FrameEmbeddings | Failure]:
        order: deque[_Slot] = deque()
        waiting: deque[tuple[_Slot, int]] = deque()
        for item in loaded:
            if item is not IDLE:
                slot = self._open(item)
                order.append(slot)
                if slot.clip is not None:
                    waiting.extend((slot, view) for view in range(slot.clip.frames.shape[0]))
            # Cached results must not pile up behind a batch that never fills.
            flush = item is IDLE or len(order) > 64 + 4 * self.batch_size
            while len(waiting) >= (1 if flush else self.batch_size):
                self._forward(waiting)
            if flush:
                self._collect()
            while order and order[0].result is not None:
                yield order.popleft().result  # type: ignore[misc]
        while waiting:
            self._forward(waiting)
        self._collect()
        for slot in order:
            assert slot.result is not None, "all views were computed"
            yield slot.result

    def _requests(self, refs: Iterable[VideoRef]) -> Iterator[VideoRef | _Hit]:
        """Runs in the loader's feeder thread: what is in the cache needs no decoding."""
        for ref in refs:
            key = self._key(ref)
            self._keys.append(key)
            hit = None if key is None else self._cache.get(key)
            yield ref if hit is None else _Hit(ref, *hit)

    def _key(self, ref: VideoRef, **more: Any) -> bytes | None:
        """What a video's values are kept under; None where they can't be kept."""
        if not self._cache.keeps:
            return None
        try:
            content = self._cache.file_digest(ref.path)
        except (OSError, ValueError):
            return None  # the decoder will say what is wrong with it
        trim = {"content": content.hex(), "start": ref.start_s, "end": ref.end_s}
        return make_key(self._key_parts | trim | more)

    def _open(self, item: object) -> _Slot:
        key = self._keys.popleft()
        if isinstance(item, Failure):
            return _Slot(item)
        if isinstance(item, _Hit):
            return _Slot(_from_cache(item))
        assert isinstance(item, Clip), "the loader yields clips, failures and what passed through"
        return _Slot(None, key, item)

    def _forward(self, waiting: deque[tuple[_Slot, int]]) -> None:
        """Start on the next `batch_size` views, and finish what earlier passes gave."""
        taken = [waiting.popleft() for _ in range(min(len(waiting), self.batch_size))]
        frames = self._passes.pack(
            [slot.clip.frames[view] for slot, view in taken if slot.clip is not None]
        )
        self._under_way.append((taken, self._passes.start(frames)))
        self._collect(self._passes.ahead)

    def _collect(self, but: int = 0) -> None:
        """Wait for the passes that are under way, but for so many, and finish complete videos."""
        while len(self._under_way) > but:
            taken, found = self._under_way.popleft()
            for (slot, _), values in zip(taken, found(), strict=True):
                assert slot.clip is not None
                slot.views.append(values)
                if len(slot.views) == slot.clip.frames.shape[0]:
                    self._finish(slot, slot.clip)

    def embed_clips(self, frames: Tensor) -> Tensor:
        """uint8 [n, T, 3, X, X] -> [n, T', D] on the CPU; halves the batch when memory is short."""
        return self._passes.start(frames)()

    def _finish(self, slot: _Slot, clip: Clip) -> None:
        values = torch.stack(slot.views)  # [V, T', D]
        times = tuple(tuple(view) for view in clip.times_s.tolist())
        embeddings = FrameEmbeddings(
            clip.ref, values, times, clip.start_s, clip.end_s, clip.warnings
        )
        # A file that was replaced after its digest was taken must not be stored under that.
        if slot.key is not None and slot.key == self._key(clip.ref):
            meta = {
                **tensor_meta(values),
                "times_s": times,
                "start_s": clip.start_s,
                "end_s": clip.end_s,
                "warnings": clip.warnings,
            }
            self._cache.put(slot.key, to_bytes(values), meta)
        slot.result, slot.clip, slot.views = embeddings, None, []


def embed_text(
    method: Method,
    cache: Cache,
    labels: tuple[str, ...],
    prompts: tuple[tuple[str, ...], ...],
    *,
    precision: str,
) -> Text:
    """Embed prompts [C][P], running the text tower only for those that no earlier run embedded."""
    backbone, spec = method.backbone, method.backbone.spec
    digest = method.text_key()

    def encode(texts: list[str]) -> Tensor:
        def compute(missing: list[str]) -> tuple[Tensor, list[dict[str, Any]]]:
            fresh = backbone.encode_text(missing)
            read = {cut.prompt: {"read": cut.read} for cut in backbone.cut_prompts}
            return fresh, [read.get(text, {}) for text in missing]

        values, notes = _recall(cache, {"model": digest, "as": precision}, texts, compute)
        # The backbone says it of prompts that it cuts now; it is as true of the cached ones.
        warn_of_cut(spec, [note["read"] for note in notes if "read" in note])
        return values

    def recall(key: str, items: list[str], compute: Callable[[list[str]], Tensor]) -> Tensor:
        parts = {"model": key, "as": precision}
        return _recall(cache, parts, items, lambda names: (compute(names), [{}] * len(names)))[0]

    with torch.inference_mode():
        return method.embed_text(labels, prompts, encode=encode, recall=recall)


def _recall(
    cache: Cache,
    parts: dict[str, str],
    items: list[str],
    compute: Callable[[list[str]], tuple[Tensor, list[dict[str, Any]]]],
) -> tuple[Tensor, list[dict[str, Any]]]:
    """A value for each text, stacked, and the notes of those that were in the cache.

    compute: values [M, ...] and notes for texts that were not
    """
    keys = [make_key({"version": _TEXT_VERSION, "text": text, **parts}) for text in items]
    hits = {key: hit for key in keys if (hit := cache.get(key))}
    found = {key: stored_tensor(*hit) for key, hit in hits.items()}
    missing = [i for i, key in enumerate(keys) if key not in found]
    if missing:
        fresh, notes = compute([items[i] for i in missing])
        for i, value, note in zip(missing, fresh.cpu(), notes, strict=True):
            found[keys[i]] = value
            cache.put(keys[i], to_bytes(value), tensor_meta(value) | note)
    return torch.stack([found[key] for key in keys]), [meta for _, meta in hits.values()]


def _transform_key(preprocessing: Preprocessing) -> dict[str, Any]:
    # Mean and deviation too: those of a checkpoint may differ from its backbone's.
    return asdict(preprocessing)


def _from_cache(hit: _Hit) -> FrameEmbeddings:
    meta = hit.meta
    return FrameEmbeddings(
        hit.ref,
        stored_tensor(hit.value, meta),
        tuple(tuple(view) for view in meta["times_s"]),
        meta["start_s"],
        meta["end_s"],
        tuple(meta["warnings"]),
        cached=True,
    )


def tensor_meta(value: Tensor) -> dict[str, Any]:
    """What must be known of a tensor to read it from its bytes."""
    return {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}


def to_bytes(value: Tensor) -> bytes:
    """A tensor on the CPU as it lies in memory."""
    return value.contiguous().view(torch.uint8).numpy().tobytes()


def stored_tensor(value: bytes, meta: dict[str, Any]) -> Tensor:
    """The tensor that `to_bytes` and `tensor_meta` were taken of."""
    dtype = getattr(torch, meta["dtype"])
    return torch.frombuffer(bytearray(value), dtype=dtype).reshape(meta["shape"])
