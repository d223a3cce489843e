"""Click and rating prediction: from log rows to a servable ranking model."""
