"""What holds of every registered method, whatever its paper: a new one is tested by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from actcli.checkpoint import (
    backbone_ref,
    build_method,
    changed_tensors,
    read_checkpoint,
    write_checkpoint,
)
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import SamplingConfig
from actcli.labelled import Episode, LabelledEmbeddings, Support, TrainingEpisode
from actcli.methods.base import Method
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.registry import METHODS, resolve
from actcli.types import Text

LABELS = ("run", "jump", "wave")
PROMPTS = tuple((f"a video of {label}",) for label in LABELS)


@pytest.fixture(scope="module")
def towers() -> OpenClipBackbone:
    return OpenClipBackbone(find_backbone("demo"))


@pytest.fixture(params=sorted(METHODS))
def method(request: pytest.FixtureRequest, towers: OpenClipBackbone) -> Method:
    """The method, its head as training might leave it."""
    torch.manual_seed(0)
    made: Method = resolve(METHODS, request.param)(towers).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if not name.startswith("backbone."):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def clips(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 8, 128, generator=torch.Generator().manual_seed(seed))


def text_of(method: Method, order: tuple[int, ...] = (0, 1, 2)) -> Text:
    labels, prompts = ([x[i] for i in order] for x in (LABELS, PROMPTS))
    with torch.no_grad():
        return method.embed_text(labels, prompts)


@torch.no_grad()
def test_a_clip_alone_and_in_a_batch(method: Method) -> None:
    video, text = clips(5), text_of(method)
    alone = torch.cat([method.logits(clip[None], text) for clip in video])
    torch.testing.assert_close(method.logits(video, text), alone, rtol=0, atol=1e-4)


@torch.no_grad()
def test_permuting_labels_permutes_logits(method: Method) -> None:
    video, order = clips(4), (2, 0, 1)
    ours, permuted = (method.logits(video, text_of(method, o)) for o in ((0, 1, 2), order))
    torch.testing.assert_close(permuted, ours[:, list(order)], rtol=0, atol=1e-4)


@torch.no_grad()
def test_permuting_classes_of_examples_permutes_logits(method: Method) -> None:
    values, query, targets = clips(6), clips(2, 1), torch.tensor([0, 1, 2, 0, 1, 2])
    order = torch.tensor([2, 0, 1])
    ours = method.episode_logits(Episode(Support(values, targets), query, text_of(method)))
    moved = Support(values, torch.argsort(order)[targets])
    permuted = method.episode_logits(Episode(moved, query, text_of(method, (2, 0, 1))))
    torch.testing.assert_close(permuted, ours[:, order], rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_checkpoint_gives_the_same_method_back(method: Method, tmp_path: Path) -> None:
    spec = method.backbone.spec
    info = CheckpointInfo(
        method=method.name, config=method.config.model_dump(mode="json"),
        backbone=backbone_ref(spec, method.backbone.digest), sampling=SamplingConfig(),
        transform=spec.preprocessing,
    )  # fmt: skip
    path = tmp_path / "method.safetensors"
    write_checkpoint(path, info, changed_tensors(method))
    fresh = OpenClipBackbone(find_backbone("demo"))
    rebuilt = build_method(path, *read_checkpoint(path), fresh)
    assert torch.equal(
        rebuilt.logits(clips(3), text_of(rebuilt)), method.logits(clips(3), text_of(method))
    )
    own = sum(v.numel() for n, v in method.state_dict().items() if not n.startswith("backbone."))
    assert path.stat().st_size < 4 * own + 20_000


def batch_for(method: Method) -> Any:
    """Six clips in the kind of batch that the method learns from."""
    values, targets = clips(6), torch.tensor([0, 1, 2, 0, 1, 2])
    text = Method(method.backbone).embed_text(LABELS, PROMPTS)
    text = Text(text.labels, text.prompts, text.values.detach())
    if method.trains_on == "clips":
        return LabelledEmbeddings(
            values, targets, text, torch.arange(3), torch.full((6, 8), 0.99), torch.rand(3),
            torch.arange(6),
        )  # fmt: skip
    episode = Episode(Support(values[:3], targets[:3]), values[3:], text, targets[3:])
    return TrainingEpisode(episode, targets[:3], targets[3:], text, torch.arange(6))


def test_its_loss_is_finite_and_falls_where_it_learns(method: Method) -> None:
    if method.trains_on is None:
        assert not [n for n, p in method.named_parameters() if p.requires_grad]
        return
    batch = batch_for(method)
    optimizer = torch.optim.SGD(method.param_groups(1e-3), lr=1e-3)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        terms = method(batch)
        assert all(value.ndim == 0 for value in terms.values())
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[2] < losses[0] < float("inf")
    grouped = {id(p) for group in method.param_groups(1e-3) for p in group["params"]}
    learning = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert {id(p) for p in learning.values()} == grouped
    # Keys of an attention answer to a shift of all its logits with nothing.
    quiet = [n for n, p in learning.items() if p.grad is None or not bool(p.grad.any())]
    assert [name for name in quiet if "to_key.bias" not in name] == []


def test_every_method_has_a_test_against_reference_or_specification() -> None:
    root = Path(__file__).parents[1]
    parity = {path.stem for path in (root / "parity").glob("test_*.py")}
    for name in set(METHODS) - {"clip"}:
        own = name.replace("-", "_")
        has_parity = f"test_{own}_against_reference" in parity
        assert has_parity or (root / "methods" / own / "test_specification.py").is_file(), name
