"""Zero-shot CLIP as the method that all others differ from."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from actcli.errors import ModelError, UsageError
from actcli.methods.base import Method
from actcli.methods.nearest_prototype import MethodConfig
from actcli.models.scores import cosine_logits, scores_from_logits
from actcli.types import Text

LABELS = ("run", "jump", "wave")
PROMPTS = tuple((f"a video of {label}", label) for label in LABELS)


def frames(clips: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (clips, 5, 3, 4, 4), dtype=torch.uint8, generator=generator)


def one_of_each(method: Method) -> tuple[Tensor, Text]:
    return method.embed(frames(4)), method.embed_text(LABELS, PROMPTS)


def test_each_frame_is_embedded_by_itself(fake_backbone: Any) -> None:
    values = Method(fake_backbone).embed(frames(2))
    assert values.shape == (2, 5, 8)
    expected = fake_backbone.encode_frames(frames(2)[1, 3:4])[0]
    torch.testing.assert_close(values[1, 3], expected)


def test_each_prompt_is_embedded_in_its_place(fake_backbone: Any) -> None:
    text = Method(fake_backbone).embed_text(LABELS, PROMPTS)
    assert (text.labels, text.prompts, text.values.shape) == (LABELS, PROMPTS, (3, 2, 8))
    assert torch.equal(text.values[2, 1], fake_backbone.encode_text(["wave"])[0])


def test_a_caller_may_bring_embeddings_that_it_knows(fake_backbone: Any) -> None:
    asked: list[str] = []

    def encode(prompts: list[str]) -> Tensor:
        asked.extend(prompts)
        return torch.arange(6.0)[:, None].expand(6, 8)

    text = Method(fake_backbone).embed_text(LABELS, PROMPTS, encode=encode)
    assert asked == [prompt for prompts in PROMPTS for prompt in prompts]
    assert text.values[:, :, 0].tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("prompts", [(("a",), ("b", "c")), (("a",), ()), ((), ())])
def test_labels_with_unequal_prompts_are_refused(prompts: Any, fake_backbone: Any) -> None:
    with pytest.raises(UsageError, match=r'label ".*": every label needs as many prompts'):
        Method(fake_backbone).embed_text(("run", "jump"), prompts)


def test_logits_are_the_scaled_similarity(fake_backbone: Any) -> None:
    method = Method(fake_backbone)
    video, text = one_of_each(method)
    similarity = method.similarity(video, text)
    assert similarity is not None
    assert similarity.abs().max() <= 1
    torch.testing.assert_close(method.logits(video, text), similarity * torch.tensor(4.0).exp())


def test_a_sigmoid_backbone_adds_its_bias(fake_sigmoid_backbone: Any, fake_backbone: Any) -> None:
    video, text = one_of_each(Method(fake_backbone))
    logits = Method(fake_sigmoid_backbone).logits(video, text)
    torch.testing.assert_close(logits, Method(fake_backbone).logits(video, text) - 10)


def test_batch_size_does_not_change_logits(fake_backbone: Any) -> None:
    method = Method(fake_backbone)
    video, text = one_of_each(method)
    single = torch.cat([method.logits(clip[None], text) for clip in video])
    torch.testing.assert_close(method.logits(video, text), single, rtol=0, atol=1e-4)


def test_permuting_labels_permutes_scores(fake_backbone: Any) -> None:
    method = Method(fake_backbone)
    video, text = one_of_each(method)
    order = [2, 0, 1]
    other = method.embed_text([LABELS[i] for i in order], [PROMPTS[i] for i in order])
    scores = scores_from_logits(method.logits(video, text), "softmax")
    permuted = scores_from_logits(method.logits(video, other), "softmax")
    torch.testing.assert_close(permuted, scores[:, order], rtol=0, atol=1e-6)


def test_a_single_label_has_score_one(fake_backbone: Any) -> None:
    method = Method(fake_backbone)
    logits = method.logits(method.embed(frames(2)), method.embed_text(["run"], [["run"]]))
    assert scores_from_logits(logits, "softmax").tolist() == [[1.0], [1.0]]


def test_zero_shot_has_nothing_to_train(fake_backbone: Any) -> None:
    with pytest.raises(ModelError, match="clip: it has nothing to train"):
        Method(fake_backbone)(None)
    assert Method(fake_backbone).param_groups(1e-3) == [{"params": [], "lr": 1e-3}]


def test_unknown_options_are_refused(fake_backbone: Any) -> None:
    assert Method(fake_backbone).config == MethodConfig()
    with pytest.raises(ValidationError):
        Method.Config(heads=2)  # type: ignore[call-arg]


class Doubled(Method):
    name = "doubled"

    def __init__(self, backbone: Any) -> None:
        super().__init__(backbone)
        self.factor = torch.nn.Parameter(torch.tensor(2.0))

    def embed(self, frames: Tensor) -> Tensor:
        return self.factor * super().embed(frames)


class Headed(Method):
    name = "headed"

    def logits(self, video: Tensor, text: Text) -> Tensor:
        return super().logits(video.flip(1), text)


def test_methods_that_embed_alike_share_a_cache_key(fake_backbone: Any) -> None:
    assert Method(fake_backbone).cache_key() == Headed(fake_backbone).cache_key() == "fake"


def test_a_method_that_embeds_otherwise_has_its_own_cache_key(fake_backbone: Any) -> None:
    method = Doubled(fake_backbone)
    first = method.cache_key()
    assert first != "fake"
    assert first == Doubled(fake_backbone).cache_key()
    with torch.no_grad():
        method.factor.fill_(3)
    assert method.cache_key() != first


def test_a_changed_image_tower_has_its_own_cache_key(fake_backbone: Any) -> None:
    fake_backbone.image_tower_is_original = False
    first = Method(fake_backbone).cache_key()
    fake_backbone.image_tower.weight.add_(1)
    assert len({"fake", first, Method(fake_backbone).cache_key()}) == 3


def test_comparing_with_one_text_gives_the_logits_and_similarities(fake_backbone: Any) -> None:
    video, text = one_of_each(method := Method(fake_backbone))
    logits, similarity = method.comparison(text)(video)
    scale, bias = method.backbone.logit_scale, method.backbone.logit_bias
    expected = cosine_logits(video, text.values, scale, bias)
    torch.testing.assert_close((logits, similarity), expected)
    assert torch.equal(method.logits(video, text), logits)
    assert method.similarity(video, text).equal(similarity)  # type: ignore[union-attr]


def test_comparing_by_methods_with_logits_of_their_own_is_by_these(fake_backbone: Any) -> None:
    class Own(Method):
        def logits(self, video: Tensor, text: Text) -> Tensor:
            return video.new_full((len(video), len(text.labels)), len(text.prompts[0]))

        def similarity(self, video: Tensor, text: Text) -> None:
            return None

    video, text = one_of_each(method := Own(fake_backbone))
    logits, similarity = method.comparison(text)(video)
    assert torch.equal(logits, method.logits(video, text))
    assert similarity is None
