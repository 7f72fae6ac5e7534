"""Every exception of pysciml, on one screen."""


class PySciMLError(Exception):
    """Anything that pysciml raises on purpose."""


class TraceError(PySciMLError, ValueError):
    """A model function did something that can't be recorded as a Program.

    The message shows the user's file, line and source text, and the form that can be traced.
    """


class ProblemError(PySciMLError, ValueError):
    """A problem, request or data set is wrong: it names the thing, the value and the remedy."""


class EngineUnavailable(PySciMLError, ImportError):
    """An engine was asked for by name and isn't ready on this machine."""


class UnsupportedByEngine(PySciMLError, NotImplementedError):
    """An engine does not know an algorithm, sensitivity or feature; the message names one that does."""


class GradientMismatch(PySciMLError, ArithmeticError):
    """A gradient isn't the derivative of the loss: along one direction it differs from differences of the loss.

    Attributes
    ----------
    derivative : float
        What the gradient says.
    difference : float
        What differences of the loss say.
    """

    def __init__(self, message, derivative=None, difference=None):
        super().__init__(message)
        self.derivative = derivative
        self.difference = difference


class SolveFailed(PySciMLError, RuntimeError):
    """A solve stopped before the end of ``t_span``.

    Attributes
    ----------
    status : pysciml.engines.base.Status
        Why it stopped, with common causes and the next step.
    partial : xarray.Dataset or tuple or None
        What had been computed until then, in the form that was asked for.
    failure : pysciml.api.failure.Failure or None
        Cause, time, state and advice, as fields.
    """

    def __init__(self, message, status=None, partial=None, failure=None):
        super().__init__(message)
        self.status = status
        self.partial = partial
        self.failure = failure
