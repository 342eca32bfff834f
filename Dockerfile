# The service's image. docs/how-to/stacks.md has the command that builds it, with its labels and its date.
# The parts stand in the order in which they change, so that a change of app/ alone rebuilds one layer.
ARG BASE_IMAGE=python:3.13.7-alpine3.22

# checkov:skip=CKV_DOCKER_7:the default of BASE_IMAGE names a version; checkov does not look the argument up
# Wheels only, each checked against its hash: nothing is compiled, so no stage has a compiler.
FROM ${BASE_IMAGE} AS wheels
COPY requirements/app.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip download --disable-pip-version-check --require-hashes --only-binary=:all: \
        --dest /wheels --requirement /requirements.txt

FROM ${BASE_IMAGE} AS environment
COPY requirements/app.txt /requirements.txt
# Bytecode is checked by content, not by time: the root file system is read-only, and layers are reproducible.
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    python -m venv --without-pip /opt/football \
    && pip --python /opt/football/bin/python install --disable-pip-version-check --no-cache-dir --no-compile \
        --no-index --find-links /wheels --require-hashes --requirement /requirements.txt \
    && PYTHONHASHSEED=0 python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/football/lib

FROM ${BASE_IMAGE} AS application
COPY app /srv/football/app
RUN PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash /srv/football/app

FROM ${BASE_IMAGE}
ENV PATH=/opt/football/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv/football
COPY --from=environment /opt/football /opt/football
COPY alembic.ini ./
COPY --from=application /srv/football/app ./app
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/health/live"]
CMD ["python", "-m", "app", "--host", "0.0.0.0", "--port", "8000"]

# Last, because they change with every commit.
ARG SOURCE="" REVISION="" VERSION="" CREATED=""
LABEL org.opencontainers.image.title="football" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.created="${CREATED}"
