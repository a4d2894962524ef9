"""Start the explorer: `python app.py`, and the entry point of a Hugging Face Space."""

from sedid.ui import launch

if __name__ == "__main__":
    launch()
