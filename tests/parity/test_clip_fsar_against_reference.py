"""CLIP-FSAR against stored outputs of its authors' code: every case, whatever its shapes.

The folder is ACTCLI_FIXTURES, by default ../shared/fixtures/reference. A case of a kind that
nothing here handles fails. `tests/parity/test_clip_fsar_in_plain_loops.py` needs no such folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from actcli.data.labels import LabelSet
from actcli.data.prompts import build_prompts
from actcli.labelled import Episode, Support, TrainingEpisode
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig, reference_config, rename
from actcli.models.align import otam_both_ways, otam_cost
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.models.tokens import simple_tokens
from actcli.train.schedule import ClipFsarSchedule
from actcli.types import Preprocessing, Text
from actcli.video.published_sampling import clip_fsar_indices
from actcli.video.transform import fit_plainly
from tests.models.tiny_models import save_model
from tests.parity import reference
from tests.parity.conftest import Compare
from tests.parity.reference import Case

METHOD = "clip_fsar"
Handler = Callable[[Case, Compare, Path], None]
CASES = reference.case_names(METHOD)


@pytest.mark.skipif(not reference.is_there(), reason=reference.WHY_ABSENT)
@pytest.mark.parametrize("name", CASES or ["absent"])
def test_a_case_of_the_authors_code(name: str, compare: Compare, tmp_path: Path) -> None:
    case = reference.read_case(METHOD, name)
    assert case.kind in HANDLERS, f"{name}: nothing here handles the kind {case.kind}"
    HANDLERS[case.kind](case, compare, tmp_path)


def otam(case: Case, compare: Compare, _: Path) -> None:
    softness = case.config["lambda"]
    distance = case.tensors["input.dists"].clone().requires_grad_()
    both = otam_both_ways(distance, softness=softness)
    compare("otam cost", otam_cost(distance, softness=softness), case.tensors["output.forward"])
    compare("otam cost", otam_cost(distance.mT, softness=softness), case.tensors["output.backward"])
    compare("otam cost", both, case.tensors["output.bidirectional"])
    sharp = otam_cost(distance, softness=0.1)
    compare("otam cost", sharp, case.tensors["output.forward_lambda0p1"])
    (both * case.tensors["grad_output.r"]).sum().backward()
    assert distance.grad is not None
    compare("otam gradient", distance.grad, case.tensors["grad_input.dists"], is_gradient=True)


def head(case: Case, **more: Any) -> ClipFsar:
    """The head of a case, with the weights and switches that it names."""
    state = {
        name: value
        for name, value in reference.read_tensors(case.config["weights_file"]).items()
        if name.startswith("head.")
    }
    settings = case.config.get("flags", {})
    config = reference_config(state, settings).model_copy(
        update={"heads": case.config.get("heads", 8)} | more
    )
    assert config.depth == settings.get("TRANSFORMER_DEPTH", 1)
    dim = next(iter(state.values())).shape[-1]
    backbone = torch.nn.Module()
    backbone.embed_dim = dim
    method = ClipFsar(backbone, config)  # type: ignore[arg-type]
    ours = ClipFsar.from_reference(state)
    ours["text_scale"] = case.tensors["param.scale"]
    method.load_state_dict(ours, strict=True)
    return method.eval()


def episode_text(case: Case, table: Tensor) -> Text:
    """The text of each episode class, by the dataset's class of its supports."""
    class_of = dict(
        zip(
            case.tensors["input.support_labels"].long().tolist(),
            case.tensors["input.support_class_ids"].long().tolist(),
            strict=True,
        )
    )
    rows = table[[class_of[label] for label in sorted(class_of)]]
    return as_text(rows)


def as_text(rows: Tensor) -> Text:
    names = tuple(map(str, range(len(rows))))
    return Text(names, tuple((name,) for name in names), rows[:, None])


def head_eval(case: Case, compare: Compare, _: Path) -> None:
    method = head(case)
    inputs, flags = case.part("input."), case.config["flags"]
    support = Support(inputs["support_features"], inputs["support_labels"].long())
    text = episode_text(case, inputs["text_features_test"])
    with torch.no_grad():
        logits = method.episode_logits(Episode(support, inputs["query_features"], text))
        if flags.get("EVAL_TEXT") or flags.get("COMBINE"):
            logits = logits.exp()  # ours are logarithms of the authors' products
        compare("head logits", logits, case.tensors["output.logits"])
        if "output.query_tokens" in case.tensors:
            tokens = method.query_frames(inputs["query_features"])
            compare("head tokens", tokens, case.tensors["output.query_tokens"])
        if "output.support_tokens" in case.tensors:
            compare("head tokens", support_tokens(method, support, text),
                    case.tensors["output.support_tokens"])  # fmt: skip


def support_tokens(method: ClipFsar, support: Support, text: Text) -> Tensor:
    """All tokens after the Transformer, the text's own included."""
    seen: list[Tensor] = []
    hook = method.temporal.register_forward_hook(lambda *call: seen.append(call[2]))
    method.prototypes(support, text)
    hook.remove()
    return seen[0]


def train_loss(case: Case, compare: Compare, _: Path) -> None:
    method = head(
        case, attention_dropout=0.0, mlp_dropout=0.0,
        class_loss_weight=case.config["USE_CLASSIFICATION_VALUE"],
    )  # fmt: skip
    method.train()
    inputs = case.part("input.")
    frames = {name: inputs[name].clone().requires_grad_()
              for name in ("support_features", "query_features")}  # fmt: skip
    table = inputs["text_features_train"]
    batch = TrainingEpisode(
        Episode(
            Support(frames["support_features"], inputs["support_labels"].long()),
            frames["query_features"],
            episode_text(case, table),
            inputs["query_labels"].long(),
        ),
        inputs["support_class_ids"].long(),
        inputs["query_class_ids"].long(),
        as_text(table),
        torch.arange(len(inputs["support_labels"]) + len(inputs["query_labels"])),
    )
    terms = method.loss(batch)
    logits = method.episode_logits(batch.episode)
    compare("training logits", logits, case.tensors["output.logits"])
    compare("training logits", method.class_logits(batch), case.tensors["output.class_logits"])
    compare("training loss", terms["few-shot"], case.tensors["output.loss_fewshot"])
    weight = case.config["USE_CLASSIFICATION_VALUE"]
    compare("training loss", terms["class"] / weight, case.tensors["output.loss_class"])
    total = sum(terms.values()) / case.config["BATCH_SIZE"]
    assert isinstance(total, Tensor)
    compare("training loss", total, case.tensors["output.loss_total"])
    total.backward()
    for name, theirs in case.part("grad.").items():
        ours = frames.get(name)
        if ours is None:
            ours = dict(method.named_parameters())[rename_gradient(name)]
        assert ours.grad is not None
        compare("training gradient", ours.grad, theirs, is_gradient=True)


def rename_gradient(name: str) -> str:
    renamed = rename("head.scale" if name == "scale" else name)
    assert renamed is not None, name
    return renamed


def weights(case: Case, compare: Compare, _: Path) -> None:
    """Every stored tensor has a place of its shape in a head of that size."""
    state = {name: value for name, value in case.tensors.items() if name.startswith("head.")}
    assert state == case.tensors
    config = ClipFsarConfig(
        depth=case.config.get("depth", 1),
        heads=case.config["heads"], mlp_dim=case.config["mlp_dim"],
    )  # fmt: skip
    backbone = torch.nn.Module()
    backbone.embed_dim = case.config["D"]
    method = ClipFsar(backbone, config)  # type: ignore[arg-type]
    ours = ClipFsar.from_reference(state)
    found = method.load_state_dict(ours, strict=False)
    assert (found.unexpected_keys, found.missing_keys) == ([], ["text_scale"])
    for name, value in state.items():
        compare("weights", method.state_dict()[rename(name)], value)


def checkpoint(case: Case, compare: Compare, folder: Path) -> None:
    """A whole published checkpoint, images in: the image tower, the head, the switches."""
    config, state = case.config, case.part("model_state.")
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{save_base(folder / 'base', config)}"))
    backbone.ensure_built()
    settings = {"MERGE_BEFORE": config["merge"]}
    method = ClipFsar(
        backbone,
        reference_config(state, settings).model_copy(update={"heads": config["context_heads"]}),
    )
    found = method.load_state_dict(ClipFsar.from_reference(state), strict=False)
    assert found.unexpected_keys == []
    assert not [name for name in found.missing_keys if ".visual." in name or "temporal" in name]
    method.eval()
    frames, embedded = config["T"], {}
    with torch.no_grad():
        for part in ("support", "query"):
            images = case.tensors[f"input.{part}_images"].float()
            embedded[part] = backbone.image_tower(images)
            compare("checkpoint embeddings", embedded[part],
                    case.tensors[f"output.{part}_frame_features"])  # fmt: skip
        support = Support(
            embedded["support"].unflatten(0, (-1, frames)),
            case.tensors["input.support_labels"].long(),
        )
        text = episode_text(case, case.tensors["input.text_features_test"])
        query = embedded["query"].unflatten(0, (-1, frames))
        logits = method.episode_logits(Episode(support, query, text))
    compare("checkpoint logits", logits, case.tensors["output.logits"])


def save_base(folder: Path, config: dict[str, Any]) -> Path:
    """A model of the case's architecture, its own weights random: the checkpoint's replace them."""
    if config["backbone"] == "ViT":
        width, heads = config["width"], config["heads"]
        vision = {"patch_size": config["patch"], "head_width": width // heads}
    else:
        width = config["width"]
        vision = {"head_width": width * 32 // config["heads"]}
    vision |= {"image_size": config["res"], "layers": config["layers"], "width": width}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    sizes = {"embed_dim": config["out"], "vision_cfg": vision, "text_cfg": text}
    return save_model(folder, sizes | {"quick_gelu": True})


def prompt_tokens(case: Case, compare: Compare, _: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    names, template = case.config["class_names"], case.config["template"]
    # Published names go in as they are: a label's own prompt is never cleaned up.
    own = [LabelSet((name,), ((template.replace("{}", name),),)) for name in names]
    prompts = [build_prompts(labels, ["unused {}"])[0][0] for labels in own]
    theirs = case.tensors["output.tokens"]
    length = theirs.shape[1]
    ours = simple_tokens(SimpleTokenizer(context_length=length), prompts, length)
    assert not ours.cut
    compare("prompt tokens", ours.ids, theirs)


def lr_schedule(case: Case, compare: Compare, _: Path) -> None:
    config = case.config
    schedule = ClipFsarSchedule(
        base=config["BASE_LR"], start=config["WARMUP_START_LR"],
        steps_per_epoch=config["STEPS_ITER"], steps=config["STEPS"], rates=config["LRS"],
        warm_up_epochs=config["WARMUP_EPOCHS"],
    )  # fmt: skip
    theirs = case.tensors["output.lr"]
    iterations = case.tensors["input.iteration"].tolist()
    ours = torch.tensor([schedule.rate(i) for i in iterations], dtype=torch.float64)
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=0)
    compare("learning rates", ours, theirs)


def sampling_indices(case: Case, compare: Compare, _: Path) -> None:
    for row in json.loads(case.path.read_text()):
        ours = clip_fsar_indices(
            row["num_frames_video"], row["fps"], num_frames=row["T"], rate=row["sampling_rate"],
            random=Random(row.get("python_random_seed")), is_training=row["split"] == "train",
        )  # fmt: skip
        compare("sampling indices", torch.tensor(ours), torch.tensor(row["indices"]))


def preprocess(case: Case, compare: Compare, _: Path) -> None:
    frames, (height, width) = case.tensors["input.frames"], case.config["resize"]
    wanted = Preprocessing(case.config["crop"])  # CLIP's mean and deviation
    scaled = fit_plainly(frames.numpy(), (height, width), wanted.size_px)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (wanted.mean, wanted.std))
    ours = ((scaled - mean) / std).transpose(0, 1)  # [3, T, X, X]
    compare("preprocessed frames", ours, case.tensors["output.tensor"])


HANDLERS: dict[str, Handler] = {
    "sampling_indices": sampling_indices,
    "test_preprocess": preprocess,
    "otam": otam,
    "head_eval": head_eval,
    "train_loss": train_loss,
    "weights": weights,
    "checkpoint": checkpoint,
    "prompt_tokens": prompt_tokens,
    "lr_schedule": lr_schedule,
}
