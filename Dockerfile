# The server with the shipped checkpoints inside; docs/serve.md says how to build and run it.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# Where pip looks, if not where the base image says; torch's CPU build is a tenth of the size of its CUDA build.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /source
# For the native kernels of the recurrent layer; without a compiler the image would be slower, not broken.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/simlstm
ENV PATH=/opt/simlstm/bin:$PATH
# The large dependency in a layer of its own: a change of the source does not install it again.
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools wheel \
    && pip install --no-cache-dir --constraint constraints.txt torch
COPY pyproject.toml setup.py README.md LICENSE ./
COPY simlstm simlstm
COPY api api
COPY scripts scripts
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation ".[serve]" \
    && pip uninstall --yes wheel pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="simlstm" \
      org.opencontainers.image.description="Semantic similarity of sentences over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin simlstm
COPY --from=build /opt/simlstm /opt/simlstm
ENV PATH=/opt/simlstm/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SIMLSTM_MODEL=en \
    SIMLSTM_HOST=0.0.0.0 \
    SIMLSTM_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SIMLSTM_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["simlstm", "serve"]
