"""From a `--model` name to the files of a backbone: those that are here, else from the hub.

What is here is used as it is, and the hub is not asked: a model that was downloaded once works
ever after without a network.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from actcli.errors import ModelError
from actcli.models.backbone import (
    BackboneSpec,
    FoundFiles,
    find_backbone,
    is_local,
    make_spec,
    refuse_name,
)
from actcli.models.catalog import (
    ALIASES,
    HUB_PREFIX,
    PERMISSIVE,
    WEIGHT_NAMES,
    Entry,
    entry_of_repository,
    find_entry,
)
from actcli.models.hub import Hub
from actcli.models.hub_cache import HubSettings, promised_digest, snapshots
from actcli.models.hub_client import DownloadReport
from actcli.models.hub_errors import Wanted, forbidden
from actcli.models.model_config import CONFIG_NAME, read_config, refuse_foreign_towers

log = logging.getLogger("actcli.models.resolve")

_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_CARD: Final = "README.md"
_CARD_LICENCE = re.compile(r"^license(_name)?:\s*[\"']?([\w.+-]+)", re.MULTILINE)
# In the order in which they are asked for; the last two are for tokenizers without the first.
_TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
)
_OLD_TOKENIZER_FILES: Final = ("spiece.model", "vocab.txt")


@dataclass(frozen=True, slots=True)
class Source:
    """A model on the hub: what its name says about it before anything is downloaded."""

    name: str
    """As records show it."""
    repository: str
    entry: Entry | None
    """What open_clip's tables say; None for a repository that its own config describes."""
    weight_names: tuple[str, ...] = WEIGHT_NAMES

    @property
    def needs_config(self) -> bool:
        """Whether nothing but the repository says what the model is."""
        return self.entry is None


def find_source(name: str) -> Source:
    """What a name stands for on the hub.

    Raises ModelError for a name that stands for nothing.
    """
    name = ALIASES.get(name, name)
    if name.startswith(HUB_PREFIX):
        repository = name.removeprefix(HUB_PREFIX)
        if not _REPOSITORY.fullmatch(repository):
            raise ModelError(
                f'{HUB_PREFIX}: not a repository (got "{repository}", expected organisation/name)',
                hint="type --model hf-hub:timm/PE-Core-B-16",
            )
        return Source(name, repository, None)
    entry = find_entry(name)
    if entry is None:
        raise refuse_name(name)
    return Source(name, entry.repository, entry, entry.weight_names)


def resolve_backbone(
    name: str,
    settings: HubSettings,
    *,
    report: DownloadReport | None = None,
    licences: Collection[str] = (),
) -> BackboneSpec:
    """The backbone that a `--model` name means, downloaded first if it isn't here.

    licences: only these may it have, in lower case; `permissive` stands for all of that kind;
        empty is any

    Raises ModelError for a name that stands for nothing, a licence that is not wanted, and
    whatever goes wrong on the way; ResourceError if there is no room for it.
    """
    if is_local(name):
        spec = find_backbone(name)
        refuse_licence(spec.name, spec.licence, licences)
        return spec
    source = find_source(name)
    if source.entry is not None:
        refuse_licence(source.name, source.entry.licence, licences)
        refuse_foreign_towers(source.name, source.entry.model_config())
    found = find_downloaded(source, settings)
    if found is None and settings.offline:
        file = source.weight_names[0]
        raise forbidden(Wanted(source.name, source.repository, file), settings)
    spec = found or _download(source, Hub(source.name, settings, report), licences)
    refuse_licence(spec.name, spec.licence, licences)
    return spec


def find_downloaded(source: Source, settings: HubSettings) -> BackboneSpec | None:
    """The backbone of a source if all that it needs is here, without asking anybody.

    Raises ModelError for files that are here and can't be used.
    """
    for folder in snapshots(settings.cache_dir, source.repository):
        weights = next((p for f in source.weight_names if (p := folder / f).is_file()), None)
        if weights is None or (source.needs_config and not (folder / CONFIG_NAME).is_file()):
            continue
        config = _config(source, folder)
        tokenizer = _tokenizer_repository(config)
        where = _tokenizer_folder(tokenizer, settings) if tokenizer else None
        if tokenizer is None or where is not None:
            return _make(source, folder, weights, where, config)
    return None


def refuse_licence(name: str, licence: str, wanted: Collection[str]) -> None:
    """Raise ModelError unless a licence is among those that are wanted; none wanted is any."""
    named = set(wanted)
    if not named or licence in named or ("permissive" in named and licence in PERMISSIVE):
        return
    raise ModelError(
        f"{name}: its licence is not among those required "
        f"(got {licence}, expected {' or '.join(sorted(named))})",
        hint="choose another: actcli models list; or leave out --require-license",
    )


def _download(source: Source, hub: Hub, licences: Collection[str]) -> BackboneSpec:
    """Small files first: what they say may spare the large one."""
    fetch = partial(hub.fetch, source.repository)
    weights_name = "" if source.needs_config else _find_weights(source, hub)
    stated = fetch(CONFIG_NAME)
    if source.needs_config:
        if stated is None:
            raise ModelError(
                f"{source.name}: not an open_clip model (it has no {CONFIG_NAME})",
                hint="see those that are: actcli models list",
            )
        fetch(_CARD)
        refuse_licence(source.name, _licence(source, stated.parent), licences)
        weights_name = _find_weights(source, hub)
    if stated is not None:
        refuse_foreign_towers(source.name, _config(source, stated.parent)["model_cfg"])
    tokenizer = _download_tokenizer(source, hub, stated)
    weights = fetch(weights_name, reports=True)
    assert weights is not None, "it was there a moment ago"
    folder = weights.parent
    if stated is not None and stated.parent != folder:  # the repository moved on meanwhile
        fetch(CONFIG_NAME, revision=folder.name)
    return _make(source, folder, weights, tokenizer, _config(source, folder))


def _find_weights(source: Source, hub: Hub) -> str:
    """The name of the weight file in a repository."""
    for name in source.weight_names:
        if hub.look_up(source.repository, name) is not None:
            return name
    raise ModelError(
        f"{source.name}: {source.repository} has no safetensors weights (expected "
        f"{source.weight_names[0]}), and pickled ones, which can run code, are never downloaded",
        hint="see other models: actcli models list; a pickled file of yours is read by "
        "actcli models import",
    )


def _download_tokenizer(source: Source, hub: Hub, stated: Path | None) -> Path | None:
    """The folder of the tokenizer that a model names, if it names one."""
    folder = stated.parent if stated is not None else Path()
    repository = _tokenizer_repository(_config(source, folder))
    if repository is None:
        return None
    found = _tokenizer_folder(repository, hub.settings)
    if found is not None:
        return found
    fetched = [hub.fetch(repository, file) for file in _TOKENIZER_FILES]
    if fetched[0] is None:
        fetched += [hub.fetch(repository, file) for file in _OLD_TOKENIZER_FILES]
    found = _tokenizer_folder(repository, hub.settings)
    if found is None:
        raise ModelError(
            f"{source.name}: its tokenizer is not in {repository} (expected {_TOKENIZER_FILES[0]})",
            hint="see other models: actcli models list",
        )
    return found


def _tokenizer_repository(config: Mapping[str, Any]) -> str | None:
    name: str | None = config["model_cfg"]["text_cfg"].get("hf_tokenizer_name")
    return name or None


def _tokenizer_folder(repository: str, settings: HubSettings) -> Path | None:
    names = (_TOKENIZER_FILES[0], *_OLD_TOKENIZER_FILES)
    for folder in snapshots(settings.cache_dir, repository):
        if any((folder / name).is_file() for name in names):
            return folder
    return None


def _config(source: Source, folder: Path) -> dict[str, Any]:
    """What the model is: by open_clip's tables, or by the config in its folder.

    Raises ModelError where the two contradict each other about the activation: one of them
    would silently cost accuracy.
    """
    path = folder / CONFIG_NAME
    stated = read_config(folder) if source.needs_config or path.is_file() else None
    entry = source.entry or entry_of_repository(source.repository)
    if stated is not None and entry is not None:
        said = stated["model_cfg"].get("quick_gelu")
        # A table is trusted against silence; a config that alone decides may not be silent.
        if (said is not None or source.needs_config) and bool(said) != entry.quick_gelu:
            kinds = {True: "QuickGELU", False: "GELU"}
            raise ModelError(
                f"{source.name}: {path} says {kinds[bool(said)]}, and these weights were trained "
                f"with {kinds[entry.quick_gelu]}",
                hint=f"type --model {entry.name}" if source.needs_config else f"remove {path}",
            )
    if source.entry is None:
        assert stated is not None, "read above"
        return stated
    return {"model_cfg": source.entry.model_config(), "preprocess_cfg": source.entry.preprocess}


def _make(
    source: Source,
    folder: Path,
    weights: Path,
    tokenizer: Path | None,
    config: Mapping[str, Any],
) -> BackboneSpec:
    refuse_foreign_towers(source.name, config["model_cfg"])
    promised = promised_digest(weights)
    files = FoundFiles(
        folder,
        weights,
        tokenizer,
        commit=folder.name,
        promised_sha256=promised if promised and len(promised) == 64 else None,
    )
    return make_spec(source.name, files, config, licence=_licence(source, folder))


def _licence(source: Source, folder: Path) -> str:
    """By open_clip's names, else by the head of the model card, in lower case."""
    entry = source.entry or entry_of_repository(source.repository)
    if entry is not None:
        return entry.licence
    try:
        card = (folder / _CARD).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return "unknown"
    head = card.split("---")[1] if card.startswith("---") else ""
    found = {bool(kind): value.lower() for kind, value in _CARD_LICENCE.findall(head)}
    return found.get(True) or found.get(False) or "unknown"
