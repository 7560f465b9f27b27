# The benchmark with all its locked packages, for clusters that run containers (docs/containers.md).
# Both stages stand on one image: the virtual environment of the first runs in the second as it is.
FROM python:3.11.14-slim-bookworm AS packages

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/contrastseg
ENV PATH=/opt/contrastseg/bin:$PATH
WORKDIR /build
COPY requirements.lock ./
RUN pip install --requirement requirements.lock
# The project last: an edit of it leaves the layer of the packages as it was.
COPY pyproject.toml setup.py README.md LICENSE Snakefile environment.yml ./
COPY workflow ./workflow
COPY profiles ./profiles
COPY benchmarks ./benchmarks
COPY contrastseg ./contrastseg
RUN pip install --no-deps --no-build-isolation .


FROM python:3.11.14-slim-bookworm

# A number, so that a cluster can see that it is not root without looking into the image.
RUN useradd --uid 10001 --user-group --create-home contrastseg \
    && install --directory --owner 10001 --group 10001 /work
COPY --from=packages /opt/contrastseg /opt/contrastseg
# `utility` brings nvidia-smi, by which a run finds the GPU that it locks.
ENV PATH=/opt/contrastseg/bin:$PATH \
    HOME=/home/contrastseg \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
# results/ and resources/ come to lie here: mount what is to stay.
WORKDIR /work
CMD ["contrastseg", "--help"]
