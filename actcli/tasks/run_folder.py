"""The folder of a training run: its settings, its best and its last checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from actcli.cache import Cache
from actcli.checkpoint import BEST_NAME, backbone_ref, changed_tensors, write_checkpoint
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import LimitsConfig, flat
from actcli.config_train import FinetuneConfig
from actcli.data.labels import LabelSet
from actcli.drafts import draft_of
from actcli.errors import InputError, ResourceError, UsageError
from actcli.methods.base import Method
from actcli.reading import parse_json
from actcli.tasks.pipeline import Pipeline, Prompts
from actcli.tasks.settings import versions
from actcli.train.events import EpochEvent, Prepared
from actcli.train.loop import STATE_NAME
from actcli.types import Failure, VideoRef

RUN_NAME: Final = "run.json"
LAST_NAME: Final = "last.safetensors"
RUN_SCHEMA: Final = "actcli.training_run/1"
# They change where and how a run computes and what it keeps, never what comes out.
_HARMLESS = (
    "run.", "offline", "backbone", "require_license", "train.save_every",
    *(f"limits.{name}" for name in LimitsConfig.HELD_BY_WORKERS),
)  # fmt: skip
_HARMFUL = ("run.seed",)
_LOGS = ("log.jsonl", "log.csv")


class RunFolder:
    """Where a run keeps what it makes.

    Raises UsageError for a folder that can't be one, or that holds another run.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        try:
            self._check(path, resume=resume)
        except OSError as error:
            raise UsageError(f"-o {path}: {error.strerror}", hint="-o runs/a") from error

    def _check(self, path: Path, *, resume: bool) -> None:
        if path.exists() and not path.is_dir():
            raise UsageError(f"-o {path}: is a file (expected a folder)", hint="-o runs/a")
        if resume and not (path / RUN_NAME).is_file():
            raise UsageError(
                f"--resume: {path} holds no run", hint="start it without --resume first"
            )
        if not resume and path.is_dir() and not self._is_unused():
            raise UsageError(
                f"-o {path}: is not empty",
                hint="name a new folder, or continue the run in it with --resume",
            )
        parent = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not os.access(parent, os.W_OK):
            raise UsageError(f"-o {path}: no permission to write there")

    def _is_unused(self) -> bool:
        """Whether nothing is there but what a run that came to nothing leaves."""
        left = [entry for entry in self.path.iterdir() if not entry.name.startswith(".draft-")]
        return all(
            entry.name == RUN_NAME or (entry.name in _LOGS and not entry.stat().st_size)
            for entry in left
        ) and (not left or (self.path / RUN_NAME).is_file())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder while this lasts, where the system can.

        Raises UsageError if one is in it.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        number = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"-o {self.path}: another run is at work there", hint="-o NEW"
                ) from error
            except OSError:
                pass  # a network file system without locks
            yield
        finally:
            os.close(number)

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Make the folder and write down what the run is set to.

        Raises ResourceError if it can't be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._write({"schema": RUN_SCHEMA, **settings})
        except OSError as error:
            raise ResourceError(f"{self.path}: cannot be written ({error.strerror})") from error

    def note_left_out(self, failures: Iterable[Failure]) -> None:
        """Write down which videos can't be used, and why.

        Raises ResourceError if it can't be written.
        """
        named = [
            {"input": f.ref.id, "kind": f.error.kind, "message": f.error.message} for f in failures
        ]
        try:
            self._write(self.settings() | {"left_out": named})
        except OSError as error:
            raise ResourceError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _write(self, stated: Mapping[str, Any]) -> None:
        with draft_of(self.path / RUN_NAME) as draft:
            draft.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")

    def settings(self) -> dict[str, Any]:
        """What the run in the folder is set to.

        Raises InputError if that can't be read.
        """
        path = self.path / RUN_NAME
        try:
            stated: dict[str, Any] = dict(parse_json(path.read_text(encoding="utf-8")))
            return stated
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error

    def check_same(self, settings: Mapping[str, Any]) -> None:
        """Raise UsageError, naming each difference, unless these are the settings of the run."""
        earlier, now = (flat(json.loads(json.dumps(s))) for s in (self.settings(), settings))
        found = [
            f"{name.removeprefix('config.')} (was {_short(earlier.get(name))}, "
            f"now {_short(now.get(name))})"
            for name in sorted({*earlier, *now} - {"schema", "started", "left_out"})
            if earlier.get(name) != now.get(name) and not _is_harmless(name)
        ]
        if found:
            raise UsageError(
                f"--resume: {self.path} was begun with other settings: {'; '.join(found[:8])}",
                hint="give the same ones, or begin another run with -o NEW",
            )

    @property
    def state_path(self) -> Path:
        """Where the state of the run is."""
        return self.path / STATE_NAME

    def check_best(self, *, is_done: bool) -> None:
        """Raise InputError if a run that came to its end has lost its best weights."""
        if is_done and not (self.path / BEST_NAME).is_file():
            raise InputError(
                f"{self.path}: the run is done, and its {BEST_NAME} is gone",
                hint=f"--model {self.path / LAST_NAME} has the last weights; or begin with -o NEW",
            )

    def save(
        self,
        name: str,
        method: Method,
        pipeline: Pipeline[FinetuneConfig],
        labels: LabelSet,
        prompts: Prompts,
        training: Mapping[str, Any],
    ) -> None:
        """Write a checkpoint of the method as it is.

        Raises ResourceError if it can't be written.
        """
        info = CheckpointInfo(
            method=method.name,
            config=method.config.model_dump(mode="json"),
            backbone=backbone_ref(pipeline.spec, pipeline.digest),
            sampling=pipeline.config.sampling.model_copy(update={"num_views": 1}),
            transform=pipeline.spec.preprocessing,
            templates=pipeline.config.templates,
            labels=labels.names,
            prompts=prompts,
            training=training,
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_checkpoint(self.path / name, info, changed_tensors(method))

    def save_best(self, *args: Any) -> None:
        """`save` as the one that `--model FOLDER` means."""
        self.save(BEST_NAME, *args)


def outcome(event: EpochEvent, prepared: Prepared) -> dict[str, Any]:
    """What a checkpoint says of its training: how much, and with what result."""
    about: dict[str, Any] = {
        "clips": prepared.clips, "classes": prepared.classes,
        "left_out": len(prepared.failures), "epochs": event.epoch, "steps": event.step,
        "learning": prepared.learning,
    }  # fmt: skip
    found, baseline = event.validation, prepared.baseline
    if found is not None and baseline is not None:
        name = prepared.baseline_name.replace(" ", "_").replace("-", "_")
        about |= {
            "val_clips": found.clips, "val_top1": round(found.top1, 4),
            "val_loss": round(found.loss, 4), f"{name}_top1": round(baseline.top1, 4),
        }  # fmt: skip
    return about


def data_digest(refs: Iterable[VideoRef], cache: Cache) -> str:
    """Hex digest of what a list of labelled videos is: contents, parts and labels, in order."""
    rows = []
    for ref in refs:
        try:
            content = cache.file_digest(ref.path).hex()
        except (OSError, ValueError):
            content = f"unreadable {ref.path}"
        rows.append(f"{content} {ref.start_s} {ref.end_s} {ref.label}")
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _is_harmless(name: str) -> bool:
    own = name.removeprefix("config.")
    return own.startswith(_HARMLESS) and not own.startswith(_HARMFUL)


def _short(value: object) -> str:
    text = "unset" if value is None else str(value).replace("\n", ", ").replace("\t", ", ")
    return text if len(text) <= 40 else text[:39] + "…"
