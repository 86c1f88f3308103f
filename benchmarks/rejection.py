"""None of these: how well rules tell drawn clips of unknown classes from those of known ones.

    PYTHONPATH=. python benchmarks/rejection.py --seeds 7,8 [--per-class 30] [-o rejection.json]

Some of the fourteen classes are held out as unknown, in folds so that each is once; and the eight
classes of `demo --set novel`, of which the model never saw a word or a picture, are unknown to all
fourteen. By words, and by five examples a class. Means over folds and seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import torch
from demo_embeddings import Embedded, draw_and_embed
from torch import Tensor

from actcli.config import FewShotConfig, with_options
from actcli.data.negatives import negatives_for
from actcli.demo import known_words
from actcli.eval.support import surenesses
from actcli.labelled import Support
from actcli.methods.base import Method
from actcli.models import rejection as rule
from actcli.tasks.pipeline import Pipeline
from actcli.types import Text

SHOTS, FOLDS = 5, 7


def margin(logits: Tensor) -> Tensor:
    """How far the best label is before the second: [N, C] -> [N]; of one label it is infinite."""
    if logits.shape[-1] == 1:
        return torch.full(logits.shape[:-1], math.inf, dtype=torch.float64)
    best = logits.double().topk(2, -1).values
    return best[..., 0] - best[..., 1]


def label_share(logits: Tensor, bank: Tensor) -> Tensor:
    """What all labels together have of the softmax over labels and bank: in (0, 1).

        sum_c exp(l_c) / (sum_c exp(l_c) + sum_k exp(b_k))

    logits [N, C], bank [N, K], logits too -> [N]
    """
    return (logits.double().logsumexp(-1) - bank.double().logsumexp(-1)).sigmoid()


def above_bank(similarity: Tensor, bank: Tensor) -> Tensor:
    """The best label's cosine less the mean cosine of the bank: [N, C], [N, K] -> [N]."""
    return similarity.double().amax(-1) - bank.double().mean(-1)


def relative(similarity: Tensor) -> Tensor:
    """The best label's cosine less the mean over all labels: [N, C] -> [N]."""
    return similarity.double().amax(-1) - similarity.double().mean(-1)


def by_words(method: Method, text: Text, bank: Text, values: Tensor) -> dict[str, Tensor]:
    logits, similarity = method.logits(values, text), method.similarity(values, text)
    others, near = method.logits(values, bank), method.similarity(values, bank)
    assert similarity is not None
    assert near is not None
    return {
        "max softmax": rule.max_softmax(logits),
        "energy": rule.energy(logits),
        "max cosine": relative(similarity) + similarity.double().mean(-1),
        "margin": margin(logits),
        "cosine less mean of labels": relative(similarity),
        "max softmax with bank": rule.max_with_bank(logits, others),
        "share of labels with bank": label_share(logits, others),
        "cosine less mean of bank": above_bank(similarity, near),
        "cosine less max of bank": similarity.amax(-1) - near.amax(-1),
    }


def by_examples(method: Method, known: Embedded, values: Tensor) -> dict[str, Tensor]:
    """`known` holds the examples."""
    prototypes = method.prototypes(Support(known.values, known.targets), known.text)
    logits = method.prototype_logits(values, prototypes)
    similarity = method.prototype_similarity(values, prototypes)
    distance = -method.distance(method.query_frames(values), prototypes.values)
    return {
        "max softmax": rule.max_softmax(logits),
        "energy": rule.energy(logits),
        "margin": margin(logits),
        "max cosine": similarity.amax(-1),
        "cosine less mean of labels": relative(similarity),
        "distance": distance.amax(-1),
        "distance less mean of labels": relative(distance),
    }


def settings(seed: int, per_class: int) -> Iterator[tuple[str, Embedded, Tensor]]:
    """(name, known clips, embeddings of unknown ones)"""
    single = draw_and_embed("single", per_class, seed)
    novel = draw_and_embed("novel", per_class, seed)
    yield "novel", single, novel.values
    order = torch.randperm(len(single.names), generator=torch.Generator().manual_seed(seed))
    for fold in range(FOLDS):
        held = [single.names[i] for i in order.tolist()[fold::FOLDS]]
        kept = [name for name in single.names if name not in held]
        yield "held out", single.only(kept), single.only(held).values


def split(known: Embedded) -> tuple[Embedded, Tensor]:
    """Some clips of each class as examples, and the others."""
    is_example = torch.zeros(len(known.targets), dtype=torch.bool)
    for c in range(len(known.names)):
        is_example[(known.targets == c).nonzero()[:SHOTS, 0]] = True
    examples = Embedded(known.values[is_example], known.targets[is_example], known.text)
    return examples, known.values[~is_example]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="7,8")
    parser.add_argument("--per-class", type=int, default=30)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {}
    pipeline = Pipeline(with_options(FewShotConfig(), {"model": "demo"}), exact=True)
    with pipeline.start() as started, torch.inference_mode():
        method = started.method
        for seed in map(int, args.seeds.split(",")):
            for name, known, unknown in settings(seed, args.per_class):
                phrases = negatives_for(known.names, known=known_words())
                prompts = tuple((f"a video of {phrase}",) for phrase in phrases)
                bank = started.embed_text(phrases, prompts)
                examples, queries = split(known)
                one = by_words(method, known.text, bank, queries)
                two = by_words(method, known.text, bank, unknown)
                told = {f"{name} | words | {key}": (one[key], two[key]) for key in one}
                one, two = (by_examples(method, examples, v) for v in (queries, unknown))
                told |= {f"{name} | examples | {key}": (one[key], two[key]) for key in one}
                support = Support(examples.values, examples.targets)
                least = rule.threshold_at(surenesses(method, support, examples.text))
                best = f"{name} | examples | max softmax, 0.5 told by examples"
                shift = 0.5 - least
                told[best] = (one["max softmax"] + shift, two["max softmax"] + shift)
                for key, pair in told.items():
                    half = [float((side >= 0.5).double().mean()) for side in pair]
                    numbers = (rule.auroc(*pair), rule.false_accept(*pair), *half)
                    found.setdefault(key, []).append(numbers)
    means = {key: [statistics.mean(c) for c in zip(*v, strict=True)] for key, v in found.items()}
    for key, (area, accepted, recall, false) in means.items():
        at_half = f"   at 0.5: recall {recall:6.1%}, false accept {false:6.1%}"
        print(f"{key:52} AUROC {area:.3f}   false accept at 95 % recall {accepted:6.1%}"
              f"{at_half if 'softmax' in key else ''}")  # fmt: skip
    if args.output:
        args.output.write_text(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
