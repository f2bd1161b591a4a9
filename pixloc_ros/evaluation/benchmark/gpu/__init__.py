"""One run on a GPU machine that has little more than torch: tests, frames a second, training."""
