"""`actcli finetune` at the command line: files, exit codes, signals, several processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from actcli.checkpoint import read_checkpoint
from actcli.demo.clips import write_clip
from tests.cli.conftest import Cli

LABELS = ("raise arms", "lower arms")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/ of two classes, three clips each."""
    root = tmp_path_factory.mktemp("train")
    for c, label in enumerate(LABELS):
        for split, seed in (("train", 8000), ("val", 9000)):
            (root / split / label).mkdir(parents=True)
            for i in range(3):
                write_clip(root / split / label / f"{i}.mp4", label, seed=seed + 10 * c + i)
    return root


def train(cli: Cli, clips: Path, out: Path, *more: object) -> Any:
    return cli("finetune", clips / "train", "--val", clips / "val", "-o", out, *more)


def test_a_run_prints_its_best_checkpoint_and_says_how_it_went(
    cli: Cli, clips: Path, tmp_path: Path
) -> None:
    done = train(cli, clips, tmp_path / "a", "--epochs", 3)
    assert done.code == 0, done.err
    assert done.out == f"{tmp_path / 'a/best.safetensors'}\n"
    assert "training: 6 clips of 2 classes (3 each)" in done.err
    assert "learning 32,298 parameters (0.83% of all) in 3 steps, on cpu in fp32" in done.err
    assert "zero-shot on 6 validation clips" in done.err
    assert "epoch 3 of 3, step 3" in done.err
    assert "against zero-shot" in done.err
    assert set(os.listdir(tmp_path / "a")) == {
        "best.safetensors", "last.safetensors", "log.csv", "log.jsonl", "run.json",
        "state.safetensors",
    }  # fmt: skip
    used = cli("classify", clips / "val", "--model", tmp_path / "a")
    assert used.code == 0, used.err
    assert {record["method"] for record in used.records} == {"motion-prompts"}


def test_dials_of_a_checkpoint_can_be_turned(cli: Cli, clips: Path, tmp_path: Path) -> None:
    train(cli, clips, tmp_path / "a", "--epochs", 20, "-q")

    def scores(*more: object) -> list[float]:
        done = cli("classify", clips / "val", "--model", tmp_path / "a", *more)
        assert done.code == 0, done.err
        return [r["top"][0]["score"] for r in done.records]

    frozen = scores("--set", "motion=0", "--set", "learned-prompts=0")
    assert scores() != pytest.approx(frozen, abs=0.01)
    assert scores("--set", "motion=0.5") != pytest.approx(scores(), abs=1e-4)
    wrong = cli("classify", clips / "val", "--model", tmp_path / "a", "--set", "motion=2")
    assert wrong.code == 2
    assert "--set motion" in wrong.err


def test_logs_have_a_line_a_step(cli: Cli, clips: Path, tmp_path: Path) -> None:
    train(cli, clips, tmp_path / "a", "--epochs", 3, "-q")
    lines = [json.loads(line) for line in (tmp_path / "a/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "losses" in line] == [1, 2, 3]
    assert [line["val_clips"] for line in lines if "is_best" in line] == [6] * 3
    head, *rows = (tmp_path / "a/log.csv").read_text().splitlines()
    assert head == (
        "step,epoch,loss,accuracy,learning_rate,clips_per_s,match,prematch,frozen,tie,balance"
    )
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3"]
    step = lines[0]
    assert step["loss"] == pytest.approx(sum(step["losses"].values()), rel=1e-4)


def test_what_a_checkpoint_is_can_be_shown(cli: Cli, clips: Path, tmp_path: Path) -> None:
    train(cli, clips, tmp_path / "a", "--epochs", 1, "-q")
    shown = cli("models", "show", tmp_path / "a", "--format", "table").out
    for said in ("motion-prompts", "demo, apache-2.0", "val_top1", "zero_shot_top1", "clips"):
        assert said in shown
    assert json.loads(cli("models", "show", tmp_path / "a").out)["training"]["clips"] == 6


def test_quiet_says_nothing_but_the_path(cli: Cli, clips: Path, tmp_path: Path) -> None:
    done = train(cli, clips, tmp_path / "a", "--epochs", 1, "-q")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("best.safetensors\n")


def test_options_of_the_method_and_the_optimiser_arrive(
    cli: Cli, clips: Path, tmp_path: Path
) -> None:
    done = train(
        cli, clips, tmp_path / "a", "--steps", 2, "--set", "scales=short", "--set",
        "tie-weight=0.5", "--lr", "0.01", "--schedule", "constant", "--warmup", "0",
        "--batch-size", 4, "--ema", "0.9", "--patience", 1, "--balance", "none",
    )  # fmt: skip
    assert done.code == 0, done.err
    stated = json.loads((tmp_path / "a/run.json").read_text())["config"]
    assert stated["options"] == {"scales": "short", "tie_weight": 0.5}
    assert (stated["train"]["clips_per_step"], stated["train"]["ema"]) == (4, 0.9)
    rates = [json.loads(line).get("learning_rate")
             for line in (tmp_path / "a/log.jsonl").read_text().splitlines()]  # fmt: skip
    assert [rate for rate in rates if rate is not None] == [0.01, 0.01]


def test_one_list_with_splits_serves_both(cli: Cli, clips: Path, tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for split in ("train", "val"):
        rows += [f"{p},{p.parent.name},{split}" for p in sorted((clips / split).glob("*/*"))]
    (tmp_path / "all.csv").write_text("\n".join(rows))
    done = cli("finetune", tmp_path / "all.csv", "--val-split", "val", "-o", tmp_path / "a",
               "--epochs", 1)  # fmt: skip
    assert done.code == 0, done.err
    assert "training: 6 clips" in done.err
    assert "zero-shot on 6 validation clips" in done.err


def test_without_val_it_says_so(cli: Cli, clips: Path, tmp_path: Path) -> None:
    done = cli("finetune", clips / "train", "-o", tmp_path / "a", "--epochs", 1)
    assert done.code == 0, done.err
    assert "no --val" in done.err


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--method", "clip"], 2, "--method clip"),
        (["--method", "motion"], 2, "unknown method"),
        (["--epochs", "0"], 2, "--epochs"),
        (["--epochs", "2", "--steps", "3"], 2, "--epochs: contradicts --steps"),
        (["--lr", "-1"], 2, "--lr"),
        (["--set", "scales"], 2, "--set: not KEY=VALUE"),
        (["--set", "scale=both"], 2, "--set scale"),
        (["--precision", "fp16"], 4, "--precision fp16"),
        (["--precision", "int8"], 2, "--precision"),
        (["--resume"], 2, "holds no run"),
        (["--val", "no"], 4, "no"),
        (["--batch-size", "0"], 2, "--batch-size"),
        (["--schedule", "linear"], 2, "--schedule"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(
    cli: Cli, clips: Path, tmp_path: Path, more: list[str], code: int, said: str
) -> None:
    done = train(cli, clips, tmp_path / "a", *more)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_an_output_that_cannot_be_written_is_told_before_anything_else(
    cli: Cli, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("precious")
    done = train(cli, clips, tmp_path / "file")
    assert done.code == 2
    assert "is a file" in done.err
    assert (tmp_path / "file").read_text() == "precious"


def test_a_missing_extra_is_named(
    cli: Cli, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    done = train(cli, clips, tmp_path / "a", "--tensorboard")
    assert done.code == 4
    assert "actcli[tensorboard]" in done.err


def start(
    clips: Path, out: Path, *more: str, cache: Path, stdout: Any = subprocess.PIPE
) -> subprocess.Popen[str]:
    env = os.environ | {"ACTCLI_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "actcli", "finetune", str(clips / "train"), "--val",
             str(clips / "val"), "-o", str(out), "--model", "demo", "--workers", "0",
             "--batch-size", "2", *more]  # fmt: skip
    return subprocess.Popen(
        words, cwd=ROOT, env=env, text=True, stdout=stdout, stderr=subprocess.PIPE
    )


def wait_for_step(out: Path, step: int) -> None:
    """Until the log has a step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        path = out / "log.csv"
        if path.is_file() and len(path.read_text().splitlines()) > step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no step {step} within two minutes")


def weights(out: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(out / "last.safetensors")[1]


STOPPABLE = ("--epochs", "80", "--save-every", "2")
"""Long enough that a signal which comes late on a busy machine still meets the run."""


@pytest.fixture(scope="session")
def unbroken(clips: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    process = start(clips, out, *STOPPABLE, cache=cache)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    clips: Path, cache: Path, unbroken: Path, tmp_path: Path, number: signal.Signals
) -> None:
    stopped = start(clips, tmp_path / "cut", *STOPPABLE, cache=cache)
    wait_for_step(tmp_path / "cut", 7)
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=120)
    if number != signal.SIGKILL:
        assert "saved; to go on: actcli finetune" in err
        assert out == ""
    codes = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}
    assert stopped.returncode == codes[number], "the run was over before the signal came?"
    again = start(clips, tmp_path / "cut", *STOPPABLE, "--resume", cache=cache)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "continued from step" in err
    found, expected = weights(tmp_path / "cut"), weights(unbroken)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    logs = [(folder / "log.csv").read_text().splitlines()
            for folder in (tmp_path / "cut", unbroken)]  # fmt: skip
    steps, losses = ([[row.split(",")[column] for row in log[1:]] for log in logs]
                     for column in (0, 2))  # fmt: skip
    assert steps[0] == steps[1] == [str(i) for i in range(1, 241)]
    assert losses[0] == losses[1]


def test_resuming_with_other_settings_names_them(cli: Cli, clips: Path, tmp_path: Path) -> None:
    train(cli, clips, tmp_path / "a", "--epochs", 1, "-q")
    done = train(cli, clips, tmp_path / "a", "--epochs", 2, "--resume")
    assert done.code == 2
    assert "train.epochs (was 1, now 2)" in done.err


def test_two_processes_have_the_losses_of_one(clips: Path, cache: Path, tmp_path: Path) -> None:
    found = []
    for count in (1, 2):
        out = tmp_path / str(count)
        words = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                 f"--nproc-per-node={count}", "-m", "actcli", "finetune", str(clips / "train"),
                 "--val", str(clips / "val"), "-o", str(out), "--model", "demo", "--epochs", "4",
                 "--batch-size", "4", "--device", "cpu"]  # fmt: skip
        env = os.environ | {
            "ACTCLI_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.strip() == str(out / "best.safetensors")
        rows = (out / "log.csv").read_text().splitlines()[1:]
        found.append([float(row.split(",")[2]) for row in rows])
    assert len(found[0]) == 8
    assert found[1] == pytest.approx(found[0], abs=2e-5)


def test_clips_that_were_left_out_are_told_by_the_exit_code(
    cli: Cli, clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(clips / "train", tmp_path / "train")
    (tmp_path / "train" / LABELS[0] / "9.mp4").write_text("no video")
    done = cli("finetune", tmp_path / "train", "-o", tmp_path / "a", "--epochs", 1)
    assert done.code == 3
    assert "1 video could not be used" in done.err
    assert done.out.endswith("best.safetensors\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_no_bug_of_ours(clips: Path, cache: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start(clips, tmp_path / "a", "--epochs", "1", "-q", cache=cache, stdout=full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "Traceback" not in err


def test_logs_with_lines_that_are_none_are_cleaned(cli: Cli, clips: Path, tmp_path: Path) -> None:
    train(cli, clips, tmp_path / "a", "--epochs", 1, "-q")
    for name in ("log.jsonl", "log.csv"):
        with (tmp_path / "a" / name).open("ab") as file:
            file.write(b"\xff\x00 no line\n")
    done = train(cli, clips, tmp_path / "a", "--epochs", 1, "--resume")
    assert done.code == 0, done.err
    assert "no line" not in (tmp_path / "a/log.csv").read_text()


def test_flags_of_training_on_pixels_arrive(cli: Cli, clips: Path, tmp_path: Path) -> None:
    done = train(
        cli, clips, tmp_path / "a", "--method", "actionclip", "--set", "head=meanP", "--steps", 1,
        "--augment", "frame", "--rand-ops", 1, "--rand-magnitude", 5, "--flip", "off",
        "--moments", "fixed", "--clips-held", 2, "--batch-size", 4,
    )  # fmt: skip
    assert done.code == 0, done.err
    stated = json.loads((tmp_path / "a/run.json").read_text())["config"]["train"]
    assert {name: stated[name] for name in ("augment", "rand_ops", "rand_magnitude", "flip",
                                            "moments", "clips_held")} == {
        "augment": "frame", "rand_ops": 1, "rand_magnitude": 5, "flip": "off",
        "moments": "fixed", "clips_held": 2,
    }  # fmt: skip
    assert stated["learning_rate"] == 5e-6


def test_episodes_are_told_as_what_they_are(cli: Cli, clips: Path, tmp_path: Path) -> None:
    done = train(cli, clips, tmp_path / "a", "--method", "clip-fsar", "--steps", 2, "--set",
                 "learn=head", "--set", "way=2", "--set", "queries=2")  # fmt: skip
    assert done.code == 0, done.err
    assert "plain prototypes on 6 validation clips" in done.err
    assert "actcli fewshot VIDEO --support DIR" in done.err
    used = cli("classify", clips / "val", "--model", tmp_path / "a")
    assert used.code == 4
    assert "fewshot --support" in used.err
