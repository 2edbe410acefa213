"""Holds what rebeam wrote into the current directory against the formats' own validators, and opens a key and checks a
signature with other hands' cryptography. With the address of a repository and the digest of an image's manifest it looks at
what stands beside the image instead. Prints a line for each that passes, and fails at the first that does not."""

import base64
import hashlib
import json
import os
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import Parse
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from nacl.secret import SecretBox
from packageurl import PackageURL
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def spdx():
    document = parse_file("spdx.json")
    messages = validate_full_spdx_document(document)
    assert not messages, messages
    return f"SPDX: {len(document.packages)} packages"


def cyclonedx():
    text = Path("cdx.json").read_text()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, error
    return "CycloneDX"


def provenance():
    text = Path("slsa.json").read_text()
    Statement.copy_from_pb(Parse(text, statement_pb2.Statement())).validate()
    predicate = json.loads(text)["predicate"]
    read = Parse(json.dumps(predicate), provenance_pb2.Provenance())
    for descriptor in read.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    return f"in-toto and SLSA: {len(read.build_definition.resolved_dependencies)} dependencies"


def purls():
    components = json.loads(Path("cdx.json").read_text())["components"]
    dependencies = json.loads(Path("slsa.json").read_text())["predicate"]["buildDefinition"]["resolvedDependencies"]
    names = [one["purl"] for one in components if "purl" in one] + [one["uri"] for one in dependencies if "uri" in one]
    for name in names:
        assert PackageURL.from_string(name).to_string() == name, name
    return f"package URLs: {len(names)}"


def signature():
    body = Path("cosign.key").read_text().split("-----\n", 1)[1].split("\n-----END")[0]
    sealed = json.loads(base64.b64decode(body.replace("\n", "")))
    figures = sealed["kdf"]["params"]
    key = hashlib.scrypt(
        os.environ["COSIGN_PASSWORD"].encode(),
        salt=base64.b64decode(sealed["kdf"]["salt"]),
        n=figures["N"],
        r=figures["r"],
        p=figures["p"],
        maxmem=1 << 30,
        dklen=32,
    )
    nonce = base64.b64decode(sealed["cipher"]["nonce"])
    plain = SecretBox(key).decrypt(base64.b64decode(sealed["ciphertext"]), nonce)
    private = serialization.load_der_private_key(plain, None)
    public = serialization.load_pem_public_key(Path("cosign.pub").read_bytes())
    assert private.public_key().public_numbers() == public.public_numbers()
    signed = base64.b64decode(Path("spdx.json.sig").read_text())
    public.verify(signed, Path("spdx.json").read_bytes(), ec.ECDSA(hashes.SHA256()))
    return "key and signature"


def beside(repository, image):
    """Looks at an image's signature, attestations and documents as cosign and OCI clients would."""

    def get(path):
        accepted = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        return urlopen(Request(f"{repository}/{path}", headers={"Accept": accepted})).read()

    def layers(tag):
        for layer in json.loads(get(f"manifests/{tag}"))["layers"]:
            blob = get(f"blobs/{layer['digest']}")
            assert (hashlib.sha256(blob).hexdigest(), len(blob)) == (layer["digest"][7:], layer["size"])
            yield layer, blob

    public = serialization.load_pem_public_key(Path("cosign.pub").read_bytes())
    tag = image.replace(":", "-")
    for layer, payload in layers(f"{tag}.sig"):
        signed = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
        public.verify(signed, payload, ec.ECDSA(hashes.SHA256()))
        critical = json.loads(payload)["critical"]
        assert critical["image"]["docker-manifest-digest"] == image, critical
    yield "signature"
    kinds = []
    for layer, envelope in layers(f"{tag}.att"):
        envelope = Envelope.from_dict(json.loads(envelope))
        # cosign names no key in an envelope, so the one that is tried must have no name either.
        key = SSlibKey.from_crypto(public)
        key.keyid = ""
        envelope.verify([key], threshold=1)
        statement = Parse(envelope.payload, statement_pb2.Statement())
        Statement.copy_from_pb(statement).validate()
        assert statement.subject[0].digest["sha256"] == image[7:], statement.subject
        assert statement.predicate_type == layer["annotations"]["predicateType"]
        kinds.append(statement.predicate_type)
    yield f"attestations: {', '.join(kinds)}"
    listed = json.loads(get(f"manifests/{tag}"))["manifests"]
    for entry in listed:
        manifest = json.loads(get(f"manifests/{entry['digest']}"))
        assert manifest["subject"]["digest"] == image, manifest
        assert manifest["artifactType"] == entry["artifactType"], manifest
    yield f"documents: {len(listed)}"


if len(sys.argv) > 1:
    for line in beside(*sys.argv[1:]):
        print(line)
    sys.exit()
for check in [spdx, cyclonedx, provenance, purls, signature]:
    print(check())
