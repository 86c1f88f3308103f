"""Windows of videos to embeddings: a frame that many windows share is decoded and embedded once.

Shape letters as in `actcli.types`; W windows, n frames of a block, K crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from actcli.engine import Engine, stored_tensor, tensor_meta, to_bytes
from actcli.types import Failure, FrameEmbeddings, Part, VideoRef
from actcli.video.loader import IDLE
from actcli.windows import Window, WindowBlock, WindowsRef

if TYPE_CHECKING:
    from actcli.config import WindowConfig

_MOST_WAITING = 64


@dataclass(frozen=True, slots=True)
class _Embedded:
    """A block with the embeddings of its frames [n, K, D], or of its windows [W, V * K, T', D]."""

    ref: VideoRef
    values: Tensor
    number: int
    first_place: int
    windows: tuple[Window, ...]
    video_s: float
    is_last: bool
    warnings: tuple[str, ...]
    cached: bool


class WindowEngine(Engine):
    """Embeds the windows of videos with one method on one device."""

    _windows: WindowConfig

    def embed_windows(
        self, refs: Iterable[VideoRef], windows: WindowConfig
    ) -> Iterator[FrameEmbeddings | Failure]:
        """One result for each window, in order, and a failure where a video has no more.

        The ref of each is trimmed to the window. Decoding starts now.

        Raises ResourceError if not even one clip fits the device.
        """
        self._windows = windows
        self._places: dict[int, Any] = {}
        """By place, what later windows may need: frames [K, 3, X, X], or their values [K, D]."""
        self._asked: dict[VideoRef, bytes | None] = {}
        """Keys of videos on their way: a file that is replaced meanwhile gets another."""
        self._told: tuple[VideoRef, tuple[str, ...]] | None = None
        return self._in_order(self._loader.load(self._window_requests(refs)))

    @property
    def _by_frame(self) -> bool:
        return self._method.embeds_by_frame

    def _block_key(self, ref: VideoRef, number: int) -> bytes | None:
        cut = self._windows.model_dump(include={"window_s", "window_stride_s", "shots"})
        return self._key(ref, windows=cut, by_frame=self._by_frame, block=number)

    def _window_requests(self, refs: Iterable[VideoRef]) -> Iterator[WindowsRef | _Embedded]:
        """Runs in the loader's feeder thread: blocks out of the cache, then what is not there."""
        for ref in refs:
            number, hit = 0, None
            if self._by_frame or self._is_all_known(ref):
                while (hit := self._known_block(ref, number)) is not None:
                    yield hit
                    number += 1
                    if hit.is_last:
                        break
            if hit is None:
                self._asked[ref] = self._block_key(ref, 0)
                yield WindowsRef(ref, number)

    def _is_all_known(self, ref: VideoRef) -> bool:
        """Whether the whole video is in the cache: windows can't do with the end of a film."""
        number = 0
        while (key := self._block_key(ref, number)) and (note := self._cache.note(key)):
            if note["is_last"]:
                return True
            number += 1
        return False

    def _known_block(self, ref: VideoRef, number: int) -> _Embedded | None:
        key = self._block_key(ref, number)
        hit = None if key is None else self._cache.get(key)
        if hit is None:
            return None
        value, meta = hit
        windows = tuple(
            Window(**item | {name: tuple(map(tuple, item[name])) for name in ("places", "times_s")})
            for item in meta["windows"]
        )
        return _Embedded(
            ref, stored_tensor(value, meta), number, meta["first_place"], windows,
            meta["video_s"], meta["is_last"], tuple(meta["warnings"]), cached=True,
        )  # fmt: skip

    def _in_order(self, loaded: Iterator[object]) -> Iterator[FrameEmbeddings | Failure]:
        waiting: list[object] = []
        num_frames, enough = 0, self.batch_size * self._clip_frames
        for item in loaded:
            if item is not IDLE:
                waiting.append(item)
                num_frames += len(item.frames) if isinstance(item, WindowBlock) else 0
            if item is IDLE or num_frames >= enough or len(waiting) >= _MOST_WAITING:
                yield from self._embed_all(waiting)
                waiting, num_frames = [], 0
        yield from self._embed_all(waiting)

    def _embed_all(self, items: Sequence[object]) -> Iterator[FrameEmbeddings | Failure]:
        """The windows that some blocks complete, with the failures among them."""
        blocks = [item for item in items if isinstance(item, WindowBlock)]
        values = iter(self._values_of_frames(blocks) if self._by_frame else ())
        for item in items:
            if isinstance(item, Failure):
                self._asked.pop(item.ref, None)
                yield item
                continue
            done = item
            if isinstance(item, WindowBlock):
                found = next(values) if self._by_frame else self._values_of_windows(item)
                done = self._keep(item, found)
            assert isinstance(done, _Embedded)
            yield from self._assembled(done)

    def _values_of_frames(self, blocks: Sequence[WindowBlock]) -> list[Tensor]:
        """Frames of all blocks through the tower together: [n, K, D] for each block."""
        if not blocks:
            return []
        frames = np.concatenate([block.frames for block in blocks])  # [n, K, 3, X, X]
        values = self.embed_clips(torch.from_numpy(frames).flatten(0, 1)[:, None])[
            :, 0
        ]  # [n * K, D]
        values = values.reshape(*frames.shape[:2], values.shape[-1])
        return list(torch.split(values, [len(block.frames) for block in blocks]))

    def _values_of_windows(self, block: WindowBlock) -> Tensor:
        """The windows of a block as clips: [W, V * K, T', D]."""
        self._remember(block.first_place, torch.from_numpy(block.frames))
        done = []
        for window in block.windows:
            clips = self._gather(window)  # [V, K, T, 3, X, X]
            done.append(self.embed_clips(clips.flatten(0, 1)))
            self._forget_before(window)
        return torch.stack(done) if done else torch.zeros(0, 1, 1, 1)

    def _assembled(self, block: _Embedded) -> Iterator[FrameEmbeddings]:
        if self._by_frame:
            self._remember(block.first_place, block.values)
        for i, window in enumerate(block.windows):
            if self._by_frame:
                values = self._gather(window).flatten(0, 1)  # [V * K, T, D]
                self._forget_before(window)
            else:
                values = block.values[i]
            crops = len(values) // len(window.times_s)
            told, self._told = self._told, (block.ref, block.warnings)
            yield FrameEmbeddings(
                replace(block.ref, start_s=window.start_s, end_s=window.end_s),
                values,
                tuple(view for view in window.times_s for _ in range(crops)),
                window.start_s,
                window.end_s,
                () if told == self._told else block.warnings,  # every block says them
                block.cached,
                Part("window", window.first_frame, window.last_frame, block.video_s),
            )

    def _remember(self, first_place: int, values: Tensor) -> None:
        if first_place == 0:
            self._places.clear()  # another video
        self._places |= dict(enumerate(values, first_place))

    def _gather(self, window: Window) -> Tensor:
        """What was remembered of a window's frames, [V, T, K, ...] -> [V, K, T, ...]."""
        views = [torch.stack([self._places[place] for place in view]) for view in window.places]
        return torch.stack(views).transpose(1, 2)

    def _forget_before(self, window: Window) -> None:
        first = min(view[0] for view in window.places)
        for place in [place for place in self._places if place < first]:
            del self._places[place]

    def _keep(self, block: WindowBlock, values: Tensor) -> _Embedded:
        key = self._block_key(block.ref, block.number) if block.may_keep else None
        asked = self._asked.pop(block.ref, None) if block.is_last else self._asked.get(block.ref)
        if key is not None and asked == self._block_key(block.ref, 0):
            meta = {
                **tensor_meta(values),
                "first_place": block.first_place,
                "windows": [asdict(window) for window in block.windows],
                "video_s": block.video_s,
                "is_last": block.is_last,
                "warnings": block.warnings,
            }
            self._cache.put(key, to_bytes(values), meta)
        return _Embedded(
            block.ref, values, block.number, block.first_place, block.windows,
            block.video_s, block.is_last, block.warnings, cached=False,
        )  # fmt: skip
