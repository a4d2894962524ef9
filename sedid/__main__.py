"""`python -m sedid`."""

from sedid.cli import main

if __name__ == "__main__":
    main("python -m sedid")
