"""What must hold of motion-prompt adaptation, number by number (section 7.1 of its plan)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.errors import UsageError
from actcli.methods.base import Method
from actcli.methods.motion_prompts.config import MotionPromptsConfig
from actcli.methods.motion_prompts.method import MotionPrompts
from actcli.methods.motion_prompts.motion import differences, slots
from actcli.methods.motion_prompts.prompts import LabelTokens
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.types import Text
from tests.methods.motion_prompts.conftest import LABELS, PROMPTS, batch_of, disturb, frames
from tests.models.tiny_models import CONFIGS, save_model

Make = Callable[..., MotionPrompts]


@torch.inference_mode()
def logits(method: Method, video: Tensor, labels: tuple[str, ...] = LABELS) -> Tensor:
    prompts = tuple((f"a video of {label}", f"a person {label}") for label in labels)
    return method.logits(video, method.embed_text(labels, prompts))


@pytest.mark.parametrize("exchange", ["off", "text", "both"])
@pytest.mark.parametrize("length", [1, 2, 8, 16])
def test_1_an_untrained_head_is_frozen_clip(make: Make, exchange: str, length: int) -> None:
    video = frames(5, length)
    ours = logits(make(prompts="off", exchange=exchange), video)
    plain = logits(Method(make().backbone).eval(), video)
    assert float((ours - plain).abs().max()) < 1e-4


def test_1_untrained_written_prompts_are_the_hand_written_one(make: Make) -> None:
    method = make(prompts="exact", num_prompt_tokens=3, rerank=None)
    assert method.writer is not None
    with torch.no_grad():
        tokens, _ = method.backbone.token_embeddings(["a video of"])
        method.writer.base.copy_(tokens[0, 1:4])
        prompts = tuple((f"a video of {label}.",) for label in LABELS)
        text = method.embed_text(LABELS, prompts)
        plain = Method(method.backbone).eval()
        expected = plain.logits(frames(4), plain.embed_text(LABELS, prompts))
        found = method.logits(frames(4), text)
    assert float((found - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("length", [1, 2, 8, 16])
def test_2_a_still_video_has_no_motion(make: Make, length: int) -> None:
    still = frames(3, 1)
    short, long = differences(still.expand(-1, length, -1))
    assert not bool(short.any())
    assert not bool(long.any())
    method = make()
    expected = logits(method, still)
    assert torch.allclose(logits(method, still.expand(-1, length, -1)), expected, atol=1e-5)


def test_2_motion_tokens_of_still_videos_do_not_depend_on_the_frame(make: Make) -> None:
    block = disturb(make()).block
    video = F.normalize(frames(2, 1), dim=-1).expand(-1, 8, -1)
    with torch.no_grad():
        _, motion = block(video)
    assert bool(motion.any())
    torch.testing.assert_close(motion[0], motion[1])


def test_3_differences_of_the_reversed_clip_are_negated_and_flipped() -> None:
    video = frames(2, 8)
    there, _ = differences(video)
    back, _ = differences(video.flip(1))
    torch.testing.assert_close(back[:, :-1], -there[:, :-1].flip(1))
    assert not bool(there[:, -1].any())


@pytest.mark.parametrize(("scales", "learns"), [("both", True), ("off", False)])
def test_4_order_is_learned_by_motion_alone(make: Make, scales: str, learns: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    way = torch.linspace(-1, 1, 8)[:, None] * torch.randn(128, generator=generator)

    def clips(count: int) -> tuple[Tensor, Tensor]:
        noise = 0.3 * torch.randn(count, 8, 128, generator=generator)
        targets = torch.arange(count) % 2
        there = torch.where(targets[:, None, None] == 0, way, way.flip(0))
        return 2 * torch.randn(128, generator=generator) + there + noise, targets

    method = make(
        scales=scales, prompts="off", exchange="text",
        frozen_weight=0, tie_weight=0, text_tie_weight=0,
    )  # fmt: skip
    hand = Method(method.backbone).embed_text(("dot left", "dot right"), (("left",), ("right",)))
    # Two unlike words: what they say is not the question here.
    hand = Text(hand.labels, hand.prompts, torch.eye(128)[:2, None])
    optimizer = torch.optim.AdamW(method.param_groups(2e-3))
    method.train()
    values, targets = clips(64)
    for _ in range(60):
        batch = batch_of(method, 64)
        batch = type(batch)(values, targets, hand, torch.arange(2), batch.noise,
                            batch.class_noise[:2], batch.clips)  # fmt: skip
        optimizer.zero_grad()
        torch.stack(list(method(batch).values())).sum().backward()
        optimizer.step()
    values, targets = clips(400)
    with torch.no_grad():
        found = method.eval().logits(values, Text(hand.labels, hand.prompts, hand.values))
    right = float((found.argmax(-1) == targets).float().mean())
    assert right > 0.95 if learns else 0.4 < right < 0.6


def test_5_prompts_cut_at_the_longest_give_the_same(towers: OpenClipBackbone) -> None:
    tokens = LabelTokens(towers, LABELS, 4)
    prompt = 0.1 * torch.randn(4, towers.text_width)
    short, end = tokens.with_prompt(prompt)
    assert short.shape[1] < towers.context_length
    padding = torch.randn(len(LABELS), towers.context_length - short.shape[1], towers.text_width)
    with torch.no_grad():
        cut = towers.encode_tokens(short, end)
        whole = towers.encode_tokens(torch.cat([short, padding], 1), end)
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("family", "is_cut"), [("vit", True), ("first", False)])
def test_5_towers_that_see_what_follows_are_never_cut(
    tmp_path: Path, family: str, is_cut: bool
) -> None:
    backbone = OpenClipBackbone(
        find_backbone(f"local-dir:{save_model(tmp_path / family, CONFIGS[family])}")
    )
    assert backbone.text_is_causal is is_cut
    tokens, _ = LabelTokens(backbone, LABELS, 4).with_prompt(torch.zeros(4, backbone.text_width))
    assert (tokens.shape[1] < backbone.context_length) is is_cut


@pytest.mark.parametrize("family", ["vit", "quick", "custom", "first", "demo"])
def test_6_a_shared_prefix_gives_what_whole_prompts_give(
    tmp_path: Path, towers: OpenClipBackbone, family: str
) -> None:
    backbone = towers
    if family != "demo":
        folder = save_model(tmp_path / family, CONFIGS[family])
        backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    tokens = LabelTokens(backbone, LABELS, 4)
    prompts = 0.1 * torch.randn(3, 4, backbone.text_width)
    with torch.no_grad():
        prefix = torch.cat([tokens.start.expand(3, -1, -1), prompts], 1)
        suffix = tokens.words.expand(3, -1, -1, -1)
        shared = backbone.encode_after_prefix(prefix, suffix, tokens.end.expand(3, -1))
        for n in range(3):
            whole = backbone.encode_tokens(*tokens.with_prompt(prompts[n]))
            torch.testing.assert_close(shared[n], whole, rtol=0, atol=1e-4)


def test_7_a_bank_from_the_cache_is_a_fresh_one_and_labels_do_not_meet(make: Make) -> None:
    method, video = disturb(make()), frames(5)
    kept: dict[tuple[str, str], Tensor] = {}
    asked: list[str] = []

    def recall(key: str, items: list[str], compute: Callable[[list[str]], Tensor]) -> Tensor:
        missing = [item for item in items if (key, item) not in kept]
        asked.extend(missing)
        if missing:
            kept.update(zip([(key, i) for i in missing], compute(missing), strict=True))
        return torch.stack([kept[key, item] for item in items])

    with torch.no_grad():
        fresh = method.embed_text(LABELS, PROMPTS)
        first = method.embed_text(LABELS, PROMPTS, recall=recall)
        again = method.embed_text(LABELS, PROMPTS, recall=recall)
        more = method.embed_text((*LABELS, "kick"), (*PROMPTS, ("kicking", "kick")), recall=recall)
        assert asked == [*LABELS, "kick"]
        for text in (first, again):
            torch.testing.assert_close(text.values, fresh.values, rtol=0, atol=1e-5)
        few, many = method.logits(video, again), method.logits(video, more)
    torch.testing.assert_close(many[:, :-1], few, rtol=0, atol=1e-4)


def test_7_other_learned_prompts_are_never_taken_from_the_cache(make: Make) -> None:
    keys: set[str] = set()

    def recall(key: str, items: list[str], compute: Callable[[list[str]], Tensor]) -> Tensor:
        keys.add(key)
        return compute(items)

    method = make()
    with torch.no_grad():
        method.embed_text(LABELS, PROMPTS, recall=recall)
        disturb(method).embed_text(LABELS, PROMPTS, recall=recall)
    assert len(keys) == 2


def test_8_reranking_all_labels_is_the_whole(make: Make) -> None:
    whole, best = (disturb(make(prompts="exact", rerank=k)) for k in (None, len(LABELS)))
    torch.testing.assert_close(logits(best, frames(5)), logits(whole, frames(5)))


def test_8_reranking_a_few_leaves_the_others_and_the_mass_of_the_few(make: Make) -> None:
    method = disturb(make(prompts="exact", rerank=2))
    scores = logits(method, frames(5)).softmax(-1)
    torch.testing.assert_close(logits(method, frames(5)).exp().sum(-1), torch.ones(5))
    with torch.inference_mode():
        text = method.embed_text(LABELS, PROMPTS)
        vector, _ = method.block(*method.frames_and_cells(frames(5)))
        base = method._scaled(vector @ F.normalize(text.values[:, 0], dim=-1).T).softmax(-1)
    best = base.topk(2, -1).indices
    mass, own = (x.gather(-1, best).sum(-1) for x in (base, scores))
    torch.testing.assert_close(own, mass)
    others = base.scatter(-1, best, 0.0)
    torch.testing.assert_close(scores.scatter(-1, best, 0.0), others)


@pytest.mark.parametrize("prompts", ["mix", "exact", "off"])
@pytest.mark.parametrize("exchange", ["text", "both"])
def test_9_a_video_alone_and_in_a_batch(make: Make, prompts: str, exchange: str) -> None:
    method = disturb(make(prompts=prompts, exchange=exchange))
    video = frames(6)
    alone = torch.cat([logits(method, clip[None]) for clip in video])
    torch.testing.assert_close(alone, logits(method, video), rtol=0, atol=1e-5)


COUNTS = {
    "block": (342_529, 759_553, 1_340_417),
    "exact": (269_192, 600_392, 1_062_664),
    "mix": (104_584, 206_024, 340_232),
    "side": (265_088, 594_240, 1_054_464),
    "default": (712_201, 1_559_817, 2_735_113),
    "with exact": (876_809, 1_954_185, 3_457_545),
    "exact and both": (1_141_897, 2_548_425, 4_512_009),
}


@pytest.mark.parametrize(("place", "width"), [(0, 512), (1, 768), (2, 1024)])
def test_10_parameter_counts_are_those_of_the_table(place: int, width: int) -> None:
    stub: Any = SimpleNamespace(
        embed_dim=width, prompt_start=1, context_length=77,
        token_embeddings=lambda texts: (torch.zeros(len(texts), 8, width), torch.tensor([6])),
    )  # fmt: skip

    def count(module: torch.nn.Module | None) -> int:
        assert module is not None
        return sum(p.numel() for p in module.parameters())

    default = MotionPrompts(stub, MotionPromptsConfig(exchange="text"))
    exact = MotionPrompts(stub, MotionPromptsConfig(prompts="exact", exchange="both"))
    text_only = MotionPrompts(stub, MotionPromptsConfig(prompts="exact", exchange="text"))
    share_of_learned = 1  # h, which the table counts apart
    found = {
        "block": count(default.block),
        "exact": count(exact.writer),
        "mix": count(default.bank) - share_of_learned,
        "side": count(default.text_asks),
        "default": count(default) - share_of_learned,
        "with exact": count(text_only),
        "exact and both": count(exact),
    }
    assert found == {name: counts[place] for name, counts in COUNTS.items()}


def digest(backbone: OpenClipBackbone) -> str:
    found = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        found.update(name.encode())
        found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("prompts", ["mix", "exact", "off"])
def test_10_no_gradient_reaches_the_towers(make: Make, prompts: str) -> None:
    method = make(prompts=prompts)
    before = digest(method.backbone)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(method.param_groups(1e-2), weight_decay=0.5)
    method.train()
    for _ in range(3):
        optimizer.zero_grad()
        torch.stack(list(method(batch_of(method)).values())).sum().backward()
        optimizer.step()
    assert all(p.grad is None for p in method.backbone.parameters())  # type: ignore[attr-defined]
    assert digest(method.backbone) == before  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 16, 31, 32])
def test_11_one_set_of_weights_serves_clips_of_any_length(make: Make, length: int) -> None:
    method = disturb(make())
    assert logits(method, frames(2, length)).shape == (2, len(LABELS))
    places = slots(length).tolist()
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == (31 if length > 1 else 0)


def test_11_one_frame_has_no_motion_even_after_training(make: Make) -> None:
    method = disturb(make(prompts="off", exchange="off"))
    plain = Method(method.backbone).eval()
    ours, theirs = logits(method, frames(3, 1)), logits(plain, frames(3, 1))
    torch.testing.assert_close(ours.double(), theirs, rtol=1.3e-6, atol=1e-5)


@pytest.mark.parametrize("labels", [(), ("run", "jump", "run")])
def test_11_no_labels_and_a_label_twice_are_refused(make: Make, labels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="one or more, each once"):
        make().embed_text(labels, tuple((label,) for label in labels))
