"""gunicorn: threads, because most requests wait for the database; recycled workers, because a kill must be routine."""

import os

bind = os.environ.get("BIND", "0.0.0.0:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
timeout = 30
graceful_timeout = 30
keepalive = 5
# Loaded once before the fork: a recycled worker is there at once, and the workers share what they have loaded.
preload_app = True
max_requests = 2000
max_requests_jitter = 200
# Secrets may stand in the path of an intake address: the access log stays off, the portal writes its own.
accesslog = None
errorlog = "-"
# Whether X-Forwarded-Proto counts is said once, by TRUSTED_PROXIES; gunicorn alone would believe whoever is on this machine.
forwarded_allow_ips = ""
loglevel = os.environ.get("LOG_LEVEL", "warning").lower()
control_socket_disable = True
