"""The exceptions of tf2, all below `TransformException`."""


class TransformException(Exception):
    """A transform could not be given."""


class LookupException(TransformException):
    """A frame was never heard of."""


class ConnectivityException(TransformException):
    """Both frames are known but belong to trees that do not meet."""


class ExtrapolationException(TransformException):
    """The time asked for lies outside what the buffer holds."""


class InvalidArgumentException(TransformException):
    """A frame name is empty or has a leading slash."""


class TimeoutException(TransformException):
    """The transform did not become available in time."""
