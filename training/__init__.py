"""Records of the engine become datasets that TRL trains on."""
