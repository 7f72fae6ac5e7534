"""The functions that users call: short, each joins the rooms."""
