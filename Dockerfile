# Strata on a GPU Space, or on any host with NVIDIA's container runtime; without a GPU it runs on the CPU.
# The container's user is 1000, as on Spaces; recorded runs and the embedded model are part of the image.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 strata
USER 1000
ENV HOME=/home/strata \
    PATH=/home/strata/.local/bin:$PATH \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    STRATA_CONTAINER=1 STRATA_HOME=/data/strata HF_HOME=/home/strata/.cache/huggingface
WORKDIR /home/strata/app

# requirements-gpu.txt for models on GPUs; requirements-viewer.txt for recorded runs only
ARG REQUIREMENTS=requirements-gpu.txt
COPY --chown=1000 requirements*.txt ./
RUN pip install --user -r $REQUIREMENTS

# Models that visitors may choose, each pinned: "org/name@<40 hex>,…". A page never downloads one, so they are fetched here.
ARG STRATA_MODELS=""
ENV STRATA_MODELS=$STRATA_MODELS
RUN for m in $(echo "$STRATA_MODELS" | tr , ' '); do hf download "${m%@*}" --revision "${m#*@}" || exit 1; done

COPY --chown=1000 . .

EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"
# inside the iframe of a Space, over HTTPS, uploads need a cookie that other sites may send
CMD ["sh", "-c", "exec python -m streamlit run dashboard/app.py --server.port=8501 --server.address=0.0.0.0 ${SPACE_ID:+--server.xsrfCookieSameSite=none}"]
