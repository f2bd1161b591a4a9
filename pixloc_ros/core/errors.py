"""The exceptions of the package: each message says what is wrong, where, and what to do."""


class PixlocError(Exception):
    """Base of every error that pixloc_ros raises on purpose."""


class ConfigError(PixlocError):
    """A setting is unknown, has the wrong type or an impossible value."""


class CheckpointError(PixlocError):
    """A checkpoint is missing, damaged or not one that this package understands."""


class MapError(PixlocError):
    """A feature map is missing, damaged, of another version or of another checkpoint."""


class DataError(PixlocError):
    """Input data (a camera model, a data set, a recording) cannot be used."""


class MissingPackage(PixlocError):
    """Something was asked for that needs a Python package which is not installed."""
