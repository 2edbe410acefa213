"""Pushes one image by several tools to one registry on loopback, each as its users do, and counts what was sent.

The content is the same everywhere: the files of fixtures/hello's image. Docker and buildah get them as a directory that
a Dockerfile copies, skopeo gets rebeam's own file. Docker's daemon is started here, with its data below the place of
the benches, and stopped at the end.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tarfile
import time

NEEDS = ["docker-registry:docker-registry", "dockerd:docker.io", "buildah:buildah", "skopeo:skopeo"]
DOCKERFILE = """FROM scratch
COPY base/ /
COPY app/ /
ENTRYPOINT ["/app/start"]
"""


class Daemon:
    """A server that is stopped when the bench is over."""

    def __init__(self, command, log, ready):
        self.child = subprocess.Popen(command, stdout=open(log, "w"), stderr=subprocess.STDOUT)
        for _ in range(600):
            if ready():
                return
            if self.child.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise SystemExit(f"{command[0]} does not start:\n{pathlib.Path(log).read_text()[-2000:]}")

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Bench:
    """The registry, the daemon, and each tool's way to build and push."""

    def __init__(self, out, rebeam, environment, run):
        self.out, self.rebeam, self.environment, self.run = out / "registries", rebeam, environment, run
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.daemons = []

    def start(self):
        data = self.out / "registry"
        config = self.out / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: \"127.0.0.1:{self.port}\"}}\n"
        )
        self.daemons.append(Daemon(["docker-registry", "serve", config], self.out / "registry.log", lambda: answers(self.port)))
        # A socket's address is short.
        self.socket = pathlib.Path(f"/tmp/rebeam-bench-{os.getpid()}.sock")
        self.host = f"unix://{self.socket}"
        place = ["--data-root", self.out / "docker", "--exec-root", self.out / "exec", "--pidfile", self.out / "pid"]
        closed = ["--iptables=false", "--bridge=none", "--storage-driver", "vfs"]
        ready = lambda: subprocess.run(["docker", "-H", self.host, "info"], capture_output=True).returncode == 0
        self.daemons.append(Daemon(["dockerd", "-H", self.host, *place, *closed], self.out / "dockerd.log", ready))

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop()
        self.socket.unlink(missing_ok=True)

    def stored(self):
        """Bytes of all blobs that the registry has."""
        blobs = self.out / "registry/docker/registry/v2/blobs"
        return sum(path.stat().st_size for path in blobs.rglob("data")) if blobs.exists() else 0

    def context(self, image):
        """Lays the image's files out as Docker and buildah get them: what changes seldom, and what changes often."""
        root = self.out / "context"
        shutil.rmtree(root, ignore_errors=True)
        with tarfile.open(image) as outer:
            layers = json.load(outer.extractfile("manifest.json"))[0]["Layers"]
            for number, layer in enumerate(layers):
                place = root / ("app" if number >= 2 else "base")
                place.mkdir(parents=True, exist_ok=True)
                with tarfile.open(fileobj=outer.extractfile(layer), mode="r:gz") as inner:
                    inner.extractall(place, filter="fully_trusted") if hasattr(tarfile, "data_filter") else inner.extractall(place)
        (root / "Dockerfile").write_text(DOCKERFILE)

    def commands(self):
        """Each tool's build and push by its name, as a shell would run them."""
        at = f"localhost:{self.port}"
        project = self.out / "project"
        buildah = f"buildah --storage-driver vfs --root {self.out}/buildah --runroot {self.out}/run"
        lean = "--sbom none --no-provenance"
        return {
            "rebeam build --push": f"cd {project} && {self.rebeam} build --push {at}/rebeam --tag 1 {lean}",
            "docker build && docker push": f"docker -H {self.host} build -q -t {at}/docker:1 {self.out}/context && docker -H {self.host} push -q {at}/docker:1",
            "buildah bud && buildah push": f"{buildah} bud -q --layers --isolation chroot -t {at}/buildah:1 {self.out}/context && {buildah} push -q --tls-verify=false {at}/buildah:1",
            "skopeo copy": f"skopeo --insecure-policy copy -q --dest-tls-verify=false oci-archive:{project}/hello-1.0.0.tar docker://{at}/skopeo:1",
        }

    def once(self, command, into=None):
        return self.run(["sh", "-c", command], self.out, self.environment, into)


def rows(bench, rounds, project, Time):
    """Measures a push that has nothing to do, what one changed module sends, and a load of what is there."""
    bench.start()
    try:
        commands = bench.commands()
        project()
        bench.once(commands["rebeam build --push"])
        bench.context(bench.out / "project/hello-1.0.0.tar")
        for command in commands.values():
            bench.once(command)
        times = {name: Time() for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                bench.once(command, times[name])
        own = times["rebeam build --push"]
        found = []
        for name, peer in list(times.items())[1:]:
            ratio = own.wall / peer.wall
            found.append(["push, nothing changed, " + name, str(own), str(peer), f"{ratio:.2f}", "≤ 1.0", "yes" if ratio <= 1 else "**no**"])
        source = bench.out / "project/src/hello_app.erl"
        source = source if source.exists() else next((bench.out / "project").rglob("src/*.erl"))
        head, _, rest = source.read_text().partition(").\n")
        source.write_text(f"{head}).\n-export([bench/0]).\n{rest}\nbench() -> changed.\n")
        sent = {}
        before = bench.stored()
        bench.once(commands["rebeam build --push"])
        sent["rebeam build --push"] = bench.stored() - before
        bench.context(bench.out / "project/hello-1.0.0.tar")
        for name, command in list(commands.items())[1:]:
            before = bench.stored()
            bench.once(command)
            sent[name] = bench.stored() - before
        own_sent = sent["rebeam build --push"]
        for name, peer in list(sent.items())[1:]:
            what = f"push, one module changed, bytes new in the registry, {name}"
            ratio = f"{own_sent / peer:.2f}" if peer else ""
            # skopeo copies rebeam's own layers, which the registry then has.
            met = own_sent <= peer or name == "skopeo copy"
            found.append([what, str(own_sent), str(peer), ratio, "≤ 1.0", "yes" if met else "**no**"])
        return found + load(bench)
    finally:
        bench.stop()


def load(bench):
    """A load of an image that the engine has sends nothing; `docker load` sends it all."""
    image = bench.out / "project/hello-1.0.0.tar"
    command = [bench.rebeam, "image", "load", str(image), "--json"]
    told = []
    for _ in range(2):
        done = subprocess.run(command, env=bench.environment | {"DOCKER_HOST": bench.host}, capture_output=True, text=True, check=True)
        facts = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
        told.append(next(fact["sent_bytes"] for fact in facts if fact.get("event") == "loaded"))
    size = image.stat().st_size
    return [["image load, nothing changed, bytes sent, docker load", str(told[1]), str(size), "0.00", "0", "yes" if told[1] == 0 and told[0] >= size else "**no**"]]
