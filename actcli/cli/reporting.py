"""`--report`: the page of a run, gathered while it goes on and written at its end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

from actcli.cli.options import OUTPUT_PANEL, option
from actcli.errors import InputError, PartialFailure, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from actcli.config import LimitsConfig
    from actcli.eval.result import EvalResult
    from actcli.render.report.model import Strip
    from actcli.render.report.training import TrainingStory
    from actcli.types import VideoRef

Report = Annotated[
    str | None,
    option("--report", panel=OUTPUT_PANEL, help="Also write a page to look at: report.html."),
]


def check_report(
    path: str | None,
    *,
    output: str | None = None,
    reads: Iterable[str] = (),
    folder: str | None = None,
) -> None:
    """Raise UsageError now for a page that could not be written after hours of work.

    output: the file of `-o`; reads: files that the run reads
    folder: one that the run makes itself, in which a page may be
    """
    if path is None:
        return
    if not path.lower().endswith((".html", ".htm")):
        raise UsageError(f"--report {path}: the name must end in .html", hint="--report run.html")
    own = os.path.realpath(path)
    if output is not None and own == os.path.realpath(output):
        raise UsageError(f"--report {path}: is the file of -o too", hint="--report run.html")
    for other in reads:
        if os.path.realpath(other) == own:
            raise UsageError(f"--report {path}: is read as well ({other})")
    if folder is not None and os.path.dirname(own) == os.path.realpath(folder):
        return
    from actcli.render.sinks import check_output

    check_output(path, flag="--report", example="run.html")


class RunReport:
    """The page of one run of `classify` or `fewshot`; without a path it does nothing.

    Leaving it writes the page, also if some or all videos failed.

    notes: what the page says besides
    """

    def __init__(
        self, path: str | None, console: Console, *, quiet: bool = False, notes: Sequence[str] = ()
    ) -> None:
        self.support: dict[str, Any] | None = None
        """The record of what examples are worth, once it is known."""
        self._path, self._console, self._quiet = path, console, quiet
        self._notes = tuple(notes)
        self._task: Any = None
        if path is not None:
            from actcli.render.report.collector import ReportCollector

            self._collector = ReportCollector()

    @property
    def is_wanted(self) -> bool:
        """Whether there will be a page."""
        return self._path is not None

    def __enter__(self) -> RunReport:
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_done = error is None or isinstance(error, PartialFailure | InputError)
        if self._path is not None and self._task is not None and is_done:
            self._write(self._path)

    def watching(self, make_task: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A way to make the same task, whose results the page takes as they pass by."""
        if self._path is None:
            return make_task

        def make(view: Any) -> Any:
            self._task = _Watched(make_task(view), self._collector.add)
            return self._task

        return make

    def _write(self, path: str) -> None:
        from actcli.render.records import run_record
        from actcli.render.report.page import videos_page, write_report

        counts = self._collector.counts
        if not any(counts.values()) and self.support is None:
            return
        config = self._task.config
        strips = make_strips(
            self._collector.wanted(), config.limits, config.run.workers, self._console, self._quiet
        )
        record = run_record(self._task.run(), counts=counts)
        page = videos_page(self._collector, record, strips, support=self.support, notes=self._notes)
        write_report(path, page)


def run_report(flags: dict[str, Any], console: Console) -> RunReport:
    """The page that the flags of `classify` or `fewshot` ask for."""
    path = flags["report"]
    is_page = path is not None and path.lower().endswith((".html", ".htm"))
    notes = ("Videos that earlier runs did (--skip-done) are not on this page.",)
    return RunReport(
        path if is_page else None, console, quiet=bool(flags["quiet"]),
        notes=notes if flags["skip_done"] else (),
    )  # fmt: skip


class _Watched:
    """A task like another one, which shows its results to somebody else too."""

    def __init__(self, task: Any, take: Callable[[Any], None]) -> None:
        self._task, self._take = task, take

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def stream(self, *args: Any, **options: Any) -> Iterator[Any]:
        """The results of the other task."""
        from actcli.types import Failure, Prediction

        for result in self._task.stream(*args, **options):
            if isinstance(result, Prediction | Failure):
                self._take(result)
            yield result


def make_strips(
    wanted: Sequence[tuple[VideoRef, Sequence[float]]],
    limits: LimitsConfig,
    workers: int | None,
    console: Console,
    quiet: bool,
) -> dict[VideoRef, Strip]:
    """The pictures of a page, by video; of those that can't be read why not."""
    from actcli.render.progress import ProgressBar, wants_progress
    from actcli.render.report.model import Strip, make_strip
    from actcli.tasks.film_strips import FilmStrip, film_strips

    found: dict[VideoRef, Strip] = {}
    with ProgressBar(
        console, total=len(wanted), enabled=wants_progress(quiet=quiet), unit="film strip"
    ) as bar:
        for one in film_strips(wanted, limits, workers=workers):
            is_strip = isinstance(one, FilmStrip)
            found[one.ref] = (
                make_strip(one.frames, one.times_s)
                if isinstance(one, FilmStrip)
                else Strip(reason=one.error.message)
            )
            bar.advance(failed=not is_strip)
    return found


def write_eval_report(path: str | None, result: EvalResult, console: Console, quiet: bool) -> None:
    """The page of an evaluation, with pictures of its hardest clips where they can be read."""
    if path is None:
        return
    from actcli.config import LimitsConfig
    from actcli.render.evaluation import eval_record
    from actcli.render.report.evaluation import evaluation_page, hardest
    from actcli.render.report.page import write_report
    from actcli.tasks.scoring import named_part

    record, config = eval_record(result), result.run.config
    refs = {named_part(ref): ref for part in result.plan.parts for ref in part.refs}
    names = {name: refs[name] for name in hardest(record) if name in refs}
    limits = LimitsConfig.model_validate(config.get("limits") or {})
    workers = (config.get("run") or {}).get("workers")
    strips = make_strips([(ref, ()) for ref in names.values()], limits, workers, console, quiet)

    def find(name: str) -> Strip | None:
        ref = names.get(name)
        return None if ref is None else strips.get(ref)

    write_report(path, evaluation_page(record, find))


def write_training_report(path: str | None, folder: Path, story: TrainingStory) -> None:
    """The page of a training run, from the files in its folder."""
    if path is None:
        return
    from actcli.render.report.page import write_report
    from actcli.render.report.training import read_log, training_page
    from actcli.tasks.run_folder import RUN_NAME

    settings = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
    write_report(path, training_page(settings, read_log(folder / "log.jsonl"), story, str(folder)))
