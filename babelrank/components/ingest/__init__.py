"""Reading, quarantine, splits and spans, shared by both tasks."""
