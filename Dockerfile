# The base by version; pin its digest as well where you build:
#   docker build --build-arg PYTHON_IMAGE=python:3.13.15-slim-trixie@sha256:... --build-arg REVISION=$(git rev-parse HEAD) -t inbox .
ARG PYTHON_IMAGE=python:3.13.15-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Every dependency is a wheel, so no compiler is needed in either stage.
COPY requirements.build.lock requirements.run.lock ./
RUN python -m venv /opt/build
RUN /opt/build/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.build.lock
RUN python -m venv --without-pip /opt/inbox
RUN /opt/build/bin/python -m pip --python /opt/inbox/bin/python install --require-hashes --only-binary :all: -r requirements.run.lock
COPY pyproject.toml README.md LICENSE ./
COPY inbox ./inbox
COPY migrations ./migrations
RUN /opt/build/bin/python -m hatchling build -t wheel -d /src/dist
RUN /opt/build/bin/python -m pip --python /opt/inbox/bin/python install --no-deps --no-index --find-links /src/dist kafka-inbox

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kafka-inbox" \
      org.opencontainers.image.description="Takes committed Kafka events into PostgreSQL effectively once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing is written at run time: no bytecode, no home. inbox.toml is looked for in the working directory.
ENV PATH=/opt/inbox/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/nonexistent
# Else numpy keeps an idle thread for each core of the node, for mathematics that is not done here.
ENV OPENBLAS_NUM_THREADS=1
COPY --from=build /opt/inbox /opt/inbox
WORKDIR /etc/inbox
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["inbox"]
