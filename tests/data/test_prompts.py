import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.config import DEFAULT_TEMPLATE
from actcli.data.labels import LabelSet
from actcli.data.prompts import TEMPLATE_SETS, build_prompts, resolve_templates
from actcli.errors import UsageError


def test_every_template_of_every_set_has_one_slot():
    templates = [template for templates in TEMPLATE_SETS.values() for template in templates]
    assert all(template.count("{}") == 1 for template in templates)


def test_the_actionclip_set_is_the_published_one():
    templates = TEMPLATE_SETS["actionclip"]
    assert len(templates) == 16
    assert templates[0] == "a photo of action {}"
    assert templates[7] == "{}"
    assert templates[15] == "The woman is {}"


def test_no_template_means_the_default():
    assert resolve_templates([]) == (DEFAULT_TEMPLATE,)


def test_sets_and_templates_mix_in_order():
    assert resolve_templates(["bare", "someone doing {}"]) == ("{}", "someone doing {}")


def test_repeated_templates_are_dropped_and_said(caplog):
    assert resolve_templates(["{}", "bare"]) == ("{}",)
    assert "repeated" in caplog.text


def test_an_unknown_set_names_the_close_one():
    with pytest.raises(UsageError) as caught:
        resolve_templates(["actonclip"])
    assert "--template actionclip" in str(caught.value.hint)


@pytest.mark.parametrize("template", ["{} and {}", "a video of", "{0} runs"])
def test_a_template_needs_exactly_one_slot(template):
    with pytest.raises(UsageError, match="expected 1"):
        resolve_templates([template])


def test_prompts_hold_the_cleaned_label():
    prompts = build_prompts(LabelSet.parse("ApplyEyeMakeup,sit_down"), ("a video of {}",))
    assert prompts == (("a video of apply eye makeup",), ("a video of sit down",))


def test_cleaned_labels_are_said(caplog):
    caplog.set_level("INFO", "actcli")
    build_prompts(LabelSet.parse("sit_down,run"), ("{}",))
    assert "sit_down -> sit down" in caplog.text
    assert "run ->" not in caplog.text


@pytest.mark.parametrize("label", ["{}", "{0}", "a {b} c", "{{", "%s"])
def test_braces_in_labels_are_plain_text(label):
    assert build_prompts(LabelSet((label,)), ("x {} y",)) == ((f"x {label} y",),)


def test_own_prompts_replace_the_templates_and_may_hold_a_slot():
    labels = LabelSet.from_lines(["run\ta dog runs", "jump\ta cat will {}"])
    assert build_prompts(labels, ("a {}", "b {}")) == (("a dog runs",), ("a cat will jump",))


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 6]), min_size=1, max_size=5))
def test_padding_keeps_the_weight_of_every_prompt(counts):
    own = tuple(tuple(f"{c}.{p}" for p in range(count)) for c, count in enumerate(counts))
    labels = LabelSet(tuple("abcde"[: len(counts)]), own)
    padded = build_prompts(labels, ("x {}", "y {}"))
    assert {len(prompts) for prompts in padded} == {math.lcm(*(count or 2 for count in counts))}
    for prompts in padded:
        assert len({prompts.count(prompt) for prompt in prompts}) == 1


def test_counts_without_a_small_common_multiple_are_refused():
    own = tuple(tuple(f"{c}.{p}" for p in range(n)) for c, n in enumerate((7, 11)))
    with pytest.raises(UsageError, match=r'"7", "11"'):
        build_prompts(LabelSet(("a", "b"), own), ("{}",))


def test_many_prompts_are_fine_where_the_counts_agree():
    own = tuple(tuple(f"{c}.{p}" for p in range(80)) for c in range(2))
    assert len(build_prompts(LabelSet(("a", "b"), own), ("{}",))[0]) == 80
