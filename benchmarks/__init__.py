"""Figures beside a peer measured in the same run; see README.md here."""
