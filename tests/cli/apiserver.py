"""A Kubernetes API server as far as the commands of a response plan ask for it, on loopback: one pod, one node, no rights.

Prints its port, writes each request as a line of JSON (method, path, query, impersonated user, body) into the file that is
its argument, and ends with its stdin.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

NAMESPACE, POD, NODE = "shop", "front-7f9c6d-x2x8k", "node-1"
TIME = "2026-11-24T03:00:00Z"
GROUPS = {
    "apps/v1": [("replicasets", "ReplicaSet", True)],
    "networking.k8s.io/v1": [("networkpolicies", "NetworkPolicy", True)],
    "rbac.authorization.k8s.io/v1": [("clusterrolebindings", "ClusterRoleBinding", False)],
    "authorization.k8s.io/v1": [("selfsubjectrulesreviews", "SelfSubjectRulesReview", False)],
    "coordination.k8s.io/v1": [("leases", "Lease", True)],
}
CORE = [("pods", "Pod", True), ("nodes", "Node", False), ("events", "Event", True), ("namespaces", "Namespace", False)]
gone = set()
log = threading.Lock()


def meta(name, namespace=None, **more):
    made = {"name": name, "uid": "00000d32-0000-4000-8000-000000000000", "resourceVersion": "7",
            "creationTimestamp": TIME, **more}
    return dict(made, namespace=namespace) if namespace else made


OBJECTS = {
    f"/api/v1/namespaces/{NAMESPACE}/pods/{POD}": {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": meta(POD, NAMESPACE, labels={"app": "front"}, ownerReferences=[
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "front-7f9c6d", "uid": "1", "controller": True}]),
        "spec": {"nodeName": NODE, "serviceAccountName": "front",
                 "containers": [{"name": "app", "image": "localhost/box:1", "resources": {}}]},
        "status": {"phase": "Running", "containerStatuses": []}},
    f"/api/v1/nodes/{NODE}": {
        "kind": "Node", "apiVersion": "v1", "metadata": meta(NODE), "spec": {},
        "status": {"conditions": [], "addresses": [], "capacity": {}, "allocatable": {}, "nodeInfo": {}}},
    f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets/front-7f9c6d": {
        "kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": meta("front-7f9c6d", NAMESPACE),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "front"}}}, "status": {"replicas": 1}},
}


def resources(version, kinds):
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    listed = [{"name": name, "singularName": "", "namespaced": own, "kind": kind, "verbs": verbs} for name, kind, own in kinds]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}


def answer(method, path, body):
    """Status and object; a text is a log."""
    if path == "/version":
        return 200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}
    if path == "/api":
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for version in GROUPS:
            one = {"groupVersion": version, "version": version.split("/")[1]}
            groups.append({"name": version.split("/")[0], "versions": [one], "preferredVersion": one})
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/api/v1":
        return 200, resources("v1", CORE)
    if path.startswith("/apis/") and path[6:] in GROUPS:
        return 200, resources(path[6:], GROUPS[path[6:]])
    if path == "/openapi/v2":
        return 200, ""
    if path.endswith("/log"):
        return 200, "2026-11-24T03:50:17Z a line of the container\n"
    if path in OBJECTS and path not in gone:
        if method == "DELETE":
            gone.add(path)
        return 200, OBJECTS[path]
    if method == "POST" and path.endswith("/selfsubjectrulesreviews"):
        # Its body is protobuf, and of no interest.
        rule = {"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}
        return 201, {"kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1",
                     "metadata": {}, "spec": {"namespace": NAMESPACE},
                     "status": {"resourceRules": [rule], "nonResourceRules": [], "incomplete": False}}
    if method == "POST":
        return 201, json.loads(body)
    kinds = {name: (version, kind) for version, kinds in [("v1", CORE), *GROUPS.items()] for name, kind, _ in kinds}
    last = path.rsplit("/", 1)[1]
    if method == "GET" and last in kinds:
        version, kind = kinds[last]
        return 200, {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "7"}, "items": []}
    return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                 "message": f"no {path}", "details": {"name": last}}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        url = urlsplit(self.path)
        line = {"method": self.command, "path": url.path, "query": dict(parse_qsl(url.query)),
                "as": self.headers.get("Impersonate-User"), "body": body}
        with log, open(sys.argv[1], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        status, said = answer(self.command, url.path, body)
        text = said if isinstance(said, str) else json.dumps(said)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(said, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
