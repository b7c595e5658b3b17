# Solon on vLLM's own image, which has the torch and vLLM of requirements/cuda.txt.
#   docker build -t solon .
#   docker run --gpus all --ipc=host -v "$PWD/runs:/work/runs" solon run single-gpu-7b
# For a driver of CUDA 12: docker build --build-arg VLLM=v0.31.0-cu129 -t solon .
ARG VLLM=v0.31.0
FROM vllm/vllm-openai:${VLLM}

WORKDIR /solon
COPY requirements/cuda.txt requirements/missing.py /tmp/
# What the image has stays as it is: its parts are built for each other and for its CUDA.
RUN python3 /tmp/missing.py /tmp/cuda.txt > /tmp/missing.txt && \
    uv pip install --system --no-cache --no-deps -r /tmp/missing.txt
COPY . .
RUN uv pip install --system --no-cache --no-deps --no-build-isolation .

WORKDIR /work
ENTRYPOINT ["solon"]
CMD ["--help"]
