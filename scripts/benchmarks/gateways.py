"""What stands between clients and one upstream in `relay`: our server, nginx, a bare relay, and other gateways."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pinned import Pinned, free_port

HERE = Path(__file__).parent
KEY = "sk-a-key-of-the-benchmark-0123456789"
MODEL, RENAMED = "fake", "renamed"
# Idle connections to the upstream are closed after so many seconds, so that a pause of more makes all of them new.
IDLE = 2.0
OURS, NGINX, BARE, DIRECT = "ours", "nginx", "bare relay", "direct"
AIOHTTP = "Starlette + aiohttp"
ROUTER, LITELLM = "vllm-router", "LiteLLM"
OURS_CONFIG = """\
[server]
connections = 4000
connections_per_peer = 4000
[auth]
key_file = {keys}
[models.fake]
backend = "remote"
slots = 4000
upstreams = [{{ url = "{upstream}" }}]
options = {{ keep_alive = {idle} }}
[models.renamed]
backend = "remote"
slots = 4000
upstreams = [{{ url = "{upstream}", model = "fake" }}]
options = {{ keep_alive = {idle} }}
"""
NGINX_CONFIG = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  client_max_body_size 32m;
  client_body_buffer_size 16m;
  keepalive_requests 1000000;
  upstream origin {{
    server {upstream};
    keepalive 1024;
    keepalive_requests 1000000;
    keepalive_timeout {idle}s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_buffer_size 32k;
      proxy_buffers 8 32k;
    }}
  }}
}}
"""


def fake_upstream(folder: Path) -> Pinned:
    """The server behind all of them, on the core of the load."""
    return Pinned(["-m", "openai_proxy", "fake-upstream", "--model", MODEL], folder / "upstream.log")


def ours(upstream: str, folder: Path, cores: set[int] | None) -> Pinned:
    """Our server with all that it does for a request: one key in a file, and two models, one under another name."""
    keys, config = folder / "keys", folder / "ours.toml"
    keys.write_text(f"bench user {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    keys.chmod(0o600)
    config.write_text(OURS_CONFIG.format(keys=json.dumps(str(keys)), upstream=upstream, idle=IDLE))
    command = ["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)]
    return Pinned(command, folder / "ours.log", cores)


def bare(upstream: str, folder: Path, cores: set[int] | None) -> Pinned:
    return Pinned([str(HERE / "bare_relay.py"), upstream, str(IDLE)], folder / "bare.log", cores)


def starlette_aiohttp(upstream: str, folder: Path, cores: set[int] | None) -> Pinned:
    return Pinned([str(HERE / "bare_relay.py"), upstream, str(IDLE), "aiohttp"], folder / "aiohttp.log", cores)


def nginx(upstream: str, folder: Path, cores: set[int] | None) -> Pinned | None:
    """One process that is its own worker; None where nginx is not installed."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return None
    port, config = free_port(), folder / "nginx.conf"
    where = upstream.removeprefix("http://")
    config.write_text(NGINX_CONFIG.format(folder=folder, upstream=where, port=port, idle=int(IDLE)))
    return Pinned(["-p", str(folder), "-c", str(config)], folder / "nginx.log", cores, program=program, port=port)


def vllm_router(upstream: str, folder: Path, cores: set[int] | None) -> Pinned | None:
    """None where it is not installed."""
    program = shutil.which("vllm-router")
    if program is None:
        return None
    port, metrics = free_port(), free_port()
    command = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics)]
    command += ["--worker-urls", upstream, "--policy", "round_robin", "--log-level", "error"]
    return Pinned(command, folder / "router.log", cores, program=program, port=port)


def litellm(upstream: str, folder: Path, cores: set[int] | None) -> Pinned | None:
    """None where it is not installed."""
    program = shutil.which("litellm")
    if program is None:
        return None
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    port, config = free_port(), folder / "litellm.json"
    model = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "none"}
    listed = [{"model_name": MODEL, "litellm_params": model}]
    config.write_text(json.dumps({"model_list": listed}))  # JSON is YAML
    command = ["--host", "127.0.0.1", "--port", str(port), "--config", str(config), "--telemetry", "False"]
    return Pinned(command, folder / "litellm.log", cores, 120, program=program, port=port)


START: Mapping[str, Callable[[str, Path, set[int] | None], Pinned | None]] = {
    NGINX: nginx,
    OURS: ours,
    BARE: bare,
    AIOHTTP: starlette_aiohttp,
    ROUTER: vllm_router,
    LITELLM: litellm,
}
