"""OpenTelemetry traces of the sink and the relay.

The SDK (the extra `otel`) is imported, and calls are wrapped, only if one of OpenTelemetry's
variables asks for traces. The code that is traced knows nothing of it. Names follow the semantic
conventions for messaging.
"""
