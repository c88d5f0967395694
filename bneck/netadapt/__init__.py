"""NetAdapt as MobileNetV3 uses it: narrows a network until it meets a latency target."""
