# What every serving image shares: the locked wheels and the server's code. Built without network.
ARG BASE
FROM ${BASE} AS build
LABEL modelmill.stage=build
COPY wheels /wheels
COPY serve.txt /wheels/serve.txt
# What the server never loads goes: onnxruntime's library for C programs (Python's module holds the
# same code again), formats and fonts that the codec does not know, headers and types for compilers.
RUN python3 -m venv /opt/serve \
 && /opt/serve/bin/pip install --quiet --no-index --find-links /wheels --require-hashes \
      --no-compile --disable-pip-version-check --root-user-action ignore -r /wheels/serve.txt \
 && /opt/serve/bin/pip uninstall --quiet --yes pip setuptools --root-user-action ignore \
 && find /opt/serve -depth -type d \( -name tests -o -name __pycache__ \) -exec rm -rf {} + \
 && cd /opt/serve/lib/python3*/site-packages \
 && rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets \
           onnxruntime/capi/libonnxruntime.so* numpy/f2py \
           PIL/_avif* pillow.libs/libavif-* PIL/_imagingft.* pillow.libs/libfreetype-* \
           pillow.libs/libharfbuzz-* PIL/_imagingtk* \
 && find . -name '*.pyi' -delete && find . -depth -type d -name include -exec rm -rf {} +
COPY serving /opt/serve/app/serving
RUN /opt/serve/bin/python -m compileall -q /opt/serve/lib /opt/serve/app

FROM ${BASE}
COPY --from=build /opt/serve /opt/serve
ENV PATH=/opt/serve/bin:$PATH PYTHONPATH=/opt/serve/app PYTHONUNBUFFERED=1 LANG=C.UTF-8 \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "serving.server", "--bundle", "/bundle", "--host", "0.0.0.0", "--port", "8000"]
