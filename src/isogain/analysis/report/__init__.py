"""The answers as text, Markdown, LaTeX, CSV and one HTML page: `python -m isogain.results FOLDER`."""
