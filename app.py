"""Start the explorer: `python app.py`, and the entry point of a Hugging Face Space."""

from sedid.cli import app

if __name__ == "__main__":
    app(["app"])
