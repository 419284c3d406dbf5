"""The plumbing's doubles and the real things keep the same promises."""
