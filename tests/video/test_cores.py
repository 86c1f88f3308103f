"""Decode processes follow the cores that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actcli.video.cores import auto_workers, available_cores, cpu_quota, quota_v1, quota_v2


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def allow(patch: pytest.MonkeyPatch, cores: int) -> None:
    patch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (16, 16), (64, 16)])
def test_there_is_one_worker_a_core_and_at_most_sixteen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, workers: int
) -> None:
    allow(monkeypatch, cores)
    assert auto_workers(available_cores(tmp_path / "none", tmp_path / "none")) == workers


def test_bound_to_one_core_there_is_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 1)
    assert auto_workers() == 1


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 64)],
)
def test_a_container_s_quota_counts_as_so_many_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, cores: int
) -> None:
    allow(monkeypatch, 64)
    write(tmp_path / "groups" / "cpu.max", limit + "\n")
    own = write(tmp_path / "own", "0::/\n")
    assert available_cores(tmp_path / "groups", own) == cores


def test_a_quota_above_the_affinity_adds_no_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allow(monkeypatch, 2)
    write(tmp_path / "groups" / "cpu.max", "800000 100000\n")
    assert available_cores(tmp_path / "groups", write(tmp_path / "own", "0::/\n")) == 2


def test_the_lowest_limit_of_the_groups_around_holds(tmp_path: Path) -> None:
    write(tmp_path / "groups/cpu.max", "max 100000\n")
    write(tmp_path / "groups/system.slice/cpu.max", "300000 100000\n")
    write(tmp_path / "groups/system.slice/one.service/cpu.max", "400000 100000\n")
    own = write(tmp_path / "own", "0::/system.slice/one.service\n")
    assert cpu_quota(tmp_path / "groups", own) == 3.0


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_groups_of_version_1_limit_too(tmp_path: Path, mount: str) -> None:
    place = tmp_path / "groups" / mount / "docker" / "abc"
    write(place / "cpu.cfs_quota_us", "250000\n")
    write(place / "cpu.cfs_period_us", "100000\n")
    own = write(tmp_path / "own", "9:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n")
    assert cpu_quota(tmp_path / "groups", own) == 2.5


def test_a_container_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    write(tmp_path / "groups/cpu/cpu.cfs_quota_us", "100000\n")
    write(tmp_path / "groups/cpu/cpu.cfs_period_us", "100000\n")
    own = write(tmp_path / "own", "3:cpu,cpuacct:/docker/abc\n")
    assert cpu_quota(tmp_path / "groups", own) == 1.0


@pytest.mark.parametrize("text", [None, "", "max", "max 100000", "0 100000", "1 0", "a b", "-1 1"])
def test_what_makes_no_sense_is_no_limit(text: str | None) -> None:
    assert quota_v2(text) is None


@pytest.mark.parametrize(("quota", "period"), [("-1", "100000"), (None, "100000"), ("1", None)])
def test_version_1_without_a_limit_is_none(quota: str | None, period: str | None) -> None:
    assert quota_v1(quota, period) is None


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "groups", tmp_path / "own") is None
