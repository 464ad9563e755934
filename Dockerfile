# syntax=docker/dockerfile:1
# Mapboard's image: web, worker, scheduler and commands are one image with different commands. It holds no secret.
FROM python:3.11-slim AS packages
WORKDIR /build
COPY requirements/base.txt ./
RUN python -m venv /opt/mapboard \
    && /opt/mapboard/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r base.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin mapboard
ENV PATH=/opt/mapboard/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MAPBOARD_ENV=production \
    MAPBOARD_STATIC_ROOT=/srv/mapboard/staticfiles
COPY --from=packages /opt/mapboard /opt/mapboard
WORKDIR /srv/mapboard
COPY manage.py ./
COPY config ./config
COPY panel ./panel
COPY templates ./templates
COPY static ./static
# Production needs secrets to start, also to collect files: these are made here and forgotten with this line.
RUN SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(60))')" \
    MAPBOARD_ENCRYPTION_KEYS="$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')" \
    ALLOWED_HOSTS=build DATABASE_URL=postgres://build/build REDIS_URL=redis://build \
    python manage.py collectstatic --noinput --verbosity 0
USER 10001:10001
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "8", "config.wsgi:application"]
