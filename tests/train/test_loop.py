"""The loop: steps, epochs, the best, stopping, and going on exactly where a run stood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from actcli.config_train import TrainConfig
from actcli.errors import ModelError, ResourceError
from actcli.train.dist import Ranks
from actcli.train.events import EpochEvent, StepEvent, Validation
from actcli.train.loop import NotANumberError, Trainer
from actcli.train.updates import choose_amp
from tests.train.conftest import Small, batches, small, training_set


def trainer(method: Small | None = None, **options: Any) -> Trainer:
    config = {name: options.pop(name) for name in list(options) if name in TrainConfig.model_fields}
    given = TrainConfig(**({"epochs": 3, "learning_rate": 1e-2} | config))
    return Trainer(method or small(), options.pop("source", batches()), given, **options)


def weights(method: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in method.head.parameters()])


def test_a_run_tells_of_every_step_and_every_epoch() -> None:
    events = list(trainer().run())
    steps = [e for e in events if isinstance(e, StepEvent)]
    epochs = [e for e in events if isinstance(e, EpochEvent)]
    assert [e.step for e in steps] == list(range(1, 13))
    assert [e.epoch for e in steps] == [1] * 4 + [2] * 4 + [3] * 4
    assert [(e.epoch, e.step) for e in epochs] == [(1, 4), (2, 8), (3, 12)]
    assert all(e.accuracy is not None and 0 <= e.accuracy <= 1 for e in steps)


def test_it_learns() -> None:
    run = trainer(epochs=30)
    steps = [e for e in run.run() if isinstance(e, StepEvent)]
    assert steps[-1].loss < 0.5 * steps[0].loss


@pytest.mark.parametrize(
    ("config", "steps", "epochs"),
    [({"steps": 5}, 5, 2), ({"steps": 8}, 8, 2), ({"epochs": 2, "accumulate": 3}, 4, 2),
     ({"epochs": 1, "accumulate": 99}, 1, 1)],
)  # fmt: skip
def test_steps_and_accumulation_count_as_they_say(
    config: dict[str, int], steps: int, epochs: int
) -> None:
    run = trainer(**config)
    events = list(run.run())
    assert (run.num_steps, run.num_epochs) == (steps, epochs)
    assert sum(isinstance(e, StepEvent) for e in events) == steps
    assert sum(isinstance(e, EpochEvent) for e in events) == epochs


def test_two_batches_of_a_step_are_one_of_twice_the_size() -> None:
    whole = trainer(source=batches(training_set(clips=12), batch_size=12), epochs=2)
    halves = trainer(source=batches(training_set(clips=12), batch_size=6), epochs=2, accumulate=2)
    # The same clips in the same order; what is drawn for each batch differs, so none is drawn.
    for run in (whole, halves):
        draw = run._batches.batch
        run._batches.batch = lambda *a, draw=draw, **k: _without_noise(draw(*a, **k))  # type: ignore[method-assign]
        list(run.run())
    torch.testing.assert_close(weights(whole.method), weights(halves.method))


def _without_noise(batch: Any) -> Any:
    batch.noise.fill_(1.0)
    return batch


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    found = []
    for seed in (0, 0, 1):
        run = trainer(small(dropout=0.3), source=batches(seed=seed))
        torch.manual_seed(7)
        list(run.run())
        found.append(weights(run.method))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


class Told:
    """A validation whose answers are given."""

    def __init__(self, *answers: float) -> None:
        self._answers = iter(answers)

    def __call__(self, method: Any) -> Validation:
        assert not method.training
        return Validation(next(self._answers), 1.0, 10)


def test_the_best_epoch_is_told_and_training_stops_when_it_gets_no_better() -> None:
    events = list(trainer(epochs=9, patience=2, validate=Told(0.5, 0.7, 0.6, 0.7, 0.9)).run())
    epochs = [e for e in events if isinstance(e, EpochEvent)]
    assert [(e.is_best, e.stops) for e in epochs] == [
        (True, False), (True, False), (False, False), (False, True),
    ]  # fmt: skip


def test_without_patience_it_goes_on() -> None:
    run = trainer(epochs=4, validate=Told(0.5, 0.4, 0.3, 0.2))
    assert sum(isinstance(e, EpochEvent) for e in run.run()) == 4
    assert run.progress.best == Validation(0.5, 1.0, 10)


def test_as_many_right_with_a_lower_loss_is_better() -> None:
    assert Validation(0.5, 0.9, 10).beats(Validation(0.5, 1.0, 10))
    assert not Validation(0.5, 1.0, 10).beats(Validation(0.5, 1.0, 10))
    assert Validation(0.6, 9.0, 10).beats(Validation(0.5, 1.0, 10))


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("stop_at", [1, 4, 6, 9])
def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    tmp_path: Path, ema: float | None, stop_at: int
) -> None:
    def start(folder: Path) -> Trainer:
        return trainer(
            small(dropout=0.3), epochs=3, ema=ema, save_every=2, folder=folder,
            validate=lambda method: Validation(0.5, 1.0, 10),
        )  # fmt: skip

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, killed = start(tmp_path / "whole"), start(tmp_path / "killed")
    torch.manual_seed(3)
    list(whole.run())
    torch.manual_seed(3)
    for event in killed.run():
        if isinstance(event, StepEvent) and event.step == stop_at:
            break  # as kill -9 would: nothing more is saved
    torch.manual_seed(99)
    again = start(tmp_path / "killed")
    if stop_at > 2:
        again.resume()
        assert again.progress.step == {4: 2, 6: 4, 9: 8}[stop_at]
    else:
        torch.manual_seed(3)  # nothing was saved yet: it begins anew
    list(again.run())
    assert torch.equal(weights(again.method), weights(whole.method))
    with whole.averaged(), again.averaged():
        assert torch.equal(weights(again.method), weights(whole.method))


def test_a_run_that_is_done_stays_done(tmp_path: Path) -> None:
    list(trainer(folder=tmp_path).run())
    again = trainer(folder=tmp_path)
    again.resume()
    assert list(again.run()) == []


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    list(trainer(folder=tmp_path).run())
    other = small()
    other.head = torch.nn.Linear(8, 5)
    with pytest.raises(ModelError, match="of another model"):
        trainer(other, folder=tmp_path).resume()


@pytest.mark.parametrize("damage", ["absent", "flipped", "truncated"])
def test_a_state_that_is_not_whole_is_refused(tmp_path: Path, damage: str) -> None:
    list(trainer(folder=tmp_path).run())
    path = tmp_path / "state.safetensors"
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.write_bytes(content[:-9])
    with pytest.raises(ModelError, match=r"no state|damaged|truncated"):
        trainer(folder=tmp_path).resume()


def test_the_running_mean_lags_behind_and_is_what_is_validated() -> None:
    seen: list[torch.Tensor] = []

    def validate(method: Any) -> Validation:
        seen.append(weights(method))
        return Validation(0.5, 1.0, 10)

    start = weights(small())
    run = trainer(ema=0.9, epochs=1, validate=validate)
    list(run.run())
    assert float((seen[0] - start).norm()) < float((weights(run.method) - start).norm())
    with run.averaged():
        assert torch.equal(weights(run.method), seen[0])


@pytest.mark.parametrize("is_certain", [True, False])
def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights(is_certain: bool) -> None:
    data = training_set()
    if is_certain:
        data.values[7] = float("nan")
    method = small()
    run = trainer(method, source=batches(data))
    if not is_certain:
        with torch.no_grad():
            method.head.bias[0] = float("inf")
    with pytest.raises(NotANumberError, match="not a number at step") as caught:
        list(run.run())
    assert caught.value.is_certain is is_certain
    assert caught.value.clips == [7] if is_certain else len(caught.value.clips) == 6
    if is_certain:
        assert bool(torch.isfinite(weights(method)).all())


def test_out_of_memory_names_the_flags_that_help() -> None:
    class Greedy(Small):
        def loss(self, batch: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ResourceError, match="--batch-size 6: out of memory") as caught:
        list(trainer(Greedy(small().backbone)).run())
    assert "--batch-size 3 --accumulate 2" in (caught.value.hint or "")


def test_gradients_are_clipped() -> None:
    free, held = (trainer(clip_norm=norm, epochs=1, weight_decay=0.0) for norm in (None, 1e-6))
    # Adam divides by the gradient's size, so a clip shows only beside its epsilon.
    for run in (free, held):
        list(run.run())
    start = weights(small())
    assert float((weights(held.method) - start).norm()) < float(
        (weights(free.method) - start).norm()
    )


@pytest.mark.parametrize(
    ("schedule", "last"), [("cosine", 0.05), ("multistep", 0.1), ("constant", 1.0)]
)
def test_the_learning_rate_follows_its_schedule(schedule: str, last: float) -> None:
    events = list(trainer(schedule=schedule, epochs=5, milestones=(0.5,)).run())
    rates = [e.learning_rate / 1e-2 for e in events if isinstance(e, StepEvent)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(last, abs=0.05)


def test_bf16_steps_keep_their_weights_in_fp32() -> None:
    run = trainer(amp="bf16", epochs=10)
    steps = [e for e in run.run() if isinstance(e, StepEvent)]
    assert steps[-1].loss < steps[0].loss
    assert run.method.head.weight.dtype == torch.float32  # type: ignore[union-attr]


def test_fp16_is_refused_where_gradients_cannot_be_scaled() -> None:
    with pytest.raises(ResourceError, match="--precision fp16"):
        choose_amp("fp16", torch.device("cpu"))
    assert choose_amp("auto", torch.device("cpu")) == "fp32"


def test_one_process_is_all_of_them(method: Small) -> None:
    ranks, values = Ranks(), torch.ones(2, 3)
    assert ranks.is_main
    assert ranks.gather(values) is values
    assert ranks.wrap(method, torch.device("cpu")) is method
    assert ranks.mean(0.25) == 0.25
    ranks.barrier()


@pytest.mark.parametrize("stop_at", [4, 8, 12])
def test_a_run_that_is_saved_before_the_end_of_an_epoch_still_ends_it(
    stop_at: int, tmp_path: Path
) -> None:
    answers = (0.5, 0.7, 0.6)
    whole = list(trainer(validate=Told(*answers)).run())
    first = trainer(validate=Told(*answers), folder=tmp_path)
    seen: list[Any] = []
    for event in first.run():
        seen.append(event)
        if isinstance(event, StepEvent) and event.step == stop_at:
            first.save()
            break
    again = trainer(validate=Told(*answers[stop_at // 4 - 1 :]), folder=tmp_path)
    again.resume()
    seen += again.run()
    ends = [[e for e in events if isinstance(e, EpochEvent)] for events in (whole, seen)]
    assert ends[0] == ends[1]
    assert sum(isinstance(e, StepEvent) for e in seen) == 12
    assert again.progress.best == Validation(0.7, 1.0, 10)


def test_a_validation_that_is_no_number_ends_the_run_and_is_never_the_best() -> None:
    def judge(method: Any) -> Validation:
        return Validation(0.5, float("nan"), 10)

    with pytest.raises(NotANumberError, match="no numbers after epoch 1"):
        list(trainer(validate=judge).run())


def test_weights_that_are_no_numbers_end_the_run_without_validation_too() -> None:
    run = trainer(epochs=1)
    for event in run.run():
        if isinstance(event, StepEvent) and event.step == 3:
            with torch.no_grad():
                run.method.head.bias[0] = float("inf")
            break
    with pytest.raises(NotANumberError):
        list(run.run())
