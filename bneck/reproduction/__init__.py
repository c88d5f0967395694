"""The derivation of MobileNetV3-Small, repeated and recorded."""
