# A server on a CPU: docker build -t ifan . && docker run --rm -p 8000:8000 -e IFAN_API_KEY=... ifan

FROM python:3.12-slim AS build
COPY pyproject.toml constraints.txt README.md LICENSE /source/
COPY src /source/src
RUN python -m venv /ifan \
    && /ifan/bin/pip install --no-cache-dir -c /source/constraints.txt '/source[serve,raw]'

FROM python:3.12-slim
COPY --from=build /ifan /ifan
# Where compiled graphs and models of one's own are kept. A new volume that is mounted there is the user's, too.
RUN useradd --system --no-create-home ifan \
    && install -d -o ifan /var/lib/ifan
USER ifan
ENV PATH=/ifan/bin:$PATH PYTHONUNBUFFERED=1 IFAN_HOME=/var/lib/ifan
EXPOSE 8000
# Exec form: the server itself gets the signals.
CMD ["ifan", "serve", "--host", "0.0.0.0"]
HEALTHCHECK --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz')"]
