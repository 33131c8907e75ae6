"""Pretrained nets in Flax, one file per net: configuration, module, weight table."""
