"""The integer model in torch: what the exported graph computes, bit for bit."""
