"""CLIP-FSAR's checkpoints as its authors' code writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from actcli.checkpoint_info import BackboneRef, CheckpointInfo
from actcli.config import SamplingConfig
from actcli.errors import ModelError
from actcli.tasks.published.layout import PublishedLayout, Shapes, head_shapes, shapes_of
from actcli.types import Preprocessing


class PublishedClipFsar(PublishedLayout):
    """CLIP-FSAR: `model_state` of image tower and head, the config as JSON text under `cfg`."""

    title, article = "CLIP-FSAR", "a"
    bases = ("ViT-B-16/openai", "RN50/openai")

    def default_base(self) -> str:
        """Told by a key that only that image tower has."""
        for key, name in zip(("proj", "attnpool.c_proj.weight"), self.bases, strict=True):
            if f"head.backbone.{key}" in self.state:
                return name
        raise self._base_unknown()

    def info(self, ref: BackboneRef, model_cfg: Mapping[str, Any]) -> CheckpointInfo:
        """With the switches, frames and transform of the published config."""
        from actcli.methods.clip_fsar import ClipFsar, reference_config

        settings = self._settings()
        data, test = settings.get("DATA", {}), settings.get("TEST", {})
        config = reference_config(self.state, settings.get("TRAIN", {}))
        return CheckpointInfo(
            method=ClipFsar.name,
            config=config.model_dump(mode="json"),
            backbone=ref,
            sampling=SamplingConfig(
                num_frames=int(data.get("NUM_INPUT_FRAMES") or 8),
                scheme="clip-fsar",
                rate=int(data.get("SAMPLING_RATE") or 50),
            ),
            transform=_plain_transform(data),
            templates=(str(test.get("PROMPT") or "a photo of {}"),),
        )

    def _settings(self) -> dict[str, Any]:
        """The sections of the published config by name; empty where the file has none."""
        text = self.content.get("cfg") if isinstance(self.content, Mapping) else None
        if text is None:
            return {}
        try:
            settings = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ModelError(f"its config can't be read ({error})") from error
        sections = settings.items() if isinstance(settings, Mapping) else ()
        return {name: section for name, section in sections if isinstance(section, Mapping)}

    def rename(self, name: str) -> str | None:
        """By the method's own table."""
        from actcli.methods.clip_fsar import rename

        return rename(name)

    def published(self, name: str) -> str:
        """By the method's own table."""
        from actcli.methods.clip_fsar import ClipFsar

        return ClipFsar.to_reference(name)

    def expected(self, info: CheckpointInfo, model_cfg: Mapping[str, Any]) -> Shapes:
        """The head and the image tower; the text tower stays the backbone's."""
        from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig
        from actcli.models.towers import empty_model

        model = empty_model(model_cfg)
        config = ClipFsarConfig.model_validate(info.config)
        shapes = head_shapes(ClipFsar, config, info.backbone.embed_dim, model)
        return shapes | shapes_of(model.visual, "backbone.model.visual.")


def _plain_transform(data: Mapping[str, Any]) -> Preprocessing:
    """CLIP-FSAR's test transform; the UCF101 5-shot config has another mean and deviation."""
    channels: dict[str, Any] = {
        ours: tuple(map(float, data[theirs]))
        for ours, theirs in (("mean", "MEAN"), ("std", "STD"))
        if isinstance(data.get(theirs), list) and len(data[theirs]) == 3
    }
    crop = int(data.get("TEST_CROP_SIZE") or 224)
    return Preprocessing(crop, "squash", "bilinear", scale_px=256, antialias=False, **channels)
