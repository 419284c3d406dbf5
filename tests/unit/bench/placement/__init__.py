"""Tests of the placement benchmark."""
