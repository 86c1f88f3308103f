"""What made the embeddings of a table, and with what they may be compared."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from actcli.cache import make_key
from actcli.errors import InputError
from actcli.reading import parse_json

TABLE_SCHEMA: Final = "actcli.embeddings/1"
Shape = tuple[int, int, int]
MAX_ROW_BYTES: Final = 256 << 20
"""Values of one row: the most views and frames there can be, with D = 1280 in float32."""
_MOST_VIEWS: Final = 64 * 3
_NO_PART_OF_VALUES: Final = ("shape", "versions", "model")


@dataclass(frozen=True, slots=True)
class TableInfo:
    """The conditions of a table of embeddings; every row was made under the same.

    Shape letters: V views, T' embeddings of a view, D embedding dimension.
    """

    model: str
    """As records show it."""
    model_digest: str
    """Of the backbone's weights and config."""
    method: str
    embed_key: str
    """Digest of all that decides what becomes of a frame; equal keys mean equal embeddings."""
    precision: str
    sampling: Mapping[str, Any]
    transform: Mapping[str, Any]
    windows: Mapping[str, Any] | None = None
    is_pooled: bool = False
    dtype: Literal["float32", "float16"] = "float32"
    """What values are stored as."""
    shape: Shape = (0, 0, 0)
    """[V, T', D] of a row; zeros until there is a value."""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Numbers of a row."""
        return math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes that the values of a row take."""
        return self.size * (2 if self.dtype == "float16" else 4)

    @property
    def num_views(self) -> int:
        """Views that the frames of a row are of, those that were pooled too."""
        return int(self.sampling["num_views"]) * int(self.sampling["num_crops"])

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that decides the values of a row, its video apart."""
        about = {k: v for k, v in self._plain().items() if k not in _NO_PART_OF_VALUES}
        return make_key(about).hex()

    def _plain(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    def to_json(self) -> str:
        """As a table's metadata holds it."""
        more = {"schema": TABLE_SCHEMA, "embed_dim": self.shape[2]}
        return json.dumps(more | self._plain() | {"fingerprint": self.fingerprint})


def parse_info(text: bytes | str | None, name: str) -> TableInfo:
    """The conditions in a table's metadata.

    Raises InputError for a table that isn't ours.
    """
    hint = "actcli embed VIDEO... -o clips.parquet"
    try:
        stated = parse_json(text or "")
        schema = stated["schema"]
        names = {item.name for item in dataclasses.fields(TableInfo)}
        info = TableInfo(**{key: value for key, value in stated.items() if key in names})
        info = dataclasses.replace(info, shape=_shape(info.shape))
        is_whole = stated["fingerprint"] == info.fingerprint
        if is_whole:
            _check_types(info)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{name}: holds no embeddings of actcli", hint=hint) from error
    if schema != TABLE_SCHEMA or not is_whole:
        raise InputError(f"{name}: what made its embeddings can't be told", hint=hint)
    return info


def _check_types(info: TableInfo) -> None:
    """Raise TypeError or ValueError for conditions that no run of ours writes."""
    texts = info.model, info.model_digest, info.method, info.embed_key, info.precision, info.dtype
    maps = info.sampling, info.transform, info.versions, info.windows or {}
    if not all(isinstance(text, str) for text in texts) or type(info.is_pooled) is not bool:
        raise TypeError("no text")
    if not all(isinstance(one, dict) for one in maps):
        raise TypeError("no settings")
    if not 0 < info.num_views <= _MOST_VIEWS:
        raise ValueError("no number of views")
    if info.dtype not in ("float32", "float16") or info.row_bytes > MAX_ROW_BYTES:
        raise ValueError("no such values")


def _shape(stated: Any) -> Shape:
    views, frames, dim = map(int, stated)
    if min(views, frames, dim) < 0:
        raise ValueError("a negative shape")
    return views, frames, dim
