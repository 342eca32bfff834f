# The exporter's own image has no shell, and so nothing that could check its health.
FROM oliver006/redis_exporter:v1.74.0 AS exporter

FROM redis:8.0.3-alpine3.21
COPY --from=exporter /redis_exporter /usr/local/bin/redis_exporter
USER 59000:59000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=5 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9121/health"]
ENTRYPOINT ["redis_exporter"]
