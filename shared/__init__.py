"""The wire protocol: what both sides say (`messages`), how it is packed (`codec`), and what else both sides need."""

VERSION = "0.1.0"
