"""How narrow a network may be: NetAdapt, as MobileNetV3 uses it."""
