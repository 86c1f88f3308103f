"""ActionCLIP's checkpoints as its authors published them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from actcli.checkpoint_info import BackboneRef, CheckpointInfo
from actcli.config import SamplingConfig
from actcli.data.prompts import TEMPLATE_SETS
from actcli.tasks.published.layout import PublishedLayout, Shapes, head_shapes, shapes_of
from actcli.types import Preprocessing

log = logging.getLogger("actcli.tasks.published")


class PublishedActionClip(PublishedLayout):
    """ActionCLIP: `model_state_dict` of both towers, `fusion_model_state_dict` of the head."""

    title, article = "ActionCLIP", "an"
    bases = ("ViT-B-32/openai", "ViT-B-16/openai", "ViT-L-14/openai")

    def default_base(self) -> str:
        """Told by the size of its patches."""
        weight = self.state.get("visual.conv1.weight")
        side = 0 if weight is None else weight.shape[-1]
        for name in self.bases:
            if side and f"-{side}/" in name:
                return name
        raise self._base_unknown()

    def info(self, ref: BackboneRef, model_cfg: Mapping[str, Any]) -> CheckpointInfo:
        """With the published test: its frames, transform and prompts."""
        from actcli.methods.actionclip import ActionClip, reference_config

        config = reference_config(self.state)
        width = int(model_cfg["text_cfg"]["width"])
        config = config.model_copy(update={"heads": max(1, width // 64)})
        log.warning(
            "%s: doesn't say how many frames it was trained on: %d are taken; --frames sets others",
            self.source,
            config.num_frames,
        )
        size = int(model_cfg["vision_cfg"]["image_size"])
        return CheckpointInfo(
            method=ActionClip.name,
            config=config.model_dump(mode="json"),
            backbone=ref,
            sampling=SamplingConfig(num_frames=config.num_frames, scheme="actionclip"),
            transform=Preprocessing(
                size, "shortest", "bicubic", scale_px=size * 256 // 224, by_pil=True
            ),
            templates=TEMPLATE_SETS["actionclip"],
        )

    def rename(self, name: str) -> str | None:
        """By the method's own table."""
        from actcli.methods.actionclip import rename

        return rename(name, self.state) or ""

    def published(self, name: str) -> str:
        """By the method's own table."""
        from actcli.methods.actionclip import to_reference

        return to_reference(name)

    def expected(self, info: CheckpointInfo, model_cfg: Mapping[str, Any]) -> Shapes:
        """The head, both towers and the scale."""
        from actcli.methods.actionclip import ActionClip, ActionClipConfig
        from actcli.models.towers import empty_model

        model = empty_model(model_cfg)
        config = ActionClipConfig.model_validate(info.config)
        shapes = head_shapes(ActionClip, config, info.backbone.embed_dim, model)
        shapes["backbone.logit_scale"] = ()
        return shapes | shapes_of(model, "backbone.model.")
