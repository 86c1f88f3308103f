"""The parts of motion-prompt adaptation: guards, losses, grid, dials, other towers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from actcli.errors import ModelError
from actcli.methods.base import Method
from actcli.methods.motion_prompts.method import MotionPrompts
from actcli.methods.motion_prompts.motion import differences, drop_cuts
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from tests.methods.motion_prompts.conftest import LABELS, PROMPTS, batch_of, disturb, frames
from tests.models.tiny_models import CONFIGS, random_frames, save_model

Make = Callable[..., MotionPrompts]


def test_no_motion_is_read_across_a_cut() -> None:
    video = torch.zeros(1, 8, 4)
    video[:, 5:] = 10.0  # a cut between the frames 4 and 5
    video += 0.01 * torch.arange(8.0)[:, None]
    short, long = drop_cuts(*differences(video), torch.tensor(1.0))
    is_zero = [not bool(short[0, t].any()) for t in range(8)]
    assert is_zero == [False, False, False, False, True, False, False, True]
    # Long differences span 4 frames: those that begin at 1 to 4 lie across the cut.
    crosses = [not bool(long[0, t].any()) for t in range(8)]
    assert crosses == [False, True, True, True, True, False, False, True]


def test_nothing_is_a_cut_before_a_training_set_was_seen(make: Make) -> None:
    block = make().block
    assert float(block.cut_threshold) == float("inf")
    make_video = F.normalize(frames(50), dim=-1)
    block.learn_cuts(make_video)
    lengths = differences(make_video)[0][:, :-1].norm(dim=-1)
    assert 0.98 <= float((lengths <= block.cut_threshold / 1.25).float().mean()) <= 0.995


def test_every_parameter_of_every_part_learns(make: Make) -> None:
    method = disturb(make(exchange="both")).train()
    terms = method(batch_of(method))
    assert set(terms) == {"match", "prematch", "frozen", "tie", "balance"}
    torch.stack(list(terms.values())).sum().backward()
    quiet = [n for n, p in method.named_parameters()
             if p.requires_grad and (p.grad is None or not bool(p.grad.any()))]  # fmt: skip
    # Keys answer to a shift of all logits of one attention with nothing.
    assert [name for name in quiet if "to_key.bias" not in name] == []
    assert method.accuracy is not None


def test_an_untrained_head_pays_nothing_for_leaving_frozen_clip(make: Make) -> None:
    method = make(prompts="off", exchange="both")
    with torch.no_grad():
        terms = method(batch_of(method))
        moved = disturb(method)(batch_of(method))
    assert float(terms["frozen"]) == pytest.approx(0, abs=1e-5)
    assert float(terms["tie"]) == pytest.approx(0, abs=1e-5)
    assert float(moved["frozen"]) > 1e-3
    assert float(moved["tie"]) > 1e-3


def test_the_tie_is_the_mean_divergence_for_labels_in_random_directions(make: Make) -> None:
    method = disturb(make(prompts="off", exchange="off", tie_weight=1.0, text_tie_weight=0.0))
    batch = batch_of(method)
    with torch.no_grad():
        told = float(method(batch)["tie"])
        video, _ = method.frames_and_cells(batch.values)
        vector, _ = method.block(video)
        start = F.normalize(video.mean(1), dim=-1)
        scale = float(method.backbone.logit_scale.exp())
        labels = F.normalize(torch.randn(100_000, 128), dim=-1)
        # Between two labels at random the difference of logits has this variance, and a softmax
        # moves by about half of it: the quadratic form that the tie is.
        shift = (scale / 2) * (vector - start) @ labels.T
        expected = float(shift.var(-1).mean() / 2)
    assert told == pytest.approx(expected, rel=0.05)


def test_a_bank_that_is_used_evenly_is_the_cheapest(make: Make) -> None:
    method = make()
    assert method.bank is not None
    with torch.no_grad():
        even = float(method(batch_of(method))["balance"])
        method.bank.router[2].bias[0] += 20
        assert float(method(batch_of(method))["balance"]) > 5 * even


def test_passes_that_are_computed_again_have_the_same_gradients(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for most in (0, 10_000):
        monkeypatch.setattr("actcli.methods.motion_prompts.prompts._MOST_KEPT", most)
        method = disturb(make())
        assert method.bank is not None
        method(batch_of(method))["match"].backward()
        found.append(method.bank.bank.grad)
    assert found[0] is not None
    torch.testing.assert_close(found[0], found[1])


def test_classes_of_a_step_are_enough_for_its_loss(make: Make) -> None:
    method = disturb(make())
    batch = batch_of(method)
    few = replace(batch, targets=torch.tensor([0, 2, 0, 2, 0, 2]), classes=torch.tensor([0, 2]))
    with torch.no_grad():
        some, every = (method(b)["match"] for b in (few, replace(few, classes=batch.classes)))
    assert some < every


def test_dropped_frames_are_replaced_by_the_one_before(make: Make) -> None:
    method = make(frame_dropout=0.5).train()
    batch = batch_of(method, clips=1, length=4)
    batch = replace(batch, noise=torch.tensor([[0.1, 0.9, 0.2, 0.3]]))
    dropped = method._drop_frames(batch)
    expected = batch.values[:, [0, 1, 1, 1]]
    assert torch.equal(dropped, expected)
    assert torch.equal(method.eval()._drop_frames(batch), batch.values)


def test_the_dials_lead_back_to_frozen_clip(make: Make) -> None:
    method = disturb(make(exchange="off", motion=0.0, learned_prompts=0.0, scales="both"))
    with torch.no_grad():
        method.block.pool.weight.zero_()  # the learned average of frames is not on a dial
        plain = Method(method.backbone).eval()
        ours = method.logits(frames(4), method.embed_text(LABELS, PROMPTS))
        theirs = plain.logits(frames(4), plain.embed_text(LABELS, PROMPTS))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4, check_dtype=False)


@pytest.mark.parametrize("family", ["vit", "resnet", "custom"])
def test_a_grid_reads_where_things_are(tmp_path: Path, family: str) -> None:
    folder = save_model(tmp_path / family, CONFIGS[family])
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    size = backbone.input_size
    from actcli.methods.motion_prompts.config import MotionPromptsConfig

    method = MotionPrompts(backbone, MotionPromptsConfig(grid=2, prompts="off")).eval()
    pixels = random_frames(2, 3, 3, size, size)
    with torch.no_grad():
        values = method.embed(pixels)
        whole = Method(backbone).embed(pixels)
        assert values.shape == (2, 3 * 5, 16)
        torch.testing.assert_close(method.whole_frames(values), whole, rtol=0, atol=1e-5)
        other = pixels.clone()
        other[..., size // 2 :, size // 2 :] = 0  # the last cell goes dark
        cells = [method.frames_and_cells(method.embed(p))[1] for p in (pixels, other)]
        assert cells[0] is not None
        assert cells[1] is not None
        changed = (cells[0] - cells[1]).norm(dim=-1).mean((0, 1))  # [G]
        logits = disturb(method).logits(values, method.embed_text(LABELS, PROMPTS))
    assert changed.argmax() == 3
    assert logits.shape == (2, 4)
    assert method.cache_key() not in (backbone.digest, Method(backbone).cache_key())


def test_a_tower_without_a_map_refuses_a_grid(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "convnext", CONFIGS["convnext"])
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    with pytest.raises(ModelError, match="no map of its frames"):
        backbone.encode_grid(random_frames(1, 3, 64, 64), 3)


def test_embeddings_are_shared_with_zero_shot(make: Make) -> None:
    assert make().cache_key() == make().backbone.digest


@pytest.mark.parametrize("family", ["vit", "quick", "first", "mobile", "siglip"])
def test_text_towers_of_other_families_take_learned_prompts(tmp_path: Path, family: str) -> None:
    from actcli.methods.motion_prompts.config import MotionPromptsConfig

    folder = save_model(tmp_path / family, CONFIGS[family])
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    method = MotionPrompts(backbone, MotionPromptsConfig(num_prompt_tokens=4)).eval()
    with torch.no_grad():
        text = method.embed_text(("run", "jump"), (("run",), ("jump",)))
        logits = method.logits(torch.randn(2, 8, 16), text)
    assert text.values.shape == (2, 9, 16)
    assert logits.shape == (2, 2)
    assert bool(torch.isfinite(logits).all())


def test_labels_that_leave_no_room_are_cut_with_a_warning(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    method = make(num_prompt_tokens=8)
    long = "jumping " * 30
    with torch.no_grad():
        text = method.embed_text((long, "run"), (("jump",), ("run",)))
    assert "no room for all words of 1 labels" in caplog.text
    assert bool(torch.isfinite(text.values).all())
