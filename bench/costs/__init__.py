"""What a run takes before it is run: time, memory and storage of every cell, from what cells took."""
