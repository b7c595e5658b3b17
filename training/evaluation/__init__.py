"""What training did, measured: statistics, data, and checks that need no model."""
