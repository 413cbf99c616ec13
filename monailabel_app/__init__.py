"""Landmarks of X-rays served, corrected and learned from, with MONAI Label."""
