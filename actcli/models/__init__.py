"""What two or more methods share: backbones and scores; tensors in, tensors out."""
