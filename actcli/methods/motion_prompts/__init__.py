"""Motion-prompt adaptation of a frozen CLIP, part by part.

Wang, Du, Yan, Ding, "Seeing in Flowing: Adapting CLIP for Action Recognition with Motion Prompts
Learning", ACM MM 2023 (arXiv 2308.04828). Its text was not at hand and no code was published: what
sources state is the shape (two motion scales from differences of frame embeddings beside a spatial
stream; prompts driven by motion; an exchange between the modalities before matching; a pre-matching
loss). Every formula is our own reading of that.

    config.py    what can be switched
    motion.py    frames to a video vector and motion tokens
    prompts.py   prompts that motion mixes, or writes
    exchange.py  text asks the motion tokens, the video asks the texts
    method.py    logits and losses
"""
