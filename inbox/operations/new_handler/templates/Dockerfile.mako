# The image of kafka-inbox with this package. Build in this directory.
FROM inbox:0.1.0 AS build
USER 0
COPY . /src/handlers
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /src/wheels /src/handlers

FROM inbox:0.1.0
USER 0
COPY --from=build /src/wheels /src/wheels
RUN pip --python /opt/inbox/bin/python install --no-cache-dir --no-deps --no-index /src/wheels/*.whl
USER 10001:10001
