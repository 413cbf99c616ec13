"""What the Virtual C-arm module is made of; everything but the widget works without Qt, on any MRML scene."""
