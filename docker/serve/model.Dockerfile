# One model: the shared runtime and one layer with the bundle.
ARG RUNTIME
FROM ${RUNTIME}
ARG DEPLOYMENT
ARG VERSION
ENV MODELMILL_DEPLOYMENT=${DEPLOYMENT} MODELMILL_VERSION=${VERSION}
# A folder that COPY itself makes gets the time of the build, and the layer another digest each time.
COPY root /
