"""The floor under all areas: it imports nothing of tfgen, and every area may stand on it."""
