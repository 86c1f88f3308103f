"""ActionCLIP against stored outputs of its authors' code: every case, whatever its shapes.

The folder is ACTCLI_FIXTURES, by default ../shared/fixtures/reference. A case of a kind that
nothing here handles fails. `tests/parity/test_actionclip_in_plain_loops.py` needs no such folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actcli.data.labels import LabelSet
from actcli.data.prompts import TEMPLATE_SETS, build_prompts
from actcli.methods.actionclip import (
    ActionClip,
    ActionClipConfig,
    reference_config,
    same_class_loss,
)
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.models.space_time import joint_frames, shift_tokens, shifted_blocks
from actcli.models.tokens import simple_tokens
from actcli.train.schedule import ActionClipSchedule
from actcli.types import Preprocessing, Text
from actcli.video.augment import crop_offsets, crop_sizes
from actcli.video.published_sampling import actionclip_indices
from actcli.video.transform import fit_picture
from tests.models.tiny_models import save_model
from tests.parity import reference
from tests.parity.conftest import Compare
from tests.parity.reference import Case

METHOD = "actionclip"
Handler = Callable[[Case, Compare, Path], None]
CASES = reference.case_names(METHOD)


@pytest.mark.skipif(not reference.is_there(), reason=reference.WHY_ABSENT)
@pytest.mark.parametrize("name", CASES or ["absent"])
def test_a_case_of_the_authors_code(name: str, compare: Compare, tmp_path: Path) -> None:
    case = reference.read_case(METHOD, name)
    assert case.kind in HANDLERS, f"{name}: nothing here handles the kind {case.kind}"
    HANDLERS[case.kind](case, compare, tmp_path)


def stub(dim: int) -> Any:
    backbone = torch.nn.Module()
    backbone.embed_dim = dim  # type: ignore[assignment]
    return backbone


def fusion_head(case: Case, compare: Compare, _: Path) -> None:
    state = {f"module.{name}": value for name, value in case.part("weight.").items()}
    heads = case.config["heads"]
    config = reference_config(state)
    assert config.head == case.config["sim_header"]
    update = {"num_frames": case.config["T"]} | ({"heads": heads} if heads else {})
    method = ActionClip(stub(case.config["embed_dim"]), config.model_copy(update=update)).eval()
    method.load_state_dict(ActionClip.from_reference(state), strict=True)
    x = case.tensors["input.x"].clone().requires_grad_()
    y = method.head(x)
    compare(f"head {config.head}", y, case.tensors["output.y"])
    (y * case.tensors["grad_output.r"]).sum().backward()
    assert x.grad is not None
    compare("head gradients", x.grad, case.tensors["grad_input.x"], is_gradient=True)


def tsm_shift(case: Case, compare: Compare, _: Path) -> None:
    assert case.config["fold_div"] == 8
    tokens = case.tensors["input.x"].transpose(0, 1)  # theirs has tokens first
    ours = shift_tokens(tokens, case.config["n_segment"]).transpose(0, 1)
    compare("token shift", ours, case.tensors["output.y"])


def image_towers(case: Case, compare: Compare, folder: Path) -> None:
    """One ViT as it is, with shifts between frames, and with all frames attended together."""
    config = case.config
    vision = {
        "image_size": config["res"], "layers": config["layers"], "width": config["width"],
        "patch_size": config["patch"], "head_width": config["width"] // config["heads"],
    }  # fmt: skip
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    sizes = {"embed_dim": config["out"], "vision_cfg": vision, "text_cfg": text}
    backbone = tower_of(folder, sizes)
    state = ActionClip.from_reference(case.part("weight."))
    time = state.pop("time_embedding")
    own = {name.removeprefix("backbone.model.visual."): value for name, value in state.items()}
    tower = backbone.image_tower
    tower.load_state_dict(own, strict=True)
    frames = case.tensors["input.frames"]
    with torch.no_grad():
        compare("image tower", tower(frames), case.tensors["output.plain"])
        with shifted_blocks(tower, config["T"]):
            compare("image tower, shifted", tower(frames), case.tensors["output.tsm"])
        with joint_frames(tower, time):
            compare("image tower, joint", tower(frames), case.tensors["output.joint"])
        compare("image tower", tower(frames), case.tensors["output.plain"])  # nothing stays on it


def tower_of(folder: Path, sizes: dict[str, Any]) -> OpenClipBackbone:
    path = save_model(folder / "base", sizes | {"quick_gelu": True})
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{path}"))
    backbone.ensure_built()
    return backbone


def checkpoint(case: Case, compare: Compare, folder: Path) -> None:
    """A whole published checkpoint: towers, head, scores."""
    config = case.config
    vision = {
        "image_size": config["res"], "layers": config["vl"], "width": config["vw"],
        "patch_size": config["patch"], "head_width": 64,
    }  # fmt: skip
    text = {
        "context_length": 77, "vocab_size": config["vocab"], "width": config["tw"],
        "heads": config["tw"] // 64, "layers": config["tl"],
    }  # fmt: skip
    sizes = {"embed_dim": config["embed_dim"], "vision_cfg": vision, "text_cfg": text}
    backbone = tower_of(folder, sizes)
    state = case.part("model_state_dict.") | case.part("fusion_model_state_dict.")
    chosen = reference_config(state).model_copy(update={"heads": config["tw"] // 64})
    assert chosen.head == config["sim_header"]
    method = ActionClip(backbone, chosen).eval()
    found = method.load_state_dict(ActionClip.from_reference(state), strict=False)
    assert (found.unexpected_keys, found.missing_keys) == ([], [])
    with torch.no_grad():
        frames = backbone.image_tower(case.tensors["input.frames"])
        words = backbone._encode_ids(case.tensors["input.tokens"])
        clips = frames.reshape(config["B"], config["T"], -1)
        video = method.head(clips)
        similarity = method.similarity(clips, as_text(words[:, None]))
    compare("checkpoint embeddings", frames, case.tensors["output.frame_embeddings"])
    compare("checkpoint embeddings", words, case.tensors["output.text_embeddings"])
    compare("checkpoint embeddings", video, case.tensors["output.video_embeddings"])
    scale = backbone.logit_scale.exp()
    compare("checkpoint logits", scale * similarity, case.tensors["output.logits_video_to_text"])


def as_text(values: Tensor) -> Text:
    names = tuple(map(str, range(len(values))))
    return Text(names, tuple((name,) * values.shape[1] for name in names), values)


def kl_loss(case: Case, compare: Compare, _: Path) -> None:
    inputs = case.part("input.")
    learned = {name: inputs[name].clone().requires_grad_()
               for name in ("video_embeddings", "text_embeddings", "logit_scale_log")}  # fmt: skip
    video, text = (torch.nn.functional.normalize(learned[name], dim=-1)
                   for name in ("video_embeddings", "text_embeddings"))  # fmt: skip
    loss, logits = same_class_loss(video, text, learned["logit_scale_log"], inputs["class_ids"])
    compare("loss logits", logits, case.tensors["output.logits_per_video"])
    compare("loss logits", logits.T, case.tensors["output.logits_per_text"])
    compare("loss", loss, case.tensors["output.loss_total"])
    loss.backward()
    for name, theirs in case.part("grad.").items():
        ours = learned[name].grad
        assert ours is not None
        compare("loss gradients", ours, theirs, is_gradient=True)


def scoring(case: Case, compare: Compare, _: Path) -> None:
    config = case.config
    method = ActionClip(stub(config["D"]), ActionClipConfig(head="meanP"))
    rows = case.tensors["input.text_embeddings"]  # template-major
    words = rows.unflatten(0, (config["num_templates"], config["num_classes"])).transpose(0, 1)
    clips = case.tensors["input.video_embeddings"][:, None]
    ours = method.logits(clips, as_text(words)).exp()
    compare("scores", ours, case.tensors["output.class_probs"])
    best = case.tensors["output.topk"]
    compare("ranks", ours.topk(best.shape[1]).indices, best)


def prompt_tokens(case: Case, compare: Compare, _: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    templates = TEMPLATE_SETS["actionclip"]
    assert len(templates) == case.config["num_templates"]
    # Published names go in as they are: a label's own prompts are never cleaned up.
    prompts = []
    for template in templates:
        for name in case.config["class_names"]:
            own = LabelSet((name,), ((template.replace("{}", name),),))
            prompts += build_prompts(own, ["unused {}"])[0]
    theirs = case.tensors["output.tokens"]
    length = theirs.shape[1]
    ours = simple_tokens(SimpleTokenizer(context_length=length), prompts, length)
    assert not ours.cut
    compare("prompt tokens", ours.ids, theirs)


def lr_schedule(case: Case, compare: Compare, _: Path) -> None:
    config = case.config
    schedule = ActionClipSchedule(
        num_epochs=config["epochs"], steps_per_epoch=config["iters_per_epoch"],
        warm_up_epochs=config["warmup_epochs"], kind=config["type"],
        decay_epochs=config["lr_decay_step"], gamma=config["gamma"],
    )  # fmt: skip
    rates = [config["lr"] * ratio for ratio in (1, config["ratio"], config["f_ratio"])]
    factors = [schedule.factor(*row) for row in case.tensors["input.epoch_iter"].tolist()]
    ours = torch.tensor([[f * r for r in rates] for f in factors], dtype=torch.float64)
    theirs = case.tensors["output.lr"]
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=0)
    compare("learning rates", ours, theirs)


def sampling_indices(case: Case, compare: Compare, _: Path) -> None:
    for row in json.loads(case.path.read_text()):
        random = np.random.RandomState(row["numpy_seed"]) if row["mode"] == "train" else None
        ours = actionclip_indices(
            row["num_frames"], num_frames=row["num_segments"], random=random,
            length=row["seg_length"],
        )  # fmt: skip
        theirs = torch.tensor(row["indices"]) - row["index_bias"]
        compare("sampling indices", torch.tensor(ours), theirs)


def preprocess(case: Case, compare: Compare, _: Path) -> None:
    size = case.config["input_size"]
    wanted = Preprocessing(size, "shortest", "bicubic", scale_px=case.config["scale_size"],
                           by_pil=True)  # fmt: skip
    frames = [torch.from_numpy(fit_picture(frame, frame.shape[:2], wanted))
              for frame in case.tensors["input.frames"].numpy()]  # fmt: skip
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (wanted.mean, wanted.std))
    ours = (torch.stack(frames).float() / 255 - mean) / std
    compare("preprocessed frames", ours.flatten(0, 1), case.tensors["output.tensor"])


def train_crops(case: Case, compare: Compare, _: Path) -> None:
    for row in json.loads(case.path.read_text()):
        image, size = tuple(row["image_wh"]), row["input_size"]
        sizes = crop_sizes(image, size)
        compare("crops", torch.tensor(sizes), torch.tensor(row["crop_wh_choices"]))
        for entry in row["offset_xy_choices_per_crop"]:
            offsets = crop_offsets(image, tuple(entry["crop_wh"]))
            compare("crops", torch.tensor(offsets), torch.tensor(entry["offsets_xy"]))


HANDLERS: dict[str, Handler] = {
    "fusion_head": fusion_head,
    "tsm_shift": tsm_shift,
    "visual_encoder_variants": image_towers,
    "checkpoint": checkpoint,
    "kl_loss": kl_loss,
    "test_scoring": scoring,
    "prompt_tokens": prompt_tokens,
    "lr_schedule": lr_schedule,
    "sampling_indices": sampling_indices,
    "test_preprocess": preprocess,
    "train_crop_candidates": train_crops,
}
