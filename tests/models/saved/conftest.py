"""The script here is run by hand, and imported by test_saved_files.py."""

collect_ignore_glob = ["write.py"]
