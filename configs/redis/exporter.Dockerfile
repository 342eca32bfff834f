# The exporter's own image has no shell, and so nothing that could check its health.
FROM oliver006/redis_exporter:v1.74.0 AS exporter

FROM redis:8.0.3-alpine3.21
COPY --from=exporter /redis_exporter /usr/local/bin/redis_exporter
USER 59000:59000
ENTRYPOINT ["redis_exporter"]
