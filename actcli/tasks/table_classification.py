"""Classify from a table of embeddings instead of videos: new labels cost a matrix product."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from actcli.cache import make_key
from actcli.checkpoint import find_checkpoint, read_info
from actcli.config import ClassifyConfig, SamplingConfig, TaskConfig, WindowConfig, with_options
from actcli.data.labels import LabelSet
from actcli.errors import InputError, ModelError, UsageError, flag_of
from actcli.tables.info import TableInfo
from actcli.tables.reading import EmbeddingTable, TableRows
from actcli.tables.rows import Batch
from actcli.tasks.batch_scoring import RowScorer
from actcli.tasks.classify import Classification
from actcli.tasks.embed import transform_of
from actcli.tasks.examples import KnownExamples
from actcli.tasks.pipeline import Conditions, Started
from actcli.tasks.settings import settled
from actcli.types import Failure, FrameEmbeddings, Prediction, Run, VideoRef

if TYPE_CHECKING:
    from actcli.models.hub_client import DownloadReport

log = logging.getLogger("actcli.tasks.table_classification")

_BATCH_BYTES: Final = 32 << 20
_MOST_ROWS: Final = 4096
_SAME_SCORES: Final = frozenset({"windows", "top", "decisions", *TaskConfig.model_fields})
"""Settings that `RowScorer` knows of; where others are set, rows are scored as videos are."""


class TableClassification(Classification):
    """One run of `classify` on the rows of a table; records as of the videos they were made of.

    labels, report: as for videos

    Raises UsageError for settings that are not those of the table, ModelError for another model.
    """

    def __init__(
        self,
        rows: TableRows,
        labels: LabelSet | None,
        config: ClassifyConfig,
        report: DownloadReport | None = None,
    ) -> None:
        self.table, self._rows = rows.table, rows
        super().__init__(labels, adopted(config, rows.table), report)
        self._check_model()
        rows.num_rows = rows_of_batch(self.table.info, len(self.labels))

    def _check_model(self) -> None:
        info, pipeline, name = self.table.info, self._pipeline, self.table.name
        hint = f"--model {info.model}, or actcli embed again"
        if info.model_digest != pipeline.digest or info.shape[2] != pipeline.spec.embed_dim:
            raise ModelError(
                f"{name}: holds embeddings of {info.model} (got --model {self.model_name}, whose "
                "weights are others)",
                hint=hint,
            )
        if dict(info.transform) != transform_of(pipeline.spec):
            raise ModelError(
                f"{name}: its frames were resized otherwise than {self.model_name} wants", hint=hint
            )
        if info.is_pooled and (self.is_few_shot or pipeline.method_name != "clip"):
            raise UsageError(
                f"{name}: holds one vector a video, but {self.model_name} compares frames",
                hint="actcli embed without --pool",
            )
        if info.is_pooled and self.config.explain:
            raise UsageError(f"--explain: {name} holds one vector a video, no frames")
        if info.is_pooled and self.config.decisions.frame_weights:
            raise UsageError(f"--frame-weights: {name} holds one vector a video, no frames")

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the scores, the rows apart."""
        return make_key({"of": super().fingerprint, "table": self.table.info.fingerprint}).hex()

    def run(self) -> Run:
        """The conditions of this run, as they stand now."""
        run = super().run()
        run.notes.update(embeddings=self.table.name, embeddings_of=self.table.info.fingerprint)
        return run

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[Prediction | Failure]:
        """Yield one result for each of `refs`, those of the rows, in order; call it once.

        With `on_error="stop"` the first failure is raised as VideoError.
        """
        with self._pipeline.cache:
            started = self._start()
            clips = None if self._info is None else self._info.support
            examples = KnownExamples(clips or (), self._pipeline.cache) if clips else None
            for result in self._results(refs, started):
                if isinstance(result, Failure):
                    yield self._pipeline.failure(result)
                else:
                    yield result if examples is None else examples.say(result)

    def _start(self) -> Started:
        """The model without workers: there is nothing to decode."""
        built = self._pipeline.plan.build()
        info = self.table.info
        if built.method.cache_key() != info.embed_key:
            raise ModelError(
                f"{self.table.name}: holds embeddings of the method {info.method} as {info.model} "
                f"has it (got --model {self.model_name})",
                hint=f"--model {info.model}, or actcli embed again",
            )
        if built.precision != info.precision:
            log.warning(
                "%s was made in %s, the words are embedded in %s",
                self.table.name, info.precision, built.precision,
            )  # fmt: skip
        device = str(built.method.backbone.device)
        self._pipeline.conditions = Conditions(device, built.precision, 1, 0)
        nobody: Any = None
        return Started(built.method, nobody, self._pipeline.cache, built.precision, built.tensors)

    def _results(
        self, refs: Iterable[VideoRef], started: Started
    ) -> Iterator[Prediction | Failure]:
        batches = self._rows.taken(refs)
        if not self._is_plain:
            yield from self._scored(_videos(batches), started)
            return
        score = RowScorer(
            self._scorer(started),
            method=started.method.name,
            model=self.model_name,
            top=self.config.top,
        )
        for batch, places in batches:
            yield from score(batch, places)

    @property
    def _is_plain(self) -> bool:
        """Whether rows can be scored many at once; else they are, one by one, as videos are."""
        asked = self.config.model_dump(exclude_defaults=True).keys() - _SAME_SCORES
        return not asked and not self.config.windows.segments


def adopted(config: ClassifyConfig, table: EmbeddingTable) -> ClassifyConfig:
    """The config with what the table decides where the user set nothing.

    Raises UsageError for settings that the table's rows don't have.
    """
    info, name = table.info, table.name
    try:
        sampling = SamplingConfig.model_validate(dict(info.sampling))
        cut = WindowConfig.model_validate(dict(info.windows or {}))
    except ValueError as error:
        raise InputError(f"{name}: its sampling can't be told ({error})") from error
    path = find_checkpoint(config.model)
    wanted = settled(config, read_info(path) if path else None).sampling
    checked = wanted.model_fields_set if path is None else type(wanted).model_fields.keys()
    for key in sorted(checked):
        _refuse_other(name, key, getattr(wanted, key), getattr(sampling, key))
    given = config.windows.model_dump(exclude_unset=True)
    if given.get("window_s") is None:
        given = cut.model_dump(exclude_unset=True) | given
    windows = WindowConfig.model_validate(given)
    for key in ("window_s", "window_stride_s", "shots"):
        _refuse_other(name, key, getattr(windows, key), getattr(cut, key))
    config = config.model_copy(update={"sampling": sampling, "windows": windows})
    options: dict[str, Any] = {"workers": 0}
    if config.run.precision == "auto":
        options["precision"] = info.precision
    return config.model_copy(update={"run": with_options(config, options).run})


def _refuse_other(name: str, key: str, got: Any, expected: Any) -> None:
    if got != expected:
        made = "without it" if expected is None else f"with {expected}"
        raise UsageError(
            f"{flag_of(key)}: {name} was made {made} (got {got})",
            hint=f"leave {flag_of(key)} out, or actcli embed again",
        )


def rows_of_batch(info: TableInfo, num_labels: int) -> int:
    """How many rows are scored at once, so that what they need stays bounded.

    The values and their copies in float64, scores in float64, and for methods that compare frames
    the distances of each with those of each label.
    """
    views, frames, _ = info.shape
    matched = 0 if frames == 1 else views * num_labels * frames * frames * 4
    each = 3 * 8 * info.size + 3 * 8 * views * num_labels + matched
    return max(1, min(_MOST_ROWS, _BATCH_BYTES // each))


def video_of(batch: Batch, place: int) -> FrameEmbeddings | Failure:
    """One row as the engine would have given it."""
    import torch

    if place in batch.failures:
        return batch.failures[place]
    times, views = batch.frames_s[place], batch.num_views
    each = len(times) // views
    return FrameEmbeddings(
        batch.refs[place],
        torch.from_numpy(batch.values[place].copy()),
        tuple(tuple(times[i * each : (i + 1) * each]) for i in range(views)),
        *batch.spans[place],
        batch.warnings[place],
        cached=True,
        part=batch.parts[place],
    )


def _videos(batches: Iterable[tuple[Batch, list[int]]]) -> Iterator[FrameEmbeddings | Failure]:
    for batch, places in batches:
        for place in places:
            yield video_of(batch, place)
