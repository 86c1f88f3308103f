"""Downloads from the hub, with what its client leaves out: digests, deadlines, plain errors."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from actcli.errors import ActcliError, ModelError, ResourceError
from actcli.models.hub_cache import (
    HubSettings,
    content_digest,
    is_digest,
    remove_file,
    remove_leftovers,
    repository_folder,
)
from actcli.models.hub_client import DownloadReport, bar_class, client, within
from actcli.models.hub_errors import (
    Wanted,
    bad_endpoint,
    explain,
    is_broken_transfer,
    is_missing_file,
    no_hub,
    unverified_endpoint,
)

log = logging.getLogger("actcli.models.hub")

_ATTEMPTS: Final = 3
_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub says of a file."""

    num_bytes: int | None
    digest: str
    """The entity tag: sha256 of large files, git's sha1 of small ones."""
    commit: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What would be removed from the cache, and how."""

    num_bytes: int
    folder: Path
    execute: Callable[[], None]


class Hub:
    """The files of repositories, for one model.

    name: the model, as errors and reports should call it

    Raises ModelError if the address of the hub is none, or if anyone on the way could answer.
    """

    def __init__(
        self, name: str, settings: HubSettings, report: DownloadReport | None = None
    ) -> None:
        if urlsplit(settings.endpoint).scheme not in ("http", "https"):
            raise bad_endpoint(settings)
        if not settings.is_verified:
            raise unverified_endpoint(settings)
        self.name = name
        self.settings = settings
        self._report = report

    def look_up(self, repository: str, file: str, revision: str = "main") -> RemoteFile | None:
        """What the hub says of a file, or None if the repository doesn't have it.

        Raises ModelError if there is no answer or no such repository.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        settings = self.settings
        try:
            with client(settings):
                url = hf_hub_url(repository, file, revision=revision, endpoint=settings.endpoint)
                found = within(
                    settings.answer_timeout_s,
                    lambda: get_hf_file_metadata(
                        url,
                        token=settings.token or False,
                        timeout=settings.answer_timeout_s,
                        endpoint=settings.endpoint,
                    ),
                )
        except Exception as error:
            if is_missing_file(error):
                return None
            raise self._explain(error, repository, file) from error
        if not found.commit_hash or not found.etag:
            raise no_hub(self.name, settings)
        return RemoteFile(found.size, found.etag, found.commit_hash)

    def fetch(
        self, repository: str, file: str, *, revision: str = "main", reports: bool = False
    ) -> Path | None:
        """Download a file into the cache and check it, or None if the repository lacks it.

        revision: a branch or a commit
        reports: whether the report hears of it

        Raises ModelError for a file that is not what the hub says it is; that is removed.
        """
        remote = self.look_up(repository, file, revision)
        if remote is None:
            return None
        self._check_space(remote)
        if reports:
            remove_leftovers(self.settings.cache_dir, repository)
            self._begin(remote)
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    path = self._download(repository, file, revision, reports=reports)
                    self._check(path, remote)
                    return path
                except ActcliError:
                    raise
                except Exception as error:
                    # A process beside us may have removed a damaged file that both waited for.
                    again = is_broken_transfer(error) or isinstance(error, FileNotFoundError)
                    if not again or attempt == _ATTEMPTS:
                        raise self._explain(error, repository, file) from error
                    log.warning("%s: the transfer broke off, trying again", self.name)
                    time.sleep(_PAUSE_S)
        finally:
            if reports and self._report is not None:
                self._report.end()
        raise AssertionError("the last attempt returns or raises")

    def _begin(self, remote: RemoteFile) -> None:
        source = urlsplit(self.settings.endpoint).netloc
        if self._report is not None:
            self._report.begin(self.name, remote.num_bytes, source)
            return
        size = "" if remote.num_bytes is None else f"{remote.num_bytes / 1e6:,.0f} MB "
        log.warning("%s: downloading %sfrom %s", self.name, size, source)

    def _download(self, repository: str, file: str, revision: str, *, reports: bool) -> Path:
        from huggingface_hub import hf_hub_download

        settings = self.settings
        with client(settings):
            path = hf_hub_download(
                repository,
                file,
                revision=revision,
                cache_dir=settings.cache_dir,
                endpoint=settings.endpoint,
                token=settings.token or False,
                etag_timeout=settings.answer_timeout_s,
                tqdm_class=bar_class(self._report if reports else None),
            )
        return Path(path)

    def _check(self, path: Path, remote: RemoteFile) -> None:
        if not is_digest(remote.digest):
            log.warning(
                "%s: the hub gives no digest of %s, so it can't be checked", self.name, path.name
            )
            return
        got = content_digest(path, remote.digest)
        if got != remote.digest:
            remove_file(path)
            raise ModelError(
                f"{self.name}: {path.name} was damaged on its way and is removed "
                f"(got {got[:12]}…, expected {remote.digest[:12]}…)",
                hint=f"try again: actcli models pull {self.name}",
            )

    def _check_space(self, remote: RemoteFile) -> None:
        place = self.settings.cache_dir
        while not place.exists() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free
        if remote.num_bytes is not None and remote.num_bytes > free:
            raise ResourceError(
                f"{self.name}: the disk is too full (needs {remote.num_bytes / 1e6:,.0f} MB, "
                f"{self.settings.cache_dir} has {free / 1e6:,.0f} MB)",
                hint="choose another folder: export HF_HUB_CACHE=/path/with/space",
            )

    def _explain(self, error: Exception, repository: str, file: str) -> ActcliError:
        return explain(error, Wanted(self.name, repository, file), self.settings)


def plan_removal(settings: HubSettings, repository: str) -> Removal | None:
    """What removing a repository from the cache would do, or None if it isn't there."""
    from huggingface_hub import scan_cache_dir

    folder = repository_folder(settings.cache_dir, repository)
    if not folder.is_dir():
        return None
    with client(settings):
        info = scan_cache_dir(settings.cache_dir)
    for found in info.repos:
        if (found.repo_type, found.repo_id) == ("model", repository):
            commits = [revision.commit_hash for revision in found.revisions]
            # Copies of a repository share its commits, and the client removes whichever it meets.
            only = replace(info, repos=frozenset({found}))
            strategy = only.delete_revisions(*commits)
            return Removal(strategy.expected_freed_size, folder, strategy.execute)
    # Only what an interrupted download left: the client counts that as damage, and skips it.
    left = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Removal(left, folder, lambda: shutil.rmtree(folder))
