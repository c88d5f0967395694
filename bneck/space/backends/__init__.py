"""Readers of the layers that need torch, onnx or safetensors; the rest of space does not."""
