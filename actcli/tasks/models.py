"""Models by name: what there is, what is here, and how it comes and goes.

This is where the environment of the hub is read (`HF_HOME` and its kin): the layers below take
`HubSettings`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actcli.errors import ModelError, UsageError
from actcli.models.backbone import BackboneSpec, find_backbone, is_local
from actcli.models.catalog import (
    ALIASES,
    HUB_PREFIX,
    PERMISSIVE,
    Entry,
    entries,
    entry_of_repository,
)
from actcli.models.hub_cache import DEFAULT_ENDPOINT, HubSettings, cached_repositories
from actcli.models.model_config import (
    CONFIG_NAME,
    read_preprocessing,
    refuse_foreign_towers,
)
from actcli.models.resolve import find_downloaded, find_source, resolve_backbone
from actcli.types import ModelInfo

if TYPE_CHECKING:
    from actcli.models.hub import Removal
    from actcli.models.hub_client import DownloadReport

_TRUE = {"1", "on", "yes", "true"}


def hub_settings(*, offline: bool = False, environ: Mapping[str, str] | None = None) -> HubSettings:
    """The settings of the hub that the environment asks for, as its own client reads them.

    A token that was saved by logging in is for the public hub and is sent nowhere else; one in
    HF_TOKEN goes to whatever HF_ENDPOINT names.

    Raises UsageError for a timeout that is no number.
    """
    env = os.environ if environ is None else environ
    base = Path(env.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(env.get("HF_HOME") or base / "huggingface").expanduser()
    cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or home / "hub"
    endpoint = (env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    token = (env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or "").strip()
    if (
        not token
        and endpoint == DEFAULT_ENDPOINT
        and not _is_set(env, "HF_HUB_DISABLE_IMPLICIT_TOKEN")
    ):
        token = _saved_token(Path(env.get("HF_TOKEN_PATH") or home / "token"))
    return HubSettings(
        cache_dir=Path(os.path.expandvars(cache)).expanduser().absolute(),
        endpoint=endpoint,
        token=token or None,
        offline=offline or _is_set(env, "HF_HUB_OFFLINE") or _is_set(env, "TRANSFORMERS_OFFLINE"),
        answer_timeout_s=_seconds(env, "HF_HUB_ETAG_TIMEOUT", 4.0),
        stall_timeout_s=_seconds(env, "HF_HUB_DOWNLOAD_TIMEOUT", 10.0),
    )


def pull_model(
    name: str,
    settings: HubSettings,
    *,
    report: DownloadReport | None = None,
    licences: Collection[str] = (),
) -> BackboneSpec:
    """The model that a name means, downloaded if it isn't here.

    Raises what `resolve_backbone` raises.
    """
    return resolve_backbone(name, settings, report=report, licences=licences)


def import_model(file: str, folder: str, *, architecture: str = "") -> BackboneSpec:
    """The model that somebody's file of weights makes, written as a folder for `local-dir:`.

    Raises what `import_weights` raises.
    """
    from actcli.models.importing import import_weights

    given, made = Path(file).expanduser(), Path(folder).expanduser()
    return import_weights(given, made.absolute(), architecture=architecture)


def list_models(settings: HubSettings, text: str = "") -> Iterator[ModelInfo]:
    """All models by name: those with an alias first, then open_clip's, then others that are here.

    text: only names that contain it, whatever their case
    """
    named = [entries()[name] for name in ALIASES.values()]
    rest = [entry for entry in entries().values() if entry not in named]
    wanted = text.lower()
    for entry in (*named, *rest):
        if wanted in entry.name.lower() or wanted == entry.alias:
            yield describe_model(entry.name, settings)
    for repository in cached_repositories(settings.cache_dir):
        name = HUB_PREFIX + repository
        if wanted not in name.lower() or entry_of_repository(repository):
            continue
        try:
            spec = find_downloaded(find_source(name), settings)
        except ModelError:  # of another sort of model, as far as we can see
            continue
        if spec is not None:
            yield _info_of_spec(spec)


def describe_model(name: str, settings: HubSettings) -> ModelInfo:
    """What is known of the model that a name means; nothing is downloaded.

    Raises ModelError for a name that stands for nothing.
    """
    if is_local(name):
        return _info_of_spec(find_backbone(name))
    source, refused = find_source(name), None
    try:
        if (spec := find_downloaded(source, settings)) is not None:
            return _info_of_spec(spec)
    except ModelError as error:
        refused = error.message
    if source.entry is not None:
        return _info_of_entry(source.entry, refused)
    return ModelInfo(
        source.name, None, "unknown", False, None, None, None, None, None,
        refused=refused, repository=source.repository,
    )  # fmt: skip


def model_folder(name: str, settings: HubSettings) -> Path:
    """The folder of a model that is here.

    Raises ModelError for one that isn't, and for a name that stands for nothing.
    """
    if is_local(name):
        return find_backbone(name).folder
    source = find_source(name)
    spec = find_downloaded(source, settings)
    if spec is None:
        raise ModelError(
            f"{source.name}: not downloaded (not in {settings.cache_dir})",
            hint=f"actcli models pull {source.name}",
        )
    return spec.folder


def plan_removal(name: str, settings: HubSettings) -> Removal:
    """What removing a downloaded model would do.

    Raises UsageError for one that was never downloaded by us, ModelError for one that isn't here.
    """
    if is_local(name):
        what = "part of actcli" if name == "demo" else "a folder of yours"
        raise UsageError(f"{name}: {what}, not a download", hint="see actcli models list")
    from actcli.models import hub

    source = find_source(name)
    removal = hub.plan_removal(settings, source.repository)
    if removal is None:
        raise ModelError(
            f"{source.name}: not downloaded (not in {settings.cache_dir})",
            hint="see actcli models list",
        )
    return removal


def _info_of_spec(spec: BackboneSpec) -> ModelInfo:
    source = None if is_local(spec.name) else find_source(spec.name)
    entry = source.entry if source else None
    return ModelInfo(
        name=spec.name,
        alias=entry.alias if entry else None,
        licence=spec.licence,
        permissive=spec.licence.lower() in PERMISSIVE,
        num_bytes=spec.weights_path.stat().st_size,
        context_length=spec.context_length,
        input_px=spec.preprocessing.size_px,
        resize=spec.preprocessing.resize,
        folder=str(spec.folder),
        repository=source.repository if source else None,
        commit=spec.commit,
        activation=spec.activation,
        embed_dim=spec.embed_dim,
        score_kind=spec.score_kind,
        interpolation=spec.preprocessing.interpolation,
        tokenizer=spec.config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"),
    )


def _info_of_entry(entry: Entry, refused: str | None) -> ModelInfo:
    """What open_clip's tables and architecture files say of weights that aren't here."""
    known: dict[str, Any] = {}
    try:
        model = entry.model_config()
        refuse_foreign_towers(entry.name, model)
        config = {"model_cfg": model, "preprocess_cfg": entry.preprocess}
        frames = read_preprocessing(Path(CONFIG_NAME), config)
        known = {
            "context_length": int(model["text_cfg"].get("context_length", 77)),
            "input_px": frames.size_px,
            "resize": frames.resize,
            "interpolation": frames.interpolation,
            "embed_dim": model["embed_dim"],
            "score_kind": "softmax" if model.get("init_logit_bias") is None else "sigmoid",
            "tokenizer": model["text_cfg"].get("hf_tokenizer_name"),
        }
    except ModelError as error:
        known = {"context_length": None, "input_px": None, "resize": None}
        refused = refused or error.message
    return ModelInfo(
        name=entry.name,
        alias=entry.alias,
        licence=entry.licence,
        permissive=entry.licence in PERMISSIVE,
        num_bytes=entry.about_bytes,
        folder=None,
        refused=refused,
        repository=entry.repository,
        activation="quick_gelu" if entry.quick_gelu else "gelu",
        **known,
    )


def _is_set(env: Mapping[str, str], name: str) -> bool:
    return (env.get(name) or "").lower() in _TRUE


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(env.get(name) or default)
    except ValueError as error:
        raise UsageError(f"{name}: not a number of seconds (got {env[name]!r})") from error


def _saved_token(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
