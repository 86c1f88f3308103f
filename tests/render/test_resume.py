import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actcli.errors import ManifestError, UsageError
from actcli.render.files import open_writer, sidecar_path, write_sidecar
from actcli.render.records import run_record
from actcli.render.resume import load_done
from actcli.types import VideoRef

FORMATS = ["jsonl", "csv", "tsv"]
NAMES = st.text(st.sampled_from('a"\n\r\t,\\= \udcff'), min_size=1)
fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@pytest.fixture
def save(tmp_path, run):
    def save(format, *results):
        path = tmp_path / f"preds.{format}"
        path.unlink(missing_ok=True)
        writer = open_writer(format, path=path, top=2)
        for result in results:
            writer.write(result)
        writer.close()
        write_sidecar(path, run_record(run()))
        return path

    return save


def test_a_file_that_does_not_exist_is_empty(tmp_path, run):
    assert len(load_done(tmp_path / "preds.csv", "csv", run())) == 0


@pytest.mark.parametrize("format", FORMATS)
def test_each_result_is_taken_once(save, run, prediction, failure, format):
    path = save(format, prediction(), prediction(), failure())
    done = load_done(path, format, run(), top=2)
    assert (done.num_ok, done.num_failed) == (2, 1)
    taken = [done.take(VideoRef(name)) for name in ("a.mp4", "a.mp4", "a.mp4", "bad.mp4", "c")]
    assert taken == [True, True, False, True, False]


@pytest.mark.parametrize("format", FORMATS)
def test_trimmed_videos_are_taken_by_their_times(save, run, prediction, format):
    refs = [VideoRef("a.mp4", start, start + 2.5) for start in (0.0, 1 / 3, 2.0)]
    path = save(format, *(prediction(ref=ref, end_s=2.9) for ref in refs))
    done = load_done(path, format, run(), top=2)
    assert not done.take(VideoRef("a.mp4", 0.0, 9.0))
    assert [done.take(ref) for ref in reversed(refs)] == [True, True, True]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_torn_last_line_is_cut_off(save, run, prediction, format, cut):
    path = save(format, prediction("a.mp4"), prediction("b.mp4"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    done = load_done(path, format, run(), top=2)
    assert [done.take(VideoRef(name)) for name in ("a.mp4", "b.mp4")] == [True, False]
    assert whole.startswith(path.read_bytes())
    assert path.read_bytes().endswith(b"\n")


@fixtures
@given(data=st.data(), format=st.sampled_from(FORMATS))
def test_continuing_after_a_cut_anywhere_gives_the_same_file(save, run, prediction, data, format):
    names = data.draw(st.lists(NAMES, min_size=1))
    whole = save(format, *map(prediction, names)).read_bytes()
    path = save(format)
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    done = load_done(path, format, run(), top=2)
    writer = open_writer(format, path=path, top=2, append=True)
    for name in names:
        if not done.take(VideoRef(name)):
            writer.write(prediction(name))
    writer.close()
    assert path.read_bytes() == whole


def test_zero_bytes_after_a_power_cut_are_cut_off(save, run, prediction):
    path = save("jsonl", prediction())
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 100)
    assert len(load_done(path, "jsonl", run())) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("content", [b"my notes\nmore\n", b"my notes", b"{}\n", b"\0\0", b"a,b\n"])
def test_files_of_others_are_refused_and_kept(tmp_path, run, format, content):
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises((ManifestError, UsageError)):
        load_done(path, format, run())
    assert path.read_bytes() == content


def test_a_bad_line_in_the_middle_is_named(save, run, prediction):
    path = save("jsonl", prediction(), prediction())
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"garbage\n" + second)
    with pytest.raises(ManifestError, match="record 2"):
        load_done(path, "jsonl", run())


def test_other_columns_are_refused(save, run, prediction):
    with pytest.raises(UsageError, match="--top 3"):
        load_done(save("csv", prediction()), "csv", run(), top=3)


def test_json_cannot_be_continued(tmp_path, run):
    with pytest.raises(UsageError, match="--skip-done"):
        load_done(tmp_path / "preds.json", "json", run())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_digest": "x"}, r"model digest \(was abc, now x\)"),
        ({"labels": ("run", "sit")}, r'labels \("jump", "sit"\)'),
        ({"labels": ("jump", "run")}, "their order"),
        ({"prompts": (("run",), ("jump",))}, "prompts"),
        ({"config": {"sampling": {"num_frames": 16}}}, r"sampling.num_frames \(was 8, now 16\)"),
        ({}, "the fingerprint"),
    ],
)
def test_other_conditions_are_refused_and_named(save, run, prediction, changes, message):
    path = save("jsonl", prediction())
    with pytest.raises(UsageError, match=message):
        load_done(path, "jsonl", run(fingerprint="f2", **changes))


def test_another_device_does_not_matter(save, run, prediction):
    path = save("jsonl", prediction())
    assert len(load_done(path, "jsonl", run(device="cuda", started="later"))) == 1


def test_results_without_conditions_are_refused(save, run, prediction):
    path = save("jsonl", prediction())
    sidecar_path(path).unlink()
    with pytest.raises(UsageError, match="conditions are unknown"):
        load_done(path, "jsonl", run())
