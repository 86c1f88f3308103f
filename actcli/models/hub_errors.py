"""What can go wrong between here and the hub, each with its own sentence and what to type.

The client's HTTP library has changed its name more than once, so its errors are known by the
names of their classes.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from actcli.errors import ActcliError, ModelError, ResourceError
from actcli.models.hub_cache import HubSettings
from actcli.models.model_config import WHAT_TO_TYPE

_TIMEOUTS: Final = {"TimeoutException", "TimeoutError"}
_BROKEN: Final = {"NetworkError", "RemoteProtocolError", "ProtocolError", "ConnectionError"}
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for when something went wrong."""

    name: str
    """The model, as records show it."""
    repository: str
    file: str


def class_names(error: BaseException) -> set[str]:
    """The names of an error's class and of all that it derives from."""
    return {cls.__name__ for cls in type(error).__mro__}


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error stands for, if it does."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def is_missing_file(error: BaseException) -> bool:
    """Whether the repository is there and the file is not."""
    return "RemoteEntryNotFoundError" in class_names(error)


def is_broken_transfer(error: BaseException) -> bool:
    """Whether a transfer ended early, so that another attempt may help."""
    return bool(class_names(error) & _BROKEN) or "Consistency check failed" in str(error)


def explain(error: BaseException, wanted: Wanted, settings: HubSettings) -> ActcliError:
    """The error that a user should see for one of the client's."""
    names, status = class_names(error), status_of(error)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
        return _explain_disk(error, wanted, settings)
    if "GatedRepoError" in names:
        return ModelError(
            f"{wanted.name}: gated: {wanted.repository} wants its terms accepted first",
            hint=f"accept them at {settings.endpoint}/{wanted.repository}, then: "
            "export HF_TOKEN=your_token",
        )
    if "RepositoryNotFoundError" in names:
        return ModelError(
            f"{wanted.name}: {_host(settings)} has no repository {wanted.repository}, "
            "or not for everybody",
            hint="check its name; for a private one: export HF_TOKEN=your_token",
        )
    if "RevisionNotFoundError" in names:
        return ModelError(
            f"{wanted.name}: there is nothing in {wanted.repository} yet",
            hint="choose another: actcli models list",
        )
    # A hub says in a header of its own what it doesn't have.
    if status == 404 or names & {"FileMetadataError", "LocalEntryNotFoundError"}:
        return no_hub(wanted.name, settings)
    if status is not None:
        return _explain_status(status, wanted, settings)
    if names & {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"}:
        return bad_endpoint(settings)
    if is_broken_transfer(error) and "ConnectError" not in names:
        return ModelError(
            f"{wanted.name}: the transfer of {wanted.file} broke off, each time it was tried",
            hint=f"try again: actcli models pull {wanted.name}",
        )
    return unreachable(_reason(error, names, settings), wanted, settings)


def unreachable(reason: str, wanted: Wanted, settings: HubSettings) -> ModelError:
    """The error for a network that is not there."""
    return ModelError(
        f"{wanted.name}: {wanted.file} is not in {settings.cache_dir}, and the hub could not be "
        f"reached ({_host(settings)}: {reason})",
        hint=f"check the network and try again; without one {WHAT_TO_TYPE}",
    )


def forbidden(wanted: Wanted, settings: HubSettings) -> ModelError:
    """The error for a download that --offline forbids."""
    return ModelError(
        f"{wanted.name}: {wanted.file} is not in {settings.cache_dir}, and nothing is downloaded "
        "with --offline or HF_HUB_OFFLINE",
        hint=f"with a network, once: actcli models pull {wanted.name}; without one {WHAT_TO_TYPE}",
    )


def no_hub(name: str, settings: HubSettings) -> ModelError:
    """The error for an address where something else answers."""
    return ModelError(
        f"{name}: {settings.endpoint} does not answer as a model hub does",
        hint="check HF_ENDPOINT, and that no login page stands between",
    )


def bad_endpoint(settings: HubSettings) -> ModelError:
    """The error for an address of the hub that is none."""
    return ModelError(
        f'HF_ENDPOINT: not an address (got "{settings.endpoint}", expected https://...)',
        hint="unset HF_ENDPOINT",
    )


def unverified_endpoint(settings: HubSettings) -> ModelError:
    """The error for an address where anyone on the way could answer instead of the hub."""
    return ModelError(
        f'HF_ENDPOINT: models come over https only (got "{settings.endpoint}")',
        hint="give the hub a certificate, or copy the model's folder and use local-dir:PATH",
    )


def _explain_status(status: int, wanted: Wanted, settings: HubSettings) -> ModelError:
    host = _host(settings)
    if status == 401:
        said = "refuses the token that was sent" if settings.token else "wants a token"
        return ModelError(
            f"{wanted.name}: {host} {said} (401)",
            hint="export HF_TOKEN=your_token, one that may read this repository",
        )
    if status == 403:
        return ModelError(
            f"{wanted.name}: {host} does not let us read {wanted.repository} (403)",
            hint="export HF_TOKEN=your_token, one that may read this repository",
        )
    if status == 429:
        return ModelError(
            f"{wanted.name}: {host} has had too many requests from here (429)",
            hint="wait some minutes, or identify yourself: export HF_TOKEN=your_token",
        )
    if status >= 500:
        return ModelError(
            f"{wanted.name}: {host} has trouble of its own ({status})",
            hint=f"try again later: actcli models pull {wanted.name}",
        )
    return ModelError(f"{wanted.name}: {host} refuses {wanted.file} ({status})")


def _explain_disk(error: OSError, wanted: Wanted, settings: HubSettings) -> ResourceError:
    what = "the disk is full" if error.errno in _FULL else "can't write"
    return ResourceError(
        f"{wanted.name}: {what} ({error.filename or settings.cache_dir}: {error.strerror})",
        hint="choose another folder: export HF_HUB_CACHE=/path/with/space",
    )


def _reason(error: BaseException, names: set[str], settings: HubSettings) -> str:
    if names & _TIMEOUTS:
        return f"no answer in {settings.answer_timeout_s:g} s; HF_HUB_ETAG_TIMEOUT=30 waits longer"
    if "ProxyError" in names:
        return f"the proxy says {error}; see HTTPS_PROXY"
    return str(error) or type(error).__name__


def _host(settings: HubSettings) -> str:
    return urlsplit(settings.endpoint).netloc or settings.endpoint
