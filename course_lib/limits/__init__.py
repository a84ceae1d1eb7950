"""Chapter 10: what the derivation of DPO needs, and what happens without it."""
