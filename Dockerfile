# cyberun-mcp as a container: `docker run -p 127.0.0.1:8000:8000 cyberun-mcp` serves the HTTP endpoint,
# `docker run -i -e CYBERUN_API_KEY cyberun-mcp --help` and so on run any other command.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/cyberun-mcp
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY constraints/pinned.txt constraints/pinned.txt
COPY cyberun_mcp cyberun_mcp
RUN /opt/cyberun-mcp/bin/pip install --constraint constraints/pinned.txt '.[fast,otel]'

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin cyberun
COPY --from=build /opt/cyberun-mcp /opt/cyberun-mcp
ENV PATH=/opt/cyberun-mcp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
# Alive, not ready: a container must not be restarted because the platform is down.
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('CYBERUN_HTTP_PORT', '8000') + '/livez', timeout=3)"]
ENTRYPOINT ["cyberun-mcp"]
CMD ["http", "--host", "0.0.0.0"]
