"""A stand-in for W&B's server on 127.0.0.1: keeps the history that `wandb sync` sends as the real one would."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """What it was sent: rows of each run by line, the last summary, and the arguments of each GraphQL operation."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: dict[str, dict[int, dict[str, Any]]] = {}
        self.summary: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up as they like."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _reply(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> Any:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        return json.loads(body) if body else {}

    def do_GET(self) -> None:
        self._reply({})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        if "graphql" in self.path:
            asked = re.search(r"(?:query|mutation)\s+(\w+)", body["query"])
            name, values = asked[1] if asked else "", body.get("variables") or {}
            self.server.asked.append((name, values))
            self._reply(self._answer(name, values))
            return
        run, files = self.path.split("/")[-2], body.get("files") or {}
        for k, row in enumerate(files.get("wandb-history.jsonl", {}).get("content", [])):
            self.server.rows.setdefault(run, {})[files["wandb-history.jsonl"]["offset"] + k] = json.loads(row)
        if "wandb-summary.json" in files:
            self.server.summary[run] = json.loads(files["wandb-summary.json"]["content"][0])
        self._reply({"exitcode": None, "limits": {}})

    def _answer(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "p", "name": "bnrepro", "entity": {"id": "e", "name": "me"}}
        rows = self.server.rows.get(values.get("name") or "", {})
        if name == "UpsertBucket":
            bucket = {"id": "r", "name": values["name"], "displayName": values["name"], "config": "{}"}
            bucket |= {"project": project, "historyLineCount": len(rows), "description": None, "sweepName": None}
            return {"data": {"upsertBucket": {"bucket": bucket, "inserted": not rows}}}
        if name == "RunResumeStatus":
            bucket = {"id": "r", "name": values["name"], "displayName": values["name"], "config": "{}", "tags": []}
            bucket |= {"summaryMetrics": json.dumps(self.server.summary.get(values["name"], {})), "eventsTail": "[]"}
            bucket |= {"historyLineCount": len(rows), "logLineCount": 0, "eventsLineCount": 0, "wandbConfig": "{}"}
            bucket |= {"historyTail": json.dumps([json.dumps(rows[max(rows)])] if rows else [])}
            return {"data": {"model": project | {"bucket": bucket if rows else None}}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.server.url}/{file}"} for file in values["files"]]
            return {"data": {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}}
        return {"errors": [{"message": f"no {name} here"}]}


@contextmanager
def serve() -> Iterator[Server]:
    """A running server."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
